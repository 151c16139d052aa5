"""`pfcompile EXPR` with --dump-after, --stats, --timings and --verify."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from click.testing import CliRunner

from pfcompile.cbpf.asm import assemble
from pfcompile.cbpf.generate import generate
from pfcompile.cbpf.isa import successors
from pfcompile.cbpf.ways import way_lengths
from pfcompile.cli.commands import group
from pfcompile.compiler import compile as compile_text
from pfcompile.ir.check import check as check_graph
from pfcompile.ir.graph import Accept, Graph
from pfcompile.ir.text import parse_graph, print_graph
from pfcompile.passes import pipeline
from pfcompile.passes.pipeline import PASS_NAMES, PIPELINE
from pfcompile.prove import Undecided


def run(*arguments, stdin=None, status=0):
    done = CliRunner().invoke(group, arguments, input=stdin)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    assert done.exit_code == status, done.output
    return done


def said(done):
    """Return what a run printed that had nothing to complain about, and nothing else to show."""
    assert done.stderr == ""
    return done.stdout


def graphs_dumped(text):
    """Return the graphs of --dump-after, in their order, with the names of their passes."""
    pieces = re.split(r"^--- (\w+)\n", text, flags=re.MULTILINE)
    assert pieces[0] == ""
    return [
        (name, parse_graph(graph)) for name, graph in zip(pieces[1::2], pieces[2::2], strict=True)
    ]


def test_graphs_after_passes():
    """Every graph reads back, and the first and the last become the programs that are printed."""
    text = "tcp port 80 or host 10.0.0.1"
    done = run("--dump-after", "all", text)
    assert done.stdout == said(run(text))
    dumped = graphs_dumped(done.stderr)
    names = [name for name, _ in dumped]
    assert names[0] == "lower"
    assert list(dict.fromkeys(names[1:])) == list(PASS_NAMES)
    for _, graph in dumped:
        check_graph(graph)
    assert generate(dumped[0][1], 262144) == compile_text(text, optimize=False).instructions
    assert generate(dumped[-1][1], 262144) == compile_text(text).instructions


def stages_of(text):
    """Return what an observer is told."""
    stages = []
    compile_text(text, observer=stages.append)
    return stages


def test_the_graph_after_one_pass():
    done = run("--dump-after", "fold", "--dump-after", "lower", "ip[0] + 1 - 1 = 5")
    (first, as_written), (second, folded) = graphs_dumped(done.stderr)
    assert (first, second) == ("lower", "fold")
    assert "+ 1" in print_graph(as_written)
    assert "+ 1" not in print_graph(folded)
    # A pass that has several turns is shown after each.
    turns = Counter(stage.name for stage in stages_of("(udp or icmp) and not port 53"))
    assert turns["thread_all_jumps"] > 1
    done = run("--dump-after", "thread_all_jumps", "(udp or icmp) and not port 53")
    assert len(graphs_dumped(done.stderr)) == turns["thread_all_jumps"]
    # Without optimising there are no passes.
    done = run("-O", "--dump-after", "all", "tcp")
    assert [name for name, _ in graphs_dumped(done.stderr)] == ["lower"]


def test_an_unknown_pass_lists_those_there_are():
    done = run("--dump-after", "nosuch", "ip", status=2)
    assert "'nosuch' is not one of" in done.stderr
    for name in (*PASS_NAMES, "lower", "all"):
        assert f"'{name}'" in done.stderr


def test_graphs_of_what_no_packet_can_match():
    """What came before the error is shown."""
    done = run("--dump-after", "all", "--stats", "ip and ip6", status=2)
    assert done.stdout == ""
    before, _, table = done.stderr.partition("stage  ")
    assert graphs_dumped(before.partition("pfcompile: ")[0])
    assert "rejects all packets" in before
    assert "lower" in table


def table_of(done):
    """Return the rows of a table on standard error, as titles to cells."""
    head, *rows = [re.split(r"  +", line.strip()) for line in done.stderr.splitlines()]
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_statistics():
    text = "port 80 or port 443"
    done = run("--stats", text)
    optimised, plain = (compile_text(text, optimize=wanted) for wanted in (True, False))
    assert done.stdout == optimised.dump()
    rows = table_of(done)
    assert list(dict.fromkeys(row["stage"] for row in rows)) == [
        "parse",
        "lower",
        *PASS_NAMES,
        "generate",
    ]
    for row, program in ((rows[1], plain), (rows[-1], optimised)):
        shortest, longest = ways_tried(program.instructions)
        assert row["instructions"] == str(len(program.instructions))
        assert row["longest path"] == str(longest)
        assert row["shortest path"] == str(shortest)
    assert int(rows[-2]["blocks"]) < int(rows[1]["blocks"])
    assert all(float(row["ms"]) >= 0 for row in rows)


def ways_tried(instructions):
    """Return the least and the most instructions on any way, by walking them all."""
    lengths = set()
    waiting = [(0, 1)]
    while waiting:
        position, length = waiting.pop()
        after = successors(position, instructions[position])
        waiting += [(target, length + 1) for target in after]
        if not after:
            lengths.add(length)
    return min(lengths), max(lengths)


def test_way_lengths():
    assert way_lengths(assemble("ret #0")) == (1, 1)
    assert way_lengths(assemble("ja end\nld #1\nend: ret #0")) == (2, 2)
    for text in ("ip", "tcp", "host 10.0.0.1", "vlan and ip", "icmp6 or ether[0] & 1 = 1"):
        for optimize in (False, True):
            program = compile_text(text, optimize=optimize).instructions
            assert way_lengths(program) == ways_tried(program)


def test_statistics_of_what_fits_only_when_optimised():
    text = " or ".join(f"host 10.{i % 200}.{i % 7}.{i % 251}" for i in range(560))
    done = run("--stats", "-F", "-", stdin=text)
    rows = table_of(done)
    assert rows[1]["instructions"] == "-"
    assert rows[-1]["instructions"] == str(len(done.stdout.splitlines()))


def test_timings():
    done = run("--timings", "tcp port 80")
    assert done.stdout == said(run("tcp port 80"))
    *rows, total = table_of(done)
    assert total["stage"] == "total"
    assert list(total) == ["stage", "ms", "share"]
    assert abs(sum(float(row["ms"]) for row in rows) - float(total["ms"])) < 0.001 * len(rows)
    both = table_of(run("--timings", "--stats", "tcp port 80"))
    assert {"blocks", "instructions", "share"} <= set(both[0])
    assert both[-1]["stage"] == "total"


def test_verify():
    """A proof leaves the output as it is; that wrong ones fail is for tests/test_verify.py."""
    for text in ("tcp port 80", ""):
        assert said(run("--verify", text)) == said(run(text))
    assert table_of(run("--verify", "--timings", "ip"))[-2]["stage"] == "verify"
    done = run("--verify", "ip and ip6", status=2)
    assert (done.stdout, "rejects all packets" in done.stderr) == ("", True)
    for seconds in ("0", "-3", "nan"):
        done = run("--verify", "--timeout", seconds, "ip", status=2)
        assert "--timeout" in done.stderr


@pytest.mark.parametrize(
    "options", [("--verify", "-O"), ("--timeout", "5"), ("-O", "--timeout", "5")]
)
def test_options_that_would_prove_nothing(options):
    done = run(*options, "ip", status=2)
    assert done.stdout == ""
    assert "--verify" in done.stderr


def test_a_failed_proof_prints_no_program(monkeypatch):
    """Neither where the optimiser is wrong nor where it is undecided, and without a traceback."""
    monkeypatch.setattr("pfcompile.prove.verification.prove", lambda *_, **__: Undecided("enough"))
    done = run("--verify", "ip", status=1)
    assert (done.stdout, done.stderr[:20]) == ("", "pfcompile: undecided")
    monkeypatch.undo()
    monkeypatch.setattr(pipeline, "PIPELINE", (*PIPELINE, lambda _: Graph([Accept()])))
    done = run("--verify", "ip", status=1)
    assert done.stdout == ""
    assert "please report this\npacket: " in done.stderr
