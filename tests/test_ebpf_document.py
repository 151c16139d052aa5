"""The examples of docs/ebpf.md and docs/debug.md: in one folder, they print what is written.

They work on each other's files, which those of the other documents do not. What `cat` shows is put
into the file first; what begins with `sudo` is not run.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("ebpf", "debug")
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_examples(document, tmp_path):
    text = (ROOT / "docs" / f"{document}.md").read_text()
    (tmp_path / "pcaps").symlink_to(ROOT / "pcaps")
    script = tmp_path / "pfcompile"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pfcompile "$@"\n')
    script.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    environment = os.environ | {"TZ": "UTC", "PYTHONPATH": str(ROOT), "PATH": path}
    ran = 0
    for block in BLOCK.findall(text):
        for command, wanted in COMMAND.findall(block):
            if command.startswith("sudo "):
                continue
            if command.startswith("cat "):
                (tmp_path / command.removeprefix("cat ")).write_text(wanted)
                continue
            done = subprocess.run(
                ["sh", "-c", command],
                cwd=tmp_path,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=60,
                check=False,
            )
            same = doctest.OutputChecker().check_output(wanted, done.stdout, doctest.ELLIPSIS)
            assert same, f"$ {command}\n{wanted}\nbut it prints\n{done.stdout}"
            ran += 1
    assert ran >= {"ebpf": 7, "debug": 2}[document]
