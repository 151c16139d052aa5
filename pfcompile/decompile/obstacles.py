"""What programs do that no expression can say, and programs that are for something else.

Sources: linux/filter.h, linux/seccomp.h, linux/audit.h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.cbpf.isa import (
    ROW_OF,
    Ancillary,
    Class,
    Instruction,
    Op,
    Operand,
    ancillary_word,
    counts_from_header,
    successors,
)
from pfcompile.decompile.result import Obstacle
from pfcompile.ir.arithmetic import WORD

if TYPE_CHECKING:
    from collections.abc import Sequence

LIVE_WORDS: Final = frozenset(
    {
        Ancillary.PKTTYPE,
        Ancillary.IFINDEX,
        Ancillary.VLAN_TAG,
        Ancillary.VLAN_TAG_PRESENT,
        Ancillary.ALU_XOR_X,
    }
)
"""Metadata that expressions for live captures have words for, and the one that is arithmetic."""

_METADATA_NAMES: Final = {
    Ancillary.PROTOCOL: "the protocol that the kernel has found",
    Ancillary.MARK: "the packet's mark",
    Ancillary.QUEUE: "the receive queue",
    Ancillary.HATYPE: "the device's hardware type",
    Ancillary.RXHASH: "the receive hash",
    Ancillary.CPU: "the number of the CPU",
    Ancillary.PAY_OFFSET: "where the kernel finds the payload",
    Ancillary.RANDOM: "a random number",
    Ancillary.VLAN_TPID: "the protocol of a VLAN tag that was taken out",
    Ancillary.NLATTR: "a netlink attribute",
    Ancillary.NLATTR_NEST: "a nested netlink attribute",
}

# SECCOMP_RET_ACTION_FULL of what a seccomp filter returns, and the size of struct seccomp_data.
_SECCOMP_ACTIONS: Final = frozenset(
    {0x80000000, 0x00030000, 0x00050000, 0x7FC00000, 0x7FF00000, 0x7FFC0000, 0x7FFF0000}
)
_SECCOMP_ACTION_MASK: Final = 0xFFFF0000
_SECCOMP_DATA: Final = 64
_SECCOMP_NUMBER: Final = 0
_SECCOMP_ARCHITECTURE: Final = 4
_SECCOMP_ALLOW: Final = 0x7FFF0000
_AUDIT_64BIT_OR_LITTLE_ENDIAN: Final = 0xC0000000


def returned(instructions: Sequence[Instruction]) -> tuple[int, ...]:
    """Return the numbers other than 0 that a program returns, in ascending order."""
    found = {one.k for one in instructions if one.code == Op.RET_K and one.k}
    return tuple(sorted(found))


def find_lengths(instructions: Sequence[Instruction]) -> tuple[Obstacle, ...]:
    """Return where a program says more of a match than an expression can: several lengths."""
    found = []
    computed = _positions(instructions, Op.RET_A)
    if computed:
        what = "returns A, where an expression has one length for all matches"
        found.append(Obstacle(what, computed))
    lengths = returned(instructions)
    if len(lengths) > 1:
        shown = ", ".join(map(str, lengths[:4])) + (", ..." if len(lengths) > 4 else "")
        returns = _positions(instructions, Op.RET_K)
        places = tuple(position for position in returns if instructions[position].k)
        what = f"different lengths of a match ({shown}), where an expression has one"
        found.append(Obstacle(what, places))
    return tuple(found)


def find_unsayable(instructions: Sequence[Instruction]) -> tuple[Obstacle, ...]:
    """Return where a program asks what no expression can ask, or loops."""
    found = []
    words: dict[Ancillary, list[int]] = {}
    for position, one in enumerate(instructions):
        word = ancillary_word(one)
        if word is not None and word.word not in LIVE_WORDS:
            words.setdefault(word.word, []).append(position)
    for asked, positions in words.items():
        what = f"asks for {_METADATA_NAMES[asked]}, for which expressions have no word"
        found.append(Obstacle(what, tuple(positions)))
    from_headers = tuple(
        position for position, one in enumerate(instructions) if counts_from_header(one)
    )
    if from_headers:
        what = (
            "counts from where the kernel has found the link or the network header (SKF_LL_OFF, "
            "SKF_NET_OFF), for which expressions have no word"
        )
        found.append(Obstacle(what, from_headers))
    backward = tuple(
        position
        for position, one in enumerate(instructions)
        if any(target > WORD and target & WORD <= position for target in successors(position, one))
    )
    if backward:
        found.append(Obstacle("jumps backward, and a loop is not followed", backward))
    return tuple(found)


def _positions(instructions: Sequence[Instruction], op: Op) -> tuple[int, ...]:
    return tuple(position for position, one in enumerate(instructions) if one.code == op)


def uses_metadata(instructions: Sequence[Instruction]) -> bool:
    """Return whether a program asks for metadata that live captures have words for."""
    return bool(find_metadata(instructions))


def find_metadata(instructions: Sequence[Instruction]) -> tuple[Obstacle, ...]:
    """Return where a program asks for such metadata, for when those words do not fit."""
    words = ((position, ancillary_word(one)) for position, one in enumerate(instructions))
    found = tuple(
        position
        for position, word in words
        if word is not None and word.word in LIVE_WORDS - {Ancillary.ALU_XOR_X}
    )
    if not found:
        return ()
    what = "asks for metadata otherwise than inbound, outbound, ifindex and vlan do"
    return (Obstacle(what, found),)


def is_seccomp(instructions: Sequence[Instruction]) -> bool:
    """Return whether a program looks like a filter for system calls.

    Such a one reads words of `struct seccomp_data` alone, and returns actions; it asks for the
    architecture, or for the number of the call and allows something.
    """
    asks_architecture = asks_number = False
    previous: Instruction | None = None
    for one in instructions:
        row = ROW_OF.get(one.code)
        if row is None:
            return False
        if row.operand is Operand.ABSOLUTE and (
            row.size != 4 or one.k % 4 or one.k >= _SECCOMP_DATA
        ):
            return False
        if row.operand in {Operand.INDIRECT, Operand.HEADER}:
            return False
        if previous is not None and previous.k == _SECCOMP_ARCHITECTURE:
            is_load = ROW_OF[previous.code].instruction_class is Class.LD
            is_test = row.comparison is not None
            asks_architecture |= is_load and is_test and bool(one.k & _AUDIT_64BIT_OR_LITTLE_ENDIAN)
        asks_number |= row.operand is Operand.ABSOLUTE and one.k == _SECCOMP_NUMBER
        previous = one
    actions = {one.k & _SECCOMP_ACTION_MASK for one in instructions if one.code == Op.RET_K}
    known = bool(actions & _SECCOMP_ACTIONS) and actions <= _SECCOMP_ACTIONS | {0}
    return known and (asks_architecture or (asks_number and _SECCOMP_ALLOW in actions))
