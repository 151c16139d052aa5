"""`pfcompile draw`."""

from __future__ import annotations

import sys

import pytest

from pfcompile.passes.pipeline import PASS_NAMES
from tests.cli.in_process import output, refused, run

FILTER = "tcp port 443 or (udp and host 10.0.0.1)"


def test_text_by_default():
    drawn = output("draw", FILTER).decode()
    assert "b0   eth.type == ip6" in drawn
    assert "host 10.0.0.1" in drawn
    assert "\x1b" not in drawn


@pytest.mark.parametrize("stage", ["tree", "lower", "final", "program"])
@pytest.mark.parametrize(
    ("format_name", "beginning"),
    [("text", b""), ("dot", b"digraph {"), ("svg", b"<svg "), ("png", b"\x89PNG")],
)
def test_every_stage_in_every_format(stage, format_name, beginning):
    drawn = output("draw", "--stage", stage, "--format", format_name, FILTER)
    assert drawn.startswith(beginning)


@pytest.mark.parametrize("name", PASS_NAMES)
def test_before_and_after_every_pass(name):
    done = run("draw", "--stage", name, FILTER)
    if done.returncode:
        assert f"{name} did not run for this filter" in done.stderr.decode()
        return
    assert b"eth.type ==" in output("draw", "--stage", name, "--before", FILTER)


def test_a_pass_changes_the_picture():
    before = output("draw", "--stage", "group_tests", "--before", "port 80 or 443 and not port 22")
    after = output("draw", "--stage", "thread_all_jumps", "port 80 or 443 and not port 22")
    assert before != after


@pytest.mark.parametrize(
    ("name", "beginning"), [("a.svg", b"<svg "), ("a.PNG", b"\x89PNG"), ("a.gv", b"digraph {")]
)
def test_the_files_name_tells_the_format(tmp_path, name, beginning):
    file = tmp_path / name
    assert output("draw", "-o", file, FILTER) == b""
    assert file.read_bytes().startswith(beginning)


def test_the_tree_of_what_no_packet_matches():
    assert output("draw", "--stage", "tree", "tcp and not tcp").decode().startswith("and\n")
    assert "cannot both hold" in refused("draw", "tcp and not tcp")


def test_a_wrong_expression_is_shown():
    assert "did you mean" in refused("draw", "tcp prot 80")
    assert "did you mean" in refused("draw", "--stage", "tree", "tcp prot 80")


@pytest.mark.parametrize("stage", ["tree", "final", "program"])
def test_nothing_to_draw(stage):
    said = refused("draw", "--stage", stage, status=1)
    assert said == "pfcompile: an empty filter has no picture: it accepts every packet\n"


def test_usage():
    assert "no format's names end in .gif" in refused("draw", "-o", "x.gif", "ip")
    assert "--before is for the stage of a pass" in refused("draw", "--before", "ip")
    assert "--dark is for a PNG" in refused("draw", "--dark", "ip")
    assert "'fodl' is not one of" in refused("draw", "--stage", "fodl", "ip")
    assert "unknown data link type" in refused("draw", "-y", "NOPE", "ip")


def test_a_file_that_cannot_be_written(tmp_path):
    said = refused("draw", "-o", tmp_path / "no" / "a.svg", "ip", status=1)
    assert "cannot be written: No such file or directory" in said


@pytest.mark.parametrize(
    ("module", "format_name"), [("pygraphviz", "svg"), ("pygraphviz", "png"), ("resvg_py", "png")]
)
def test_a_missing_extra_is_named(monkeypatch, module, format_name):
    monkeypatch.setitem(sys.modules, module, None)
    said = refused("draw", "--format", format_name, "ip", status=1)
    assert "pip install 'pfcompile[pictures]'" in said


@pytest.mark.parametrize("format_name", ["text", "dot"])
def test_text_and_dot_need_no_extra(monkeypatch, format_name):
    for module in ("pygraphviz", "resvg_py"):
        monkeypatch.setitem(sys.modules, module, None)
    assert output("draw", "--format", format_name, FILTER)


def test_a_filter_that_says_the_same_of_all_packets():
    assert "accept" in output("draw", "1 = 1").decode()
    assert output("draw", "--format", "svg", "--stage", "program", "1 = 1").startswith(b"<svg ")


def test_other_link_types():
    drawn = output("draw", "-y", "LINUX_SLL2", "ifindex 3 and udp").decode()
    assert "sll2.ifindex == 3" in drawn
