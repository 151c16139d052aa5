"""Scans of blocks and into outputs that end where memory ends: to look or write beyond is fatal.

Run as a process of its own, `python -m tests.jit.guard_pages FIRST COUNT`: each number is printed
before its captures are scanned, so that the last line tells what has ended the process.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import sys
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING
from unittest import mock

import pfcompile
from pfcompile.captures.blocks.block import ROOM
from pfcompile.captures.blocks.scans import NO_LIMIT, ROW, SLACK, Memory, Reads, Rows, Wanted
from pfcompile.captures.formats import pcap, pcapng
from pfcompile.captures.formats.layouts import INTERFACE_WORDS, PcapLayout, PcapngLayout
from pfcompile.captures.formats.records import Interface, OtherBlock, PcapHeader, Record
from pfcompile.captures.sources.window import Window
from pfcompile.cbpf.check import check_structure
from pfcompile.cbpf.interpreter import prepare
from pfcompile.cbpf.isa import Instruction, Op
from pfcompile.errors import CaptureError, ProgramError
from pfcompile.jit.scan import Scan, Scanner, scanner
from pfcompile.jit.scan.filter import check_scannable
from pfcompile.jit.scan.loop import INTERFACES
from tests.captures.capture_building import (
    block,
    damage,
    enhanced,
    obsolete,
    option,
    parse,
    simple,
)
from tests.captures.random_captures import DIALECTS, random_pcap
from tests.cbpf.random_programs import random_program
from tests.generator.seed import SEED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PAGE = mmap.PAGESIZE
PROT_NONE = 0
CAPTURES_EACH = 8
"""Damaged captures that are scanned with one filter."""

LENGTHS = (0, 1, 3, 4, 14, 60, 90, 127, 128, 129, 200, 1500)


@cache
def protect():
    function = ctypes.CDLL(None, use_errno=True).mprotect
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return function


class Guarded:
    """Memory of whole pages between two that cannot be read.

    Attributes:
        memory: With those two.
        start: Index behind the first of them.
        stop: Index of the last.
        address: That of the whole.
    """

    def __init__(self, size: int) -> None:
        self.start = PAGE
        self.stop = PAGE + -(-size // PAGE) * PAGE
        self.memory = mmap.mmap(-1, self.stop + PAGE)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        for place in (0, self.stop):
            assert protect()(self.address + place, PAGE, PROT_NONE) == 0


class Output:
    """What stands in for `scanner._Memory`: exactly the room that is asked for, then the end."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.address = 0
        self._guarded = Guarded(0)
        self._begin = self._room = 0

    def make_room(self, used: int, more: int) -> bool:
        kept = bytes(self.view(used))
        self._guarded = Guarded(used + more)
        self._room = used + more
        self._begin = self._guarded.stop - self._room
        self._guarded.memory[self._begin : self._begin + used] = kept
        self.address = self._guarded.address + self._begin
        return True

    def view(self, used: int) -> memoryview:
        return memoryview(self._guarded.memory[self._begin : self._begin + used])


def ops(*pairs: tuple[Op, int]) -> tuple[Instruction, ...]:
    return (*(Instruction(code, 0, 0, k) for code, k in pairs), Instruction(Op.RET_A, 0, 0, 0))


