"""Golden files: filters, and what each stage makes of them.

A file is about one topic and holds cases::

    # A comment, before the first case.
    === ip on Ethernet
    link: EN10MB
    same as: ether proto 0x800
    ip
    --- cbpf
    (000) ldh      [12]
    ...

The lines between the title and the first section are settings, then the filter, which may take
several lines. Settings are `link:`, `netmask:`, `snaplen:`, `source:` (live, savefile), and any
number of `same as:`, other spellings that must give the same program.

Sections are named by stage. `lowered` is the graph before the passes, the name of a pass what that
pass alone makes of it, `optimised` the graph after all of them; `words` is the optimised graph in
the words of packet fields, `drawn`, `dot`, `tree` and `program drawn` are pictures; `cbpf` is the
program, `unoptimised` the program without the passes, `error` what is said instead; any format of
`--format` is the program in it. `explained` is what `pfcompile explain` prints, `warned` the
warnings below it alone, and `noted` its notes. A case may begin with a section `graph` instead of a
filter: then the passes get that graph.
"""

from __future__ import annotations

from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Final

from pfcompile.cbpf.check import check as check_program
from pfcompile.cbpf.generate import generate
from pfcompile.cbpf.listing import tcpdump
from pfcompile.cbpf.provenance import trace, with_all_origins
from pfcompile.cli.explaining.text import print_explanation, print_warnings
from pfcompile.compiler import compile as compile_text
from pfcompile.errors import PfcompileError
from pfcompile.explain import Level, explain
from pfcompile.facts.link_types import number as dlt_of
from pfcompile.fields import describe
from pfcompile.ir.check import check
from pfcompile.ir.text import parse_graph, print_graph
from pfcompile.lower.context import Options, Source
from pfcompile.lower.lowering import lower
from pfcompile.names.answers import Host, Service
from pfcompile.names.resolvers import StaticResolver
from pfcompile.passes.observer import Recording
from pfcompile.pictures.blocks import picture_of_graph, picture_of_program
from pfcompile.pictures.dot import dot
from pfcompile.pictures.text import text as draw_text
from pfcompile.pictures.trees import picture_of_tree
from pfcompile.program import FORMATS
from pfcompile.syntax.parser import parse_partly
from tests.passes.catalogue import PASSES, apply

if TYPE_CHECKING:
    from pfcompile.ir.graph import Graph

RESOLVER: Final = StaticResolver(
    hosts={
        "router": Host.of(["10.0.0.1", "fe80::1"]),
        "four": Host.of(["10.0.0.4"]),
        "six": Host.of(["2001:db8::6"]),
    },
    networks={"corp": 0x0A01},
    services={
        "onlytcp": Service(tcp=4000),
        "onlyudp": Service(udp=4001),
        "web": Service(tcp=80, udp=80),
    },
    ethers={"router": 0x001122334455},
)

_SOURCES: Final = {"live": Source.LIVE, "savefile": Source.SAVEFILE}
_SETTINGS: Final = ("link", "netmask", "snaplen", "source", "same as")


@dataclass(slots=True)
class Case:
    """One filter or graph of a golden file."""

    title: str
    settings: list[tuple[str, str]] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    sections: list[tuple[str, str]] = field(default_factory=list)

    def setting(self, name: str, default: str) -> str:
        return next((value for key, value in self.settings if key == name), default)

    @property
    def spellings(self) -> list[str]:
        return [value for key, value in self.settings if key == "same as"]

    @property
    def filter(self) -> str:
        return "\n".join(self.text)

    @property
    def graph(self) -> Graph | None:
        return parse_graph(dict(self.sections)["graph"]) if "graph" in dict(self.sections) else None

    def compiled(self, text: str, *, optimize: bool = True, observer=None):
        source = self.setting("source", "")
        return compile_text(
            text,
            self.setting("link", "EN10MB"),
            int(self.setting("snaplen", "262144")),
            self.setting("netmask", "") or None,
            optimize,
            live=source == "live",
            savefile=source == "savefile",
            resolver=RESOLVER,
            observer=observer,
        )

    def lowered(self) -> Graph:
        expression = parse_partly(self.filter)
        assert expression is not None, f"{self.title}: an empty filter has no graph"
        options = Options(
            dlt_of(self.setting("link", "EN10MB")),
            RESOLVER,
            netmask=int(IPv4Address(self.setting("netmask", "255.255.255.255"))),
            source=_SOURCES.get(self.setting("source", ""), Source.UNKNOWN),
        )
        return lower(expression, self.filter, options)


def read(text: str) -> tuple[str, list[Case]]:
    """Return what stands before the first case of a golden file, and its cases."""
    preface: list[str] = []
    cases: list[Case] = []
    section: list[str] | None = None
    for line in text.splitlines():
        if line.startswith("=== "):
            cases.append(Case(line.removeprefix("=== ")))
            section = None
        elif not cases:
            preface.append(line)
        elif line.startswith("--- "):
            section = []
            cases[-1].sections.append((line.removeprefix("--- "), ""))
        elif section is not None:
            section.append(line)
            name, _ = cases[-1].sections[-1]
            cases[-1].sections[-1] = (name, "\n".join(section).rstrip("\n") + "\n")
        else:
            _read_head(cases[-1], line)
    for case in cases:
        while case.text and not case.text[-1]:
            case.text.pop()
    return "\n".join(preface).rstrip("\n"), cases


