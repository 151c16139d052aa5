"""What an attachment says of itself, in a map of its own: so it is known to whoever finds it.

The map has one value, JSON text that zeros fill up. A program holds it as long as it lives.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pfcompile.errors import ProgramError
from pfcompile.kernel.attach.addresses import SetRule, Side
from pfcompile.kernel.attach.program import DESCRIPTION_MAP, Action
from pfcompile.kernel.bpf.kinds import MapKind
from pfcompile.kernel.bpf.maps import create_map

if TYPE_CHECKING:
    from pfcompile.kernel.bpf.maps import Map

_BYTES: Final = 32_768
_LONGEST_EXPRESSION: Final = 12_000
_KEY: Final = bytes(4)
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Description:
    """What is known of an attachment.

    Attributes:
        place: Where it is, for people.
        row: The name of the place's row.
        attach_type: What the program was loaded for, 0 for nothing in particular.
        dlt: The link type that its filter was compiled for.
        expression: The filter, cut where it is very long.
        action: The `Action`'s value.
        process: The number of the process that attached it.
        namespace: The number of the network namespace in which it did.
        began: When, in seconds since 1970.
        reported_bytes: How many bytes of matching packets are reported; 0 for no reports.
        counts_sources: Whether they are counted by their source.
        rules: The sets that they have to be in: name, side, whether that is an exception.
        maps: The numbers of the program's maps, by the names that it has for them.
        reader: Who reads its reports, one alone can: a process's number, and when it began; None
            for nobody.
    """

    place: str
    row: str
    attach_type: int
    dlt: int
    expression: str
    action: str
    process: int
    namespace: int
    began: float
    reported_bytes: int = 0
    counts_sources: bool = False
    rules: tuple[tuple[str, str, bool], ...] = ()
    maps: dict[str, int] = field(default_factory=dict)
    reader: tuple[int, int] | None = None

    @property
    def sets(self) -> tuple[SetRule, ...]:
        """The sets, as rules."""
        return tuple(SetRule(name, Side(side), negated) for name, side, negated in self.rules)

    def with_filter(self, expression: str, action: Action) -> Description:
        """Return the same with another filter."""
        return replace(self, expression=expression, action=action.value)

    def store(self, target: Map) -> None:
        """Write it into its map; raises KernelError."""
        fields = asdict(self) | {"version": _VERSION}
        text = fields["expression"]
        if len(json.dumps(text)) > _LONGEST_EXPRESSION:
            kept = _LONGEST_EXPRESSION // len("\\uffff")
            fields["expression"] = text[:kept] + " ..."
        target.set(_KEY, json.dumps(fields).encode().ljust(_BYTES, b"\0"))


def process_mark(number: int) -> tuple[int, int] | None:
    """Return what tells a process from a later one of its number; None where there is none.

    Source: proc_pid_stat(5), field 22, behind the name, which may hold anything.
    """
    try:
        text = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return number, int(text.rpartition(")")[2].split()[19])


def create() -> Map:
    """Make a map for a description; raises KernelError."""
    return create_map(MapKind.ARRAY, 4, _BYTES, 1, name=DESCRIPTION_MAP)


def read(source: Map) -> Description:
    """Return what a map holds.

    Raises:
        ProgramError: Another version of this program has written it, or none.
    """
    text = (source.get(_KEY) or b"").rstrip(b"\0")
    try:
        fields = json.loads(text)
        if fields.pop("version") == _VERSION:
            fields["rules"] = tuple(map(tuple, fields["rules"]))
            fields["reader"] = None if fields["reader"] is None else tuple(fields["reader"])
            return Description(**fields)
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    raise ProgramError("another version of pfcompile has attached it, which does not say what")
