"""What the tests of decompiling ask, and what they print when an answer is wrong."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from pfcompile.cbpf.listing import tcpdump
from pfcompile.decompile.decompiler import decompile
from pfcompile.errors import FilterError
from pfcompile.names.resolvers import NoNames
from tests.generator.expressions import Generator
from tests.generator.links import LINKS
from tests.generator.seed import SEED, rerun

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pfcompile.cbpf.isa import Instruction
    from pfcompile.decompile import Decompiled

NETMASK: Final = "255.255.255.0"
TIMEOUT: Final = 300.0
"""Seconds: other tests run at the same time."""

_LINES = (Path(__file__).parents[1] / "filters" / "usual.txt").read_text(encoding="utf-8")
USUAL: Final = [line for line in _LINES.splitlines() if line and not line.startswith("#")]


def asked(program: Sequence[Instruction], link_type: str | int = "EN10MB") -> Decompiled:
    """Decompile a program."""
    return decompile(program, link_type, netmask=NETMASK, timeout=TIMEOUT)


def story(
    text: str, link_type: str, program: Sequence[Instruction], found: Decompiled, path: str
) -> str:
    """Return all there is to know about an answer that is wrong."""
    return (
        f"{link_type}: {text}\n{tcpdump(program)}{found.expression}\n{found.proof} {found.reason}\n"
        f"{rerun(path)}"
    )


def random_expressions(count: int, first: int = 0) -> Iterator[tuple[str, str]]:
    """Yield link types and expressions that compile there, all link types in turn."""
    from pfcompile.compiler import compile as compile_text  # noqa: PLC0415

    made = {name: Generator(f"{SEED} decompile {first} {name}", name) for name in LINKS}
    while True:
        for name, generator in made.items():
            if count == 0:
                return
            text = generator.expression()
            try:
                compile_text(text, name, netmask=NETMASK, resolver=NoNames())
            except FilterError:
                continue
            count -= 1
            yield name, text


def median_length(pairs: Sequence[tuple[str, str]]) -> float:
    """Return the median of how long texts are, as parts of those that they come from."""
    return median(len(found) / len(text) for text, found in pairs)
