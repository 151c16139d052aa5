"""An expression or a program that `pfcompile debug` is given, made ready to be stepped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pfcompile.cbpf.provenance import trace
from pfcompile.cli import operand, programs
from pfcompile.cli.runners import find_place
from pfcompile.compiler import compile as compile_text
from pfcompile.debugger.classic import ClassicCode
from pfcompile.debugger.extended import ExtendedCode
from pfcompile.debugger.machines import End
from pfcompile.ebpf.machine.code import Environment
from pfcompile.ebpf.machine.helpers import HELPERS
from pfcompile.passes.observer import Recording
from pfcompile.program import Program

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pfcompile.captures.formats.records import Record
    from pfcompile.cli.programs import Extended, Given
    from pfcompile.cli.runners import Place
    from pfcompile.debugger.machines import Code
    from pfcompile.errors import Span
    from pfcompile.names.answers import Resolver


def given_program(
    words: Sequence[str] | str,
    *,
    family: str | None = None,
    name: str | None = None,
    target: str | None = None,
) -> operand.Expression | Given:
    """Return what the words of a command line stand for: an expression, or a program.

    Args:
        words: The words; as a `str`, the text of an expression.
        family: Of a program in a file: "classic" or "extended"; None where the file tells.
        name: Of an object file's programs, which one.
        target: What an extended program is run as.

    Raises:
        ProgramError: A program cannot be read.
        FilterError: It is neither an expression nor a program.
    """
    if isinstance(words, str):
        return operand.Expression(words)
    about_files = family is not None or name is not None or target is not None
    if len(words) != 1:
        return operand.Expression(" ".join(words))
    found = operand.classify(words[0])
    if about_files and not isinstance(found, operand.File):
        found = operand.File(words[0])
    match found:
        case operand.Expression():
            return found
        case operand.File(file):
            return programs.read_program(file, family, name=name, target=target)
        case operand.Text():
            return _classic(operand.load(found))


def _classic(loaded: operand.Expression | operand.Given) -> operand.Expression | Program:
    if isinstance(loaded, operand.Expression):
        return loaded
    return programs.classic(loaded.instructions)


def codes(
    given: operand.Expression | Given,
    *,
    netmask: str | None,
    optimize: bool,
    resolver: Resolver,
) -> Callable[[Record], Code]:
    """Return what gives the program for a packet.

    An expression is compiled for each link type when its first packet comes; a program is the same
    for all.

    Raises:
        ProgramError: The program is not valid, or wants what there is not.
    """
    if isinstance(given, Program):
        only: Code = ClassicCode(given.instructions)
        return lambda _: only
    if not isinstance(given, operand.Expression):
        extended = _extended(given)
        return lambda _: extended
    known: dict[int, Code] = {}
    text = given.text

    def code_for(record: Record) -> Code:
        interface = record.interface
        dlt = interface.dlt
        if dlt not in known:
            recording = Recording()
            program = compile_text(
                text,
                dlt,
                interface.filter_snaplen,
                netmask,
                optimize,
                savefile=True,
                resolver=resolver,
                max_instructions=None,  # no kernel is to run it
                observer=recording,
            )
            known[dlt] = ClassicCode(program.instructions, text, _origins(program, recording))
        return known[dlt]

    return code_for


def _origins(program: Program, recording: Recording) -> Sequence[tuple[Span, ...]]:
    """Return for each instruction the parts of the expression that it is there for."""
    if not recording.graphs:  # a blank expression
        return ()
    found = trace(recording.graph, program.snaplen, recording.lowered)
    assert found.instructions == program.instructions
    return tuple(found.origins(position) for position in range(len(program.instructions)))


def _extended(given: Extended) -> ExtendedCode:
    place = find_place(given.program.target)
    environment = Environment(HELPERS) if given.source is None else given.source.environment()
    return ExtendedCode(given.program, environment, place.start, _judge(place))


def _judge(place: Place) -> Callable[[int], End]:
    """Return what says how a program has ended that has returned something."""

    def judge(result: int) -> End:
        verdict = place.verdict(result)
        return End(verdict.name, verdict.keeps)

    return judge
