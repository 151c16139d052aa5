"""Sessions against the interpreter and the machine, and what stops a run."""

from __future__ import annotations

import random

import pytest

from pfcompile.cbpf.asm import assemble
from pfcompile.cbpf.interpreter import run
from pfcompile.cbpf.isa import Instruction, Op
from pfcompile.compiler import compile as compile_text
from pfcompile.debugger.classic import ClassicCode
from pfcompile.debugger.mistakes import Mistake
from pfcompile.debugger.packets import Packets
from pfcompile.debugger.session import Session
from pfcompile.debugger.stops import Reason
from pfcompile.ebpf.asm import assemble as assemble_extended
from pfcompile.ebpf.machine.code import Environment
from pfcompile.ebpf.machine.faults import RunError
from pfcompile.ebpf.machine.interpreter import Machine
from pfcompile.ebpf.machine.starts import Xdp
from pfcompile.ebpf.maps.vocabulary import MapSpec, MapType
from pfcompile.errors import CaptureError, FilterError
from tests.cbpf.random_programs import random_packet, random_program
from tests.debugger.sessions import environment_of, extended, session, write_capture
from tests.ebpf.check.plausible import MAPS, MORE_MISTAKES, plausible_program
from tests.generator.seed import SEED, rerun

RERUN = rerun("tests/debugger/test_session.py")
RETURNS = (Op.RET_K, Op.RET_A)


def what_there_is(view):
    """Return all that a session shows but for what is the same by chance."""
    return (
        view.number, view.position, view.steps, view.end, view.registers, view.regions, view.maps,
        view.packet, view.access, view.printed,
    )  # fmt: skip


def walk(debugged):
    """Step to the end; return what there was to see at each stop."""
    seen = [debugged.view()]
    while seen[-1].end is None:
        stop = debugged.step()
        assert stop.reason in {Reason.STEP, Reason.END}
        seen.append(stop.view)
    return seen


def check_back_and_forth(rng, debugged, seen):
    """Go back and forth at random: every state is what it was when it first came."""
    place = len(seen) - 1
    for _ in range(6):
        count = rng.randint(1, len(seen))
        if rng.random() < 0.6:
            stop = debugged.back(count)
            place = max(0, place - count)
        else:
            stop = debugged.step(count)
            place = min(len(seen) - 1, place + count)
        assert what_there_is(stop.view) == what_there_is(seen[place]), RERUN


def test_random_classic_programs(tmp_path):
    rng = random.Random(SEED)
    for _ in range(200):
        program, packet = random_program(rng), random_packet(rng)
        debugged = session(tmp_path / "capture", [packet], ClassicCode(program))
        seen = walk(debugged)
        end = seen[-1].end
        assert int(end.verdict) == run(program, packet), RERUN
        assert (program[seen[-1].position].code in RETURNS) == (end.why is None)
        assert len(seen) - 1 == seen[-1].steps
        # A at a stop is what the program returns that ends there with A.
        for view in rng.sample(seen[:-1], min(3, len(seen) - 1)):
            cut = list(program)
            cut[view.position] = Instruction(Op.RET_A, 0, 0, 0)
            assert run(cut, packet) == view.registers[0].value, RERUN
        check_back_and_forth(rng, debugged, seen)


def what_a_machine_says(machine, packet):
    try:
        return str(machine.run(Xdp(packet)))
    except RunError as error:
        return error.reason, error.slot


def random_packets(rng):
    return [rng.randbytes(rng.choice((0, 14, 20, 34, 60))) for _ in range(4)]


