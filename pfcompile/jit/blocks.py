"""How a program falls into functions and blocks.

A function here is what control can flow through without a call: code that several functions of a
program share puts them into one, with an entry for each. A block is a run of instructions of which
only the last can be seen from outside: it jumps, can fault, or changes something. So a budget can
be asked for a whole block before it: what it has not enough for, stops where nobody can tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.isa import Callee, Kind
from pfcompile.ebpf.structure import target_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pfcompile.ebpf.isa import Instruction, Row


@dataclass(frozen=True, slots=True)
class Site:
    """An instruction in its place.

    Attributes:
        slot: Where it is.
        instruction: It.
        row: Its row.
        second: The slot after it, of a 64-bit immediate load.
        target: Where it goes, or what it calls or takes the address of, if so.
    """

    slot: int
    instruction: Instruction
    row: Row
    second: Instruction | None
    target: int | None

    @property
    def after(self) -> int:
        """The slot of the next one."""
        return self.slot + self.row.slots

    @property
    def ways(self) -> tuple[int, ...]:
        """Where control can go from here within the function; the jump's target first."""
        kind = self.row.kind
        ways = [self.target] if kind in _JUMPS and self.target is not None else []
        return tuple(ways if kind in _NEVER_GOES_ON else [*ways, self.after])


@dataclass(frozen=True, slots=True)
class Block:
    """Instructions that run one after the other, and what follows.

    Attributes:
        sites: At least one.
    """

    sites: tuple[Site, ...]

    @property
    def slot(self) -> int:
        """Where it begins."""
        return self.sites[0].slot


@dataclass(frozen=True, slots=True)
class Function:
    """Blocks with ways between them.

    Attributes:
        entries: The slots where it is entered, in order.
        blocks: By slot, in order.
    """

    entries: tuple[int, ...]
    blocks: tuple[Block, ...]


_JUMPS: Final = frozenset({Kind.JUMP, Kind.BRANCH, Kind.MAY_GOTO})
_NEVER_GOES_ON: Final = frozenset({Kind.JUMP, Kind.EXIT})
_ENDS_BLOCK: Final = frozenset({*_JUMPS, Kind.EXIT, Kind.CALL, Kind.PACKET})
"""After these, control may be elsewhere, or the program at its end."""
_IS_SEEN: Final = frozenset({Kind.LOAD, Kind.LOAD_SIGNED, Kind.STORE, Kind.ATOMIC})
"""These can fault or change memory."""
_LOADS: Final = frozenset({Kind.LOAD, Kind.LOAD_SIGNED})


def sites_of(program: Sequence[Instruction], rows: Sequence[Row | None]) -> dict[int, Site]:
    """Return the instructions of a program by slot; `rows` is what `check_structure` gave."""
    return {
        slot: Site(
            slot,
            program[slot],
            row,
            program[slot + 1] if row.slots > 1 else None,
            target_of(slot, program[slot], row),
        )
        for slot, row in enumerate(rows)
        if row is not None
    }


def find_functions(
    sites: dict[int, Site], proved: frozenset[int], *, counted: bool
) -> tuple[Function, ...]:
    """Return the functions of a program; that of slot 0 is the first.

    Args:
        sites: Its instructions by slot.
        proved: Slots of memory accesses that cannot fault.
        counted: Whether the budget can end within the program: then a block ends with the first
            access in it that anybody can see.
    """
    entries, reached = _reach(sites)
    groups = _Groups(reached)
    for slot in reached:
        for way in sites[slot].ways:
            groups.join(slot, way)
    leaders = set(entries)
    for slot in reached:
        site = sites[slot]
        if site.row.kind in _ENDS_BLOCK or (counted and _is_seen(site, proved)):
            leaders.update(site.ways)
    members: dict[int, list[Block]] = {}
    for block in _blocks(sites, reached, leaders):
        members.setdefault(groups.find(block.slot), []).append(block)
    functions = [
        Function(
            tuple(slot for slot in sorted(entries) if groups.find(slot) == group), tuple(blocks)
        )
        for group, blocks in members.items()
    ]
    return tuple(sorted(functions, key=lambda function: function.entries[0]))


def longest_run(sites: dict[int, Site]) -> int | None:
    """Return the most instructions that a program without loops and functions runs, else None."""
    _, reached = _reach(sites)
    longest: dict[int, int] = {}
    for slot in sorted(reached, reverse=True):
        site = sites[slot]
        row = site.row
        if row.kind is Kind.CALL and row.operation in _CALLS_INTO_PROGRAM:
            return None
        if any(way <= slot for way in site.ways):
            return None
        longest[slot] = 1 + max((longest[way] for way in site.ways), default=0)
    return longest[0]


_CALLS_INTO_PROGRAM: Final = frozenset({Callee.LOCAL, Callee.REGISTER})


def _is_seen(site: Site, proved: frozenset[int]) -> bool:
    kind = site.row.kind
    return kind in _IS_SEEN and not (kind in _LOADS and site.slot in proved)


def _reach(sites: dict[int, Site]) -> tuple[set[int], set[int]]:
    """Return where functions are entered, and all instructions that can run."""
    entries, reached = {0}, set[int]()
    waiting = [0]
    while waiting:
        slot = waiting.pop()
        if slot in reached:
            continue
        reached.add(slot)
        site = sites[slot]
        waiting += site.ways
        if site.row.kind is Kind.CALL:
            called = _called(site, sites)
            entries.update(called)
            waiting += called
    return entries, reached


def _called(site: Site, sites: dict[int, Site]) -> Iterable[int]:
    if site.row.operation is Callee.REGISTER:
        # A register can hold the address of any instruction.
        return sites
    return () if site.target is None else (site.target,)


def _blocks(sites: dict[int, Site], reached: set[int], leaders: set[int]) -> Iterator[Block]:
    current: list[Site] = []
    for slot in sorted(reached):
        site = sites[slot]
        if current and (slot in leaders or current[-1].after != slot):
            yield Block(tuple(current))
            current = []
        current.append(site)
    yield Block(tuple(current))


class _Groups:
    """Sets of slots that are joined, each named by one of them."""

    def __init__(self, slots: Iterable[int]) -> None:
        self._over = {slot: slot for slot in slots}

    def find(self, slot: int) -> int:
        over = self._over
        while over[slot] != slot:
            over[slot] = over[over[slot]]
            slot = over[slot]
        return slot

    def join(self, a: int, b: int) -> None:
        a, b = self.find(a), self.find(b)
        self._over[max(a, b)] = min(a, b)
