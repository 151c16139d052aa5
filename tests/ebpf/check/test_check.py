"""The check on programs written for it: what it accepts, what it refuses, and how it says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pfcompile.ebpf.asm import assemble
from pfcompile.ebpf.check import (
    NO_DATA,
    RAW_PACKET,
    SOCKET,
    TC,
    USER,
    XDP,
    CheckRefusal,
    analyse,
    check,
)
from pfcompile.ebpf.maps.vocabulary import MapFlag, MapSpec, MapType
from pfcompile.errors import ProgramError

MAPS = {
    1: MapSpec(MapType.ARRAY, 4, 16, 4, name="array"),
    2: MapSpec(MapType.RINGBUF, 0, 0, 4096, name="ring"),
    3: MapSpec(MapType.PROG_ARRAY, 4, 4, 4, name="programs"),
    4: MapSpec(MapType.ARRAY, 4, 16, 1, flags=MapFlag.RDONLY_PROG, name=".rodata"),
}
XDP_MAPS = replace(XDP, maps=MAPS)
GUARD = "r7 = *(u32 *)(r1 + 0)\nr8 = *(u32 *)(r1 + 4)\n"
LOOKUP = "*(u32 *)(r10 - 4) = 9\nr1 = map[fd:1]\nr2 = r10\nr2 += -4\ncall 1\n"
RESERVE = "r1 = map[fd:2]\nr2 = 16\nr3 = 0\ncall 131\n"
END = "r0 = 0\nexit"


def guarded(test, yes, no="", moved=14):
    """Return a program that compares data + `moved` with data_end, and does `yes` where taken."""
    return (
        f"{GUARD}r2 = r7\nr2 += {moved}\nif {test} goto yes\n{no}\nr0 = 0\nexit\n"
        f"yes: {yes}\nr0 = 0\nexit"
    )


LAST = "r3 = *(u8 *)(r7 + 13)"
ONE_MORE = "r3 = *(u8 *)(r7 + 14)"

ACCEPTED = [
    ("every spelling of the packet's end", XDP, guarded("r2 <= r8", LAST)),
    ("one byte more where it is less", XDP, guarded("r2 < r8", ONE_MORE)),
    ("mirrored", XDP, guarded("r8 >= r2", LAST)),
    ("mirrored, one more", XDP, guarded("r8 > r2", ONE_MORE)),
    ("fails", XDP, guarded("r2 > r8", "", LAST)),
    ("fails, one more", XDP, guarded("r2 >= r8", "", ONE_MORE)),
    ("fails, mirrored", XDP, guarded("r8 < r2", "", LAST)),
    ("fails, mirrored, one more", XDP, guarded("r8 <= r2", "", ONE_MORE)),
    (
        "offset from the packet",
        XDP,
        guarded("r2 > r8", "", "r3 = *(u8 *)(r7 + 0)\nr3 &= 15\nr3 <<= 2\nr3 += r7\nr4 = r3\n"
                "r4 += 4\nif r4 > r8 goto yes\nr5 = *(u32 *)(r3 + 0)"),
    ),
    (
        "a copy of a number is narrowed with it",
        NO_DATA,
        ("*(u64 *)(r10 - 8) = 0\ncall 7\nr3 = r0\nif r0 > 7 goto end\nr2 = r10\nr2 += -8\n"
        "r2 += r3\nr4 = *(u8 *)(r2 + 0)\nend: r0 = 0\nexit"),
    ),
    ("a pointer kept on the stack", XDP, ("*(u64 *)(r10 - 8) = r1\nr2 = *(u64 *)(r10 - 8)\n"
     f"r3 = *(u32 *)(r2 + 0)\n{END}")),
    ("a value that is not null", XDP_MAPS,
     f"{LOOKUP}if r0 == 0 goto end\nr1 = *(u64 *)(r0 + 8)\nend: {END}"),
    ("a key that an array has", XDP_MAPS,
     f"{LOOKUP.replace('= 9', '= 3')}r1 = *(u64 *)(r0 + 8)\n{END}"),
    ("a record given back", XDP_MAPS,
     f"{RESERVE}if r0 == 0 goto end\n*(u64 *)(r0 + 8) = 1\nr1 = r0\nr2 = 0\ncall 132\nend: {END}"),
    ("a loop that counts", NO_DATA, "r1 = 0\nagain: r1 += 1\nif r1 < 100 goto again\n" + END),
    ("a function with a pointer to our stack", NO_DATA,
     (f"r1 = r10\nr1 += -8\ncall function\nr2 = *(u64 *)(r10 - 8)\n{END}\n"
     "function: *(u64 *)(r1 + 0) = 5\nr0 = 0\nexit")),
    ("a packet with its length", RAW_PACKET,
     f"if r2 < 20 goto end\nr3 = *(u32 *)(r1 + 16)\nend: {END}"),
    ("a packet to its end", RAW_PACKET,
     f"r3 = r1\nr3 += r2\nr4 = r1\nr4 += 8\nif r4 > r3 goto e\nr5 = *(u64 *)(r1 + 0)\ne: {END}"),
    ("a legacy load", TC, f"r6 = r1\nr0 = *(u8 *)skb[12]\n{END}"),
    ("a mark", TC, f"*(u32 *)(r1 + 8) = 7\n{END}"),
    ("copied packet bytes", XDP,
     f"r2 = 0\nr3 = r10\nr3 += -8\nr4 = 8\ncall 189\nr1 = *(u64 *)(r10 - 8)\n{END}"),
    ("our own metadata", USER, ("r2 = *(u64 *)(r1 + 0)\nr3 = *(u64 *)(r1 + 8)\nr4 = r2\nr4 += 4\n"
     f"if r4 > r3 goto end\nr5 = *(u32 *)(r2 + 0)\nend: {END}")),
]  # fmt: skip

REFUSED = [
    ("one byte too many", XDP, guarded("r2 <= r8", ONE_MORE), 7, "only 14 bytes are known"),
    ("the wrong way", XDP, guarded("r2 <= r8", "", LAST), 5, "only 0 bytes are known"),
    ("no comparison", XDP, GUARD + "r3 = *(u8 *)(r7 + 0)\n" + END, 2, "only 0 bytes"),
    ("another pointer's comparison", XDP,
     guarded("r2 > r8", "", "r3 = *(u8 *)(r7 + 0)\nr7 += r3\nr4 = *(u8 *)(r7 + 0)"), 7, "only 0"),
    ("before the packet", USER, ("r2 = *(u64 *)(r1 + 0)\nr3 = *(u64 *)(r1 + 8)\nr4 = r2\nr4 += 4\n"
     f"if r4 > r3 goto end\nr5 = *(u8 *)(r2 - 1)\nend: {END}"), 5, "1 before the packet"),
    ("32 bits of an address", XDP, f"{GUARD}w7 += 1\n{END}", 2, "32-bit add on an address"),
    ("stack not written", NO_DATA, f"r1 = *(u64 *)(r10 - 8)\n{END}", 0, "r10-8, where nothing"),
    ("stack half written", NO_DATA,
     f"*(u32 *)(r10 - 8) = 1\nr1 = *(u64 *)(r10 - 8)\n{END}", 1, "r10-4, where nothing"),
    ("stack past its end", NO_DATA, f"*(u64 *)(r10 - 4) = 1\n{END}", 0, "offset -4 of the end"),
    ("stack too low", NO_DATA, f"*(u8 *)(r10 - 513) = 1\n{END}", 0, "offset -513"),
    ("stack not aligned", XDP, f"*(u64 *)(r10 - 12) = 1\n{END}", 0, "not aligned"),
    ("a register not set", NO_DATA, f"r3 = r4\n{END}", 0, "register that is not set"),
    ("no result", NO_DATA, "exit", 0, "r0, which is not set"),
    ("an address as result", XDP, "r0 = r1\nexit", 1, "r0, which is context +0"),
    ("arguments after a call", NO_DATA, f"call 7\nr2 = r1\n{END}", 1, "not set"),
    ("a number as an address", NO_DATA, f"r1 = 64\nr2 = *(u8 *)(r1 + 0)\n{END}", 1, "number (64)"),
    ("a null pointer", XDP_MAPS, f"{LOOKUP}r1 = *(u64 *)(r0 + 8)\n{END}", 6, "may be null"),
    ("past a value", XDP_MAPS,
     f"{LOOKUP}if r0 == 0 goto end\nr1 = *(u64 *)(r0 + 9)\nend: {END}", 7, "offset 9 of a value"),
    ("a key not written", XDP_MAPS,
     LOOKUP.split("\n", 1)[1] + END, 4, "map_lookup_elem: r2: reads the stack"),
    ("a lookup in a ring", XDP_MAPS,
     f"{LOOKUP.replace('fd:1', 'fd:2')}{END}", 5, "type RINGBUF, which it does not take"),
    ("a record kept", XDP_MAPS, f"{RESERVE}{END}", 6, "not given back"),
    ("a record used after", XDP_MAPS,
     (f"{RESERVE}if r0 == 0 goto end\nr6 = r0\nr1 = r0\nr2 = 0\ncall 132\n"
     f"r1 = *(u64 *)(r6 + 0)\nend: {END}"), 10, "register that is not set"),
    ("no such helper", NO_DATA, f"call 9999\n{END}", 0, "helper 9999, which is not known"),
    ("another program's helper", XDP, f"r2 = 0\nr3 = r10\nr3 += -8\nr4 = 8\ncall 26\n{END}",
     4, "must be a struct __sk_buff"),
    ("a size without bound", XDP, ("r6 = r1\ncall 7\nr1 = r6\nr2 = 0\nr3 = r10\nr3 += -8\n"
     f"r4 = r0\ncall 189\n{END}"), 7, "where a size of at least 1 is wanted"),
    ("a loop without end", NO_DATA, "r0 = 0\nagain: r0 ^= 1\ngoto again", 1, "loop without end"),
    ("a loop that nobody counts", NO_DATA,
     f"again: call 7\nif r0 != 5 goto again\n{END}", 0, "loop without end"),
    ("calls too deep", NO_DATA, f"call function\n{END}\nfunction: call function\nr0 = 0\nexit",
     3, "deeper than 8"),
    ("a stack that is gone", NO_DATA,
     f"call function\nr1 = *(u8 *)(r0 - 8)\n{END}\nfunction: *(u64 *)(r10 - 8) = 1\nr0 = r10\nexit",
     1, "register that is not set"),
    ("a field that is none", XDP, f"r2 = *(u16 *)(r1 + 0)\n{END}", 0, "no field"),
    ("a field to read only", TC, f"*(u32 *)(r1 + 0) = 7\n{END}", 0, "no field to be written"),
    ("a packet to read only", SOCKET, f"r2 = *(u32 *)(r1 + 76)\n{END}", 0, "no field"),
    ("an address into the packet", XDP, guarded("r2 <= r8", "*(u64 *)(r7 + 0) = r7"), 7,
     "writes an address"),
    ("dead code", XDP, f"r0 = 0\nexit\n{END}", 2, "nothing reaches it"),
    ("a legacy load for XDP", XDP, f"r6 = r1\nr0 = *(u8 *)skb[12]\n{END}", 1, "no legacy"),
    ("a legacy load without context", TC, f"r6 = 0\nr0 = *(u8 *)skb[12]\n{END}", 1, "needs the"),
    ("an atomic operation on the packet", XDP,
     guarded("r2 <= r8", "r3 = 1\nlock *(u32 *)(r7 + 0) += r3"), 8, "atomic"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("subject", "text"), [each[1:] for each in ACCEPTED], ids=[each[0] for each in ACCEPTED]
)
def test_accepted(subject, text):
    program = assemble(text)
    checked = check(program, subject)
    assert checked.terminates
    assert not checked.unproved
    assert checked == analyse(program, subject)


@pytest.mark.parametrize(
    ("subject", "text", "slot", "reason"),
    [each[1:] for each in REFUSED],
    ids=[each[0] for each in REFUSED],
)
def test_refused(subject, text, slot, reason):
    program = assemble(text)
    with pytest.raises(CheckRefusal) as caught:
        check(program, subject)
    assert reason in caught.value.reason
    assert caught.value.slot == slot
    assert str(caught.value).startswith(f"instruction {slot} (")
    analysed = analyse(program, subject)
    assert slot not in analysed.proved or not analysed.terminates


def test_a_refusal_shows_state_and_path():
    text = guarded("r2 > r8", ONE_MORE, LAST)
    with pytest.raises(CheckRefusal) as caught:
        check(assemble(text), XDP)
    assert str(caught.value).splitlines() == [
        (
            "instruction 8 (r3 = *(u8 *)(r7 + 14)): reads 1 byte at offset 14 of a packet pointer "
            "from which on only 0 bytes are known to be in the packet"
        ),
        "    r1 = context +0",
        "    r2 = packet +14",
        "    r7 = packet +0",
        "    r8 = packet end +0",
        "    r10 = end of stack frame 0 +0",
        "    path: 0-4",
        "          8 (taken)",
    ]


def test_a_refusal_is_a_program_error():
    with pytest.raises(ProgramError):
        check(assemble("exit"), NO_DATA)


def test_analysis_proves_what_there_is_to_prove():
    text = guarded("r2 <= r8", f"{LAST}\n{ONE_MORE}\n*(u64 *)(r10 - 8) = 1")
    analysed = analyse(assemble(text), XDP)
    assert {7, 9} <= analysed.proved
    assert list(analysed.unproved) == [8]
    assert 8 not in analysed.proved
    assert analysed.terminates


def test_a_wrong_store_may_have_hit_the_stack():
    """What was kept there is not believed any more: not the address at least."""
    text = (
        "r6 = *(u64 *)(r1 + 0)\nr2 = *(u64 *)(r1 + 8)\nr3 = r6\nr3 += 8\nif r3 > r2 goto end\n"
        "*(u64 *)(r10 - 8) = r6\nr4 = 77\n*(u64 *)(r4 + 0) = 0\nr5 = *(u64 *)(r10 - 8)\n"
        f"r3 = *(u8 *)(r5 + 0)\nr3 = *(u8 *)(r6 + 0)\nend: {END}"
    )
    analysed = analyse(assemble(text), USER)
    assert set(analysed.unproved) == {7, 9}
    assert {5, 8, 10} <= analysed.proved
    without_it = analyse(assemble(text.replace("*(u64 *)(r4 + 0) = 0\n", "r4 = 0\n")), USER)
    assert not without_it.unproved


def test_a_bounded_jump_ends_a_loop():
    text = "r0 = 0\nagain: may_goto end\nr0 += 1\ngoto again\nend: exit"
    assert check(assemble(text), NO_DATA, budget=500).terminates


def test_loops_that_are_too_long_are_still_analysed():
    """Joined states prove the access, by the comparison that bounds the counter."""
    text = (
        "*(u64 *)(r10 - 8) = 0\nr1 = 0\nagain: r2 = r1\nr2 &= 7\nr3 = r10\nr3 += -8\nr3 += r2\n"
        "r4 = *(u8 *)(r3 + 0)\nr1 += 1\nif r1 < 100000 goto again\n" + END
    )
    analysed = analyse(assemble(text), NO_DATA, budget=1000)
    assert analysed.proved == {0, 7}
    assert not analysed.terminates
    assert check(assemble(text.replace("100000", "10")), NO_DATA).proved == {0, 7}


def test_stack_is_counted_over_calls():
    text = (
        "*(u64 *)(r10 - 300) = 1\ncall one\nr0 = 0\nexit\n"
        "one: *(u64 *)(r10 - 200) = 1\ncall two\nr0 = 0\nexit\n"
        "two: *(u64 *)(r10 - 8) = 1\nr0 = 0\nexit"
    )
    assert check(assemble(text), NO_DATA).stack == 320 + 224 + 32
    aligned = text.replace("300", "304")
    with pytest.raises(CheckRefusal, match="576 bytes of stack, more than 512"):
        check(assemble(aligned), XDP)


def test_many_ways_are_few_steps():
    """Ways that differ in nothing that is read later are followed once."""
    text = (
        "".join(f"call 7\nif r0 > {n} goto l{n}\nr9 = {n}\nl{n}: r9 = 0\n" for n in range(200))
        + END
    )
    checked = check(assemble(text), NO_DATA)
    assert checked.steps < 1300


def test_ways_that_are_too_many_are_joined():
    text = "call 7\nr6 = r0\nr7 = 0\n" + "".join(
        f"r8 = r6\nr8 &= {1 << n}\nif r8 == 0 goto l{n}\nr7 += {1 << n}\nl{n}: r8 = 0\n"
        for n in range(24)
    ) + "r0 = r7\nexit"  # fmt: skip
    checked = check(assemble(text), NO_DATA, budget=2000)
    assert checked.terminates
    assert checked.steps < 1000


def test_a_map_that_programs_may_only_read():
    assert check(assemble("r1 = map[fd:4][0]+0\nr0 = *(u32 *)(r1 + 0)\nexit"), XDP_MAPS).terminates
    for change in ("*(u32 *)(r1 + 0) = 1", "r2 = 1\nlock *(u32 *)(r1 + 0) += r2"):
        with pytest.raises(CheckRefusal, match=r"value of map .rodata .* only read"):
            check(assemble(f"r1 = map[fd:4][0]+0\n{change}\n{END}"), XDP_MAPS)
