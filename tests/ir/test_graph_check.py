"""The graph's check refuses each mistake, and nothing else."""

from __future__ import annotations

import random

import pytest

from pfcompile.errors import InternalError
from pfcompile.ir.check import check
from pfcompile.ir.comparison import Comparison
from pfcompile.ir.graph import Accept, Branch, Graph, Label, Let, Reject
from pfcompile.ir.graph import Test as IrTest
from pfcompile.ir.text import parse_graph, print_graph
from pfcompile.ir.values import const, load, numbers, variable
from tests.generator.seed import SEED, rerun
from tests.ir.random_graphs import RandomGraphs

IS_IP = IrTest(Comparison.EQ, load(2, None, 12), const(0x800))


def test_random_graphs_pass():
    maker = RandomGraphs(random.Random(f"{SEED} check"))
    for _ in range(300):
        graph = maker.graph()
        try:
            check(graph)
        except InternalError as error:
            pytest.fail(f"{error}\n{rerun('tests/ir/test_graph_check.py')}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("b0: br len == 1, b1, b2\nb1: accept\nb2: reject\nb3: accept", "nothing leads to b3"),
        (
            "b0: br len == 1, b1, b2\nb1: br len == 2, b3, b2\nb2: br len == 3, b1, b3\nb3: accept",
            "there is a cycle: b1 to b2",
        ),
        ("b0: br len == 1, b2, b3\nb1: accept\nb2: br len == 2, b1, b3\nb3: reject", "above it"),
        ("b0: br len == 1, b1, b2\nb1: accept\nb2: accept", "b1 and b2 are equal"),
        ("b0: br len == 1, b1, b1\nb1: accept", "b0 goes to b1 either way"),
        ("b0: br v0 == 1, b1, b2\nb1: accept\nb2: reject", "b0 reads v0"),
        (
            (
                "b0: br len == 1, b1, b2\nb1: let v0 = 4, b2\n"
                "b2: br ldb[v0] == 1, b3, b4\nb3: accept\nb4: reject"
            ),
            "b2 reads v0, which is not always set",
        ),
        ("b0: let v0 = v0 + 1, b1\nb1: accept", "b0 reads v0"),
    ],
)
def test_each_mistake_is_found(text, reason):
    graph = parse_graph(text)
    with pytest.raises(InternalError) as caught:
        check(graph)
    assert reason in str(caught.value)
    assert print_graph(graph) in str(caught.value)


def test_a_variable_set_on_both_ways_is_set():
    check(
        parse_graph(
            "b0: br len == 1, b1, b2\nb1: let v0 = 4, b3\nb2: let v0 = 5, b3\n"
            "b3: br ldb[v0] == 1, b4, b5\nb4: accept\nb5: reject"
        )
    )


@pytest.mark.parametrize("target", [7, -1])
def test_a_missing_target(target):
    graph = Graph([Branch(IS_IP, Label(1), Label(target)), Accept()])
    with pytest.raises(InternalError, match=f"b0 goes to b{target}, which is missing"):
        check(graph)


def test_a_wrong_size():
    odd = IrTest(Comparison.EQ, load(2, load(3, None, 0), 12), const(1))
    with pytest.raises(InternalError, match="b0 loads 3 bytes"):
        check(Graph([Branch(odd, Label(1), Label(2)), Accept(), Reject()]))


@pytest.mark.parametrize(
    "wrong",
    [
        IrTest(Comparison.EQ, load(2, None, 12), numbers([(1, 2)])),
        IrTest(Comparison.IN, load(2, None, 12), const(1)),
        IrTest(Comparison.IN, numbers([(1, 2)]), numbers([(1, 2)])),
    ],
)
def test_a_set_in_the_wrong_place(wrong):
    with pytest.raises(InternalError, match="b0 compares with a set"):
        check(Graph([Branch(wrong, Label(1), Label(2)), Accept(), Reject()]))


def test_no_blocks():
    with pytest.raises(InternalError, match="no blocks"):
        check(Graph([]))


def test_a_block_that_leads_to_itself():
    with pytest.raises(InternalError, match="cycle"):
        check(Graph([Let(variable(0), const(1), Label(0))]))
