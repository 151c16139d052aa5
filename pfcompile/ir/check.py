"""Is a graph what the passes and the code generator take it for?

A graph that fails is our own mistake: no expression may lead to one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from pfcompile.errors import InternalError
from pfcompile.ir.comparison import Comparison
from pfcompile.ir.graph import Branch, Let, successors, used_values
from pfcompile.ir.text import print_graph
from pfcompile.ir.values import Ancillary, Load, Numbers, parts, variables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pfcompile.ir.graph import Block, Graph, Label, Test
    from pfcompile.ir.values import Value, Variable

_SIZES: Final = frozenset({1, 2, 4})


def check(graph: Graph) -> None:
    """Make sure that `graph` is sound.

    Every block goes to blocks below it, can be reached, and stands only once; a branch has two
    sides; a set of numbers is the right side of IN; loads are of 1, 2 or 4 bytes; a variable is set
    on every way to where it is read.

    Raises:
        InternalError: It is not; the graph is printed below the reason.
    """
    if not len(graph):
        raise InternalError("the graph has no blocks")
    _check_targets(graph)
    _check_shape(graph)
    _check_blocks(graph)
    _check_variables(graph)


def _refuse(graph: Graph, reason: str) -> NoReturn:
    raise InternalError(f"{reason}\n{print_graph(graph)}")


def _check_targets(graph: Graph) -> None:
    for label in graph.labels:
        for target in successors(graph[label]):
            if not 0 <= target < len(graph):
                _refuse(graph, f"b{label} goes to b{target}, which is missing")


def _check_shape(graph: Graph) -> None:
    """Refuse cycles, blocks above the ones that lead to them, and blocks that nothing leads to."""
    import networkx as nx  # noqa: PLC0415 - takes longer to load than a filter to compile

    if not nx.is_directed_acyclic_graph(graph.digraph):
        cycle = " to ".join(f"b{source}" for source, _ in nx.find_cycle(graph.digraph))
        _refuse(graph, f"there is a cycle: {cycle}")
    for label, target in graph.digraph.edges:
        if target <= label:
            _refuse(graph, f"b{label} goes to b{target}, which stands above it")
    reached = {graph.entry, *nx.descendants(graph.digraph, graph.entry)}
    for label in graph.labels:
        if label not in reached:
            _refuse(graph, f"nothing leads to b{label}")


def _check_blocks(graph: Graph) -> None:
    seen: dict[Block, Label] = {}
    for label in graph.labels:
        block = graph[label]
        same = seen.setdefault(block, label)
        if same != label:
            _refuse(graph, f"b{same} and b{label} are equal")
        if isinstance(block, Branch) and block.yes == block.no:
            _refuse(graph, f"b{label} goes to b{block.yes} either way")
        if isinstance(block, Branch) and not _is_of_its_form(block.test):
            _refuse(graph, f"b{label} compares with a set, or asks a number for membership")
        for value in _all_values(block):
            if isinstance(value, Load | Ancillary) and value.size not in _SIZES:
                _refuse(graph, f"b{label} loads {value.size} bytes")


def _is_of_its_form(test: Test) -> bool:
    """Return whether a set of numbers is the right side of an IN test, and of nothing else."""
    return not isinstance(test.left, Numbers) and (
        (test.op is Comparison.IN) == isinstance(test.right, Numbers)
    )


def _all_values(block: Block) -> Iterator[Value]:
    """Yield each value that a block computes, and those that it is made of, once."""
    seen: set[Value] = set()
    waiting = list(used_values(block))
    while waiting:
        value = waiting.pop()
        if value not in seen:
            seen.add(value)
            yield value
            waiting += parts(value)


def _check_variables(graph: Graph) -> None:
    """Refuse reading a variable that some way there has not set; blocks are in order by now."""
    set_on_all_ways: dict[Label, frozenset[Variable]] = {graph.entry: frozenset()}
    for label in graph.labels:
        block, known = graph[label], set_on_all_ways[label]
        for value in used_values(block):
            for read in variables(value):
                if read not in known:
                    _refuse(graph, f"b{label} reads v{read.number}, which is not always set")
        after = known | {block.variable} if isinstance(block, Let) else known
        for target in successors(block):
            met = set_on_all_ways.get(target)
            set_on_all_ways[target] = after if met is None else met & after