@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.long)])
def test_random_extended_programs(tmp_path, count):
    rng = random.Random(SEED)
    for _ in range(count):
        program = plausible_program(rng, mistakes=MORE_MISTAKES)
        packets = random_packets(rng)
        code = extended(program, MAPS, budget=3000)
        debugged = session(tmp_path / "capture", packets, code)
        theirs = environment_of(MAPS)
        for number, packet in enumerate(packets, 1):
            # What the debugger makes repeatable: clock and random numbers.
            ticks = iter(range((number - 1) * 1_000_000_000 + 1000, 1 << 62, 1000))
            environment = Environment(
                theirs.helpers, theirs.maps, clock=ticks.__next__, random=random.Random(number)
            )
            seen = walk(debugged)
            end = seen[-1].end
            machine = Machine(program, environment)
            if end.failed and "not done after" in end.why:
                break
            said = (end.why, seen[-1].position) if end.failed else end.verdict
            assert said == what_a_machine_says(machine, packet), RERUN
            kept = [tuple(each.entries()) for each in theirs.maps.values()]
            assert [each.entries for each in seen[-1].maps] == kept, RERUN
            check_back_and_forth(rng, debugged, seen)
            debugged.step(3000)
            debugged.next_packet()


def test_maps_are_what_the_packets_before_left(tmp_path):
    """However a packet was come to, its run sees the same maps."""
    rng = random.Random(SEED + 1)
    for _ in range(12):
        program = plausible_program(rng)
        code = extended(program, MAPS, budget=3000)
        packets = random_packets(rng) * 10
        debugged = session(tmp_path / "capture", packets, code)
        first = []
        for _ in packets:
            first.append(what_there_is(debugged.step(3000).view))
            debugged.next_packet()
        for _ in range(15):
            number = rng.randint(1, len(packets))
            debugged.select(number)
            if rng.random() < 0.5:
                debugged.step(rng.randint(1, 5))
            if rng.random() < 0.5:
                debugged.back()
            assert what_there_is(debugged.step(3000).view) == first[number - 1], RERUN


CLASSIC = """
    ldh [12]
    jeq #0x800, yes, no
yes: ret #100
no: ret #0
"""
IP, ARP = (b"\0" * 12 + kind + b"\0" * 20 for kind in (b"\x08\x00", b"\x08\x06"))


@pytest.fixture
def debugged(tmp_path):
    packets = [IP, ARP, IP, b"short", ARP]
    return session(tmp_path / "capture", packets, ClassicCode(assemble(CLASSIC)))


def test_a_load_past_the_end_is_said(debugged):
    stop = debugged.select(4)
    stop = debugged.step()
    assert stop.reason is Reason.END
    assert (stop.view.end.keeps, stop.view.end.failed) == (False, False)
    assert stop.view.end.why == "load at 12 of a packet of 5 bytes"
    assert stop.view.access is None


def test_what_a_load_has_read(debugged):
    stop = debugged.step()
    assert stop.view.access == (12, 2, False)
    assert [(each.name, each.value) for each in stop.view.registers] == [("A", 0x800), ("X", 0)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ld #5\n div x\n ret a", "division by X = 0"),
        ("ldb [x + 4294967295]\n ret a", "load at 4294967295 of a packet of 34 bytes"),
        ("ld mark\n ret a", "the metadata 'mark' is not known of a packet in a file"),
        ("ldx 4*([99]&0xf)\n ret a", "load at 99 of a packet of 34 bytes"),
    ],
)
def test_how_programs_end_early(tmp_path, text, why):
    debugged = session(tmp_path / "capture", [IP], ClassicCode(assemble(text)))
    stop = debugged.resume()
    assert (stop.view.end.verdict, stop.view.end.keeps, stop.view.end.why) == ("0", False, why)


def test_jumps_are_steps_of_their_own(tmp_path):
    text = "ld #1\n jeq #1, L1, L2\nL1: ja L2\nL2: ret a"
    debugged = session(tmp_path / "capture", [IP], ClassicCode(assemble(text)))
    assert [view.position for view in walk(debugged)] == [0, 1, 2, 3, 3]


def test_steps_end_with_the_program(debugged):
    assert debugged.step(100).reason is Reason.END
    stop = debugged.step()
    assert stop.reason is Reason.NOWHERE
    assert debugged.back(100).reason is Reason.BEGIN
    assert debugged.back().reason is Reason.NOWHERE


def test_resume_goes_from_packet_to_packet(debugged):
    stops = [debugged.resume() for _ in range(5)]
    assert [stop.view.number for stop in stops] == [1, 2, 3, 4, 5]
    assert [stop.view.end.keeps for stop in stops] == [True, False, True, False, False]
    stop = debugged.resume()
    assert (stop.reason, stop.note) == (Reason.NOWHERE, "packet 5 is the last one")