def _read_head(case: Case, line: str) -> None:
    name, colon, value = line.partition(": ")
    if colon and not case.text and name in _SETTINGS:
        case.settings.append((name, value))
    else:
        case.text.append(line)


def write(preface: str, cases: list[Case]) -> str:
    """Return the text of a golden file whose sections say what is so now."""
    return "\n".join(filter(None, [preface, *map(_case_text, cases)]))


def _case_text(case: Case) -> str:
    lines = [f"=== {case.title}", *(f"{key}: {value}" for key, value in case.settings), *case.text]
    text = "\n".join(lines) + "\n"
    for name, _ in case.sections:
        text += f"--- {name}\n{actual(case, name)}"
    return text


def actual(case: Case, section: str) -> str:
    """Return what stage `section` gives for a case now.

    Raises:
        AssertionError: A graph or program on the way is not sound, or a spelling differs.
    """
    graph = case.graph
    if section == "error":
        return _error(case)
    if section in {"explained", "warned", "noted"}:
        return _explanation(case, section)
    if graph is not None:
        return _of_graph(graph, section)
    if section == "lowered":
        return _graph_text(case.lowered())
    if _pass_name(section) in PASSES:
        return _graph_text(apply(_pass_name(section), case.lowered()))
    if section in {"words", "drawn", "dot", "tree", "program drawn"}:
        return _picture(case, section)
    program = case.compiled(case.filter, optimize=section != "unoptimised")
    check_program(program.instructions)
    for spelling in case.spellings:
        other = case.compiled(spelling, optimize=section != "unoptimised").instructions
        told = f"{case.title}: {spelling!r} gives\n{tcpdump(other)}"
        assert other == program.instructions, told
    if section in {"cbpf", "unoptimised"}:
        return tcpdump(program.instructions)
    assert section in FORMATS, f"{case.title}: there is no stage '{section}'"
    output = program.dump(section)
    assert isinstance(output, str), f"{section} is not text"
    return output


def _picture(case: Case, section: str) -> str:
    """Return the optimised graph in words, or a picture as text or DOT."""
    recording = Recording()
    program = case.compiled(case.filter, observer=recording)
    graph = with_all_origins(recording.graph, recording.lowered)
    match section:
        case "words":
            words = describe(graph, program.dlt)
            return "".join(f"b{label}: {words[label]}\n" for label in graph.labels)
        case "tree":
            return draw_text(picture_of_tree(recording.expression, case.filter))
        case "program drawn":
            found = trace(recording.graph, program.snaplen, recording.lowered)
            return draw_text(picture_of_program(found, program.dlt, case.filter))
        case _:
            picture = picture_of_graph(graph, program.dlt, case.filter)
            return dot(picture) if section == "dot" else draw_text(picture)


def _explanation(case: Case, section: str) -> str:
    """Return what `pfcompile explain` prints, or the warnings or notes of it alone."""
    source = case.setting("source", "")
    explanation = explain(
        case.filter,
        case.setting("link", "EN10MB"),
        netmask=case.setting("netmask", "") or None,
        live=source == "live",
        savefile=source == "savefile",
        resolver=RESOLVER,
        seconds=60,
    )
    level = Level.NOTE if section == "noted" else Level.WARNING
    wanted = [each for each in explanation.warnings if each.level is level]
    with redirect_stdout(StringIO()) as printed:
        if section == "explained":
            print_explanation(explanation, wanted)
        else:
            print_warnings(explanation, wanted)
    return printed.getvalue() or "(none)\n"


def _error(case: Case) -> str:
    """Return what the compiler, or a pass, says of a wrong filter, drawn with its place."""
    try:
        graph = case.graph
        if graph is None:
            case.compiled(case.filter)
        else:
            generate(apply("optimise", graph), 1)
    except (PfcompileError, ValueError) as error:
        return f"{error}\n"
    raise AssertionError(f"{case.title}: no error")


def _of_graph(graph: Graph, section: str) -> str:
    """Return what a stage makes of a graph that it gets as it is."""
    if section == "cbpf":
        program = generate(graph, 262144)
        check_program(program)
        return tcpdump(program)
    return _graph_text(graph if section == "graph" else apply(_pass_name(section), graph))


def _pass_name(section: str) -> str:
    return "optimise" if section == "optimised" else section


def _graph_text(graph: Graph) -> str:
    """Return a graph as text that has been read back."""
    check(graph)
    text = print_graph(graph)
    again = parse_graph(text)
    assert again.blocks == graph.blocks, text
    assert print_graph(again) == text
    return text
