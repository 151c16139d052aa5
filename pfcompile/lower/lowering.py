"""The walk from tree to graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.facts import ip_protocols, isis, link_protocols
from pfcompile.facts.link_layouts import layout
from pfcompile.ir.values import variables
from pfcompile.lower import iso, transport
from pfcompile.lower.arithmetic import relation
from pfcompile.lower.context import Context, Options
from pfcompile.lower.formula import (
    FALSE,
    TRUE,
    Always,
    Assign,
    Check,
    Choice,
    Formula,
    Joined,
    Marked,
    Opposite,
    every,
    opposite,
    to_graph,
)
from pfcompile.lower.link_protocol import link_protocol
from pfcompile.lower.lists import ValueList, can_join, joined
from pfcompile.lower.preamble import Preamble, field_test
from pfcompile.lower.qualified import qualified
from pfcompile.syntax import tree
from pfcompile.syntax.tree import Junction, Proto

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.errors import Span
    from pfcompile.ir.graph import Graph
    from pfcompile.ir.values import Variable
    from pfcompile.lower.frame import Frame
    from pfcompile.lower.terms import TermGraph

__all__ = ["check_operands", "frames", "is_left_as_written", "is_never", "lower", "lower_apart"]


def lower(
    expression: tree.Expression,
    text: str,
    options: Options,
    taken_as_true: frozenset[Span] = frozenset(),
    taken_as_false: frozenset[Span] = frozenset(),
) -> Graph:
    """Return the graph of an expression, as it stands: nothing is optimised.

    Args:
        expression: The tree.
        text: What it was read from, for errors.
        options: The link type and what else it depends on.
        taken_as_true: Operands that are not tested, by where they stand; they still move the
            offsets of what follows.
        taken_as_false: The same, of operands that are not to hold.

    Raises:
        FilterError: The expression means nothing on this link type, or a name is unknown.
        ValueError: There is no such link type.
    """
    known = layout(options.dlt)
    handed_out: list[Variable] = []
    preamble = Preamble(known, handed_out)
    context = Context(text, options, preamble.frame)
    context.variables = handed_out
    context.taken_as_true = taken_as_true
    context.taken_as_false = taken_as_false
    return _graph(context, preamble, expression)


def lower_apart(expression: tree.Expression, text: str, options: Options) -> TermGraph:
    """Return the graph of an expression in which each primitive has blocks of its own.

    Nothing is joined, as `lower` joins the values of lists: primitive after primitive is tested,
    from left to right, as the expression says, and blocks mark where one begins, is true, is false.

    Raises:
        FilterError, ValueError: As `lower`.
    """
    from pfcompile.lower.terms import Marks  # noqa: PLC0415 - compiling needs none

    handed_out: list[Variable] = []
    preamble = Preamble(layout(options.dlt), handed_out)
    context = Context(text, options, preamble.frame)
    context.variables = handed_out
    context.marks = marks = Marks()
    return marks.found(_graph(context, preamble, expression), context)


def _graph(context: Context, preamble: Preamble, expression: tree.Expression) -> Graph:
    """Return the graph of an expression whose headers begin as the preamble says."""
    known, handed_out = context.frame.layout, context.variables
    formula = _formula(context, expression)
    if known.gate is not None and context.frame.layout is known:
        # A gate is not put before a filter that has moved on to another link type.
        formula = every(field_test(known.gate), formula)
    used = set(_used_variables(formula))
    whole = every(preamble.computation(used), formula)
    in_use = set(_used_variables(whole))
    return to_graph(whole, [each for each in handed_out if each in in_use])


_PRISM: Final = 119


def is_left_as_written(expression: tree.Expression, text: str, options: Options) -> bool:
    """Return whether libpcap would not optimise this filter.

    It leaves alone what loops (`protochain`), `geneve`, all on a Prism header, and what needs to
    know where the payload of an 802.11 frame begins.
    """
    if options.dlt == _PRISM or any(_is_left_alone(node) for node in _primitives(expression)):
        return True
    known = layout(options.dlt)
    preamble = Preamble(known, [])
    context = Context(text, options, preamble.frame)
    used = set(_used_variables(_formula(context, expression)))
    return known.is_wlan and preamble.frame.payload in used


def _is_left_alone(node: tree.Primitive) -> bool:
    match node:
        case tree.Encapsulation(word="geneve"):
            return True
        case tree.Qualified(qualifiers=tree.Qualifiers(kind=tree.Kind.PROTOCHAIN)):
            return True
        case _:
            return False


def _primitives(node: tree.Expression) -> Iterator[tree.Primitive]:
    match node:
        case tree.Chain(first=first, links=links):
            yield from _primitives(first)
            for link in links:
                yield from _primitives(link.operand)
        case tree.Not(operand=operand):
            yield from _primitives(operand)
        case _:
            yield node


def frames(
    expression: tree.Expression, text: str, options: Options
) -> list[tuple[tree.Primitive, Frame]]:
    """Return every primitive, from left to right, with the headers as it sees them.

    Raises:
        FilterError: As for `lower`.
        ValueError: There is no such link type.
    """
    context = Context(text, options, Preamble(layout(options.dlt), []).frame)
    context.seen = []
    _formula(context, expression)
    return context.seen


def is_never(context: Context, node: tree.Primitive) -> bool:
    """Return whether a link type has nothing of what a primitive asks for.

    Args:
        context: The primitive's place; its frame moves on as the primitive moves it.
        node: The primitive, which `lower` has taken.
    """
    return _unmarked(_formula(context, node)) == FALSE


def _unmarked(formula: Formula) -> Formula:
    while isinstance(formula, Marked):
        formula = formula.formula
    return formula


def check_operands(operands: tuple[tree.Expression, ...], text: str, options: Options) -> None:
    """Raise the FilterError that the first wrong one of some finished operands deserves.

    They are what was read before an error of grammar: libpcap, which generates code while it
    reads, would have refused such an operand first.
    """
    preamble = Preamble(layout(options.dlt), [])
    context = Context(text, options, preamble.frame)
    for operand in operands:
        _formula(context, operand)


def _formula(context: Context, node: tree.Expression) -> Formula:
    """Return what `node` means; the context's frame moves along the text."""
    if isinstance(node, tree.Chain):
        formula = _chain(context, node)
        return _taken(context, node.span) or formula
    meaning = _operand(context, node)
    return meaning.formula(context) if isinstance(meaning, _Listed) else meaning


