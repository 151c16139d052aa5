"""Graphs as text and back."""

from __future__ import annotations

import random

import pytest

from pfcompile.cbpf.isa import ANCILLARY_WORDS
from pfcompile.errors import ProgramError, Span
from pfcompile.ir.arithmetic import WORD, ArithmeticOp
from pfcompile.ir.comparison import Comparison
from pfcompile.ir.graph import Accept, Branch, Graph, Label, Let, Reject
from pfcompile.ir.graph import Test as IrTest
from pfcompile.ir.text import ANCILLARY_NAMES, parse_graph, print_graph, print_value
from pfcompile.ir.values import arithmetic, const, load, numbers, packet_length, variable
from tests.generator.seed import SEED, rerun
from tests.ir.random_graphs import RandomGraphs

EXAMPLE = """\
b0:  br ldh[12] == 0x800, b1, b4  ; 0-3
b1:  let v0 = (ldb[14] & 15) << 2, b2
b2:  br ldh[v0 + 16] == 80, b3, b4  ; 7-14, 20-31
b3:  accept
b4:  reject
"""


def origins(graph):
    return [getattr(block, "origins", ()) for block in graph.blocks]


def test_the_example_of_the_docstring():
    graph = parse_graph(EXAMPLE)
    header = arithmetic(
        ArithmeticOp.LSH,
        arithmetic(ArithmeticOp.AND, load(1, None, 14), const(15)),
        const(2),
    )
    port = IrTest(Comparison.EQ, load(2, variable(0), 16), const(80))
    assert graph.blocks == (
        Branch(IrTest(Comparison.EQ, load(2, None, 12), const(0x800)), Label(1), Label(4)),
        Let(variable(0), header, Label(2)),
        Branch(port, Label(3), Label(4)),
        Accept(),
        Reject(),
    )
    assert origins(graph) == [(Span(0, 3),), (), (Span(7, 14), Span(20, 31)), (), ()]
    assert print_graph(graph) == EXAMPLE


@pytest.mark.parametrize(
    "value",
    [
        "ldb[0]",
        "ldw[0xfffffffc]",
        "ldh[v0 + 14]",
        "ldb[v0 + 3 + 0]",
        "ldb[v0 + 3 + 14]",
        "ldb[ldb[v12] * 4 + 8]",
        "ldh[vlan_tci]",
        "ldw[ancillary + 64]",
        "len - 20",
        "1 - 2 - 3",
        "1 - (2 - 3)",
        "(1 + 2) * 3 / 4 % 5",
        "1 << 2 >> 3 & 4 ^ 5 | 6",
        "(1 | 2) ^ 3 & 4",
        "0x3e8 + 999",
    ],
)
def test_values_stand_as_c_has_them(value):
    text = value.replace("ldw[0xfffffffc]", "ldw[4294967292]")
    graph = parse_graph(f"b0: let v0 = {value}, b1\nb1: accept\n")
    (block, _) = graph.blocks
    assert isinstance(block, Let)
    assert print_value(block.value) == text


def test_any_bit_in_common_is_not_the_operator():
    graph = parse_graph("b0: br (ldb[1] & 3) & 1, b1, b2\nb1: accept\nb2: reject")
    block = graph[graph.entry]
    assert isinstance(block, Branch)
    assert block.test.op is Comparison.SET
    assert block.test.left is arithmetic(ArithmeticOp.AND, load(1, None, 1), const(3))


def test_sets_of_numbers():
    line = "b0:  br ldh[36] in {53, 80-0x1f90, 0xffffffff}, b1, b2"
    graph = parse_graph(f"{line}\nb1: accept\nb2: reject")
    block = graph[graph.entry]
    assert isinstance(block, Branch)
    assert block.test.right is numbers([(53, 53), (80, 8080), (WORD, WORD)])
    assert print_graph(graph).startswith(f"{line}\n")
    assert print_value(numbers([])) == "{}"


