"""Lists are found again in programs, and mean what the programs mean."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

import pfcompile
from pfcompile.cbpf.check import check_structure
from pfcompile.cbpf.interpreter import _MAKERS, Machine, _Decoded, prepare
from pfcompile.cbpf.isa import ROW_OF, Ancillary, Instruction, Op, successors
from pfcompile.facts.kernel_offsets import ANCILLARY_BASE
from pfcompile.ir.arithmetic import WORD
from pfcompile.ir.ranges import complement, contains, normal
from pfcompile.jit.scan.sets import MOST_EXITS, Switch, find_switches
from tests.cbpf.random_programs import random_packet, random_program
from tests.generator.packets import packets_for
from tests.generator.seed import SEED, rerun

RERUN = rerun("tests/jit/test_sets.py")
ETHERNET = 1


def with_switches(program, switches) -> Machine:
    """Return the interpreter's machine that follows switches instead of what they replace."""
    steps = [None] * (len(program) + 1)
    for position in reversed(range(len(program))):
        if position in switches:
            steps[position] = choosing(switches[position], steps)
            continue
        instruction = program[position]
        row = ROW_OF[instruction.code]
        ways = successors(position, instruction) or (len(program),)
        decoded = _Decoded(row, instruction, steps[ways[0]], steps[ways[-1]])
        steps[position] = _MAKERS[row.instruction_class, row.operand](decoded)
    return Machine(steps[0])


def choosing(switch, steps):
    def step(state):
        (way,) = (way for way, ranges in switch.exits if contains(ranges, state.a))
        return steps[way]

    return step


def reached(program, switches) -> set[int]:
    """Return the instructions that can be reached with switches in their places."""
    found, waiting = set(), [0]
    while waiting:
        position = waiting.pop()
        if position not in found:
            found.add(position)
            switch = switches.get(position)
            if switch is None:
                waiting += successors(position, program[position])
            else:
                waiting += [way for way, _ in switch.exits]
    return found


def checked(program, **options) -> dict[int, Switch]:
    """Find a program's switches and require of them what all must be."""
    switches = find_switches(program, **options)
    assert set(switches) <= reached(program, switches)
    for position, switch in switches.items():
        assert switch.position == position
        ways = [way for way, _ in switch.exits]
        assert position < ways[0]
        assert ways == sorted(set(ways))
        assert len(ways) > 1
        everywhere = []
        for _, ranges in switch.exits:
            assert ranges == normal(ranges) != ()
            everywhere += ranges
        everywhere.sort()
        assert everywhere[0][0] == 0
        assert everywhere[-1][1] == WORD
        assert all(after[0] == before[1] + 1 for before, after in pairwise(everywhere))
    return switches


def agree(program, packets, note="", **options) -> tuple[dict[int, Switch], set[bool]]:
    """Require the program's verdicts of its switches; return these and the verdicts seen."""
    switches = checked(program, **options)
    expected, found = prepare(program), with_switches(program, switches)
    seen = set()
    for packet in packets:
        verdict = expected(packet)
        seen.add(bool(verdict))
        assert found(packet) == verdict, f"{note}\n{program}\n{switches}\n{packet.hex()}\n{RERUN}"
    return switches, seen


def address(rng) -> str:
    return ".".join(str(rng.randrange(1, 224)) for _ in range(4))


LISTS = {
    "host": address,
    "src host": address,
    "port": lambda rng: str(rng.randrange(65536)),
    "udp dst port": lambda rng: str(rng.randrange(65536)),
    "net": lambda rng: f"{rng.randrange(1, 224)}.{rng.randrange(256)}",
    "src net": lambda rng: rng.choice((f"{rng.randrange(1, 224)}", f"10.{rng.randrange(256)}")),
    "ip6 host": lambda rng: f"2001:db8:{rng.randrange(3)}::{rng.randrange(65536):x}",
    "ether host": lambda rng: f"00:11:22:{rng.randrange(3):02x}:00:{rng.randrange(256):02x}",
    "portrange": lambda rng: "{}-{}".format(*sorted(rng.choices(range(65536), k=2))),
}