def programs() -> list[tuple[Instruction, ...]]:
    """Return programs that look as far as they can without asking first, and as far as one can."""
    top = SLACK
    found = [
        ops((Op.LD_B_ABS, 0)),
        ops((Op.LD_B_ABS, top - 1)),
        ops((Op.LD_H_ABS, top - 2)),
        ops((Op.LD_W_ABS, top - 4)),
        ops((Op.LDX_MSH, top - 1), (Op.TXA, 0)),
        ops((Op.LD_B_ABS, top)),
        ops((Op.LD_W_ABS, top - 3)),
        ops((Op.LD_W_ABS, 0xFFFFEFFF)),
        # Computed offsets: up to the slack, one more, and any at all.
        ops((Op.LDX_MSH, 0), (Op.LD_B_IND, top - 61)),
        ops((Op.LDX_MSH, 0), (Op.LD_B_IND, top - 60)),
        ops((Op.LDX_MSH, 0), (Op.LD_W_IND, top - 64)),
        ops((Op.LDX_MSH, 0), (Op.LD_W_IND, top - 63)),
        ops((Op.LD_H_ABS, 0), (Op.TAX, 0), (Op.LD_B_IND, 0)),
        ops((Op.LD_H_ABS, 0), (Op.TAX, 0), (Op.LD_H_IND, 0)),
        ops((Op.LD_B_ABS, 0), (Op.MUL_K, 257), (Op.TAX, 0), (Op.LD_B_IND, 0)),
        ops((Op.LD_B_ABS, 0), (Op.LSH_K, 8), (Op.TAX, 0), (Op.LD_B_IND, 255)),
        ops((Op.LD_B_ABS, 0), (Op.LSH_K, 8), (Op.TAX, 0), (Op.LD_H_IND, 255)),
        ops((Op.LD_W_ABS, 0), (Op.TAX, 0), (Op.LD_W_IND, 0)),
        ops((Op.LD_W_ABS, 0), (Op.TAX, 0), (Op.LD_B_IND, 0x80000000)),
        ops((Op.LD_W_ABS, 0), (Op.NEG, 0), (Op.TAX, 0), (Op.LD_B_IND, 0)),
        ops((Op.LD_LEN, 0), (Op.TAX, 0), (Op.LD_W_IND, 0xFFFFFFFC)),
        ops((Op.LD_B_ABS, 0), (Op.SUB_K, 1), (Op.TAX, 0), (Op.LD_B_IND, 0)),
        ops((Op.LD_B_ABS, 0), (Op.ST, 3), (Op.LDX_MEM, 3), (Op.LD_B_IND, top - 256)),
        ops((Op.LD_W_ABS, 4), (Op.OR_K, 0xFFFF), (Op.TAX, 0), (Op.LD_B_IND, 0)),
        ops((Op.LD_W_ABS, 0), (Op.AND_K, 0xFFFF), (Op.TAX, 0), (Op.LD_B_IND, 0)),
        ops((Op.LD_W_ABS, 0), (Op.MOD_K, 0x10000), (Op.TAX, 0), (Op.LD_B_IND, 0)),
        ops((Op.LD_W_ABS, 0), (Op.RSH_K, 16), (Op.TAX, 0), (Op.LD_B_IND, 0)),
        ops((Op.LD_B_ABS, 0), (Op.DIV_K, 2), (Op.XOR_K, 0xFF), (Op.TAX, 0), (Op.LD_B_IND, 9)),
    ]
    texts = [
        "tcp port 443",
        "ether[ether[0]] = 7 or ip[ip[0] * 257] > 3",
        "tcp[tcpflags] & tcp-syn != 0 or vlan or ip6 protochain 6",
        " or ".join(f"host 10.{n % 200}.2.{n * 7 % 256}" for n in range(300)),
        "port " + " or ".join(map(str, range(1000, 3000, 7))),
    ]
    return found + [pfcompile.compile(text).instructions for text in texts]


def scannable(rng: random.Random) -> tuple[Instruction, ...]:
    """Return a random program that a scan can run."""
    while True:
        made = random_program(rng)
        try:
            check_structure(made)
            check_scannable(made)
        except ProgramError:
            continue
        return made


