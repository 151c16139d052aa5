"""What each stage makes of each filter of the golden files beside this module."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from pfcompile.prove import Different, prove
from tests.golden.cases import read, write

FILES = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_golden(path, request):
    stored = path.read_text(encoding="utf-8")
    preface, cases = read(stored)
    titles = [case.title for case in cases]
    assert len(set(titles)) == len(titles), "two cases have one title"
    assert all(case.sections for case in cases), "a case without a section shows nothing"
    now = write(preface, cases)
    if request.config.getoption("--bless"):
        path.write_text(now, encoding="utf-8")
        return
    if now != stored:
        diff = difflib.unified_diff(
            stored.splitlines(), now.splitlines(), f"{path.name} (stored)", "now", lineterm=""
        )
        accept = f"accept with: pytest -n0 --bless {Path(*path.parts[-3:-1])} -k {path.stem}"
        pytest.fail("\n".join([*diff, accept]), pytrace=False)


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_what_is_stored_means_what_the_filter_says(path):
    """Golden output that was accepted by mistake is still proved against the unoptimised one."""
    for case in read(path.read_text(encoding="utf-8"))[1]:
        if case.graph is None and "cbpf" in dict(case.sections):
            programs = [
                case.compiled(case.filter, optimize=optimize).instructions
                for optimize in (False, True)
            ]
            assert not isinstance(prove(*programs), Different), case.title


def test_there_are_golden_files():
    assert len(FILES) >= 12
    assert sum(len(read(path.read_text(encoding="utf-8"))[1]) for path in FILES) >= 150


def test_a_difference_is_seen():
    text = "=== ip\nip\n--- cbpf\n(000) ret      #0\n"
    preface, cases = read(text)
    assert write(preface, cases).startswith("=== ip\nip\n--- cbpf\n(000) ldh      [12]\n")


def test_a_spelling_that_differs_is_seen():
    preface, cases = read("=== ip\nsame as: arp\nip\n--- cbpf\n")
    with pytest.raises(AssertionError, match="'arp' gives"):
        write(preface, cases)


def test_a_missing_error_is_seen():
    preface, cases = read("=== ip\nip\n--- error\n")
    with pytest.raises(AssertionError, match="no error"):
        write(preface, cases)


def test_an_unknown_stage_is_seen():
    preface, cases = read("=== ip\nip\n--- nonsense\n")
    with pytest.raises(AssertionError, match="no stage 'nonsense'"):
        write(preface, cases)