def test_all_packets_are_counted(debugged):
    stop = debugged.resume(None)
    assert {end.why or end.verdict: count for end, count in stop.verdicts} == {
        "100": 2,
        "0": 2,
        "load at 12 of a packet of 5 bytes": 1,
    }
    assert stop.view.number == 5


def test_next_packets(debugged):
    assert debugged.next_packet(keeps=True).view.number == 3
    assert debugged.next_packet(keeps=True).note == (
        "no more packets match: packet 5 is the last one"
    )
    assert (debugged.number, debugged.view().steps) == (3, 0)
    assert debugged.previous_packet(keeps=False).view.number == 2
    assert debugged.previous_packet().view.number == 1
    assert debugged.previous_packet().note == "packet 1 is the first one"
    assert debugged.next_packet(keeps=False).view.number == 2
    debugged.step()
    assert debugged.previous_packet(keeps=False).reason is Reason.NOWHERE
    assert (debugged.number, debugged.view().steps) == (2, 1)


def test_a_packet_that_is_not_there_changes_nothing(debugged):
    debugged.step()
    for number in (0, 6, 1 << 60):
        with pytest.raises(Mistake):
            debugged.select(number)
        assert (debugged.number, debugged.view().steps) == (1, 1)


def test_conditions_stop_where_they_begin_to_hold(debugged):
    added = debugged.add_breakpoint("", condition=debugged.parse("A == 0x800"))
    stop = debugged.resume()
    assert (stop.reason, stop.hits, stop.view.position) == (Reason.BREAK, (added,), 1)
    assert debugged.resume().reason is Reason.END
    stop = debugged.resume(None)
    assert (stop.reason, stop.view.number, stop.view.steps) == (Reason.BREAK, 3, 1)
    assert added.hits == 2


def test_a_condition_about_the_packet_stops_at_its_start(debugged):
    debugged.add_breakpoint("", condition=debugged.parse("packet == 4"))
    stop = debugged.resume(None)
    assert (stop.reason, stop.view.number, stop.view.steps) == (Reason.BREAK, 4, 0)
    assert [count for _, count in stop.verdicts] == [2, 1]


def test_what_lies_outside_the_packet_does_not_hold(debugged):
    debugged.add_breakpoint("", condition=debugged.parse("pkt[33] == 0"))
    stop = debugged.resume(None)
    assert (stop.reason, stop.view.number) == (Reason.BREAK, 2)
    assert debugged.resume(None).view.number == 3
    assert debugged.resume(None).view.number == 5


def test_a_watch_stops_at_changes_alone(debugged):
    debugged.add_breakpoint("", watched=debugged.parse("A"))
    stop = debugged.resume()
    assert (stop.reason, stop.view.position) == (Reason.BREAK, 1)
    assert debugged.resume().reason is Reason.END
    stop = debugged.resume()
    assert (stop.reason, stop.view.number, stop.view.position) == (Reason.BREAK, 2, 1)


def test_going_back_brings_no_breakpoint_twice(debugged):
    debugged.add_breakpoint("", condition=debugged.parse("A == 0x800"))
    debugged.resume()
    debugged.back()
    assert debugged.resume().reason is Reason.BREAK
    debugged.step()
    debugged.back()
    assert debugged.resume().reason is Reason.END


def test_an_instruction_with_a_condition(debugged):
    debugged.add_breakpoint("", lambda _: frozenset({1}), debugged.parse("A != 0x800"))
    stop = debugged.resume(None)
    assert (stop.reason, stop.view.number, stop.view.position) == (Reason.BREAK, 2, 1)
    assert debugged.delete_breakpoint(1).hits == 1
    with pytest.raises(Mistake):
        debugged.delete_breakpoint(1)


ENDLESS = "r0 = 0\nagain:\nr0 += 1\ngoto again"


