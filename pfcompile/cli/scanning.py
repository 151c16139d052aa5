"""What `filter` and `split` do alike: filter captures with one or several expressions at once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from pfcompile.captures.filtering import Plan, Tally, filter_captures
from pfcompile.captures.folders import expand
from pfcompile.captures.inputs import STANDARD_INPUT, local_path
from pfcompile.captures.output import STANDARD_OUTPUT, is_same_file
from pfcompile.cli import common, standard_output
from pfcompile.cli.progress import ProgressBar
from pfcompile.errors import FilterError, PfcompileError
from pfcompile.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from pfcompile.captures.filtering import Destination
    from pfcompile.captures.inputs import Source
    from pfcompile.captures.scans import Wanted
    from pfcompile.files import Programs
    from pfcompile.program import Program

STATUS_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells say it

_WORTH_A_RATE: Final = 100_000
"""Packets from which on a rate says something: of fewer, most of the time is the start's."""

_Command = TypeVar("_Command", bound="Callable[..., Any]")

_OPTIONS: Final = (
    click.option(
        "-r",
        "inputs",
        multiple=True,
        required=True,
        metavar="IN",
        help="Read this file, all captures in this folder, or a URL, compressed or not; "
        "'-' is stdin.",
    ),
    click.option(
        "--engine",
        type=click.Choice(["auto", "native", "interp"]),
        default="auto",
        show_default=True,
        help="Run the filter as native code, or interpret it; auto goes by the size.",
    ),
    click.option(
        "-j",
        "jobs",
        type=click.IntRange(min=1),
        default=1,
        metavar="N",
        help="Scan with N threads, where native code does; the output is the same.",
    ),
    click.option(
        "--mmap",
        "mapped",
        is_flag=True,
        help="Map files into memory instead of reading them (with -j 1): faster where packets are "
        "small, slower where they are not, and fatal if a file is cut meanwhile.",
    ),
    click.option(
        "--no-cache",
        is_flag=True,
        help="Take no native code from ~/.cache/pfcompile, and keep none there.",
    ),
    click.option("-O", "no_optimize", is_flag=True, help="Do not optimize the filter."),
    click.option(
        "-s",
        "snaplen",
        type=click.IntRange(min=1, max=(1 << 31) - 1),
        metavar="BYTES",
        help="Snapshot length the filter is compiled for (packets are not cut).",
    ),
    click.option("-n", "no_names", is_flag=True, help="Look no names up in the expression."),
    common.protochain_headers_option,
)


def scan_options(command: _Command) -> _Command:
    """Give a command the options of scans, which it passes on to `Scan`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Scan:
    """What a command line asks for; the fields are the options above."""

    inputs: tuple[str, ...]
    engine: str
    jobs: int
    mapped: bool
    no_cache: bool
    no_optimize: bool
    snaplen: int | None
    no_names: bool
    protochain_headers: int

    def run(
        self,
        texts: Sequence[str],
        outputs: Sequence[str | None],
        open_destinations: Callable[[], AbstractContextManager[Sequence[Destination]]],
        wanted: Wanted,
        *,
        limit: int | None = None,
        report: Callable[[Tally], None],
    ) -> None:
        """Filter, and end the process.

        Args:
            texts: The expressions.
            outputs: Where each one's packets go; None for standard output as text.
            open_destinations: Opens what takes them.
            wanted: What is wanted of packets beside their number.
            limit: Stop after this many matches.
            report: Prints what is asked for, once all is read.
        """
        unreadable: list[PfcompileError] = []
        sources = expand(self.inputs, unreadable.append)
        _check_usage(sources, outputs)
        tally = Tally.of(len(texts), extents=wanted.times)
        status = 0

        def on_damage(error: PfcompileError) -> None:
            nonlocal status
            status = common.STATUS_FAILED
            bar.close()
            common.complain(error)

        lines = wanted.copies and any(each in {None, STANDARD_OUTPUT} for each in outputs)
        bar = ProgressBar(sources, wanted=not lines)
        try:
            programs = self._programs(texts, wanted)
            for each in unreadable:
                on_damage(each)
            plan = Plan(limit, self.jobs, programs.scans, bar.update, self.mapped)
            with bar, open_destinations() as destinations:
                filter_captures(
                    sources, destinations, programs, tally=tally, on_damage=on_damage, plan=plan
                )
            report(tally)
            standard_output.flush()
        except FilterError as error:
            common.complain(error)
            sys.exit(common.STATUS_USAGE)
        except BrokenPipeError:
            common.forget_standard_output()
            sys.exit(status)
        except KeyboardInterrupt:
            status = STATUS_INTERRUPTED
        except PfcompileError as error:
            common.complain(error)
            status = common.STATUS_FAILED
        standard_output.flush_or_forget()
        click.echo(_summary(tally), err=True)
        sys.exit(status)

    def _programs(self, texts: Sequence[str], wanted: Wanted) -> Programs:
        """Return what compiles the expressions for a link type, and runs them."""
        # Here, so that `--help` and usage errors do not wait for the compiler to load.
        from pfcompile.compiler import compile as compile_filter  # noqa: PLC0415
        from pfcompile.files import Engine, Programs  # noqa: PLC0415

        resolver = common.resolver(no_names=self.no_names)

        def compiler(text: str) -> Callable[[int, int], Program]:
            def compiled(dlt: int, file_snaplen: int) -> Program:
                return compile_filter(
                    text,
                    link_type=dlt,
                    snaplen=self.snaplen or file_snaplen,
                    optimize=not self.no_optimize,
                    savefile=True,
                    resolver=resolver,
                    protochain_headers=self.protochain_headers,
                )

            return compiled

        def complain(reason: str) -> None:
            click.echo(f"pfcompile: {reason}", err=True)

        return Programs(
            [compiler(text) for text in texts],
            Engine(self.engine),
            wanted=wanted,
            cached=not self.no_cache,
            complain=complain,
        )


def counted(number: int, what: str) -> str:
    """Return a number of things in words."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def _check_usage(inputs: Sequence[Source], outputs: Sequence[str | None]) -> None:
    """Refuse what cannot be meant, before anything is opened for writing."""
    if inputs.count(STANDARD_INPUT) > 1:
        raise click.UsageError("standard input can be read only once")
    for output in outputs:
        if output == STANDARD_OUTPUT and sys.stdout is not None and sys.stdout.isatty():
            raise click.UsageError("a capture is not written to a terminal")
        for each in inputs:
            path = STANDARD_INPUT if each == STANDARD_INPUT else local_path(each)
            if output is not None and path is not None and is_same_file(output, path):
                raise click.UsageError(f"-w {output} would overwrite the input {each}")


def _summary(tally: Tally) -> str:
    stats = tally.stats()
    matched = " + ".join(map(str, tally.counts))
    matched_bytes = counted(stats.matched_bytes, "byte")
    if len(tally.counts) > 1:
        matched_bytes = " + ".join(map(str, tally.count_bytes)) + " bytes"
    rate = ""
    if stats.packets >= _WORTH_A_RATE:
        rate = f", {stats.packets / stats.seconds / 1e6:.3g} Mpps"
    return (
        f"{counted(stats.packets, 'packet')} read ({counted(stats.bytes, 'byte')}), "
        f"{matched} matched ({matched_bytes}), {stats.seconds:.3f} s{rate}"
    )
