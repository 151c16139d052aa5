"""From the text of an expression to a program: the whole way, spelled out once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.cbpf.generate import generate, measure
from pfcompile.cbpf.isa import MAX_INSTRUCTIONS, Instruction, Op
from pfcompile.errors import FilterError
from pfcompile.facts import link_types
from pfcompile.facts.link_layouts import layout
from pfcompile.ir.arithmetic import WORD
from pfcompile.ir.graph import Reject
from pfcompile.lower.context import (
    DEFAULT_PROTOCHAIN_HEADERS,
    NETMASK_UNKNOWN,
    Options,
    Source,
)
from pfcompile.lower.lowering import check_operands, is_left_as_written, lower
from pfcompile.names.resolvers import SystemResolver
from pfcompile.passes.fold import check_arithmetic
from pfcompile.passes.observer import observed
from pfcompile.passes.pipeline import shorten, simplify
from pfcompile.program import Program
from pfcompile.syntax.parser import Unfinished, parse_partly

if TYPE_CHECKING:
    from pfcompile.ir.graph import Graph
    from pfcompile.names.answers import Resolver
    from pfcompile.passes.observer import Observer
    from pfcompile.syntax import tree

DEFAULT_SNAPLEN = 262144
"""What tcpdump captures of a packet at most, and returns from its filters."""

VERIFY_SECONDS: Final = 30.0
"""How long a proof may take: what is proved at all is mostly proved in a tenth of a second."""

_LONGEST_PROOF: Final = 1_000_000.0
"""Seconds; z3 takes a limit of 32 bits, in milliseconds."""


def compile(  # noqa: A001 - the interface's word, as in `re.compile`
    text: str,
    link_type: str | int = "EN10MB",
    snaplen: int = DEFAULT_SNAPLEN,
    netmask: int | str | None = None,
    optimize: bool = True,
    *,
    live: bool = False,
    savefile: bool = False,
    resolver: Resolver | None = None,
    protochain_headers: int = DEFAULT_PROTOCHAIN_HEADERS,
    verify: bool = False,
    verify_seconds: float = VERIFY_SECONDS,
    max_instructions: int | None = MAX_INSTRUCTIONS,
    observer: Observer | None = None,
) -> Program:
    """Return the program for a filter expression.

    Args:
        text: The expression; empty or blank for one that every packet matches.
        link_type: Name (with or without DLT_ or LINKTYPE_) or DLT value.
        snaplen: What the program returns for a match, 1 to 2**32 - 1.
        netmask: Of the interface's IPv4 network, for `ip broadcast`: "255.255.255.0" or a number.
        optimize: Whether to optimise; without, what no packet can match compiles as well.
        live: For a live capture on Linux: the kernel's metadata is used, such as VLAN tags that it
            has taken out of the packet.
        savefile: For the packets of a capture file, perhaps from another operating system.
        resolver: Where names are looked up; the system by default.
        protochain_headers: How many headers `protochain` follows, at least 1.
        verify: Whether to prove with z3 that the optimised program is the same as the unoptimised
            one: that both give the same verdict on every packet that neither reads past the end of.
        verify_seconds: How long the proof may take, at most a million seconds.
        max_instructions: How long the program may be; None for however long, where no kernel is to
            run it.
        observer: Is called after each stage with its name, its product and its seconds
            (`passes.observer.Stage`).

    Raises:
        FilterError: The expression is wrong, or no packet can match it.
        InternalError: The proof failed: the optimiser is wrong, for a packet that the message has.
        ProgramError: The proof was not done in time.
        MissingExtraError: A proof is wanted, and z3 is not installed.
        ValueError: There is no such link type, another argument is out of its range, or there is
            nothing to verify.

    Source: pcap-filter(7), pcap_compile(3).
    """
    options = Options(
        dlt=link_types.number(link_type),
        resolver=SystemResolver() if resolver is None else resolver,
        netmask=netmask_number(netmask),
        source=Source.LIVE if live else Source.SAVEFILE if savefile else Source.UNKNOWN,
        protochain_headers=protochain_headers,
    )
    if verify and not optimize:
        msg = "without optimising there is nothing to verify"
        raise ValueError(msg)
    if not 0 < verify_seconds <= _LONGEST_PROOF:
        msg = f"{verify_seconds} seconds for a proof is not between 0 and {_LONGEST_PROOF:.0f}"
        raise ValueError(msg)
    request = _Request(
        text,
        options,
        snaplen,
        optimize,
        verify=verify,
        verify_ms=int(verify_seconds * 1000),
        max_instructions=max_instructions,
        observer=observer,
    )
    instructions = _instructions(request)
    kept = None if options.netmask == NETMASK_UNKNOWN else options.netmask
    return Program(instructions, options.dlt, snaplen, text, optimize, netmask=kept)


class _Request(NamedTuple):
    text: str
    options: Options
    snaplen: int
    optimize: bool
    verify: bool
    verify_ms: int
    max_instructions: int | None
    observer: Observer | None


def _instructions(request: _Request) -> tuple[Instruction, ...]:
    """Return the program: parse, lower, optimise, write instructions."""
    text, options, snaplen = request.text, request.options, request.snaplen
    if snaplen == 0:
        message = "snaplen of 0 rejects all packets"
        raise FilterError(message, text)
    if not 1 <= snaplen <= WORD:
        msg = f"snaplen {snaplen} is not between 1 and {WORD}"
        raise ValueError(msg)
    try:
        expression = observed(request.observer, "parse", parse_partly, text)
        if expression is None:
            layout(options.dlt)  # an unknown link type is one for an empty filter as well
            return (Instruction(Op.RET_K.value, 0, 0, snaplen),)
        if isinstance(expression, Unfinished):
            check_operands(expression.operands, text, options)
            raise expression.error
        lowered = observed(request.observer, "lower", lower, expression, text, options)
        graph = _optimized(lowered, expression, request) if request.optimize else lowered
        instructions = observed(
            request.observer, "generate", generate, graph, snaplen, request.max_instructions
        )
        if request.verify:
            observed(request.observer, "verify", _verify, instructions, lowered, request)
    except FilterError as error:
        # What is found in the graph or the program knows its place but not the text.
        error.text = text
        raise
    except RecursionError:
        message = "expression is nested too deeply"
        raise FilterError(message, text) from None
    return instructions


def _optimized(lowered: Graph, expression: tree.Expression, request: _Request) -> Graph:
    """Return the graph after all passes; raises FilterError where no packet can match."""
    graph = simplify(lowered, request.observer)
    if isinstance(graph[graph.entry], Reject):
        if request.verify:
            nothing = generate(graph, request.snaplen)
            observed(request.observer, "verify", _verify, nothing, lowered, request)
        from pfcompile.contradiction import rejects_all  # noqa: PLC0415 - for this error only

        raise rejects_all(expression, request.text, request.options)
    _check_arithmetic(graph, expression, request)
    return shorten(graph, measure, request.observer)


def _verify(optimized: tuple[Instruction, ...], lowered: Graph, request: _Request) -> None:
    """Raise unless the program means what the graph means that the optimiser was given."""
    from pfcompile.prove import verify  # noqa: PLC0415 - z3 is an extra, and slow to load

    # It is not to be run, so it may be longer than a kernel takes.
    unoptimized = generate(lowered, request.snaplen, longest=None)
    verify(optimized, unoptimized, timeout_ms=request.verify_ms)


def _check_arithmetic(graph: Graph, expression: tree.Expression, request: _Request) -> None:
    """Raise FilterError for a division by a constant 0 and the like, where libpcap would.

    It finds one that is computed only while it optimises, which it does not do with every filter.
    """
    try:
        check_arithmetic(graph)
    except FilterError:
        if not is_left_as_written(expression, request.text, request.options):
            raise


def netmask_number(netmask: int | str | None) -> int:
    """Return an IPv4 netmask as a number; raises ValueError."""
    if netmask is None:
        return NETMASK_UNKNOWN
    try:
        import ipaddress  # noqa: PLC0415 - rarely needed

        written = int(netmask) if isinstance(netmask, str) and netmask.isdigit() else netmask
        return int(ipaddress.IPv4Address(written))
    except ValueError:
        msg = f"'{netmask}' is no netmask: give 32 bits as in 255.255.255.0, or a number"
        raise ValueError(msg) from None
