"""`pfcompile draw`: an expression's tree, its graph after a pass, or its program, as a picture."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Final

import click

from pfcompile.cli import common, options
from pfcompile.cli.writing import output_option, write
from pfcompile.compiler import compile as compile_text
from pfcompile.errors import PfcompileError, ProgramError
from pfcompile.passes.observer import Recording
from pfcompile.passes.pipeline import PASS_NAMES

if TYPE_CHECKING:
    from pfcompile.ir.graph import Graph
    from pfcompile.pictures.model import Heat, Picture
    from pfcompile.program import Program

TREE: Final = "tree"
FINAL: Final = "final"
PROGRAM: Final = "program"
LOWER: Final = "lower"

STAGES: Final = (TREE, LOWER, *PASS_NAMES, FINAL, PROGRAM)

FORMATS: Final = ("text", "dot", "svg", "png")
_BY_SUFFIX: Final = {".txt": "text", ".dot": "dot", ".gv": "dot", ".svg": "svg", ".png": "png"}

_NARROW: Final = 80


@click.command("draw")
@click.option(
    "--stage",
    type=click.Choice(STAGES),
    default=FINAL,
    show_default=True,
    metavar="STAGE",
    help=f"What to draw: {', '.join(STAGES)}; of a pass, the graph after it.",
)
@click.option("--before", is_flag=True, help="Of a pass: the graph that it was given.")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(FORMATS),
    help="text, dot, svg or png. [as FILE's name ends, else text]",
)
@click.option("--dark", is_flag=True, help="A dark PNG; an SVG follows the reader's settings.")
@output_option
@click.option("-O", "no_optimize", is_flag=True, help="Do not optimise.")
@click.option(
    "-r",
    "inputs",
    multiple=True,
    metavar="IN",
    help="Show where the packets of these captures came to, and how many; for the graph with which "
    "a filter ends, or with -O begins.",
)
@options.link_type
@options.netmask
@options.expression_file
@options.no_names
@options.live
@options.savefile
@common.protochain_headers_option
@click.argument("words", nargs=-1, metavar="[EXPR]...")
def command(
    stage: str,
    before: bool,
    format_name: str | None,
    dark: bool,
    output: str | None,
    no_optimize: bool,
    inputs: tuple[str, ...],
    link_type: str | None,
    netmask: str | None,
    file: str | None,
    no_names: bool,
    live: bool,
    savefile_: bool,
    protochain_headers: int,
    words: tuple[str, ...],
) -> None:
    """Draw what becomes of EXPR: boxes are tests in the words of packet fields.

    Beside each test stands the part of EXPR that asked for it. Pictures other than text need
    `pip install 'pfcompile[pictures]'`, but for DOT.
    """
    if before and stage not in PASS_NAMES:
        raise click.UsageError("--before is for the stage of a pass")
    if format_name is None:
        format_name = _format_of(output)
    if dark and format_name != "png":
        raise click.UsageError("--dark is for a PNG")
    if format_name == "png" and output is None and sys.stdout is not None and sys.stdout.isatty():
        raise click.UsageError("a PNG is nothing for a terminal: give -o FILE")
    if inputs and (stage != FINAL or live or netmask is not None):
        raise click.UsageError("-r is for the final stage: leave out --stage, --live and -m")
    common.check_standard_input(*inputs, file)
    text = common.expression(words, file)
    heat = None
    try:
        if inputs:
            from pfcompile.cli.explaining.heat import counted  # noqa: PLC0415 - only for these
            from pfcompile.pictures.model import Heat  # noqa: PLC0415 - the same

            found = counted(
                inputs,
                text,
                link_type=link_type,
                optimize=not no_optimize,
                resolver=common.resolver(no_names=no_names),
                protochain_headers=protochain_headers,
            )
            link_type, savefile_ = str(found.dlt), True
            heat = Heat(found.blocks, found.edges)
        if stage == TREE:
            write(_drawn(_tree(text), format_name, output, dark=dark), output)
            return
        recording = Recording()
        program = compile_text(
            text,
            link_type or "EN10MB",
            netmask=netmask,
            optimize=not no_optimize,
            live=live,
            savefile=savefile_,
            resolver=common.resolver(no_names=no_names),
            protochain_headers=protochain_headers,
            max_instructions=None,
            observer=recording,
        )
        picture = _picture(recording, program, stage, before=before, heat=heat)
        write(_drawn(picture, format_name, output, dark=dark), output)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except PfcompileError as error:
        common.fail(error)


def _format_of(output: str | None) -> str:
    """Return the format that a file's name asks for."""
    suffix = "" if output is None else Path(output).suffix
    if suffix and suffix.lower() not in _BY_SUFFIX:
        msg = f"no format's names end in {suffix} ({', '.join(_BY_SUFFIX)} do): give --format"
        raise click.UsageError(msg)
    return _BY_SUFFIX.get(suffix.lower(), "text")


