"""Where instructions come from: blocks, and parts of the expression."""

from __future__ import annotations

import pytest

from pfcompile.cbpf.isa import Instruction, Op
from pfcompile.cbpf.provenance import origins_of, trace
from pfcompile.compiler import compile as compile_text
from pfcompile.errors import FilterError
from pfcompile.ir.graph import Branch, Let
from pfcompile.passes.observer import Recording
from tests.test_usual_filters import FILTERS

NETMASK = 0xFFFFFF00

LONG = " or ".join(f"(tcp[{i}] = {i} and tcp[{i + 200}] = 7)" for i in range(150))
PORTS = " or ".join(f"port {2 * i}" for i in range(200))


def traced(text, link="EN10MB", **options):
    recording = Recording()
    program = compile_text(text, link, netmask=NETMASK, observer=recording, **options)
    return program, recording, trace(recording.graph, program.snaplen, recording.lowered)


def asked_for(text, **options):
    """Return each instruction's asking parts as text."""
    _, _, found = traced(text, **options)
    return [
        [text[span.start : span.end] for span in found.origins(i)]
        for i in range(len(found.instructions))
    ]


@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize("link", ["EN10MB", "IEEE802_11_RADIO", "LINUX_SLL2"])
def test_every_instruction_belongs_to_a_block_that_it_was_written_from(link, optimize):
    for text in [*FILTERS, LONG, PORTS]:
        try:
            program, _, found = traced(text, link, optimize=optimize)
        except FilterError:
            assert link != "EN10MB", text  # some filters mean nothing elsewhere
            continue
        assert found.instructions == program.instructions, text
        assert [i for span in found.positions.values() for i in span] == [
            *range(len(program.instructions))
        ], text
        for label, span in found.positions.items():
            assert {found.labels[i] for i in span} <= {label}
            assert_goes_where_its_block_goes(found, label, text)


def assert_goes_where_its_block_goes(found, label, text):
    """A block's only conditional jump leads, perhaps over steps, to the blocks that it goes to."""
    span, targets = found.positions[label], found.targets[label]
    conditional = [i for i in span if is_conditional(found.instructions[i])]
    assert len(conditional) == (1 if len(targets) == 2 else 0), text
    if len(targets) == 2:
        at = conditional[0]
        instruction = found.instructions[at]
        ends = [at + 1 + instruction.jt, at + 1 + instruction.jf]
    else:
        ends = [span.stop] * len(targets)
        if len(targets) == 1 and found.instructions[span.stop - 1].code == Op.JA:
            ends = [span.stop + found.instructions[span.stop - 1].k]
    for end, target in zip(ends, targets, strict=True):
        place = landing(found.instructions, end)
        wanted = landing(found.instructions, found.positions[target].start)
        same = found.instructions[place] == found.instructions[wanted]
        is_return = found.instructions[place].code == Op.RET_K
        assert place == wanted or (is_return and same), (text, label, target)


def is_conditional(instruction: Instruction) -> bool:
    return instruction.code & 7 == 5 and instruction.code != Op.JA


def landing(instructions, position):
    """Follow unconditional jumps."""
    while instructions[position].code == Op.JA:
        position += 1 + instructions[position].k
    return position


def test_every_part_is_found_again():
    """All parts of the usual filters are, but the one that another implies."""
    lost = {}
    for text in FILTERS:
        _, recording, found = traced(text)
        asking = {span for block in recording.lowered.blocks for span in origins_of(block)}
        kept = {span for i in range(len(found.instructions)) for span in found.origins(i)}
        assert kept <= asking
        if asking != kept:
            lost[text] = {text[span.start : span.end] for span in asking - kept}
    assert lost == {
        "broadcast or multicast": {"broadcast"},
        "not broadcast and not multicast": {"broadcast"},
    }


def test_every_test_and_assignment_was_asked_for():
    for text in FILTERS:
        _, _, found = traced(text)
        for label in found.positions:
            if isinstance(found.graph[label], Branch | Let):
                assert found.asked_for(label), text


def test_who_asked_for_a_test_that_others_skip():
    asking = asked_for("tcp port 80 or (tcp and host 10.0.0.1)")
    assert asking[1] == ["tcp port 80", "tcp", "host 10.0.0.1"]  # IPv4
    assert asking[3] == ["tcp port 80", "tcp"]  # TCP
    assert asking[5] == ["tcp port 80"]  # no later fragment
    assert asking[-1] == []


def test_what_one_instruction_does_for_two_parts():
    """Protocol and fragment are one comparison, of one part; the address is the other's."""
    text = "tcp[tcpflags] & tcp-syn != 0 and not src net 10.0.0.0/8"
    first, second = "tcp[tcpflags] & tcp-syn != 0", "src net 10.0.0.0/8"
    assert asked_for(text) == [
        [first, second],
        [first, second],
        *[[first]] * 6,
        [second],
        [second],
        [],
        [],
    ]


def test_numbers_of_one_set_are_told_apart():
    text = "dst port 80 or udp dst port 53"
    program, _, found = traced(text)
    of_number = {
        each.k: [text[span.start : span.end] for span in found.origins(i)]
        for i, each in enumerate(program.instructions)
    }
    assert of_number[80] == ["dst port 80"]
    assert of_number[53] == ["udp dst port 53"]


def test_what_is_the_same_in_both_graphs_needs_no_lowered_one():
    program, recording, _ = traced("ip6 and udp")
    found = trace(recording.graph, program.snaplen)
    assert found.instructions == program.instructions
    assert found.origins(0)
