"""`pfcompile decompile`."""

from __future__ import annotations

import pytest

import pfcompile
from pfcompile.compiler import compile as compile_text
from pfcompile.program import FORMATS
from tests.cli import in_process

FILTER = "tcp port 443"


@pytest.mark.parametrize("form", FORMATS)
def test_every_format(tmp_path, form):
    dumped = compile_text(FILTER).dump(form)
    data = dumped.encode() if isinstance(dumped, str) else dumped
    path = tmp_path / "program"
    path.write_bytes(data)
    for done in (
        in_process.run("decompile", f"@{path}"),
        in_process.run("decompile", path),
        in_process.run("decompile", "-", stdin=data),
        in_process.run("decompile", stdin=data),
    ):
        assert done.returncode == 0, done
        assert done.stdout.decode() == f"{FILTER}\n"
        assert done.stderr.decode() == "pfcompile: proved equal by z3\n"


def test_a_program_in_words():
    words = "4,48 0 0 9,21 0 1 6,6 0 0 1,6 0 0 0"
    done = in_process.run("decompile", "-y", "IPV4", *words.split(" "))
    assert done.returncode == 0
    assert done.stdout == b"tcp\n"
    assert b"compile it with -y IPV4 -s 1" in done.stderr


def test_a_savefile_knows_its_link_type(tmp_path):
    path = tmp_path / "program"
    path.write_bytes(compile_text("udp port 53", "RAW").dump("savefile"))
    done = in_process.run("decompile", path)
    assert done.stdout == b"udp port 53\n"
    assert b"-y RAW" in done.stderr


def test_what_is_not_proved():
    done = in_process.run("decompile", stdin=b"ldh [12]\njeq #0x800, y, n\ny: ret a\nn: ret #0\n")
    assert done.returncode == 1
    assert done.stdout == b"ip\n"
    assert b"NOT proved equal" in done.stderr
    assert b"instruction 2: returns A" in done.stderr


def test_what_cannot_be_said():
    said = in_process.refused("decompile", stdin=b"ld mark\nret a\n", status=1)
    assert "no expression" in said
    assert "instruction 0: asks for the packet's mark" in said


def test_everything_and_nothing():
    done = in_process.run("decompile", "ret #262144")
    assert (done.returncode, done.stdout) == (0, b"\n")
    assert b"every packet matches" in done.stderr
    done = in_process.run("decompile", "ret #0")
    assert (done.returncode, done.stdout) == (0, b"1 = 0\n")
    assert b"compile -O" in done.stderr


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["tcp port 80"], 1, "is an expression already"),
        (["nosuchfile"], 1, "no file has that name"),
        (["@nosuchfile"], 1, "cannot be read"),
        (["(000) nonsense"], 1, "there is no instruction"),
        (["-y", "NOSUCH", "ret #1"], 2, "unknown data link type"),
        (["-m", "bad", "ret #1"], 2, "no netmask"),
        (["--nosuch"], 2, "No such option"),
    ],
)
def test_mistakes(words, status, said):
    assert said in in_process.refused("decompile", *words, status=status)


@pytest.mark.parametrize("data", [b"", b"\0" * 7, b"\xff\xfe\xfd", b"cBPF", b"4,1 2 3"])
def test_rubbish(data):
    in_process.refused("decompile", stdin=data, status=1)


def test_from_python():
    found = pfcompile.decompile(compile_text(FILTER).instructions, link_type="EN10MB")
    assert isinstance(found, pfcompile.Decompiled)
    assert found.expression == FILTER
    assert found.link_type == "EN10MB"
