"""What happens around native code: faults, exceptions, budgets, threads, and code that is freed."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

from pfcompile.ebpf.asm import assemble
from pfcompile.ebpf.isa import Instruction
from pfcompile.ebpf.machine.code import Environment, Helper, Limits
from pfcompile.ebpf.machine.faults import BudgetError, Fault, RunError
from pfcompile.ebpf.machine.helpers import HELPERS, UNWIND
from pfcompile.ebpf.machine.interpreter import Machine
from pfcompile.ebpf.machine.starts import NoData, RawPacket, Xdp
from pfcompile.ebpf.maps.kinds import create
from pfcompile.ebpf.maps.vocabulary import MapSpec, MapType
from pfcompile.errors import ProgramError
from pfcompile.jit.conformance import run as run_for_conformance
from pfcompile.jit.native import native
from tests.jit.pairs import World, check, full_environment

CALL_IN_FRAME = assemble(
    "r6 = 5\nr1 = 1\ncall pc+2\nr0 += r6\nexit\n"
    "*(u64 *)(r10 - 8) = r1\nr6 = 9\nr0 = *(u64 *)(r10 - 16)\nr0 += r1\nexit"
)
RECURSION = assemble("r0 += 1\nlock *(u64 *)(r10 - 8) += r0\nif r0 >= 5 goto +1\ncall pc-4\nexit")
TOO_DEEP = assemble("r0 += 1\ncall pc-2\nexit")
LOOP = assemble(
    "r0 = 0\nr1 = 7\nr0 += r1\nr1 -= 1\n*(u64 *)(r10 - 8) = r0\nif r1 != 0 goto -4\nexit"
)


@pytest.mark.parametrize(
    "program", [CALL_IN_FRAME, RECURSION, TOO_DEEP, LOOP], ids=["call", "recursion", "deep", "loop"]
)
def test_every_budget(program):
    ways = set()
    for budget in (*range(12), *range(12, 45, 3)):
        note = f"budget {budget}"
        ways.add(check(program, lambda b=budget: World(NoData(), limits=Limits(b)), note)[0])
    assert "BudgetError" in ways
    assert len(ways) == 2


def test_frames_are_zeros_and_gone_after_the_call():
    # The first call leaves something and its frame's address; the second finds zeros there.
    text = (
        "call pc+5\nr7 = r0\ncall pc+6\nr6 = r0\nr0 = *(u64 *)(r7 - 8)\nexit\n"
        "*(u64 *)(r10 - 8) = 99\nr0 = r10\nexit\nr0 = *(u64 *)(r10 - 8)\nexit"
    )
    came = check(assemble(text), lambda: World(NoData()), text)
    assert came[:2] == ("RunError", 4)
    kept = assemble(text.replace("r0 = *(u64 *)(r7 - 8)\nexit", "r0 = r6\nexit", 1))
    assert check(kept, lambda: World(NoData()), text)[1] == 0


def test_a_function_sees_the_frame_of_its_caller():
    text = "*(u64 *)(r10 - 8) = 7\nr1 = r10\ncall pc+2\nr0 = *(u64 *)(r10 - 8)\nexit\n"
    text += "r1 += -8\nlock *(u64 *)(r1 + 0) += r1\nexit"
    assert check(assemble(text), lambda: World(NoData()), text)[0] == "ended"


def helping(function, **more):
    return Environment({**HELPERS, 77: Helper(77, "test", function)}, **more)


class Odd(BaseException):
    """Nothing that anybody catches."""


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, Odd, MemoryError])
@pytest.mark.parametrize("text", ["call 77\nexit", "call pc+1\nexit\ncall 77\nexit"])
def test_what_a_helper_raises_comes_out(kind, text):
    def helper(_run, *_):
        raise kind("from the helper")

    program = native(assemble(text), helping(helper))
    for _ in range(3):
        with pytest.raises(kind, match="from the helper"):
            program.run()
    assert native(assemble("r0 = 3\nexit")).run() == 3


def test_faults_of_helpers_name_the_call():
    def helper(_run, *_):
        raise Fault("no")

    for machine in (native, Machine):
        with pytest.raises(RunError) as caught:
            machine(assemble("r0 = 0\ncall 77\nexit"), helping(helper)).run()
        assert (caught.value.slot, caught.value.reason) == (1, "no")


def test_a_packet_cannot_be_resized_under_a_program():
    packet = bytearray(64)

    def helper(_run, *_):
        packet.extend(bytes(1 << 20))
        return 0

    program = native(assemble("call 77\nr0 = *(u8 *)(r1 + 63)\nexit"), helping(helper))
    with pytest.raises(BufferError):
        program.run(RawPacket(packet))
    packet.append(1)


def test_leaving_from_any_depth():
    environment = Environment({**HELPERS, UNWIND.number: UNWIND})
    text = "call pc+1\nexit\ncall pc+1\nexit\nr1 = 0x55\ncall 5\nr0 = 1\nexit"
    came = check(assemble(text), lambda: World(NoData(), environment=environment), text)
    assert came[:2] == ("ended", 0x55)
    # As often as wanted: what was left in the depth is gone.
    assert native(assemble(text), environment).repeat(NoData(), 50).result == 0x55


@pytest.mark.parametrize(
    "program",
    [(), (Instruction(0xFF),), assemble("r0 = 1\ncall 9999\nexit"), (Instruction(0xB7),)],
)
def test_what_is_no_program_is_refused_alike(program):
    messages = set()
    for make in (native, Machine):
        with pytest.raises(ProgramError) as caught:
            make(program)
        messages.add(str(caught.value))
    assert len(messages) == 1


def array_of(*programs):
    array = create(MapSpec(MapType.PROG_ARRAY, 4, 4, 8))
    for place, program in enumerate(programs):
        array.put(place, program)
    return array


def tail_calling(text, array, budget=1000, tail_calls=33):
    program = assemble(text)
    at = next(slot for slot, one in enumerate(program) if one.code == 0x18)
    program = (
        *program[:at], Instruction(0x18, 2, 1, imm=1), Instruction(0), *program[at + 2 :],
    )  # fmt: skip
    environment = Environment(HELPERS, maps={1: array})
    limits = Limits(budget, tail_calls)
    return program, environment, limits


TO_THE_FIRST = "r6 = 3\nr2 = 1 ll\nr3 = 0\ncall 12\nr0 += 100\nexit"
IN_A_FUNCTION = "r6 = 3\ncall pc+2\nr0 += r6\nexit\nr6 = 4\nr2 = 1 ll\nr3 = 0\ncall 12\nexit"


@pytest.mark.parametrize("text", [TO_THE_FIRST, IN_A_FUNCTION])
def test_tail_calls(text):
    other = native(assemble("r0 = r6\nr0 += 40\nlock *(u64 *)(r10 - 8) += r0\nexit"))
    array = array_of(other)
    results = set()
    for budget in range(18):
        program, environment, limits = tail_calling(text, array, budget)

        def make(environment=environment, limits=limits):
            return World(NoData(), environment=environment, limits=limits)

        results.add(check(program, make, f"budget {budget}")[:2])
    assert ("ended", 43 if text == TO_THE_FIRST else 47) in results
    assert len(results) > 3


def test_faults_in_the_program_that_a_tail_call_went_to():
    other = native(assemble("r0 = 1\nr0 = *(u8 *)(r0 + 0)\nexit"))
    program, environment, limits = tail_calling(IN_A_FUNCTION, array_of(other))
    came = check(program, lambda: World(NoData(), environment=environment, limits=limits), "")
    assert came[:2] == ("RunError", 1)


def test_tail_calls_to_itself_end_at_the_limit_however_many():
    for tail_calls in (0, 3, 100_000):
        array = array_of()
        program, environment, limits = tail_calling(
            "r2 = 1 ll\nr3 = 0\ncall 12\nr0 = 9\nexit", array, 10**7, tail_calls
        )
        compiled = native(program, environment, limits)
        array.put(0, compiled)
        ended = compiled.execute()
        assert ended.result == 9
        assert ended.instructions == 3 * (tail_calls + 1) + 2


def test_tail_calls_between_the_machines():
    """The interpreter goes on with a native program's steps; native code needs native code."""
    array = array_of(native(assemble("r0 = 8\nexit")), Machine(assemble("r0 = 9\nexit")))
    program, environment, limits = tail_calling(TO_THE_FIRST, array)
    assert Machine(program, environment, limits).run() == 8
    assert native(program, environment, limits).run() == 8
    second, environment, limits = tail_calling(TO_THE_FIRST.replace("r3 = 0", "r3 = 1"), array)
    with pytest.raises(RunError, match="instruction 4: a tail call from native code"):
        native(second, environment, limits).run()


