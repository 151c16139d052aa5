"""The examples of README.md and docs: each command is run, and prints what is written there.

`...` in an output stands for anything, and seconds differ. What needs root is not run: it begins
with `sudo`.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
PROMPT = "    $ "
SECONDS = re.compile(r"\d+\.\d{3} s\b")


class Example(NamedTuple):
    """A command and what it prints, from a line of a document on."""

    document: str
    line: int
    command: str
    output: str


def examples():
    """Yield all commands of all documents."""
    for path in DOCUMENTS:
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines):
            if line.startswith((f"{PROMPT}pfcompile ", f"{PROMPT}TZ=UTC pfcompile ")):
                output = []
                for after in lines[number + 1 :]:
                    if after.startswith(PROMPT) or (after and not after.startswith("    ")):
                        break
                    output.append(after[4:])
                yield Example(path.name, number + 1, line[len(PROMPT) :], "\n".join(output))


EXAMPLES = list(examples())


def test_there_are_examples():
    assert len(EXAMPLES) >= 8
    assert {example.document for example in EXAMPLES} >= {"README.md", "prove.md"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: f"{each.document}:{each.line}")
def test_an_example(example, tmp_path):
    words = shlex.split(example.command.removeprefix("TZ=UTC "))
    (tmp_path / "pcaps").symlink_to(ROOT / "pcaps")
    words = [sys.executable, "-m", "pfcompile", *words[1:]]
    environment = os.environ | {"TZ": "UTC", "COLUMNS": "100", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        words,
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    got, wanted = (
        SECONDS.sub("N s", text).rstrip() + "\n" for text in (done.stdout, example.output)
    )
    same = doctest.OutputChecker().check_output(wanted, got, doctest.ELLIPSIS)
    assert same, f"{example.document}:{example.line} says\n{wanted}\nbut it prints\n{got}"