def _operand(context: Context, node: tree.Expression) -> Formula | _Listed:
    """Return what an operand means: a list of values, perhaps negated, or something else."""
    meaning: Formula | _Listed
    match node:
        case tree.Chain():
            return _formula(context, node)
        case tree.Not(operand=operand):
            inner = _operand(context, operand)
            meaning = inner.opposite() if isinstance(inner, _Listed) else opposite(inner)
        case tree.Qualified():
            _note(context, node)
            found = qualified(context, node)
            if isinstance(found, ValueList) and context.marks is None:
                meaning = _Listed(found)
            else:
                inner = found.formula(context) if isinstance(found, ValueList) else found
                values = found if isinstance(found, ValueList) else None
                meaning = _marked(context, node, inner, values)
        case _:
            _note(context, node)
            meaning = _marked(context, node, _primitive(context, node))
    return _taken(context, node.span) or meaning


def _note(context: Context, node: tree.Primitive) -> None:
    """Tell whoever asked which frame a primitive sees."""
    if context.seen is not None:
        context.seen.append((node, context.frame))


def _taken(context: Context, span: Span) -> Always | None:
    """Return what an operand is taken as that is not tested, or None for one that is."""
    if span in context.taken_as_true:
        return TRUE
    return FALSE if span in context.taken_as_false else None


def _marked(
    context: Context, node: tree.Primitive, meaning: Formula, values: ValueList | None = None
) -> Formula:
    """Return what a primitive means, with its place in the text."""
    marked = Marked(meaning, node.span)
    return marked if context.marks is None else context.marks.put(context, node, marked, values)


def _chain(context: Context, node: tree.Chain) -> Formula:
    """Return what operands mean that are joined from left to right.

    Neighbours that are values of one kind become one list: `a or b`, and `not a and not b`, which
    is `not (a or b)`.
    """
    parts: list[tuple[Junction, Formula]] = []
    pending: list[_Listed] = []
    pending_junction = node.links[0].junction

    def settle() -> None:
        """Write the list that has been gathered, while the frame is still the one it is in."""
        if pending:
            values = joined([each.values for each in pending])
            whole = _Listed(values, negated=pending[0].negated)
            parts.append((pending_junction, whole.formula(context)))
            pending.clear()

    # The first operand goes with whatever joins the next one.
    first = tree.Link(pending_junction, node.first)
    for link in (first, *node.links):
        if not _is_qualified(link.operand):
            settle()  # It may move the frame.
        operand = _operand(context, link.operand)
        if not isinstance(operand, _Listed):
            settle()
            parts.append((link.junction, operand))
            continue
        goes_on = link.junction is pending_junction
        if pending and not (goes_on and operand.continues(pending[-1], link.junction)):
            settle()
        pending_junction = link.junction
        pending.append(operand)
    settle()
    return Joined(parts[0][1], tuple(parts[1:])) if len(parts) > 1 else parts[0][1]


