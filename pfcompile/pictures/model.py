"""What is drawn: boxes, the ways between them, and the expression that they come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pfcompile.errors import Span
    from pfcompile.ir.graph import Label, Origins

MOST_WAYS_TO_AN_END: Final = 6
"""Where more lead to one end of a filter, each gets an end of its own beside its block: lines from
all over a large graph to one box would hide everything else."""

COLOURS: Final = 8
"""How many parts of an expression are told apart by colour; then the colours begin anew."""


class Kind(Enum):
    """What a box stands for."""

    TEST = "test"
    ASSIGNMENT = "assignment"
    ACCEPT = "accept"
    REJECT = "reject"
    OPERATOR = "operator"
    TERM = "term"


class Side(Enum):
    """Which way out of a box."""

    YES = "yes"
    NO = "no"
    ON = "on"


@dataclass(frozen=True, slots=True)
class Heat:
    """How many packets came where.

    Attributes:
        blocks: Packets that came to each block.
        ways: Packets that left a block on its yes side (True) or its no side (False); an
            assignment has only a yes side.
    """

    blocks: Mapping[Label, int]
    ways: Mapping[tuple[Label, bool], int]


@dataclass(frozen=True, slots=True)
class Box:
    """A block, an end or an operator.

    Attributes:
        kind: What it stands for.
        lines: What it says, the first line the most important.
        label: The block's label, or None.
        name: What the block is called: "b3"; empty where it has no name.
        origins: The parts of the expression that asked for it.
        count: How many packets came here, or None.
    """

    kind: Kind
    lines: tuple[str, ...]
    label: int | None = None
    name: str = ""
    origins: Origins = ()
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """A way from one box to another, both by their place among the boxes."""

    source: int
    target: int
    side: Side = Side.ON
    count: int | None = None


@dataclass(frozen=True)
class Picture:
    """A picture that is not laid out yet.

    Attributes:
        title: What it shows, in a few words.
        boxes: The boxes, in the order of the filter.
        ways: The ways between them.
        text: The expression; empty where there is none.
        terms: The parts of the expression that are told apart by colour, in its order.
    """

    title: str
    boxes: Sequence[Box]
    ways: Sequence[Way]
    text: str = field(default="")

    @cached_property
    def terms(self) -> tuple[Span, ...]:
        """The parts of the expression that something in the picture comes from, in its order."""
        return tuple(sorted({span for box in self.boxes for span in box.origins}))

    @cached_property
    def colour_of(self) -> Mapping[Span, int]:
        """The number of each part's colour."""
        return {span: i % COLOURS for i, span in enumerate(self.terms)}

    @property
    def description(self) -> str:
        """What it shows, in words, for who does not see it."""
        ends = sum(box.kind in {Kind.ACCEPT, Kind.REJECT} for box in self.boxes)
        what = f"{len(self.boxes) - ends} boxes, {ends} ends and {len(self.ways)} ways."
        return f"{what} The filter: {self.text}" if self.text else what
