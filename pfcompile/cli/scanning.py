"""What `filter` and `split` do alike: filter captures with one or several expressions at once."""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypeVar

import click

from pfcompile.captures.filtering import Plan, Tally, filter_captures
from pfcompile.captures.folders import expand
from pfcompile.captures.output import STANDARD_OUTPUT, is_same_file, raise_between_writes
from pfcompile.captures.sources.inputs import STANDARD_INPUT, local_path
from pfcompile.cli import common, standard_output
from pfcompile.cli.progress import ProgressBar
from pfcompile.errors import CaptureError, FilterError, PfcompileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from types import FrameType

    from pfcompile.captures.blocks.scans import Wanted
    from pfcompile.captures.filtering import Destination
    from pfcompile.captures.sources.inputs import Source
    from pfcompile.files import Programs
    from pfcompile.program import Program

STATUS_SIGNAL: Final = 128
"""What shells add the number of the signal to that has ended a command."""

_WORTH_A_RATE: Final = 100_000
"""Packets from which on a rate says something: of fewer, most of the time is the start's."""

OpenDestinations: TypeAlias = (
    "Callable[[Callable[[PfcompileError], None]], AbstractContextManager[Sequence[Destination]]]"
)
"""Opens what takes packets, one for each expression; given what tells an error that does not end
the command, which then fails in the end."""

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
        help="Map files into memory instead of reading them: mostly faster, and fatal if a file is "
        "cut meanwhile.",
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


class Scan(NamedTuple):
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
        open_destinations: OpenDestinations,
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
        self._check_usage(sources, outputs)
        tally = Tally.of(len(texts), extents=wanted.times)
        status = 0
        bar = ProgressBar(sources, wanted=not (wanted.copies and _prints(outputs)))

        def on_error(error: PfcompileError) -> None:
            nonlocal status
            status = common.STATUS_FAILED
            bar.close()
            common.complain(error)

        try:
            with ended_like_interrupted():
                programs = self._programs(texts, wanted, bar)
                for each in unreadable:
                    on_error(each)
                plan = Plan(limit, self.jobs, programs.scans, bar.update, self.mapped)
                with bar, open_destinations(on_error) as destinations:
                    filter_captures(
                        sources, destinations, programs, tally=tally, on_damage=on_error, plan=plan
                    )
                report(tally)
                standard_output.flush()
        except FilterError as error:
            click.echo(f"pfcompile: {_which(error, texts)}{error}", err=True)
            sys.exit(common.STATUS_USAGE)
        except BrokenPipeError:
            common.forget_standard_output()
            sys.exit(status)
        except KeyboardInterrupt as interrupt:
            ended_by = interrupt.number if isinstance(interrupt, EndedError) else signal.SIGINT
            status = STATUS_SIGNAL + ended_by
        except PfcompileError as error:
            common.complain(error)
            status = common.STATUS_FAILED
        standard_output.flush_or_forget()
        click.echo(summary(tally), err=True)
        sys.exit(status)

    def _check_usage(self, inputs: Sequence[Source], outputs: Sequence[str | None]) -> None:
        """Refuse what cannot be meant, before anything is opened for writing."""
        common.check_standard_input(*inputs)
        for output in outputs:
            if output is not None:
                _check_output(output, inputs)

    def _programs(self, texts: Sequence[str], wanted: Wanted, bar: ProgressBar) -> Programs:
        """Return what compiles the expressions for a link type, and runs them."""
        # Here, so that `--help` and usage errors do not wait for the compiler to load.
        from pfcompile.compiler import compile as compile_filter  # noqa: PLC0415
        from pfcompile.files import Engine, Programs  # noqa: PLC0415

        resolver = common.resolver(no_names=self.no_names)

        def compiler(text: str) -> Callable[[int, int], Program]:
            def compiled(dlt: int, file_snaplen: int) -> Program:
                bar.close()  # a slow look-up may be told of
                return compile_filter(
                    text,
                    link_type=dlt,
                    snaplen=self.snaplen or file_snaplen,
                    optimize=not self.no_optimize,
                    savefile=True,
                    resolver=resolver,
                    protochain_headers=self.protochain_headers,
                    max_instructions=None,  # no kernel is to run it
                )

            return compiled

        def complain(reason: str) -> None:
            bar.close()
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


def _check_output(output: str, inputs: Sequence[Source]) -> None:
    """Refuse an output that cannot be meant, or that could never be opened."""
    if output == STANDARD_OUTPUT:
        if sys.stdout is not None and sys.stdout.isatty():
            raise click.UsageError("a capture is not written to a terminal")
    elif not (folder := Path(output).parent).is_dir():
        common.fail(CaptureError(f"cannot be written: there is no folder {folder}", output))
    for each in inputs:
        path = STANDARD_INPUT if each == STANDARD_INPUT else local_path(each)
        if path is not None and is_same_file(output, path):
            raise click.UsageError(f"-w {output} would overwrite the input {each}")


def _prints(outputs: Sequence[str | None]) -> bool:
    """Tell whether something may be printed where a person sees it, or by who reads it."""
    if not any(each in {None, STANDARD_OUTPUT} for each in outputs) or sys.stdout is None:
        return False
    try:
        return not stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode)
    except (OSError, ValueError):
        return True


def _which(error: FilterError, texts: Sequence[str]) -> str:
    """Return which of several expressions an error is about."""
    if len(texts) == 1 or error.text not in texts:
        return ""
    return f"expression {texts.index(error.text) + 1} of {len(texts)}: "


class EndedError(KeyboardInterrupt):
    """A signal has come that ends a command as an interrupt does."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def ended_like_interrupted() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block by an exception, so that whole files are left.

    Where somebody else handles or ignores them, as with nohup, they are left alone; so they are
    outside of the main thread, where Python allows no handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _frame: FrameType | None) -> None:
        raise_between_writes(EndedError(number))

    changed = []
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                changed.append(number)
                signal.signal(number, end)
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


def summary(tally: Tally) -> str:
    """Return what is said at the end about the packets."""
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
