"""`pfcompile explain EXPR`: what an expression means, in words, and what may surprise about it.

The explanation goes to standard output. Exit status: 0; with --strict 1 where there is a warning
(notes do not count); 2 for a bad expression or usage.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Final

import click
from click.core import ParameterSource

from pfcompile.cli import common, options
from pfcompile.cli.explaining.failing import fail
from pfcompile.errors import PfcompileError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pfcompile.explain import Explanation, FilterWarning
    from pfcompile.explain.codes import Code

STATUS_WARNED: Final = 1
_LONGEST_PROOF: Final = 3600
_DEFAULT_LINK_TYPE: Final = "EN10MB"


@click.command("explain")
@options.link_type
@options.expression_file
@options.snaplen
@options.netmask
@options.no_names
@options.live
@options.savefile
@common.protochain_headers_option
@options.report_format
@click.option(
    "-r",
    "inputs",
    multiple=True,
    metavar="IN",
    help="Count, in these captures or folders, how many packets came to each term and test.",
)
@click.option("-O", "no_optimize", is_flag=True, help="With -r: count the graph as written.")
@click.option(
    "--engine",
    type=click.Choice(["auto", "native", "interp"]),
    default="auto",
    show_default=True,
    help="With -r: what counts; auto goes by the size.",
)
@click.option(
    "-j",
    "jobs",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="With -r: count with N threads, where native code does.",
)
@click.option("--strict", is_flag=True, help="Exit with status 1 if there is a warning.")
@click.option("--code", "wanted", metavar="CODES", help="Only these, as in PF111,PF112.")
@click.option("--ignore", "unwanted", metavar="CODES", help="All but these.")
@click.option("--notes", is_flag=True, help="Print notes as well, on limits that seldom matter.")
@click.option(
    "--timeout",
    type=click.IntRange(0, _LONGEST_PROOF),
    default=2,
    metavar="SECONDS",
    show_default=True,
    help="How long the proofs may take, 0 for none.",
)
@click.argument("words", nargs=-1, metavar="[EXPR]...")
def command(
    link_type: str | None,
    file: str | None,
    snaplen: int,
    netmask: str | None,
    no_names: bool,
    live: bool,
    savefile_: bool,
    protochain_headers: int,
    format_name: str,
    inputs: tuple[str, ...],
    no_optimize: bool,
    engine: str,
    jobs: int,
    strict: bool,
    wanted: str | None,
    unwanted: str | None,
    notes: bool,
    timeout: int,
    words: tuple[str, ...],
) -> None:
    """Explain EXPR: how it is read, what each term looks for, and what may surprise.

    With -r, count instead what it did with captures: how many packets came to each term and to each
    test, and where they were turned away.

    Warnings have codes, which docs/warnings.md describes. Some are decided by proofs, with z3.

    Exit status: 0; 1 with --strict where there is a warning; 2 for a bad expression.
    """
    common.need_standard_output()
    codes = _codes(wanted, unwanted)
    common.check_standard_input(*inputs, file)
    text = common.expression(words, file)
    odd = _given(_NOT_WITH_CAPTURES if inputs else _ONLY_WITH_CAPTURES)
    if odd and inputs:
        raise click.UsageError(
            "-r counts by the link types of the captures, and gives no warnings: "
            f"leave out {', '.join(odd)}"
        )
    if odd:
        raise click.UsageError(f"{', '.join(odd)}: only with -r, which counts packets")
    if inputs:
        from pfcompile.cli.explaining.hits import Request  # noqa: PLC0415 - as below

        Request(
            inputs=inputs,
            text=text,
            optimize=not no_optimize,
            snaplen=snaplen,
            resolver=common.resolver(no_names=no_names),
            protochain_headers=protochain_headers,
            engine=engine,
            jobs=jobs,
            format_name=format_name,
        ).run()
        return
    try:
        from pfcompile.explain import explain  # noqa: PLC0415 - --help needs none of it

        explanation = explain(
            text,
            link_type or _DEFAULT_LINK_TYPE,
            snaplen,
            netmask=netmask,
            live=live,
            savefile=savefile_,
            resolver=common.resolver(no_names=no_names),
            protochain_headers=protochain_headers,
            seconds=timeout,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except PfcompileError as error:
        fail(error, format_name)
    chosen = [each for each in explanation.warnings if each.code in codes]
    _print(explanation, chosen, format_name, notes=notes)
    if strict and any(_is_warning(each) for each in chosen):
        sys.exit(STATUS_WARNED)


_NOT_WITH_CAPTURES: Final = frozenset(
    {"link_type", "netmask", "live", "strict", "wanted", "unwanted", "notes", "timeout"}
)
_ONLY_WITH_CAPTURES: Final = frozenset({"no_optimize", "engine", "jobs"})


def _given(names: frozenset[str]) -> list[str]:
    """Return the options of some names that stand on the command line."""
    context = click.get_current_context()
    return [
        each.opts[0]
        for each in context.command.params
        if each.name in names
        and context.get_parameter_source(each.name) is ParameterSource.COMMANDLINE
    ]


def _is_warning(each: FilterWarning) -> bool:
    from pfcompile.explain import Level  # noqa: PLC0415 - as above

    return each.level is Level.WARNING


def _codes(wanted: str | None, unwanted: str | None) -> frozenset[str]:
    """Return the codes of the warnings to show; raises UsageError for one that does not exist."""
    from pfcompile.explain.codes import BY_CODE  # noqa: PLC0415 - as above

    chosen = set(BY_CODE) if wanted is None else _known(wanted, BY_CODE)
    return frozenset(chosen - (set() if unwanted is None else _known(unwanted, BY_CODE)))


def _known(text: str, known: Mapping[str, Code]) -> set[str]:
    codes = {word.strip().upper() for word in text.split(",") if word.strip()}
    for code in sorted(codes):
        if code not in known:
            from pfcompile.syntax.spelling import nearest  # noqa: PLC0415 - for mistakes

            near = nearest(code, known)
            hint = f": did you mean {' or '.join(near)}?" if near else f": {', '.join(known)}"
            raise click.UsageError(f"there is no warning {code}{hint}")
    return codes


def _print(
    explanation: Explanation, chosen: Sequence[FilterWarning], format_name: str, *, notes: bool
) -> None:
    if format_name == "json":
        from pfcompile.explain.as_json import as_data  # noqa: PLC0415 - this format only

        data = as_data(explanation)
        codes = {each.code for each in chosen}
        data["warnings"] = [each for each in data["warnings"] if each["code"] in codes]
        click.echo(json.dumps(data, indent=2))
        return
    from pfcompile.cli.explaining.text import print_explanation  # noqa: PLC0415 - loads rich

    shown = [each for each in chosen if notes or _is_warning(each)]
    print_explanation(explanation, shown, len(chosen) - len(shown))
