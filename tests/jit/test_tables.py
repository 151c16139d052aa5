"""Look-ups in native code say what Python says of the same sets."""

from __future__ import annotations

import ctypes
import mmap
import random
import re
from bisect import bisect_right
from functools import cache
from itertools import pairwise

import pytest
from llvmlite import binding

from pfcompile.ir.arithmetic import WORD
from pfcompile.ir.ranges import EVERYTHING, complement, contains, normal, within
from pfcompile.jit.scan.compared import Compared, Hash, Row
from pfcompile.jit.scan.indexed import Bitmap, Listed
from pfcompile.jit.scan.ranked import DECLARATIONS, Ranked, RankedNumbers
from pfcompile.jit.scan.tables import (
    ALIGNMENT,
    Either,
    Not,
    Shifted,
    Tables,
    choose,
    choose_numbers,
)
from pfcompile.jit.scan.text import Text
from tests.generator.seed import SEED, rerun

RERUN = rerun("tests/jit/test_tables.py")
TRIPLES = ("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu")
FUNCTION = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, ctypes.c_int64)

ELSEWHERE = re.compile(r"^\s+(callq?|bl|blr)\s|\.LCPI|\.rodata|\.section\s+\.data", re.MULTILINE)

_LOOP = """\
define void @look_up(ptr %numbers, ptr %outcomes, ptr %tables, i64 %count) {{
entry:
  br label %loop
loop:
  %index = phi i64 [0, %entry], [%next, %loop]
  %place = getelementptr i32, ptr %numbers, i64 %index
  %number = load i32, ptr %place
{lines}
  %to = getelementptr i32, ptr %outcomes, i64 %index
  store i32 {outcome}, ptr %to
  %next = add i64 %index, 1
  %more = icmp ult i64 %next, %count
  br i1 %more, label %loop, label %out
out:
  ret void
}}
"""


def module(write, *, bit: bool) -> str:
    """Return a loop that asks for many numbers; `write` writes one look-up."""
    text = Text()
    outcome = write(text, "%number")
    if bit:
        outcome = text.value(f"zext i1 {outcome} to i32")
    return DECLARATIONS + _LOOP.format(lines="\n".join(text.lines), outcome=outcome)


@cache
def linker():
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding.create_lljit_compiler()


@cache
def page_protection():
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return protect