def listed(kind: str, count: int, rng) -> str:
    values = dict.fromkeys(LISTS[kind](rng) for _ in range(count))
    return " or ".join(f"{kind} {value}" for value in values)


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize("count", [2, 9, 200])
@pytest.mark.parametrize("kind", LISTS)
def test_lists(kind, count, optimize):
    rng = random.Random(f"{kind} {count} {SEED}")
    text = listed(kind, count, rng)
    program = pfcompile.compile(text, optimize=optimize, max_instructions=None).instructions
    packets = [each.data for each in packets_for(program, rng, 250)]
    switches, seen = agree(program, packets, text)
    assert seen == {False, True}
    assert switches or count == 2 or kind == "portrange"


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize("kind", ["host", "port"])
def test_long_lists(kind, optimize):
    rng = random.Random(f"long {kind} {SEED}")
    text = listed(kind, 3000, rng)
    program = pfcompile.compile(text, optimize=optimize, max_instructions=None).instructions
    switches, seen = agree(program, [each.data for each in packets_for(program, rng, 60)])
    assert seen == {False, True}
    # What is left is as short as the program for one.
    assert len(reached(program, switches)) < 80


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize("count", [2, 9, 100])
@pytest.mark.parametrize("kind", LISTS)
def test_lists_of_libpcap(libpcap, kind, count, optimize):
    rng = random.Random(f"{kind} {count} {SEED}")
    text = listed(kind, count if optimize else 2 * count, rng)
    program = libpcap.compile(text, ETHERNET, optimize=optimize)
    packets = [each.data for each in packets_for(program, rng, 60)]
    switches, _ = agree(program, packets, text)
    if optimize and count == 100 and kind in {"host", "src host", "port", "udp dst port"}:
        assert len(reached(program, switches)) < 50


def test_what_is_in_a_list():
    rng = random.Random(f"values-{SEED}")
    addresses = [rng.getrandbits(32) for _ in range(500)]
    text = " or ".join(f"ip src {dotted(each)}" for each in addresses)
    program = pfcompile.compile(text).instructions
    (switch,) = checked(program).values()
    values = normal((each, each) for each in addresses)
    found = {program[way]: ranges for way, ranges in switch.exits}
    assert found == {ret(262144): values, ret(0): complement(values)}


def dotted(number: int) -> str:
    return ".".join(map(str, number.to_bytes(4, "big")))


def ret(k: int) -> Instruction:
    return Instruction(Op.RET_K, 0, 0, k)


def load(k: int) -> Instruction:
    return Instruction(Op.LD_W_ABS, 0, 0, k)


def jeq(k: int, jt: int, jf: int = 0) -> Instruction:
    return Instruction(Op.JEQ_K, jt, jf, k)


def random_jumps(rng, constants) -> list[Instruction]:
    """Return a program that compares one word, mostly, and goes back and forth on the way."""
    length = rng.randint(5, 60)
    program = [load(0)]
    for position in range(length):
        left = length - position - 1
        roll = rng.random()
        if roll < 0.06:
            program.append(ret(rng.choice((0, 0, 1, 2, 3))))
        elif roll < 0.14:
            program.append(load(rng.choice((0, 0, 0, 4))))
        elif roll < 0.2:
            program.append(Instruction(Op.AND_K, 0, 0, rng.choice((WORD, 0xFF))))
        elif roll < 0.25:
            program.append(Instruction(Op.JA, 0, 0, rng.randint(0, min(left, 5))))
        else:
            code = rng.choice((Op.JEQ_K, Op.JEQ_K, Op.JGT_K, Op.JGE_K))
            jt, jf = (rng.choice((0, 0, rng.randint(0, min(left, 12)))) for _ in range(2))
            program.append(Instruction(code, jt, jf, rng.choice(constants)))
    return [*program, ret(7)]


