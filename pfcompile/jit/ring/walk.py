"""The loop over the packets of a ring's block, as a module of LLVM's.

The module has one function, `ring(state)`, whose state is 64-bit words (`WORDS`)::

    packet:  a phi for each word that goes from packet to packet; out, if there is no further packet
             or a limit is reached
    judge:   is it to be left out?
    copy:    the cooked header, if there is one; the bytes; the tag, put back between them; the
             record's header before them, and what follows behind
    next:    on to packet

Why it writes nowhere else: a record takes less than its packet takes in the ring, where 68 bytes
and more stand before the packet (`kernel.abi.TPACKET3_ADDRESS`), so that a piece of memory as long
as a block has room for all records of the block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.kernel.abi import (
    ETH_P_8021Q,
    TP_STATUS_VLAN_TPID_VALID,
    TP_STATUS_VLAN_VALID,
    TPACKET3_ADDRESS,
)
from pfcompile.kernel.blocks import ENHANCED_PACKET, PACKET_OUTGOING, RecordFormat
from pfcompile.kernel.hardware_types import ARPHRD_LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.kernel.blocks import Shape
    from pfcompile.kernel.cooked import Header

CARRIED: Final = ("at", "left", "row", "out", "taken")
"""Words that go from packet to packet: its address, how many packets there are still, the address
of what the filter says of it, where the next record goes, and how many there are."""
FIXED: Final = ("packets", "last", "until", "snaplen", "interface", "row.step", "memmove")
"""Words that are only read: the most records, the address behind which none begins, the second in
which no packet may have come, the bytes to keep, the interface's number, how far it is from row to
row, and the C library's function."""
WORDS: Final = (*CARRIED, *FIXED)

METADATA: Final = ("protocol", "type", "index", "hardware", "tci", "tagged", "tpid")
"""The words of 32 bits that stand before the packets which a filter is to judge."""

_HEAD: Final = """\
declare i16 @llvm.bswap.i16(i16)
declare i32 @llvm.bswap.i32(i32)
declare i64 @llvm.umin.i64(i64, i64)
"""
_FOOT: Final = 'attributes #0 = { nounwind "no-jump-tables"="true" }\n'

_FIELDS: Final = {
    "step": (0, 32),
    "seconds": (4, 32),
    "nanoseconds": (8, 32),
    "captured": (12, 32),
    "wire": (16, 32),
    "status": (20, 32),
    "mac": (24, 16),
    "tci": (32, 32),
    "tpid.told": (36, 16),
    "hardware": (TPACKET3_ADDRESS + 8, 16),
    "type": (TPACKET3_ADDRESS + 10, 8),
    "protocol": (TPACKET3_ADDRESS + 2, 16),
    "index": (TPACKET3_ADDRESS + 4, 32),
    "address.length": (TPACKET3_ADDRESS + 11, 8),
    "address": (TPACKET3_ADDRESS + 12, 64),
}
"""Where struct tpacket3_hdr and the struct sockaddr_ll behind it have what is read; its bits."""


def module(shape: Shape, *, judged: bool, annotated: bool) -> str:
    """Return the module that makes records of a shape.

    Args:
        shape: The records.
        judged: Whether there are rows that say of each packet whether it is taken.
        annotated: Whether the records are for a filter: then there is one of each packet, with
            metadata before it and without a tag put back.
    """
    lines = [_HEAD, "define void @ring(ptr noalias %state) #0 {", "entry:"]
    for index, word in enumerate(WORDS):
        name = f"{word}.first" if word in CARRIED else word
        lines.append(f"  %{word}.place = getelementptr i64, ptr %state, i64 {index}")
        lines.append(f"  %{name} = load i64, ptr %{word}.place")
    lines += [
        "  %move = inttoptr i64 %memmove to ptr",
        "  br label %packet",
        "packet:",
        *(f"  %{w} = phi i64 [%{w}.first, %entry], [%{w}.next, %next]" for w in CARRIED),
        "  %over = icmp eq i64 %left, 0",
        "  br i1 %over, label %out.label, label %look",
        "look:",
        "  %packet.start = inttoptr i64 %at to ptr",
        *(line for name in _FIELDS for line in _field(name)),
        "  %tpid = select i1 %tpid.known, i32 %tpid.told.32, i32 " + str(ETH_P_8021Q),
        *_stops(),
        "judge:",
        *_judged(judged=judged, annotated=annotated),
        "copy:",
        *_copied(shape, annotated=annotated),
        "next:",
        "  %out.next = phi i64 [%out, %judge], [%out.after, %copied]",
        "  %taken.next = phi i64 [%taken, %judge], [%taken.after, %copied]",
        "  %at.next = add i64 %at, %step.64",
        "  %left.next = sub i64 %left, 1",
        "  %row.next = add i64 %row, %row.step",
        "  br label %packet",
        "out.label:",
        *(f"  store i64 %{word}, ptr %{word}.place" for word in CARRIED),
        "  ret void",
        "}",
        _FOOT,
    ]
    return "\n".join(lines)


