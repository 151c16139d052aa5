"""An expression as it is asked about, and compiled with all that it was on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pfcompile.cbpf.provenance import trace
from pfcompile.compiler import compile as compile_text
from pfcompile.names.resolvers import NoNames, SystemResolver
from pfcompile.passes.observer import Recording

if TYPE_CHECKING:
    from pfcompile.cbpf.provenance import Provenance
    from pfcompile.ir.graph import Graph
    from pfcompile.names.answers import Resolver
    from pfcompile.program import Program


@dataclass(frozen=True, slots=True)
class Filter:
    """An expression and what its meaning hangs on.

    Attributes:
        text: The expression.
        link_type: A name or number, as `-y` takes it.
        netmask: Of the network, for `ip broadcast`, or None.
        names: Whether names of hosts and networks are looked up.
        savefile: Whether it is for the packets of a capture file, as in `compile`.
    """

    text: str
    link_type: str = "EN10MB"
    netmask: str | None = None
    names: bool = False
    savefile: bool = False

    @property
    def resolver(self) -> Resolver:
        """Where names are looked up."""
        return SystemResolver() if self.names else NoNames()


@dataclass(frozen=True, slots=True)
class Compiled:
    """An expression that is right.

    Attributes:
        program: Its program.
        recording: What it was on the way.
        provenance: Where instructions come from; None for a blank expression.
    """

    program: Program
    recording: Recording
    provenance: Provenance | None

    @property
    def graph(self) -> Graph | None:
        """The last graph, whose blocks the instructions are of."""
        return None if self.provenance is None else self.provenance.graph


def compiled(asked: Filter) -> Compiled:
    """Compile an expression.

    Raises:
        FilterError: It is wrong.
        ValueError: There is no such link type.
    """
    recording = Recording()
    program = compile_text(
        asked.text,
        asked.link_type,
        netmask=asked.netmask,
        resolver=asked.resolver,
        savefile=asked.savefile,
        observer=recording,
    )
    if recording.expression is None:
        return Compiled(program, recording, None)
    provenance = trace(recording.graph, program.snaplen, recording.lowered)
    return Compiled(program, recording, provenance)