@pytest.mark.parametrize("fewest", [1, 3, 8])
def test_random_jumps(fewest):
    rng = random.Random(f"jumps-{fewest}-{SEED}")
    found = many = 0
    for _ in range(300):
        constants = [
            rng.choice((0, 1, WORD, rng.getrandbits(32), rng.randrange(30)))
            for _ in range(rng.choice((3, 8, 30)))
        ]
        program = random_jumps(rng, constants)
        check_structure(program)
        numbers = {each + delta & WORD for each in constants for delta in (-1, 0, 1)}
        packets = [
            first.to_bytes(4, "big") + rng.choice(constants).to_bytes(4, "big")
            for first in sorted(numbers)
        ]
        switches, _ = agree(program, [*packets, b"", b"1234"], fewest=fewest)
        found += len(switches)
        many += sum(len(switch.exits) > 2 for switch in switches.values())
    assert found > 100
    assert many > 5 or fewest == 1


def test_random_programs():
    rng = random.Random(f"programs-{SEED}")
    found = 0
    for _ in range(300):
        program = random_program(rng)
        switches, _ = agree(program, [random_packet(rng) for _ in range(20)], fewest=1)
        found += len(switches)
    assert found > 10


FOUND, NOT_FOUND = ret(1), ret(0)


def test_a_chain_that_loads_again_is_one_region():
    program = [load(0), jeq(5, 8), load(0), jeq(7, 6), load(0), jeq(6, 4), load(0), jeq(9, 2)]
    program += [jeq(8, 1), NOT_FOUND, FOUND]
    packets = [n.to_bytes(4, "big") for n in range(12)] + [b"123", b""]
    switches, _ = agree(program, packets)
    assert switches == {1: Switch(1, ((9, complement(((5, 9),))), (10, ((5, 9),))))}


def test_what_is_computed_again_belongs_to_the_region():
    mask = Instruction(Op.AND_K, 0, 0, 0xFF00)
    program = []
    for left in range(4, -1, -1):
        program += [load(0), mask, jeq(left << 8, 3 * left + 1)]
    program += [NOT_FOUND, FOUND]
    packets = [n.to_bytes(4, "big") for n in range(0, 0x800, 37)] + [b"123", b""]
    switches, _ = agree(program, packets)
    assert list(switches) == [2]


OTHER_LOADS = {
    "elsewhere": load(4),
    "shorter": Instruction(Op.LD_H_ABS, 0, 0, 0),
    "by X": Instruction(Op.LD_W_IND, 0, 0, 0),
    "metadata": load(ANCILLARY_BASE + Ancillary.RANDOM),
    "length": Instruction(Op.LD_LEN, 0, 0, 0),
}


@pytest.mark.parametrize("name", OTHER_LOADS)
def test_other_loads_are_not_the_same(name):
    other = OTHER_LOADS[name]
    # X is not the same at both loads: only one at a constant offset is compared.
    start = [Instruction(Op.LDX_IMM, 0, 0, 4), other]
    program = [*start, jeq(1, 6), jeq(2, 5), load(0), jeq(3, 3), jeq(4, 2), jeq(5, 1)]
    program += [NOT_FOUND, FOUND]
    packets = [bytes([0, 0, 0, a, 0, 0, 0, b]) for a in range(8) for b in range(8)]
    switches, _ = agree(program, packets)
    assert list(switches) == [5]


def test_metadata_is_not_the_same_twice():
    word = load(ANCILLARY_BASE + Ancillary.RANDOM)
    program = [word, jeq(1, 7), word, jeq(2, 5), word, jeq(3, 3), word, jeq(4, 1)]
    program += [NOT_FOUND, FOUND]
    assert checked(program, fewest=2) == {}