def _field(name: str) -> list[str]:
    offset, bits = _FIELDS[name]
    lines = [
        f"  %{name}.at = getelementptr i8, ptr %packet.start, i64 {offset}",
        f"  %{name} = load i{bits}, ptr %{name}.at, align 1",
    ]
    if bits < 64:
        lines.append(f"  %{name}.64 = zext i{bits} %{name} to i64")
    if bits < 32:
        lines.append(f"  %{name}.32 = zext i{bits} %{name} to i32")
    if name == "status":
        for bit, flag in (("tagged", TP_STATUS_VLAN_VALID), ("known", TP_STATUS_VLAN_TPID_VALID)):
            known = "tpid.known" if bit == "known" else bit
            lines += [
                f"  %{known}.bit = and i32 %status, {flag}",
                f"  %{known} = icmp ne i32 %{known}.bit, 0",
            ]
    return lines


def _stops() -> list[str]:
    return [
        "  %full = icmp uge i64 %taken, %packets",
        "  %large = icmp ugt i64 %out, %last",
        "  %late = icmp uge i64 %seconds.64, %until",
        "  %stop.1 = or i1 %full, %large",
        "  %stop = or i1 %stop.1, %late",
        "  br i1 %stop, label %out.label, label %judge",
    ]


def _judged(*, judged: bool, annotated: bool) -> list[str]:
    if annotated:  # one for each, so that rows and packets go together
        return ["  br i1 false, label %next, label %copy"]
    lines = [
        f"  %outgoing = icmp eq i8 %type, {PACKET_OUTGOING}",
        f"  %loopback = icmp eq i16 %hardware, {ARPHRD_LOOPBACK}",
        "  %again = and i1 %outgoing, %loopback",
    ]
    if not judged:
        return [*lines, "  br i1 %again, label %next, label %copy"]
    return [
        *lines,
        "  %row.at = inttoptr i64 %row to ptr",
        "  %verdict = load i64, ptr %row.at",
        "  %rejected = icmp eq i64 %verdict, 0",
        "  %leave = or i1 %again, %rejected",
        "  br i1 %leave, label %next, label %copy",
    ]


def _copied(shape: Shape, *, annotated: bool) -> Sequence[str]:
    prefix = 16 if shape.format is RecordFormat.PCAP else 28
    before = 4 * len(METADATA) if annotated else 0
    header = shape.header.length if shape.header is not None else 0
    lines = [
        "  %record = inttoptr i64 %out to ptr",
        f"  %body = getelementptr i8, ptr %record, i64 {prefix}",
        f"  %bytes = getelementptr i8, ptr %body, i64 {before + header}",
        "  %data = getelementptr i8, ptr %packet.start, i64 %mac.64",
        # More than is kept, so that a tag finds its place; at most what is there.
        f"  %kept = add i64 %snaplen, {64}",
        "  %count = call i64 @llvm.umin.i64(i64 %captured.64, i64 %kept)",
        "  %moved = call ptr %move(ptr %bytes, ptr %data, i64 %count)",
    ]
    if annotated:
        lines += _metadata()
    if shape.header is not None:
        lines += _cooked(shape.header, before)
    offset = None if annotated else shape.tag_offset
    if offset is None:
        lines += ["  br label %whole", "whole:", "  %tag.length = phi i64 [0, %copy]"]
    else:
        lines += _tag(offset, header)
    lines += [
        f"  %length.1 = add i64 %count, {before + header}",
        "  %length.2 = add i64 %length.1, %tag.length",
        "  %length.3 = call i64 @llvm.umin.i64(i64 %length.2, i64 %snaplen)"
        if not annotated
        else "  %length.3 = add i64 %length.2, 0",
        "  %length = trunc i64 %length.3 to i32",
        f"  %wire.1 = add i64 %wire.64, {before + header}",
        "  %wire.2 = add i64 %wire.1, %tag.length",
        "  %wire.whole = trunc i64 %wire.2 to i32",
        "  %end = getelementptr i8, ptr %body, i64 %length.3",
        *(_pcap() if shape.format is RecordFormat.PCAP else _pcapng()),
        "  %taken.after = add i64 %taken, 1",
        "  br label %copied",
        "copied:",
        "  br label %next",
    ]
    return lines


def _store(base: str, offset: int, bits: int, value: str) -> list[str]:
    name = f"%{base}.{offset}"
    return [
        f"  {name} = getelementptr i8, ptr %{base}, i64 {offset}",
        f"  store i{bits} {value}, ptr {name}, align 1",
    ]


def _metadata() -> list[str]:
    """Return what writes `METADATA`, most significant byte first."""
    lines = [
        "  %protocol.host = call i16 @llvm.bswap.i16(i16 %protocol)",
        "  %protocol.word = zext i16 %protocol.host to i32",
        "  %tagged.word = zext i1 %tagged to i32",
        "  %tci.word = select i1 %tagged, i32 %tci, i32 0",
        "  %tpid.word = select i1 %tagged, i32 %tpid, i32 0",
    ]
    words = ("protocol.word", "type.32", "index", "hardware.32", "tci.word", "tagged.word")
    for number, word in enumerate((*words, "tpid.word")):
        lines.append(f"  %metadata.{number} = call i32 @llvm.bswap.i32(i32 %{word})")
        lines += _store("body", 4 * number, 32, f"%metadata.{number}")
    return lines


