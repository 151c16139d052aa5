"""Savefiles: a golden file, every field there and back, and every kind of damage."""

from __future__ import annotations

import random
import struct
from dataclasses import replace
from typing import Any

import pytest

from pfcompile.cbpf.isa import Instruction, Op
from pfcompile.cbpf.savefile import Dialect, Savefile, read, write
from pfcompile.errors import ProgramError

from .random_programs import SEED, random_program, rerun_hint

RET = Instruction(Op.RET_K, 0, 0, 0x40000)
PLAIN = Savefile((Instruction(Op.JEQ_K, 1, 0, 5), Instruction(Op.TAX, 0, 0, 0), RET), 262144, 1)
FULL = replace(
    PLAIN,
    dialect=Dialect.MOD | Dialect.RND,
    link_type_name="EN10MB",
    expression="ip",
    optimize=True,
    netmask=0xFFFFFF00,
    comment="für Äpfel",
    compiled_at=1_785_000_000,
)
HEADER = bytes.fromhex("a1b2c3cb 63425046 01 01 0003 00040000 0001 0003")
BODY = bytes.fromhex("0015 01 00 00000005  0007 00 00 00000000  0006 00 00 00040000")


def test_golden_plain() -> None:
    assert write(PLAIN) == HEADER + BODY + bytes(4)


def test_golden_full() -> None:
    assert write(FULL) == (
        HEADER[:10]
        + b"\x00\x11"
        + HEADER[12:]
        + BODY
        + b"\x00\x01\x00\x06EN10MB"
        + b"\x00\x02\x00\x02ip"
        + b"\x00\x03\x00\x01\x01"
        + b"\x00\x04\x00\x04\xff\xff\xff\x00"
        + b"\x00\x05\x00\x0b"
        + "für Äpfel".encode()
        + b"\x00\x06\x00\x08"
        + struct.pack(">Q", 1_785_000_000)
        + bytes(4)
    )


@pytest.mark.parametrize("contents", [PLAIN, FULL, replace(PLAIN, optimize=False, netmask=0)])
def test_what_is_written_is_read_back(contents: Savefile) -> None:
    assert read(write(contents)) == contents


def test_random_programs_come_back() -> None:
    rng = random.Random(SEED)
    for _ in range(100):
        contents = replace(FULL, instructions=random_program(rng), snaplen=rng.getrandbits(32))
        assert read(write(contents)) == contents, rerun_hint("test_savefile.py")


def test_what_newer_writers_add_is_skipped() -> None:
    newer = (
        HEADER[:9] + b"\x09\xff\xe3" + HEADER[12:] + BODY + b"\x12\x34\x00\x02hi\x00\x02\x00\x02ip"
    )
    contents = read(newer)
    assert contents.expression == "ip"
    assert contents.dialect & Dialect.MOD
    assert int(contents.dialect) == 0xFFE3


def test_entries_and_the_end_are_optional() -> None:
    assert read(HEADER + BODY) == PLAIN


def test_every_cut_is_refused_but_those_between_entries() -> None:
    data = write(FULL)
    whole = {len(HEADER + BODY)}
    place = len(HEADER + BODY)
    while place < len(data):
        place += 4 + struct.unpack_from(">H", data, place + 2)[0]
        whole.add(place)
    for length in range(len(data)):
        if length in whole:
            read(data[:length])
            continue
        with pytest.raises(ProgramError, match=r"cut short|not a cBPF savefile"):
            read(data[:length])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a cBPF savefile: it does not begin with A1 B2 C3 CB and cBPF"),
        (
            HEADER[:8] + b"\2" + HEADER[9:] + BODY,
            "the savefile has major version 2; only 1 is known",
        ),
        (
            HEADER[:19],
            (
                "the savefile is cut short: the header from byte 0 should end at byte 20, "
                "and the file has 19"
            ),
        ),
        (
            HEADER + BODY[:-1],
            (
                "the savefile is cut short: the 3 instructions from byte 20 should end at byte 44, "
                "and the file has 43"
            ),
        ),
        (
            HEADER + BODY + b"\0\2",
            (
                "the savefile is cut short: an entry's head from byte 44 should end at byte 48, "
                "and the file has 46"
            ),
        ),
        (
            HEADER + BODY + b"\0\2\0\5ip",
            (
                "the savefile is cut short: an entry of type 2 from byte 44 should end at byte 53, "
                "and the file has 50"
            ),
        ),
        (HEADER[:18] + b"\0\0", "a savefile holds at least one instruction"),
        (HEADER[:18] + b"\0\1" + BODY[:8], "the last instruction of a savefile must be ret"),
        (
            HEADER + BODY + 2 * b"\x12\x34\0\0",
            "savefile, byte 48: a second entry of type 4660",
        ),
        (HEADER + BODY + b"\0\0\0\1x", "savefile, byte 44: something follows the end"),
        (HEADER + BODY + bytes(4) + b"x", "savefile, byte 44: something follows the end"),
        (HEADER + BODY + b"\0\2\0\1\xff", "savefile: the entry of type 2 is not ascii text"),
        (HEADER + BODY + b"\0\5\0\1\xff", "savefile: the entry of type 5 is not utf-8 text"),
        (
            HEADER + BODY + b"\0\3\0\1\2",
            "savefile: the entry of type 3 must be one byte, 0 or 1",
        ),
        (HEADER + BODY + b"\0\4\0\1\2", "savefile: the entry of type 4 has 1 bytes, not 4"),
        (HEADER + BODY + b"\0\6\0\1\2", "savefile: the entry of type 6 has 1 bytes, not 8"),
    ],
)
def test_damage(data: bytes, message: str) -> None:
    with pytest.raises(ProgramError) as caught:
        read(data)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"instructions": ()}, "at least one instruction"),
        ({"instructions": PLAIN.instructions[:2]}, "must be ret"),
        ({"instructions": (RET,) * 65536}, "does not fit"),
        ({"snaplen": -1}, "does not fit"),
        ({"link_type": 65536}, "does not fit"),
        ({"netmask": 1 << 32}, "does not fit"),
        ({"compiled_at": -1}, "does not fit"),
        ({"expression": "höst"}, "the expression has 'ö'"),
        ({"link_type_name": "é"}, "the link type's name has 'é'"),
        ({"comment": "x" * 65536}, "the comment has 65536 bytes; a savefile holds 65535"),
    ],
)
def test_what_does_not_fit(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        write(replace(PLAIN, **change))
