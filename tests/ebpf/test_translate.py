"""Translated programs on our own machine: the verdict of the classic program, for every packet."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest

import pfcompile
from pfcompile.cbpf.interpreter import prepare
from pfcompile.cbpf.isa import ROW_OF, Ancillary, Instruction, Op
from pfcompile.ebpf.asm import disassemble
from pfcompile.ebpf.isa import Kind, row_of
from pfcompile.ebpf.machine.faults import RunError
from pfcompile.ebpf.machine.interpreter import Machine
from pfcompile.ebpf.machine.starts import Skb, Xdp
from pfcompile.ebpf.translate import translate, translate_with_sources
from pfcompile.ebpf.translate.targets import FORMS
from pfcompile.errors import ProgramError
from pfcompile.facts.kernel_offsets import ANCILLARY_BASE
from tests.cbpf.random_programs import METADATA, random_program
from tests.ebpf.translations import (
    ENVIRONMENT,
    FILTERS,
    VERDICTS,
    WORD,
    compiled,
    expected,
    forms,
    has_words,
    some_packets,
    started,
    translated,
)
from tests.generator.seed import SEED, rerun

HINT = rerun("tests/ebpf/test_translate.py")


def compare(instructions, form, packets, verdicts):
    """Run a program and its translation on packets; return how many there were."""
    program = translated(instructions, form, verdicts)
    machine, classic = Machine(program.instructions, ENVIRONMENT), prepare(instructions)
    count = 0
    for data, wire_length in packets:
        # Only socket filters and our own machines are told another length than that of the data.
        length = wire_length if form.target.name == "user" else len(data)
        value = classic(data, length, METADATA)
        found = machine.run(started(form, data, length)) & WORD
        assert found == expected(value, verdicts), (
            f"{form.target.name} {form.access.value} {verdicts} {data.hex()} {length}\n"
            f"{instructions}\n{disassemble(program.instructions)}\n{HINT}"
        )
        count += 1
    return count


def run_random_programs(form, rng, count):
    programs = packets = 0
    for verdicts in itertools.cycle(VERDICTS.values()):
        instructions = random_program(rng)
        if not has_words(form, instructions):
            continue
        packets += compare(instructions, form, some_packets(instructions, rng, 12), verdicts)
        programs += 1
        if programs == count:
            break
    print(f"{programs} programs, {packets} packets")
    assert packets >= 20 * programs


@pytest.mark.parametrize("form", forms())
def test_random_programs_give_the_classic_verdict(form):
    run_random_programs(form, random.Random(f"{SEED} {form.target.name} {form.access.value}"), 50)


@pytest.mark.long
@pytest.mark.parametrize("form", forms())
def test_many_random_programs_give_the_classic_verdict(form):
    rng = random.Random(f"{SEED} many {form.target.name} {form.access.value}")
    run_random_programs(form, rng, 2000)


@pytest.mark.parametrize("form", forms())
def test_usual_filters_give_the_classic_verdict(form):
    rng = random.Random(f"{SEED} usual {form.target.name} {form.access}")
    seen = Counter()
    for text, verdicts in zip(FILTERS, itertools.cycle(VERDICTS.values()), strict=False):
        instructions = compiled(text)
        packets = some_packets(instructions, rng, 9)
        compare(instructions, form, packets, verdicts)
        seen.update(bool(prepare(instructions)(*packet)) for packet in packets)
    assert min(seen[True], seen[False]) > len(FILTERS)


@pytest.mark.parametrize("form", forms())
def test_every_length_of_a_matching_packet(form):
    packet = bytes.fromhex(
        "020000000002020000000001080045000028000100004006000001020304050607080400005000000000"
        "000000005002200000000000"
    )
    for text in ("tcp dst port 80", "tcp[tcpflags] & tcp-syn != 0", "ip host 1.2.3.4", "less 40"):
        instructions = compiled(text)
        cuts = [(packet[:length], len(packet)) for length in range(len(packet) + 1)]
        assert prepare(instructions)(packet) or text == "less 40"
        compare(instructions, form, cuts, VERDICTS["two numbers"])


@pytest.mark.parametrize("form", forms())
@pytest.mark.parametrize("x", [0, 1, 3, 40, 0xFFFFFFFF, 0xFFFFFFF0, 0x80000000, 0x7FFFFFFF])
def test_an_offset_wraps_in_32_bits(form, x):
    packet = bytes(range(64))
    for op, k in itertools.product(
        (Op.LD_B_IND, Op.LD_H_IND, Op.LD_W_IND),
        (0, 1, 60, 61, 62, 63, 64, 0xFFFFFFFF, 0x80000000, 0x80000004, 0x7FFFFFFF, 17),
    ):
        instructions = (
            Instruction(Op.LDX_IMM, 0, 0, x),
            Instruction(op, 0, 0, k),
            Instruction(Op.ADD_K, 0, 0, 1),
            Instruction(Op.RET_A, 0, 0, 0),
        )
        compare(instructions, form, [(packet, 64)], VERDICTS["the snaplen"])


def test_groups_with_offsets_on_both_sides_of_x():
    instructions = (
        Instruction(Op.LDX_MSH, 0, 0, 0),
        Instruction(Op.LD_B_IND, 0, 0, 0xFFFFFFFC),
        Instruction(Op.ST, 0, 0, 0),
        Instruction(Op.LD_H_IND, 0, 0, 6),
        Instruction(Op.LDX_MEM, 0, 0, 0),
        Instruction(Op.ADD_X, 0, 0, 0),
        Instruction(Op.RET_A, 0, 0, 0),
    )
    packets = [(bytes([n]) * length, length) for n in range(16) for length in range(70)]
    for form in FORMS:
        compare(instructions, form, packets, VERDICTS["the snaplen"])


def branches(program):
    return [one for one in program if (row := row_of(one)) and row.kind is Kind.BRANCH]


def test_one_guard_serves_all_the_loads_that_a_match_needs():
    both = compiled("ether[0] = 1 and ether[40] = 2 and ether[20] = 3")
    # Three comparisons and one guard, asked for before the first of them.
    assert len(branches(translate(both, "user").instructions)) == 4


def test_loads_at_one_index_share_a_guard():
    instructions = (
        Instruction(Op.LDX_MSH, 0, 0, 14),
        *(Instruction(Op.LD_H_IND, 0, 0, k) for k in (20, 14, 18)),
        Instruction(Op.RET_A, 0, 0, 0),
    )
    # One for the header's length, and one, with a bound, for the rest.
    assert (
        len(branches(translate(instructions, "xdp", match="value", no_match=0).instructions)) == 3
    )
    assert len(branches(translate(instructions, "user").instructions)) == 2


def test_a_way_that_cannot_match_is_left_at_once():
    instructions = (
        Instruction(Op.LD_B_ABS, 0, 0, 0),
        Instruction(Op.JEQ_K, 0, 2, 7),
        Instruction(Op.LD_W_ABS, 0, 0, 0x80000000),
        Instruction(Op.RET_K, 0, 0, 1),
        Instruction(Op.RET_K, 0, 0, 2),
    )
    for form in FORMS:
        packets = [(bytes([n, 0, 0, 0]), 4) for n in range(10)]
        compare(instructions, form, packets, VERDICTS["two numbers"])


def test_scratch_words_are_zero_until_they_are_written():
    instructions = (
        Instruction(Op.LD_B_ABS, 0, 0, 0),
        Instruction(Op.JEQ_K, 1, 0, 7),
        Instruction(Op.ST, 0, 0, 3),
        Instruction(Op.LD_MEM, 0, 0, 3),
        Instruction(Op.ADD_K, 0, 0, 1),
        Instruction(Op.RET_A, 0, 0, 0),
    )
    for form in FORMS:
        packets = [(bytes([n]), 1) for n in range(10)]
        compare(instructions, form, packets, VERDICTS["the snaplen"])


def test_the_longest_programs():
    rng = random.Random(f"{SEED} longest")
    index = [Instruction(Op.LDX_IMM, 0, 0, 4)]
    # X changes before each load, so that none shares another's guard.
    loads = [
        step
        for number in range(2047)
        for step in (
            Instruction(Op.TXA, 0, 0, 0),
            Instruction(Op.LD_W_IND, 0, 0, number % 9)
            if number % 2
            else Instruction(Op.LDX_MSH, 0, 0, number % 11),
        )
    ]
    ending = [Instruction(Op.RET_A, 0, 0, 0)]
    far = [Instruction(Op.LD_B_ABS, 0, 0, 0), Instruction(Op.JEQ_K, 0, 1, 7)]
    over = [Instruction(Op.JA, 0, 0, 4000)]
    filling = [Instruction(Op.LDX_MSH, 0, 0, rng.randrange(30)) for _ in range(4000)]
    for instructions in (
        tuple(index + loads + ending),
        tuple(far + over + filling + index + ending),
    ):
        assert len(instructions) <= 4096
        packets = [(data, len(data)) for data in (rng.randbytes(60), b"\7" * 100, bytes(100))]
        for form in (FORMS[0], FORMS[2], FORMS[6], FORMS[7]):  # each kind of access, and ours
            compare(instructions, form, packets, VERDICTS["two numbers"])


def metadata_program(word):
    return (
        Instruction(Op.LD_W_ABS, 0, 0, ANCILLARY_BASE + word),
        Instruction(Op.ADD_K, 0, 0, 1),
        Instruction(Op.RET_A, 0, 0, 0),
    )


SKB = Skb(
    bytes(60), protocol=0x0806, vlan_tci=0x123, vlan_protocol=0x88A8, ifindex=7, packet_type=3,
    mark=0xDEADBEEF, queue_mapping=11, hash=0x12345678,
)  # fmt: skip
SKB_WORDS = {
    Ancillary.PROTOCOL: 0x0806,
    Ancillary.PKTTYPE: 3,
    Ancillary.IFINDEX: 7,
    Ancillary.MARK: 0xDEADBEEF,
    Ancillary.QUEUE: 11,
    Ancillary.RXHASH: 0x12345678,
    Ancillary.VLAN_TAG: 0x123,
    Ancillary.VLAN_TAG_PRESENT: 1,
    Ancillary.VLAN_TPID: 0x88A8,
}
XDP_WORDS = {
    Ancillary.IFINDEX: 9,
    Ancillary.VLAN_TAG: 0,
    Ancillary.VLAN_TAG_PRESENT: 0,
    Ancillary.VLAN_TPID: 0,
}


@pytest.mark.parametrize("form", forms())
@pytest.mark.parametrize("word", Ancillary)
def test_metadata_words(form, word):
    starts = {"xdp": (Xdp(bytes(60), ingress_ifindex=9), XDP_WORDS), "user": (None, {})}
    start, known = starts.get(form.target.name, (SKB, SKB_WORDS))
    program = metadata_program(word)
    if word is Ancillary.ALU_XOR_X or word in {Ancillary.CPU, Ancillary.RANDOM} & set(
        form.target.words
    ):
        translated(program, form, VERDICTS["the snaplen"])  # their values are not told
    elif word in known:
        machine = Machine(translated(program, form, VERDICTS["the snaplen"]).instructions)
        assert machine.run(start) == known[word] + 1 == prepare(program)(bytes(60), 60, known)
    else:
        with pytest.raises(ProgramError, match=rf"is not to be had at '{form.target.name}'"):
            translated(program, form, VERDICTS["the snaplen"])


def test_no_interface_is_no_match():
    program = metadata_program(Ancillary.IFINDEX)
    machine = Machine(translate(program, "tc", match="value", no_match=3).instructions)
    assert machine.run(Skb(bytes(60))) == 3
    assert machine.run(Skb(bytes(60), ifindex=4)) == 5


def test_actions_by_name():
    accept, reject = ((Instruction(Op.RET_K, 0, 0, k),) for k in (262144, 0))
    for target, start, match, no_match in (
        ("xdp", Xdp(bytes(60)), 2, 1),
        ("tc", Skb(bytes(60)), 0, 2),
        ("socket", Skb(bytes(60)), 262144, 0),
    ):
        assert Machine(translate(accept, target).instructions).run(start) == match
        assert Machine(translate(reject, target).instructions).run(start) == no_match
    turned = translate(accept, "xdp", match="drop", no_match="pass")
    assert Machine(turned.instructions).run(Xdp(bytes(60))) == 1
    unspecified = translate(accept, "tc", match="unspec")
    assert Machine(unspecified.instructions).run(Skb(bytes(60))) & WORD == WORD


def from_header(op, k):
    return (Instruction(op, 0, 0, k), Instruction(Op.TXA, 0, 0, 0), Instruction(Op.RET_A, 0, 0, 0))


@pytest.mark.parametrize("form", forms())
@pytest.mark.parametrize("k", [0xFFE00000, 0xFFE0000C, 0xFFF00000, 0xFFFFEFFF])
@pytest.mark.parametrize("op", [Op.LD_B_ABS, Op.LD_H_ABS, Op.LD_W_ABS, Op.LDX_MSH])
def test_loads_from_headers_stay_what_they_are_or_are_refused(form, k, op):
    instructions = from_header(op, k)
    words = r"instruction 0 \(ldx?[bh]? .*the link or the network header.*'legacy'"
    for verdicts in VERDICTS.values():
        if form.access.value == "legacy" and verdicts["no_match"] in {0, "value"}:
            program = translated(instructions, form, verdicts).instructions
            loads = [one for one in program if (row := row_of(one)) and row.kind is Kind.PACKET]
            assert [one.imm & WORD for one in loads] == [k]
            with pytest.raises(RunError, match="the link or the network header"):
                Machine(program).run(Skb(bytes(60)))
        else:
            with pytest.raises(ProgramError, match=words):
                translated(instructions, form, verdicts)


@pytest.mark.parametrize("form", forms())
def test_loads_beside_the_headers_never_match(form):
    for k in (0xFFDFFFFF, 0x80000000):
        compare(from_header(Op.LD_B_ABS, k), form, [(bytes(60), 60)], VERDICTS["two numbers"])
    compare(from_header(Op.LDX_MSH, 0xFFFFF000), form, [(bytes(60), 60)], VERDICTS["two numbers"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"target": "moon"}, "there is no target 'moon': there are socket, tc, xdp, user"),
        ({"target": "xdp", "access": "legacy"}, "only by: direct, helpers"),
        ({"target": "xdp", "match": "shot"}, "has no verdict 'shot'.*drop, pass"),
        ({"target": "user", "match": "pass"}, "has no verdict 'pass'"),
        ({"target": "xdp", "no_match": 1 << 32}, "does not fit 32 bits"),
    ],
)
def test_mistakes_are_explained(options, words):
    with pytest.raises(ProgramError, match=words):
        translate((Instruction(Op.RET_K, 0, 0, 0),), **options)
    with pytest.raises(ProgramError):
        translate((), "user")


def test_the_public_method():
    program = pfcompile.compile("ip", snaplen=100)
    packet = bytes(12) + b"\x08\x00" + bytes(20)
    for target, match in (("socket", 100), ("tc", 0), ("xdp", 2)):
        start = Xdp(packet) if target == "xdp" else Skb(packet)
        assert Machine(program.to_ebpf(target).instructions).run(start) == match
    turned = program.to_ebpf("xdp", match="drop", no_match="pass")
    assert Machine(turned.instructions).run(Xdp(packet)) == 1
    assert len(turned.to_bytes()) == 8 * len(turned.instructions)
    assert program.to_ebpf("xdp", access="helpers").flags == 1 << 5
    assert program.to_ebpf().program_type is None


@pytest.mark.parametrize("target", ["socket", "tc", "xdp", "user"])
def test_slots_know_what_they_are_for(target):
    for text in ("tcp port 443", "ip6 or vlan 5", "less 10", "host 10.0.0.1 or net 10.2.0.0/16"):
        classic = pfcompile.compile(text, optimize=False).instructions
        if target == "xdp" and "vlan" in text:
            continue  # asks for metadata that is not to be had there
        program, sources = translate_with_sources(classic, target)
        assert program == translate(classic, target)
        assert len(sources) == len(program.instructions)
        known = [each for each in sources if each is not None]
        assert known == sorted(known)
        for position, each in enumerate(classic):
            if each.code == Op.RET_K and each.k:  # moves a number and exits
                assert sources.count(position) == 2


def test_all_operations_are_met():
    rng = random.Random(f"{SEED} operations")
    met = {one.code for _ in range(400) for one in random_program(rng)}
    assert met == set(ROW_OF)