@dataclass
class Case:
    """Some filters for one kind of record, and what the interpreter needs to walk these.

    Attributes:
        filters: The programs.
        layout: The records.
        wanted: What is taken down.
        scanner: The native code.
        header: That of a pcap file.
        interfaces: Those of a pcapng section.
    """

    filters: Sequence[tuple[Instruction, ...]]
    layout: PcapLayout | PcapngLayout
    wanted: Wanted
    scanner: Scanner
    header: PcapHeader | None = None
    interfaces: Sequence[Interface] = ()

    def items(self, content: bytes) -> Iterator[Record | OtherBlock]:
        """Yield the records that content begins with, and other blocks that are passed over."""
        window = Window(BytesIO(content), "made")
        if self.header is not None:
            yield from pcap.walk(window, self.header)
            return
        state = pcapng.SectionState(self.layout.byte_order, list(self.interfaces), 1)
        for item in pcapng.walk(window, state):
            passed = isinstance(item, OtherBlock) and item.kind != pcapng.CUSTOM_BLOCK_NOT_COPIED
            if not passed and not isinstance(item, Record):
                return
            yield item

    def expected(self, content: bytes) -> tuple[int, int, list[bytes]]:
        """Return how many records there are, where they end, and what each filter keeps."""
        matches = [prepare(each) for each in self.filters]
        count = end = 0
        kept = [b"" for _ in matches]
        try:
            for item in self.items(content):
                is_packet = isinstance(item, Record)
                count += is_packet
                end += len(item.raw)
                for number, match in enumerate(matches):
                    if not is_packet or match(item.data, item.wire_length):
                        kept[number] += item.raw
        except CaptureError:
            pass
        return count, end, kept if self.wanted.copies else []


def pcap_case(rng: random.Random, filters, wanted: Wanted) -> tuple[Case, list[bytes]]:
    dialect = rng.choice(DIALECTS)
    contents = [
        random_pcap(rng, rng.randint(1, 30), dialect=dialect, lengths=LENGTHS)
        for _ in range(CAPTURES_EACH)
    ]
    header = parse(contents[0][:24])[0][0]
    contents = [content[24:] for content in contents]
    layout = PcapLayout.of(header)
    return Case(filters, layout, wanted, Scanner([filters], layout, wanted), header), contents


def pcapng_case(rng: random.Random, filters, wanted: Wanted) -> tuple[Case, list[bytes]]:
    order = rng.choice("<>")
    snaplens = [rng.choice((0, 3, 60, 65535)) for _ in range(rng.randint(1, 4))]
    interfaces = [Interface(index, 1, snaplen) for index, snaplen in enumerate(snaplens)]
    contents = []
    for _ in range(CAPTURES_EACH):
        parts = []
        for _ in range(rng.randint(1, 30)):
            data = rng.randbytes(rng.choice(LENGTHS))
            number = rng.randrange(len(snaplens))
            behind = rng.choice((b"", option(order, 1, data[:9])))
            kind = rng.choice((enhanced, enhanced, obsolete, simple, block))
            if kind is simple:
                parts.append(simple(order, data))
            elif kind is block:
                parts.append(
                    block(
                        order, rng.choice((4, 5, 0xBAD, 0x80000001)), data + bytes(-len(data) % 4)
                    )
                )
            else:
                parts.append(kind(order, number, rng.getrandbits(64), data, None, behind))
        contents.append(b"".join(parts))
    layout = PcapngLayout(order, rng.choice((1, 2)))
    made = Scanner([filters] * layout.filters, layout, wanted)
    return Case(filters, layout, wanted, made, interfaces=interfaces), contents