class Guarded:
    """Bytes with nothing readable behind them: to read there ends the process."""

    def __init__(self, data: bytes) -> None:
        page = mmap.PAGESIZE
        end = -(-len(data) // page) * page
        self.memory = mmap.mmap(-1, end + page)
        whole = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self.address = whole + end - len(data)
        ctypes.memmove(self.address, data, len(data))
        assert page_protection()(whole + end, page, 0) == 0


def outcomes(text: str, data: bytes, numbers) -> list[int]:
    """Run a loop over numbers, with tables that lie at the very end of readable memory."""
    library = binding.JITLibraryBuilder().add_ir(text).export_symbol("look_up")
    tracker = library.link(linker(), f"tables{random.random()}")
    asked = (ctypes.c_uint32 * len(numbers))(*numbers)
    found = (ctypes.c_uint32 * len(numbers))()
    guarded = Guarded(data)
    FUNCTION(tracker["look_up"])(asked, found, guarded.address, len(numbers))
    return list(found)


def notable(starts, rng) -> list[int]:
    """Return the numbers about some, the ends of what there is, and others."""
    near = {start + delta for start in starts for delta in (-1, 0, 1)}
    corners = {0, 1, (1 << 31) - 1, 1 << 31, (1 << 31) + 1, WORD - 1, WORD}
    shifted = {rng.choice(starts) ^ 1 << bit for bit in range(32)} if starts else set()
    others = {rng.getrandbits(rng.randint(1, 32)) for _ in range(200)}
    return sorted(each for each in near | corners | shifted | others if 0 <= each <= WORD)


def check_set(table, ranges, note="") -> None:
    rng = random.Random(f"asked-{SEED}")
    numbers = notable([each for pair in ranges for each in pair], rng)
    text = module(lambda text, number: table.write(text, "%tables", number), bit=True)
    found = outcomes(text, table.data, numbers)
    wrong = [
        (number, bit)
        for number, bit in zip(numbers, found, strict=True)
        if bit != contains(ranges, number)
    ]
    assert not wrong, f"{note}{type(table).__name__} {wrong[:5]} of {ranges[:20]}\n{RERUN}"


def check_numbers(table, sets, note="") -> None:
    rng = random.Random(f"asked-{SEED}")
    pieces = sorted((low, index) for index, ranges in enumerate(sets) for low, _ in ranges)
    starts = [low for low, _ in pieces]
    numbers = notable(starts, rng)
    text = module(lambda text, number: table.write(text, "%tables", number), bit=False)
    found = outcomes(text, table.data, numbers)
    expected = [pieces[bisect_right(starts, number) - 1][1] for number in numbers]
    wrong = [each for each in zip(numbers, found, expected, strict=True) if each[1] != each[2]]
    assert not wrong, f"{note}{type(table).__name__} {wrong[:5]} of {pieces[:20]}\n{RERUN}"


def singles(numbers):
    return normal((number, number) for number in numbers)


def some(count: int, *, bits: int = 32, step: int = 1, first: int = 0, length: int = 1):
    """Return random ranges of a length, none next to another."""
    rng = random.Random(f"{count} {bits} {step} {first} {length} {SEED}")
    places = sorted(rng.sample(range((1 << bits) // step // (length + 1) - 1), count))
    lows = (first + step * (length + 1) * place for place in places)
    return tuple((low, low + step * length - 1) for low in lows)


def networks(count: int):
    """Return networks of all sizes."""
    rng = random.Random(f"networks {count} {SEED}")
    found = []
    for _ in range(count):
        host_bits = 32 - rng.choice((12, 16, 20, 22, 24, 24, 24, 28, 32, 32))
        low = rng.getrandbits(32) >> host_bits << host_bits
        found.append((low, low + (1 << host_bits) - 1))
    return normal(found)


SETS = {
    "nothing": ((), Compared),
    "everything": (EVERYTHING, Compared),
    "0": (((0, 0),), Compared),
    "the highest": (((WORD, WORD),), Compared),
    "all but 0": (((1, WORD),), Compared),
    "all but the highest": (((0, WORD - 1),), Compared),
    "one range": (((1000, 2000),), Compared),
    "two ranges": (((5, 5), (1 << 31, WORD)), Compared),
    "three": (singles([6, 17, 132]), Row),
    "four ranges": (((0, 3), (9, 9), (1 << 30, 3 << 29), (WORD, WORD)), Row),
    "five": (some(5), Row),
    "eight": (some(8, length=1 << 20), Row),
    "eight long": (some(8, length=1 << 24), Row),
    "nine": (some(9), Hash),
    "half of all": (((0, 5), (10, (1 << 31) + 2), (WORD, WORD)), Row),
    "not four": (complement(some(4)), Not),
    "ports": (some(500, bits=16), Bitmap),
    "few ports": (some(17, bits=10), Bitmap),
    "ranges of ports": (some(40, bits=16, length=300), Bitmap),
    "all but ports": (complement(some(500, bits=16)), Not),
    "hosts of a network": (some(3000, bits=17, first=167772160), Bitmap),
    "hosts of the last network": (some(30, bits=15, first=(1 << 32) - (1 << 15)), Bitmap),
    "every other number": (singles(range(1, 65536, 2)), Bitmap),
    "17 hosts": (some(17), Hash),
    "200 hosts": (some(200), Hash),
    "800 hosts": (some(800), Hash),
    "801 hosts": (some(801), Hash),
    "3000 hosts": (some(3000), Hash),
    "hosts at the ends": (singles([0, WORD, *(each[0] for each in some(30))]), Hash),
    "all but 3000 hosts": (complement(some(3000)), Not),
    "pairs of hosts": (some(500, length=2), Hash),
    "masked networks": (singles(n << 24 for n in range(0, 256, 2)), Hash),
    "networks of one size": (
        normal((n << 8, n << 8 | 255) for n, _ in some(300, bits=24)),
        Shifted,
    ),
    "many networks of one size": (some(500, step=1 << 16, bits=32), Shifted),
    "hosts and networks": (normal([*some(300), (1 << 24, 2 << 24), (15 << 28, WORD)]), Either),
    "hosts and more networks": (normal([*some(300), *some(8, length=1 << 20)]), Either),
    "17 networks": (some(17, length=1 << 10), Ranked),
    "networks": (networks(1000), Ranked),
    "networks with 0": (normal([*networks(100), (0, 99)]), Ranked),
    "networks with the highest": (normal([*networks(100), (WORD - 50, WORD)]), Ranked),
    "networks with both": (normal([*networks(100), (0, 99), (WORD - 50, WORD)]), Ranked),
    "all but networks": (complement(networks(1000)), Not),
}


@pytest.mark.parametrize("name", SETS)
def test_sets(name):
    ranges, kind = SETS[name]
    table = choose(ranges)
    assert type(table) is kind
    check_set(table, ranges, f"{name}: ")


@pytest.mark.parametrize("kind", [Row, Bitmap, Hash, Ranked])
def test_every_kind_of_every_small_set(kind):
    """Where a kind would not be chosen, too."""
    for ranges in (some(1), some(2, bits=8), some(3, bits=5), some(7, bits=16), ((0, 0), (9, 9))):
        if kind is Hash:
            check_set(Hash.of([low for low, _ in ranges]), ranges)
        else:
            check_set(kind.of(ranges), ranges)


def test_bitmap_words():
    """Ranges that begin and end anywhere in a word, and span some."""
    ranges = normal((67 * n, 67 * n + n % 66) for n in range(80))
    check_set(Bitmap.of(ranges), ranges)
    far = tuple((low + (1 << 31), high + (1 << 31)) for low, high in ranges)
    check_set(Bitmap.of(far), far)


FULL_NODES = (16, 16 * 17, 16 * 17 * 17)
COUNTS = sorted(
    {
        1,
        2,
        15,
        33,
        18 * 16,
        *(count + delta for count in FULL_NODES for delta in (-1, 0, 1, 16, 17)),
    }
)


@pytest.mark.parametrize("count", COUNTS)
def test_trees(count):
    """Trees whose nodes are full, and those with one more place or one less."""
    starts = [0, *(low for low, _ in some(count, first=1))]
    ranges = tuple((start, end - 1) for start, end in pairwise([*starts, WORD + 1]))
    check_set(Ranked.of(ranges[::2]), ranges[::2])
    check_set(Ranked.of(ranges[1::2]), ranges[1::2])
    sets = [ranges[index::7] for index in range(7)]
    check_numbers(choose_numbers(sets), sets)


def test_random_sets():
    """Sets of all forms, whatever table is chosen; several in one memory."""
    rng = random.Random(f"sets-{SEED}")
    kinds = set()
    for bits in (8, 14, 16, 20, 32):
        tables, sets = Tables("%tables"), []
        for count in (2, 6, 20, 40, 200, 20, 40, 200):
            longest = rng.choice((1, 1, 2, 30, 1 << bits - 4))
            step = 1 << rng.choice((0, 0, 0, 8)) if bits > 16 else 1
            lows = [rng.getrandbits(bits) // step * step for _ in range(count)]
            found = normal((low, low + step * rng.randint(1, longest) - 1) for low in lows)
            ranges = within(found, 0, WORD)
            if rng.random() < 0.3:
                ranges = complement(ranges)
            sets.append(ranges)
            kinds.add(type(choose(ranges)))
            check_set(choose(ranges), ranges)

        def write(text, number, tables=tables, sets=sets):
            word = "0"
            for place, ranges in enumerate(sets):
                bit = text.value(f"zext i1 {tables.member(text, number, ranges)} to i32")
                word = text.value(f"or i32 {word}, {text.value(f'shl i32 {bit}, {place}')}")
            return word

        text = module(write, bit=False)
        numbers = notable([each for ranges in sets for pair in ranges for each in pair], rng)
        found = outcomes(text, tables.data, numbers)
        expected = [
            sum(contains(ranges, number) << place for place, ranges in enumerate(sets))
            for number in numbers
        ]
        assert found == expected, f"{sets}\n{RERUN}"
    assert len(kinds) >= 5


def divided(count: int, pieces, rng) -> list:
    """Return all numbers dealt out to some sets at the places where ranges begin and end."""
    starts = sorted({0, *(place for low, high in pieces for place in (low, high + 1))} - {WORD + 1})
    sets: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    index = -1
    for piece, (start, end) in enumerate(pairwise([*starts, WORD + 1])):
        # Never twice the same; each at least once.
        index = (index + (1 if piece < count else rng.randrange(1, count))) % count
        sets[index].append((start, end - 1))
    return [normal(ranges) for ranges in sets]


NUMBERS = {
    "protocols": (3, some(6, bits=8), Listed),
    "two of one": (2, ((7, 7),), Listed),
    "EtherTypes": (3, singles([0x800, 0x806, 0x86DD]), RankedNumbers),
    "ports": (5, some(400, bits=16), Listed),
    "hosts": (3, some(200), RankedNumbers),
    "networks": (256, networks(500), RankedNumbers),
    "many": (257, some(3000), RankedNumbers),
    "very many": (1000, some(1000, bits=14), Listed),
    "the highest": (2, ((WORD, WORD),), RankedNumbers),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers(name):
    count, pieces, kind = NUMBERS[name]
    sets = divided(count, pieces, random.Random(f"numbers-{SEED}"))
    table = choose_numbers(sets)
    assert type(table) is kind
    check_numbers(table, sets, f"{name}: ")


def test_tables_are_kept_once_and_apart():
    text, tables = Text(), Tables("%tables")
    hosts, ports = some(3000), some(500, bits=16)
    sets = [hosts, complement(hosts)]
    kept = [choose(hosts), choose(ports), choose_numbers(sets)]
    for _ in range(2):
        tables.member(text, "%a", hosts)
        tables.member(text, "%b", ports)
        tables.which(text, "%a", sets)
        tables.member(text, "%a", ports[:2])
    offset, places = 0, set()
    for table in kept:
        assert tables.data[offset:].startswith(table.data)
        places.add(offset)
        offset += -(-len(table.data) // ALIGNMENT) * ALIGNMENT
    assert len(tables.data) == offset
    asked = {int(each) for each in re.findall(r"ptr %tables, i64 (\d+)", "\n".join(text.lines))}
    assert asked == places - {0}


def test_numbers_known_to_be_small_are_not_compared():
    text = Text()
    port = text.value("zext i16 %short to i32", most=65535)
    choose(some(500, bits=16)).write(text, "%tables", port)
    assert not any("icmp" in line for line in text.lines)


def test_sizes():
    """Small enough to stay in the caches."""
    assert len(choose(some(10)).data) <= 256
    assert len(choose(some(200)).data) <= 4096
    assert len(choose(some(1000)).data) <= 16 * 1024
    assert len(choose(some(3000)).data) <= 16 * 1024
    assert len(choose(networks(3000)).data) <= 32 * 1024


def test_tables_are_the_same_every_time():
    assert choose(some(3000)).data == choose(some(3000)).data


@pytest.mark.parametrize("triple", TRIPLES)
@pytest.mark.parametrize("cpu", ["generic", "x86-64-v3", "x86-64-v4"])
def test_look_ups_are_straight_lines(triple, cpu):
    """Nothing is called, and no constant lies elsewhere, whatever the machine has."""
    if cpu.startswith("x86") and not triple.startswith("x86"):
        pytest.skip("another machine's processor")
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    try:
        target = binding.Target.from_triple(triple)
    except RuntimeError as error:
        pytest.skip(str(error))
    machine = target.create_target_machine(cpu=cpu, opt=1, reloc="pic", codemodel="small")
    tables = [(choose(ranges), True) for ranges, _ in SETS.values() if len(ranges) < 2000]
    rng = random.Random(f"straight-{SEED}")
    for count, pieces, _ in NUMBERS.values():
        tables.append((choose_numbers(divided(count, pieces, rng)), False))
    for table, bit in tables:
        text = module(
            lambda text, number, table=table: table.write(text, "%tables", number), bit=bit
        )
        assert text.count("br ") == 2  # into the loop, and at its end
        assert text.count("define") == 1
        parsed = binding.parse_assembly(text)
        parsed.triple, parsed.data_layout = triple, str(machine.target_data)
        assembly = machine.emit_assembly(parsed)
        assert not ELSEWHERE.search(assembly), assembly


def test_many_hosts():
    ranges = some(100_000)
    table = choose(ranges)
    assert type(table) is Hash
    assert len(table.data) <= 1 << 19
    check_set(table, ranges)


def test_many_long_ranges():
    ranges = some(20_000, length=5000)
    table = choose(ranges)
    assert type(table) is Ranked
    check_set(table, ranges)


@pytest.mark.long
def test_a_million_hosts():
    ranges = some(1_000_000)
    table = choose(ranges)
    assert type(table) is Hash
    assert len(table.data) <= 1 << 23
    check_set(table, ranges)
