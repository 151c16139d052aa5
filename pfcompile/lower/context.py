"""What lowering an expression needs at hand, and what it keeps while it walks the text."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Protocol

from pfcompile.errors import FilterError
from pfcompile.facts import link_types
from pfcompile.ir.values import Variable, variable

if TYPE_CHECKING:
    from pfcompile.errors import Span
    from pfcompile.lower.formula import Formula
    from pfcompile.lower.frame import Frame
    from pfcompile.names.answers import Resolver
    from pfcompile.syntax import tree

NETMASK_UNKNOWN = 0xFFFFFFFF
"""PCAP_NETMASK_UNKNOWN, pcap/pcap.h."""

DEFAULT_PROTOCHAIN_HEADERS = 6
"""How many headers `protochain` follows: a chain as RFC 8200 recommends it has no more."""


MAX_PROTOCHAIN_HEADERS = 100
"""More make a program of over a thousand instructions, and no packet has them."""


class Source(Enum):
    """Where the packets will come from; a few tests depend on it."""

    UNKNOWN = auto()
    """As `tcpdump -y TYPE -d` compiles: neither a file nor a live capture."""
    SAVEFILE = auto()
    """A file, perhaps from a system with other address family numbers and another byte order."""
    LIVE = auto()
    """A live capture on Linux: the kernel's metadata can be read."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a compilation depends on besides the text.

    Attributes:
        dlt: Link type (DLT value).
        resolver: Where names are looked up.
        netmask: Of the interface's IPv4 network, for `ip broadcast`; 32 bits, host order.
        source: Where the packets come from.
        protochain_headers: How many headers `protochain` follows, 1 to `MAX_PROTOCHAIN_HEADERS`.

    Raises:
        ValueError: `protochain_headers` is out of its range.
    """

    dlt: int
    resolver: Resolver
    netmask: int = NETMASK_UNKNOWN
    source: Source = Source.UNKNOWN
    protochain_headers: int = DEFAULT_PROTOCHAIN_HEADERS

    def __post_init__(self) -> None:
        if not 1 <= self.protochain_headers <= MAX_PROTOCHAIN_HEADERS:
            msg = (
                f"protochain follows 1 to {MAX_PROTOCHAIN_HEADERS} headers, not "
                f"{self.protochain_headers}"
            )
            raise ValueError(msg)


class MarksPrimitives(Protocol):
    """Keeps primitives apart; see `lower.terms.Marks`."""

    def put(
        self, context: Context, node: tree.Primitive, meaning: Formula, values: Any, /
    ) -> Formula:
        """Return what a primitive means, with marks around it."""


class Context:
    """The state of lowering one expression, from left to right.

    Attributes:
        text: The expression.
        options: What the compilation depends on.
        frame: The headers as the next primitive sees them.
        variables: All that have been handed out.
        taken_as_true, taken_as_false: Operands that are not tested, by where they stand.
        seen: Where a list is given, every primitive is put there, with the frame that it sees.
        marks: Keeps the primitives apart where that is asked for.
    """

    def __init__(self, text: str, options: Options, frame: Frame) -> None:
        self.text = text
        self.options = options
        self.frame = frame
        self.variables: list[Variable] = []
        self.taken_as_true: frozenset[Span] = frozenset()
        self.taken_as_false: frozenset[Span] = frozenset()
        self.seen: list[tuple[tree.Primitive, Frame]] | None = None
        self.marks: MarksPrimitives | None = None
        self._chain: tuple[Variable, Variable] | None = None

    def new_variable(self) -> Variable:
        """Return a variable that nothing else uses."""
        made = variable(len(self.variables))
        self.variables.append(made)
        return made

    @property
    def chain_variables(self) -> tuple[Variable, Variable]:
        """Header and place of every `protochain`: one is done with them before the next begins."""
        if self._chain is None:
            self._chain = self.new_variable(), self.new_variable()
        return self._chain

    def error(self, message: str, span: Span, hint: str | None = None) -> FilterError:
        """Return the error `message` about the part of the text at `span`."""
        return FilterError(message, self.text, span, hint)

    def unsupported(self, what: str, span: Span, hint: str | None = None) -> FilterError:
        """Return the error for a primitive that the current link type does not have."""
        return self.error(f"'{what}' not supported on {self.link_name}", span, hint)

    def at_most(self, what: str, value: int, maximum: int, span: Span) -> None:
        """Raise FilterError where `value` is larger than `maximum`."""
        if value > maximum:
            message = f"{what} {value} greater than maximum {maximum}"
            raise self.error(message, span)

    @property
    def link_name(self) -> str:
        """The current link type, as messages name it."""
        return link_types.describe(self.frame.layout.dlt)
