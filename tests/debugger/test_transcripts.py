"""Scripts and what they print: golden transcripts, in the files of the folder beside this module.

A file has a comment, a command line, and what it prints where the commands behind the prompts are
given to it as a script; what goes to standard error comes last.
"""

from __future__ import annotations

import difflib
import shlex
from pathlib import Path

import pytest

from pfcompile.debugger.prompt import PROMPT
from tests.cli.in_process import run

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))


def transcript(stored: str) -> str:
    """Return what a file says when its commands are given now."""
    comment, line, *rest = stored.splitlines()
    commands = [each.removeprefix(PROMPT) for each in rest if each.startswith(PROMPT)]
    words = shlex.split(line.removeprefix("$ pfcompile "))
    done = run(*words, stdin="".join(f"{each}\n" for each in commands).encode())
    status = "" if done.returncode == 0 else f"exit status {done.returncode}\n"
    return f"{comment}\n{line}\n{done.stdout.decode()}{done.stderr.decode()}{status}"


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_transcript(path, request, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("TZ", "UTC")
    stored = path.read_text(encoding="utf-8")
    now = transcript(stored)
    if request.config.getoption("--bless"):
        path.write_text(now, encoding="utf-8")
    elif now != stored:
        diff = difflib.unified_diff(
            stored.splitlines(), now.splitlines(), f"{path.name} (stored)", "now", lineterm=""
        )
        accept = f"accept with: pytest -n0 --bless tests/debugger -k {path.stem}"
        pytest.fail("\n".join([*diff, accept]), pytrace=False)


def test_there_are_transcripts():
    assert len(FILES) >= 6