def _is_qualified(node: tree.Expression) -> bool:
    """Return whether an operand is an identifier under its qualifiers, perhaps negated."""
    while isinstance(node, tree.Not):
        node = node.operand
    return isinstance(node, tree.Qualified)


class _Listed(NamedTuple):
    """A list of values, or the negation of one."""

    values: ValueList
    negated: bool = False

    def opposite(self) -> _Listed:
        """Return the negation."""
        return _Listed(self.values, not self.negated)

    def continues(self, before: _Listed, junction: Junction) -> bool:
        """Return whether one list stands for `before` and this, joined so."""
        wanted = Junction.AND if self.negated else Junction.OR
        same_side = self.negated == before.negated
        return same_side and junction is wanted and can_join(before.values, self.values)

    def formula(self, context: Context) -> Formula:
        """Return the test for the list."""
        test = Marked(self.values.formula(context), self.values.span)
        return opposite(test) if self.negated else test


def _primitive(context: Context, node: tree.Primitive) -> Formula:
    match node:
        case tree.Qualified():
            raise AssertionError  # handled as an operand
        case tree.Abbreviation():
            return _abbreviation(context, node)
        case tree.Relation():
            return relation(context, node)
        case tree.Encapsulation():
            from pfcompile.lower import tunnels  # noqa: PLC0415 - most filters have none

            return tunnels.encapsulation(context, node)
        case _:
            from pfcompile.lower import fields  # noqa: PLC0415 - the same, and with many tables

            return fields.meaning(context, node)


# What a protocol keyword on its own stands for, where it is not the link's protocol of that name.
_BOTH_FAMILIES = frozenset({Proto.TCP, Proto.UDP, Proto.SCTP, Proto.AH, Proto.ESP, Proto.PIM})
_ONLY_IPV4 = frozenset({Proto.ICMP, Proto.IGMP, Proto.IGRP, Proto.VRRP, Proto.CARP})
_LINK_NAMES = link_protocols.LINK_PROTOCOLS


def _abbreviation(context: Context, node: tree.Abbreviation) -> Formula:
    """Return what a protocol keyword on its own means."""
    proto, span = node.proto, node.span
    if proto in {Proto.LINK, Proto.RADIO}:
        message = f"'{proto.value}' cannot be used as an abbreviation"
        raise context.error(message, span, f"as in {proto.value}[0] or {proto.value} host ...")
    if proto in _BOTH_FAMILIES:
        number = ip_protocols.KEYWORD_PROTOCOLS[proto.value]
        return transport.ip_protocol(context, None, number, span)
    if proto in _ONLY_IPV4:
        number = ip_protocols.KEYWORD_PROTOCOLS[proto.value]
        return transport.ip_protocol(context, Proto.IP, number, span)
    if proto is Proto.ICMP6:
        return transport.ip_protocol(context, Proto.IP6, ip_protocols.ICMP6, span)
    if proto.value in isis.ISO_NAMES:
        return iso.protocol(context, isis.ISO_NAMES[proto.value], span)
    if proto.value in isis.PDU_GROUPS:
        return iso.isis_pdu(context, isis.PDU_GROUPS[proto.value], span)
    return link_protocol(context, _LINK_NAMES[proto.value], span)


def _used_variables(formula: Formula) -> Iterator[Variable]:
    """Yield the variables that a formula reads or sets, perhaps more than once."""
    waiting = [formula]
    while waiting:
        match waiting.pop():
            case Check(test=test):
                yield from variables(test.left) | variables(test.right)
            case Assign(variable=target, value=value):
                yield target
                yield from variables(value)
            case Opposite(operand=operand) | Marked(formula=operand):
                waiting.append(operand)
            case Choice(condition=condition, then=then, otherwise=otherwise):
                waiting += (condition, then, otherwise)
            case Joined(first=first, rest=rest):
                waiting.append(first)
                waiting += [operand for _, operand in rest]
            case Always():
                pass
