"""What tcpdump, with libpcap, does otherwise with the same expression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.explain.checks.arithmetic import relations
from pfcompile.explain.codes import warning
from pfcompile.explain.explanation import Related
from pfcompile.explain.subject import walk
from pfcompile.ir.arithmetic import ArithmeticOp
from pfcompile.lower.context import Source
from pfcompile.lower.lowering import is_left_as_written
from pfcompile.syntax import tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.explain.explanation import FilterWarning
    from pfcompile.explain.subject import Occurrence, Subject

_REFUSALS: Final = {
    ArithmeticOp.DIV: "division by zero",
    ArithmeticOp.MOD: "modulus by zero",
    ArithmeticOp.LSH: "shift by more than 31 bits",
    ArithmeticOp.RSH: "shift by more than 31 bits",
}
_WIDEST_SHIFT: Final = 31


def refused_by_tcpdump(subject: Subject) -> Iterator[FilterWarning]:
    """Yield divisors and shifts of which libpcap takes the first constant for all."""
    for _, relation in relations(subject):
        for node in walk(relation):
            if not (isinstance(node, tree.Binary) and node.op in _REFUSALS):
                continue
            if isinstance(node.right, tree.Literal):
                continue  # What is wrong with it is wrong here as well.
            first = _first_constant(node.right)
            shifts = node.op in {ArithmeticOp.LSH, ArithmeticOp.RSH}
            refused = first is not None and (first > _WIDEST_SHIFT if shifts else first == 0)
            if refused:
                yield warning(
                    "PF191",
                    node.span,
                    f"tcpdump refuses this: it takes the {first} in "
                    f"{subject.quoted(node.right.span)} for the right side ("
                    f"{_REFUSALS[node.op]})",
                    "it compiles here; write it so that no constant comes first",
                )


def _first_constant(node: tree.Arithmetic) -> int | None:
    """Return the constant that libpcap's code for an operand begins with, or None."""
    match node:
        case tree.Literal(value=value):
            return value
        case tree.Accessor(index=inner) | tree.Negate(operand=inner):
            return _first_constant(inner)
        case tree.Binary(left=left):
            return _first_constant(left)
        case _:
            return None


def optimised_wrongly(subject: Subject) -> Iterator[FilterWarning]:
    """Yield what stands right of `vxlan`, where libpcap optimises the filter at all."""
    for occurrence in subject.occurrences:
        tunnel = next((each for each in occurrence.moved if each.word == "vxlan"), None)
        if tunnel is None or isinstance(
            occurrence.node, tree.LengthBound | tree.Way | tree.InterfaceIndex
        ):
            continue
        if not is_left_as_written(subject.expression, subject.text, subject.options):
            yield warning(
                "PF192",
                tunnel.span.to(occurrence.span),
                "tcpdump's optimiser loses where the frame inside begins: there, what follows "
                "`vxlan` is looked for at the start of the packet",
                "use tcpdump -O, or the program that pfcompile prints",
            )
        return


_NETANALYZER: Final = frozenset({240, 241})
_UNCERTAIN: Final = frozenset({"geneve", "vxlan", "pppoes"})
_RADIO: Final = frozenset({127, 119, 163, 192})


def looked_for_elsewhere(subject: Subject) -> Iterator[FilterWarning]:
    """Yield what libpcap reads at other offsets than it should."""
    for occurrence in subject.occurrences:
        said = (
            _metadata(subject, occurrence)
            or _wlan_tunnel(occurrence)
            or _live_tunnel(subject, occurrence)
        )
        if said is not None:
            related = (
                (Related(occurrence.moved[-1].span, "what it gets wrong"),)
                if occurrence.moved
                else ()
            )
            yield warning(
                "PF193",
                occurrence.span,
                said,
                "here it means what it says; do not compare with tcpdump's result",
                *related,
            )


def _metadata(subject: Subject, occurrence: Occurrence) -> str | None:
    """Return what libpcap gets wrong about the kernel's metadata, or None."""
    if subject.options.source is not Source.LIVE:
        return None
    layout = occurrence.frame.layout
    match occurrence.node:
        case tree.Way() if layout.direction is None:
            pass
        case tree.InterfaceIndex() if layout.interface_index is None:
            pass
        case _:
            return None
    moved = any(mover.word in _UNCERTAIN for mover in occurrence.moved)
    if moved or layout.dlt in _NETANALYZER or layout.dlt in _RADIO:
        return "tcpdump adds the start of the link header to the place of this, and reads another"
    return None


def _wlan_tunnel(occurrence: Occurrence) -> str | None:
    """Return what libpcap gets wrong about tunnels over 802.11, or None."""
    match occurrence.node:
        case tree.Encapsulation(word="geneve" | "vxlan" as word):
            wrong = occurrence.frame.layout.is_wlan
        case tree.Encapsulation(word="pppoes" as word):
            wrong = occurrence.frame.layout.is_wlan and occurrence.frame.layout.dlt in _RADIO
        case _:
            return None
    if not wrong:
        return None
    return f"tcpdump forgets where the outer frame's payload begins, so that `{word}` fails there"


def _live_tunnel(subject: Subject, occurrence: Occurrence) -> str | None:
    """Return what libpcap gets wrong about a tunnel behind a tag in a live capture, or None."""
    if subject.options.source is not Source.LIVE:
        return None
    tagged = any(mover.word == "vlan" for mover in occurrence.moved)
    match occurrence.node:
        case tree.Encapsulation(word="geneve" | "vxlan") if tagged:
            return "tcpdump's program may read what it has not written, and kernels refuse it"
        case _:
            return None