def new_scan(case: Case) -> Scan:
    """Return a scan whose every memory is guarded, and that knows the interfaces."""
    with mock.patch.object(scanner, "_Memory", Output):
        made = Scan(case.layout, case.wanted, len(case.filters))
    made.use(case.scanner)
    for each in case.interfaces:
        chosen = each.index % case.layout.filters
        made.set_interface(each.index, chosen, each.snaplen or 0xFFFFFFFF)
    if case.interfaces:
        size = 8 * len(INTERFACE_WORDS) * len(case.interfaces)
        guarded = Guarded(size)
        words = (ctypes.c_uint64 * (size // 8)).from_buffer(guarded.memory, guarded.stop - size)
        words[:] = made._interfaces[: len(words)]
        made._set(INTERFACES, ctypes.addressof(words))
        made._interfaces = words
    return made


def check(case: Case, content: bytes, rng: random.Random) -> int:
    """Scan the records that content begins with, at both ends of memory; return how many."""
    count, end, kept = case.expected(content)
    # What is behind the end must not matter: records that go on, or what seems to.
    further = (content or b"\x01") * (SLACK // max(1, len(content)) + 1)
    behind = rng.choice((bytes(SLACK), b"\xff" * SLACK, further)) * 2
    guarded = Guarded(len(content) + SLACK)
    last = guarded.stop - SLACK
    for start in {guarded.start, last - len(content)}:
        stop = start + len(content)
        guarded.memory[start:stop] = content
        room = guarded.stop - stop
        guarded.memory[stop : guarded.stop] = behind[:room]
        scan = new_scan(case)
        base = rng.choice((0, -start, 1 << 40))
        memory = Memory(guarded.memory, start, stop, base, start, 0)
        position, _, _ = scan.scan(memory, Reads(-1, 0), NO_LIMIT)
        assert (scan.sums().packets, position - start) == (count, end)
        _check_kept(case, scan, count, kept)
    _check_reading(case, content, rng, (count, end, kept))
    return count


def _check_reading(case: Case, content: bytes, rng: random.Random, expected) -> None:
    """The same where the block is read natively, in pieces, to the very end of memory."""
    size = rng.choice((1, 20, 100, 4096, 10_000))
    guarded = Guarded(ROOM + size + SLACK)
    reads_at = guarded.stop - SLACK - size
    descriptor = os.memfd_create("capture")
    try:
        os.write(descriptor, content)
        scan = new_scan(case)
        memory = Memory(guarded.memory, reads_at, reads_at, -reads_at, reads_at, size)
        wanted = rng.choice((len(content), len(content) + 1, 1 << 20))
        position, stop, base = scan.scan(memory, Reads(descriptor, wanted), NO_LIMIT)
    finally:
        os.close(descriptor)
    count, end, kept = expected
    assert (scan.sums().packets, position + base) == (count, end)
    # It has read all, or more than could be carried on.
    assert base + stop == len(content) or stop - position > ROOM
    _check_kept(case, scan, count, kept)


def _check_kept(case: Case, scan: Scan, count: int, kept: list[bytes]) -> None:
    for number, each in enumerate(kept):
        assert bytes(scan.kept(number)) == each
    rows = len(scan.rows()) if case.wanted.rows is not Rows.NONE else 0
    if case.wanted.rows is Rows.ALL:
        assert rows == count * len(ROW)


def run(number: int, fixed: Sequence[tuple[Instruction, ...]]) -> tuple[int, int]:
    """Scan some damaged captures with one filter; return how many, and how many packets."""
    rng = random.Random(f"guards-{SEED}-{number}")
    # Half of them are those that look farthest.
    place = number % (2 * len(fixed))
    program = fixed[place] if place < len(fixed) else scannable(rng)
    filters = [program] if rng.random() < 0.7 else [program, scannable(rng)]
    wanted = Wanted(
        copies=rng.random() < 0.7,
        times=rng.random() < 0.5,
        rows=rng.choice(list(Rows)),
    )
    make = rng.choice((pcap_case, pcapng_case))
    case, contents = make(rng, filters, wanted)
    packets = 0
    for content in contents:
        packets += check(case, content, rng)
        broken = damage(content, rng)
        packets += check(case, broken, rng)
        # Anywhere within, as where a block is no packet's: nothing is where it is expected.
        place = rng.randrange(len(broken) + 1)
        packets += check(case, broken[place:], rng)
    return 3 * len(contents), packets


def main() -> None:
    first, count = map(int, sys.argv[1:])
    fixed = programs()
    captures = packets = 0
    for number in range(first, first + count):
        print(number, flush=True)
        more, seen = run(number, fixed)
        captures += more
        packets += seen
    print(f"{captures} captures, {packets} packets")


if __name__ == "__main__":
    main()