_EMPTY: Final = "an empty filter has no picture: it accepts every packet"


def _tree(text: str) -> Picture:
    """Return the picture of an expression's tree, which may be one that no packet can match."""
    from pfcompile.pictures.trees import picture_of_tree  # noqa: PLC0415 - only for this stage
    from pfcompile.syntax.parser import parse  # noqa: PLC0415 - the same

    expression = parse(text)
    if expression is None:
        raise ProgramError(_EMPTY)
    return picture_of_tree(expression, text)


def _picture(
    recording: Recording,
    program: Program,
    stage: str,
    *,
    before: bool,
    heat: Heat | None = None,
) -> Picture:
    from pfcompile.pictures import blocks  # noqa: PLC0415 - only where one is drawn

    text, dlt = program.text, program.dlt
    if recording.expression is None:
        raise ProgramError(_EMPTY)
    if stage == PROGRAM:
        from pfcompile.cbpf.provenance import trace  # noqa: PLC0415 - the same

        found = trace(recording.graph, program.snaplen, recording.lowered)
        return blocks.picture_of_program(found, dlt, text)
    graph, title = _graph(recording, stage, before=before)
    from pfcompile.cbpf.provenance import with_all_origins  # noqa: PLC0415 - the same

    graph = with_all_origins(graph, recording.lowered)
    return blocks.picture_of_graph(graph, dlt, text, title, heat)


def _graph(recording: Recording, stage: str, *, before: bool) -> tuple[Graph, str]:
    """Return a stage's graph and what to call it."""
    graphs = recording.graphs
    if stage == FINAL:
        return recording.graph, "the graph after all passes"
    places = [i for i, (name, _) in enumerate(graphs) if name == stage]
    if not places:
        raise ProgramError(f"{stage} did not run for this filter")
    if before:
        return graphs[places[0] - 1][1], f"the graph before {stage}"
    words = "as it was lowered" if stage == LOWER else f"after {stage}"
    return graphs[places[-1]][1], f"the graph {words}"


def _drawn(picture: Picture, format_name: str, output: str | None, *, dark: bool) -> str | bytes:
    match format_name:
        case "dot":
            from pfcompile.pictures.dot import dot  # noqa: PLC0415 - the same

            return dot(picture)
        case "svg":
            from pfcompile.pictures.svg import svg  # noqa: PLC0415 - the same

            return svg(picture)
        case "png":
            from pfcompile.pictures.png import png  # noqa: PLC0415 - the same
            from pfcompile.pictures.style import DARK, LIGHT  # noqa: PLC0415 - the same

            return png(picture, DARK if dark else LIGHT)
        case _:
            from pfcompile.pictures.text import text  # noqa: PLC0415 - the same

            on_terminal = output is None and sys.stdout is not None and sys.stdout.isatty()
            width = get_terminal_size((_NARROW, 0)).columns if on_terminal else 120
            return text(picture, width, colour=on_terminal and "NO_COLOR" not in os.environ)
