"""What a piece of an expression tests, as the compiler itself lowers it.

A graph of the compiler has variables where headers have lengths of their own. Here every way
carries its values along, so that two graphs which test the same thing have the same test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from pfcompile.decompile.growth import Move, Step, grow
from pfcompile.decompile.reading import fork
from pfcompile.ir.arithmetic import ArithmeticOp
from pfcompile.ir.graph import Accept, Branch, Graph, Label, Let, Reject, Test, used_values
from pfcompile.ir.values import Arithmetic, Load, Value, Variable, const, load_at, variables
from pfcompile.lower.context import Source
from pfcompile.lower.lowering import lower
from pfcompile.passes.fold import Simplifier, binary
from pfcompile.syntax import tree
from pfcompile.syntax.parser import parse

if TYPE_CHECKING:
    from pfcompile.errors import Span
    from pfcompile.lower.context import Options


def movers(options: Options) -> frozenset[str]:
    """Return the encapsulations whose inside stands where only the packet tells.

    In a live capture that is so of a VLAN, whose tag may be in the metadata.
    """
    return _TUNNELS | {"vlan"} if options.source is Source.LIVE else _TUNNELS


_TUNNELS: Final = frozenset({"geneve", "vxlan"})


def meaning(text: str, options: Options, level: tuple[str, ...] = ()) -> Graph:
    """Return the graph of a piece of an expression, without variables.

    Args:
        text: The piece.
        options: The link type and what else it depends on.
        level: The encapsulations (`vlan`, `mpls`, ...) that stand to its left, which are not
            tested; `movers` are, since where their inside stands can be said of no other packet.

    Raises:
        FilterError: The piece means nothing there.
    """
    whole = " and ".join([*level, f"({text})"])
    parsed = parse(whole)
    assert parsed is not None
    skipped: frozenset[Span] = frozenset()
    if level:
        assert isinstance(parsed, tree.Chain)
        operands = (parsed.first, *(link.operand for link in parsed.links))
        skipped = frozenset(
            operand.span
            for operand, word in zip(operands, level, strict=False)
            if word not in movers(options)
        )
    return without_variables(lower(parsed, whole, options, skipped))


_Values: TypeAlias = tuple[tuple[Variable, Value], ...]


class _State(NamedTuple):
    label: Label
    values: _Values


def without_variables(graph: Graph) -> Graph:
    """Return `graph` with the values in the place of variables: ways that differ in one go apart.

    Raises:
        ProgramError: There are too many ways.
    """
    wanted = _wanted_variables(graph)
    simplify = Simplifier()

    def state(label: Label, values: dict[Variable, Value]) -> _State:
        kept = ((each, value) for each, value in values.items() if each in wanted[label])
        return _State(label, tuple(sorted(kept, key=lambda pair: pair[0].number)))

    def move(here: _State) -> Move:
        block, values = graph[here.label], dict(here.values)

        def known(value: Value) -> Value:
            return simplify(_with_values(value, values))

        match block:
            case Branch(test=test, yes=yes, no=no):
                plain = Test(test.op, known(test.left), known(test.right))
                return fork(plain, state(yes, values), state(no, values))
            case Let(variable=variable, value=value, next=after):
                return Step(state(after, {**values, variable: known(value)}))
            case Accept() | Reject():
                return block

    return grow(state(graph.entry, {}), move)


def _with_values(value: Value, values: dict[Variable, Value]) -> Value:
    if not values or not variables(value):
        return value
    match value:
        case Variable():
            return values[value]
        case Load(size=size, base=base, offset=offset):
            assert base is not None
            inside = _with_values(base, values)
            return load_at(size, binary(ArithmeticOp.ADD, inside, const(offset)))
        case Arithmetic(op=op, left=left, right=right):
            return binary(op, _with_values(left, values), _with_values(right, values))
        case _:
            return value


def _wanted_variables(graph: Graph) -> list[frozenset[Variable]]:
    """Return for each block the variables that may still be read from there on."""
    wanted: list[frozenset[Variable]] = [frozenset()] * len(graph)
    for label in reversed(graph.labels):
        block = graph[label]
        match block:
            case Branch(yes=yes, no=no):
                after = wanted[yes] | wanted[no]
            case Let(variable=variable, next=following):
                after = wanted[following] - {variable}
            case Accept() | Reject():
                after = frozenset()
        wanted[label] = after.union(*map(variables, used_values(block)))
    return wanted