def test_labels_may_be_any_words_in_any_order():
    graph = parse_graph("\n  baa: br len == 1, byes, bno\nbno: reject\n\nbyes:accept")
    length = IrTest(Comparison.EQ, packet_length(), const(1))
    assert graph.blocks == (Branch(length, Label(2), Label(1)), Reject(), Accept())


def test_random_graphs_come_back():
    rng = random.Random(f"{SEED} text")
    for _ in range(400):
        maker = RandomGraphs(rng)
        graph = maker.graph()
        again = parse_graph(print_graph(graph))
        assert again.blocks == graph.blocks, rerun("tests/ir/test_text.py")
        assert origins(again) == origins(graph), rerun("tests/ir/test_text.py")


def test_any_value_comes_back():
    maker = RandomGraphs(random.Random(f"{SEED} values"))
    for _ in range(2000):
        op = maker.rng.choice(list(Comparison))
        right = maker.set_of_numbers() if op is Comparison.IN else maker.any_value()
        test = IrTest(op, maker.any_value(), right)
        branch = Branch(test, Label(2), Label(3))
        graph = Graph([Let(variable(1), maker.any_value(), Label(1)), branch, Accept(), Reject()])
        told = f"{print_graph(graph)}\n{rerun('tests/ir/test_text.py')}"
        assert parse_graph(print_graph(graph)).blocks == graph.blocks, told


def test_metadata_has_the_names_of_listings():
    assert {word.word: word.dump_name for word in ANCILLARY_WORDS} == ANCILLARY_NAMES


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("", "", "at least one block"),
        ("b0: accept\nb0: reject", "2:1", "two blocks are called b0"),
        ("b0: br len == 1, b1, b2\nb1: accept", "1:22", "there is no block b2"),
        ("b0: hop", "1:5", "br, let, accept or reject is missing: 'hop' stands here"),
        ("b0: accept reject", "1:12", "the end of the line is missing"),
        ("b0 accept", "1:4", "':' is missing"),
        ("x0: accept", "1:1", "a label, such as b0 is missing"),
        ("b0: br len, b1, b2", "1:11", "a comparison"),
        ("b0: br len ==, b1, b2", "1:14", "a value is missing"),
        ("b0: br len & 3 == 1, b1, b2", "1:16", "',' is missing"),
        ("b0: let 5 = 1, b1", "1:9", "a variable, such as v0, is missing"),
        ("b0: let v0 = ldb[, b1", "1:18", "a value is missing"),
        ("b0: let v0 = 1 +\nb1: accept", "1:17", "a value is missing: the line ends"),
        ("b0: let v0 = 4294967296, b1", "1:14", "does not fit in 32 bits"),
        ("b0: let v0 = 0x1ffffffff, b1", "1:14", "a number is missing"),
        ("b0: let v0 = 12ab, b1", "1:14", "a number is missing"),
        ("b0: let v0 = $, b1", "1:14", "'$' has no place in a graph"),
        ("b0: let v0 = ldw[ancillary + x], b1", "1:30", "a number is missing"),
        ("b0: let v0 = " + "(" * 5000 + "1", "1:115", "nested too deeply"),
        ("b0: br len in 5, b1, b2", "1:15", "'{' is missing"),
        ("b0: br len in {5 6}, b1, b2", "1:18", "',' is missing"),
        ("b0: br len in {5, b1, b2", "1:19", "a number is missing"),
        ("b0: br len in {5", "1:17", "',' is missing: the line ends"),
        ("b0: br len == 1, b1, b1 ; 4", "1:28", "'-' is missing"),
    ],
)
def test_errors_say_where(text, place, message):
    with pytest.raises(ProgramError) as caught:
        parse_graph(text)
    assert str(caught.value).startswith(place)
    assert message in str(caught.value)


def test_no_text_is_a_traceback():
    rng = random.Random(f"{SEED} soup")
    words = [*EXAMPLE.split(), "(", ")", "[", "]", "\n", "b0", "b4", ":", ",", "&", "let", "é", "²"]
    for _ in range(2000):
        text = " ".join(rng.choice(words) for _ in range(rng.randrange(20)))
        try:
            parse_graph(text)
        except ProgramError:
            continue