def test_a_load_that_only_one_way_has_made():
    """It may fail where the other way comes from."""
    compared = [jeq(1, 5), load(0), jeq(2, 3), jeq(3, 2), jeq(4, 1)]
    program = [Instruction(Op.LD_LEN, 0, 0, 0), jeq(4, 0, 1), load(0), *compared]
    program += [NOT_FOUND, FOUND]
    packets = [bytes(n) for n in range(6)] + [bytes([0, 0, 0, n]) for n in range(6)]
    switches, _ = agree(program, packets)
    assert list(switches) == [5]


def test_numbers_taken_out_are_followed_further():
    """Lists of what must be in both: 'x is one of these, and one of those'."""
    numbers = range(200)
    program = [load(0)]
    program += [jeq(2 * n, len(numbers) - n) for n in numbers]
    program += [NOT_FOUND]
    program += [jeq(3 * n, len(numbers) - n) for n in numbers]
    program += [NOT_FOUND, FOUND]
    packets = [n.to_bytes(4, "big") for n in range(700)]
    switches, _ = agree(program, packets)
    both = normal((6 * n, 6 * n) for n in range(67))
    assert switches[1].exits[1] == (len(program) - 1, both)
    assert len(switches) == 1


def test_a_region_may_be_entered_anywhere():
    """As libpcap's optimiser does: two chains share their ends."""
    program = [load(0), Instruction(Op.JGT_K, 0, 4, 100)]
    program += [load(4), jeq(1, 9), jeq(2, 8), Instruction(Op.JA, 0, 0, 4)]
    program += [load(8), jeq(7, 5), jeq(8, 4), jeq(9, 3), jeq(10, 2), jeq(11, 1)]
    program += [NOT_FOUND, FOUND]
    packets = [
        bytes([0, 0, 0, a, 0, 0, 0, b, 0, 0, 0, c])
        for a in (100, 101)
        for b in range(13)
        for c in range(13)
    ]
    switches, seen = agree(program, packets)
    assert list(switches) == [3, 7]
    assert seen == {False, True}


def test_many_exits():
    """A region with too many for their comparisons is none, but its parts may be."""
    numbers = range(0, 40, 2)
    separate = [jeq(n, 20) for n in numbers]
    program = [load(0), *separate, ret(77), *(ret(100 + n) for n in range(20))]
    assert checked(program) == {}
    few = [load(0), *separate, ret(77), *(ret(100 + n % 3) for n in range(20))]
    packets = [n.to_bytes(4, "big") for n in range(50)]
    switches, _ = agree(few, packets)
    assert [len(switch.exits) for switch in switches.values()] == [4]
    assert MOST_EXITS == 1 << 16


def test_one_way_is_no_switch():
    program = [load(0), *(jeq(n, 7 - n) for n in range(8)), ret(3), ret(3), ret(0)]
    program[8] = jeq(7, 0, 1)
    packets = [n.to_bytes(4, "big") for n in range(10)]
    assert agree(program, packets)[0] == {}


def test_time_is_limited():
    """Programs made to take long are left as they are; long lists are not."""
    rng = random.Random(f"time-{SEED}")
    length = 4000
    constants = rng.sample(range(1 << 32), length)
    # All that the first 200 take out goes through the rest, and is cut in two again and again.
    weave = [load(0), *(jeq(constants[n], 199 - n) for n in range(200))]
    weave += [Instruction(Op.JGT_K, 0, n % 2, constants[n]) for n in range(200, length)]
    weave += [ret(0), ret(1)]
    packets = [each.to_bytes(4, "big") for each in constants[:50]]
    assert agree(weave, packets)[0] == {}
    chain = [load(0)]
    for start in range(0, length, 200):
        chain += [jeq(constants[start + n], 200 - n) for n in range(200)]
        chain += [Instruction(Op.JA, 0, 0, 1), ret(1)]
    (switch,) = agree([*chain, ret(0)], packets)[0].values()
    assert switch.exits[0][1] == normal((each, each) for each in constants)