def test_repeat_begins_anew_each_time():
    text = "r0 = *(u64 *)(r10 - 8)\n*(u64 *)(r10 - 8) = 1\nlock *(u64 *)(r1 + 0) += r2\nexit"
    packet = bytearray(8)
    timed = native(assemble(text)).repeat(RawPacket(packet), 1000)
    assert timed.result == 0
    assert int.from_bytes(packet, "little") == 8 * 1000
    assert 0 < timed.nanoseconds < 1e6
    with pytest.raises(BudgetError):
        native(assemble("goto -1\nexit")).repeat(NoData(), 3)


@pytest.mark.parametrize("times", [0, -1, 1 << 64])
def test_repeat_takes_only_counts(times):
    packet = bytearray(1)
    program = native(assemble("*(u8 *)(r1 + 0) = 1\nexit"))
    with pytest.raises(ProgramError, match=f"not {times} times"):
        program.repeat(RawPacket(packet), times)
    assert packet == b"\0"


def test_threads_at_once():
    """Many runs of one program, with helpers, maps and faults among them, all at the same time."""
    environment, _ = full_environment()
    text = (
        "r6 = r1\nr7 = *(u8 *)(r1 + 0)\ncall 8\nr0 += r7\nif r7 < 250 goto +1\n"
        "r0 = *(u8 *)(r6 + 99)\nexit"
    )
    program = native(assemble(text), environment)
    wrong = []

    def work(first):
        for turn in range(400):
            value = (first * 7 + turn) % 256
            try:
                result = program.run(RawPacket(bytes([value]) * 9))
            except RunError as error:
                result = -error.slot
            if result != (value if value < 250 else -5):
                wrong.append((value, result))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_atomic_additions_of_threads_all_count():
    text = "r3 = 100000\nlock *(u64 *)(r1 + 0) += r2\nr3 -= 1\nif r3 != 0 goto -3\nr0 = 0\nexit"
    program = native(assemble(text))
    packet = bytearray(8)
    threads = [threading.Thread(target=program.run, args=(RawPacket(packet),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert int.from_bytes(packet, "little") == 3 * 100_000 * 8


def test_python_goes_on_while_native_code_runs():
    # What it computes depends on each turn before, so that no optimiser foresees the end.
    turn = "r2 = r1\nr2 <<= 13\nr1 ^= r2\nr2 = r1\nr2 >>= 7\nr1 ^= r2\nif r1 != 0 goto -7\nexit"
    program = native(assemble(f"r1 = 1\n{turn}"), limits=Limits(1_000_000_000))
    ended = []

    def work():
        try:
            program.run()
        except BudgetError as error:
            ended.append(error.slot)

    thread = threading.Thread(target=work)
    thread.start()
    count = 0
    while thread.is_alive():
        count += 1
    # With the lock held there would be a turn or two before and after.
    assert count > 1000
    assert len(ended) == 1


def test_code_is_freed_with_its_program():
    program = native(assemble("call 8\nexit"))
    program.run()
    engine, close = weakref.ref(program.code.engine), program.code.engine.close
    assert close.alive
    del program
    gc.collect()
    assert engine() is None
    assert not close.alive


def test_code_outlives_its_program_while_a_run_needs_it():
    """A program that a tail call goes to is dropped from its array while it runs."""
    held = []

    def drop(_run, *_):
        array.delete(bytes(4))
        gc.collect()
        held.append(engine() is not None)
        return 5

    other = native(assemble("call 77\nr0 += 1\nexit"), helping(drop))
    engine = weakref.ref(other.code.for_tail_calls.engine)
    array = array_of(other)
    del other
    program, environment, limits = tail_calling(TO_THE_FIRST, array)
    assert native(program, environment, limits).run() == 6
    assert held == [True]
    gc.collect()
    assert engine() is None


def test_the_conformance_runner():
    assert run_for_conformance(assemble("r0 = *(u8 *)(r1 + 2)\nr0 += r2\nexit"), b"abc") == 102
    assert run_for_conformance(assemble("r0 = r1\nr0 |= r2\nexit"), b"") == 0
    with pytest.raises(ProgramError):
        run_for_conformance(assemble("r0 = *(u8 *)(r1 + 3)\nexit"), b"abc")


def test_a_start_that_cannot_be_made_leaves_the_program_usable():
    program = native(assemble("r0 = 2\nexit"))
    with pytest.raises(TypeError):
        program.run(Xdp(None))
    assert program.run(Xdp(bytes(14))) == 2


def test_every_call_of_a_function_has_bounded_jumps_of_its_own():
    text = (
        "r7 = 0\nmay_goto +3\nr7 += 1\nif r7 == 3 goto +1\ngoto -4\ncall pc+8\nr6 = r0\n"
        "may_goto +2\nr7 += 1\ngoto -3\nr6 *= 100\nr0 = r6\nr0 += r7\nexit\n"
        "r0 = 0\nmay_goto +2\nr0 += 1\ngoto -3\nexit"
    )
    came = check(assemble(text), lambda: World(NoData(), limits=Limits(1000, loops=5)), text)
    assert came[:2] == ("ended", 505)


def test_immediates_after_a_tail_call_of_a_function_are_those_of_their_program():
    table = create(MapSpec(MapType.HASH, 4, 4, 4))
    other = native(
        (Instruction(0x18, 1, 1, imm=1), Instruction(0), *assemble("r0 = 5\nexit")),
        Environment(HELPERS, maps={1: table}),
    )
    program = (
        *assemble("call pc+2\ncall pc+6\nexit"),
        Instruction(0x18, 2, 1, imm=1), Instruction(0), *assemble("r3 = 0\ncall 12\nexit"),
        Instruction(0x18, 1, 3, imm=1), Instruction(0), *assemble("r0 = *(u8 *)(r1 + 0)\nexit"),
    )  # fmt: skip
    variables = {1: bytearray(b"\x2a")}
    environment = Environment(HELPERS, maps={1: array_of(other)}, variables=variables)
    came = check(program, lambda: World(NoData(), environment=environment), "")
    assert came[:2] == ("ended", 42)


@pytest.mark.parametrize("distance", [0, 4, 8, 1, -16, 800, -800])
def test_calls_of_addresses_that_are_no_instructions(distance):
    """Slot 5 is one; in between, in the second half of a load and outside there is none."""
    program = (
        Instruction(0x18, 3, 4, imm=4), Instruction(0), Instruction(0x07, 3, imm=distance),
        Instruction(0x8D, 3), Instruction(0x95), Instruction(0xB7, 0, imm=6), Instruction(0x95),
    )  # fmt: skip
    came = check(program, lambda: World(NoData()), f"distance {distance}")
    assert came[0] == ("ended" if distance in {0, 8} else "RunError")