def _cooked(header: Header, before: int) -> list[str]:
    """Return what writes a cooked header, whose numbers have the most significant byte first."""
    lines = [
        # The kernel leaves what it likes behind an address that is shorter.
        "  %address.bits = shl i64 %address.length.64, 3",
        "  %address.over = icmp uge i64 %address.bits, 64",
        "  %address.safe = select i1 %address.over, i64 0, i64 %address.bits",
        "  %address.one = shl i64 1, %address.safe",
        "  %address.some = sub i64 %address.one, 1",
        "  %address.mask = select i1 %address.over, i64 -1, i64 %address.some",
        "  %address.kept = and i64 %address, %address.mask",
        f"  %cooked = getelementptr i8, ptr %body, i64 {before}",
    ]
    for field, offset, bits in header.places():
        if field == "address":
            lines += _store("cooked", offset, 64, "%address.kept")
        elif field == "protocol":  # in network order already
            lines += _store("cooked", offset, 16, "%protocol")
        elif field:
            lines += _number(field, offset, bits)
        else:
            lines += _store("cooked", offset, bits, "0")
    return lines


_NUMBERS: Final = {
    "packet_type": "type.64",
    "interface_index": "index.64",
    "hardware_type": "hardware.64",
    "address_length": "address.length.64",
}


def _number(field: str, offset: int, bits: int) -> list[str]:
    name = f"%cooked.value.{offset}"
    lines = [f"  {name} = trunc i64 %{_NUMBERS[field]} to i{bits}"]
    if bits > 8:
        lines.append(f"  {name}.swapped = call i{bits} @llvm.bswap.i{bits}(i{bits} {name})")
        name = f"{name}.swapped"
    return lines + _store("cooked", offset, bits, name)


def _tag(offset: int, header: int) -> list[str]:
    """Return what puts a tag back: what is behind its place moves on by four bytes."""
    return [
        f"  %there = add i64 %captured.64, {header}",
        f"  %long.enough = icmp uge i64 %there, {offset}",
        "  %put.back = and i1 %tagged, %long.enough",
        "  br i1 %put.back, label %tag, label %whole",
        "tag:",
        f"  %tag.place = getelementptr i8, ptr %body, i64 {offset}",
        f"  %tag.behind = getelementptr i8, ptr %body, i64 {offset + 4}",
        f"  %tag.rest = add i64 %count, {header - offset}",
        "  %tag.moved = call ptr %move(ptr %tag.behind, ptr %tag.place, i64 %tag.rest)",
        "  %tpid.high = shl i32 %tpid, 16",
        "  %tci.low = and i32 %tci, 65535",
        "  %tag.number = or i32 %tpid.high, %tci.low",
        "  %tag.swapped = call i32 @llvm.bswap.i32(i32 %tag.number)",
        "  store i32 %tag.swapped, ptr %tag.place, align 1",
        "  br label %whole",
        "whole:",
        "  %tag.length = phi i64 [0, %copy], [4, %tag]",
    ]


def _pcap() -> list[str]:
    return [
        *_store("record", 0, 32, "%seconds"),
        *_store("record", 4, 32, "%nanoseconds"),
        *_store("record", 8, 32, "%length"),
        *_store("record", 12, 32, "%wire.whole"),
        "  %out.after = ptrtoint ptr %end to i64",
    ]


def _pcapng() -> list[str]:
    return [
        "  %ticks.1 = mul i64 %seconds.64, 1000000000",
        "  %ticks = add i64 %ticks.1, %nanoseconds.64",
        "  %ticks.shifted = lshr i64 %ticks, 32",
        "  %ticks.high = trunc i64 %ticks.shifted to i32",
        "  %ticks.low = trunc i64 %ticks to i32",
        "  %interface.32 = trunc i64 %interface to i32",
        "  %rounded = add i32 %length, 3",
        "  %padded = and i32 %rounded, -4",
        "  %block.length = add i32 %padded, 32",
        "  store i32 0, ptr %end, align 1",
        *_store("record", 0, 32, str(ENHANCED_PACKET)),
        *_store("record", 4, 32, "%block.length"),
        *_store("record", 8, 32, "%interface.32"),
        *_store("record", 12, 32, "%ticks.high"),
        *_store("record", 16, 32, "%ticks.low"),
        *_store("record", 20, 32, "%length"),
        *_store("record", 24, 32, "%wire.whole"),
        "  %padded.64 = zext i32 %padded to i64",
        "  %block.end = getelementptr i8, ptr %body, i64 %padded.64",
        "  store i32 %block.length, ptr %block.end, align 1",
        "  %block.end.64 = ptrtoint ptr %block.end to i64",
        "  %out.after = add i64 %block.end.64, 4",
    ]