def test_a_run_without_end_is_stopped(tmp_path):
    code = extended(assemble_extended(ENDLESS), budget=5000)
    debugged = session(tmp_path / "capture", [IP, IP], code)
    stop = debugged.resume()
    assert (stop.view.end.failed, stop.view.end.why) == (True, "not done after 5000 instructions")
    assert debugged.back().view.steps == 4999


def test_a_long_run_can_be_interrupted(tmp_path):
    code = extended(assemble_extended(ENDLESS))
    debugged = session(tmp_path / "capture", [IP], code)
    interrupted = False

    def interrupt(scope):
        nonlocal interrupted
        if debugged.view().steps >= 100 and not interrupted:
            interrupted = True
            debugged.interrupt()
        return frozenset()

    debugged.add_breakpoint("", interrupt)
    stop = debugged.resume()
    assert (stop.reason, stop.view.steps) == (Reason.INTERRUPT, 1024)


def test_going_over_packets_can_be_interrupted(debugged):
    debugged.interrupt()
    stop = debugged.resume(None)
    assert (stop.reason, stop.view.number, stop.view.end.keeps) == (Reason.INTERRUPT, 1, True)
    stop = debugged.next_packet(keeps=True)
    assert (stop.reason, stop.view.number) == (Reason.INTERRUPT, 2)
    debugged.forget_interrupt()
    assert debugged.next_packet(keeps=True).view.number == 3


COUNTER = """
r6 = 0
*(u32 *)(r10 - 4) = 0
r1 = map[fd:1]
r2 = r10
r2 += -4
call 1
if r0 == 0 goto out
r6 = *(u64 *)(r0 + 0)
r6 += 1
*(u64 *)(r0 + 0) = r6
out:
r0 = r6
exit
"""


def test_a_counter_counts_packets_once(tmp_path):
    code = extended(assemble_extended(COUNTER), [MapSpec(MapType.ARRAY, 4, 8, 1, name="seen")])
    debugged = session(tmp_path / "capture", [IP] * 40, code)
    for number in (1, 1, 7, 3, 40, 2, 39, 38, 20):
        debugged.select(number)
        debugged.step(5)
        debugged.back(2)
        stop = debugged.resume()
        assert stop.view.end.verdict == str(number)
        assert stop.view.maps[0] == ("seen", ((bytes(4), number.to_bytes(8, "little")),), 8)


def test_several_link_types(tmp_path):
    """Each packet has the program for its own link type; where there is none, nothing changes."""
    ethernet = write_capture(tmp_path / "a", [IP])
    packets = Packets(ethernet)
    record = packets.get(1)
    raw = record._replace(
        data=bytes([0x45]) + bytes(30),
        interface=type(record.interface)(0, 101, 0),
    )
    given = [record, raw, record]

    class Given(Packets):
        def get(self, number):
            return given[number - 1] if number <= len(given) else None

    known = {}

    def code_for(each):
        dlt = each.interface.dlt
        if dlt not in known:
            known[dlt] = ClassicCode(compile_text(text, dlt).instructions, text)
        return known[dlt]

    text = "ip"
    debugged = Session(Given(ethernet), code_for)
    stops = [debugged.resume() for _ in range(3)]
    assert [stop.view.end.keeps for stop in stops] == [True] * 3
    assert stops[0].view.code is stops[2].view.code is not stops[1].view.code
    text = "ether host 00:00:00:00:00:00"
    known.clear()
    debugged = Session(Given(ethernet), code_for)
    debugged.step()
    with pytest.raises(FilterError):
        debugged.next_packet()
    with pytest.raises(FilterError):
        debugged.next_packet(keeps=True)
    assert (debugged.number, debugged.view().steps) == (1, 1)
    stop = debugged.resume(None)
    assert (stop.reason, stop.view.number, len(stop.verdicts)) == (Reason.END, 1, 1)
    assert "ether host" in stop.note
    with pytest.raises(FilterError):
        debugged.resume()
    assert debugged.view() == stop.view
    assert debugged.select(3).view.number == 3


def test_an_empty_capture(tmp_path):
    with pytest.raises(CaptureError, match="there are no packets"):
        session(tmp_path / "capture", [], ClassicCode(assemble(CLASSIC)))
