"""All packets of a capture as NumPy arrays: which match, where they are, and when they came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pfcompile.captures.blocks.native import manner_for
from pfcompile.captures.blocks.rows import INTERFACE_BYTES
from pfcompile.captures.blocks.scans import NO_LIMIT, ROW, UNTIMED, Run
from pfcompile.captures.blocks.walking import walk_source
from pfcompile.captures.formats.records import NANOSECONDS, Record
from pfcompile.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from pfcompile.captures.blocks.scans import Scans
    from pfcompile.captures.formats.records import Interface
    from pfcompile.captures.sources.inputs import Source


class PacketArrays(NamedTuple):
    """All packets of a capture, in the order of the file.

    Attributes:
        matches: Whether each matches.
        offsets: Where its record starts, bytes from the start of the (decompressed) file.
        timestamps: Nanoseconds since 1970-01-01 UTC; 0 where the file has none.
        captured: How many of its bytes are in the file.
        wire: Its length on the wire.
    """

    matches: NDArray[np.bool_]
    offsets: NDArray[np.uint64]
    timestamps: NDArray[np.int64]
    captured: NDArray[np.uint32]
    wire: NDArray[np.uint32]


def packet_arrays(
    source: Source, scans: Scans | None, match: Callable[[Interface, bytes, int], bool]
) -> PacketArrays:
    """Return the arrays of a capture.

    Args:
        source: A path, "-" for standard input, a URL or a binary stream.
        scans: Takes all packets down as rows; None where there is nothing that does.
        match: Judges a packet of an interface by its bytes and wire length, where it is so.

    Raises:
        CaptureError: It cannot be read or is damaged.
        MissingExtraError: NumPy is not installed.
    """
    np = _numpy()
    pieces: list[Any] = []
    singles: list[tuple[bool, int, int, int, int]] = []
    for item in walk_source(source, scans, manner_for(scans, NO_LIMIT)):
        if isinstance(item, Run):
            pieces.append(_from_rows(np, item))
        elif isinstance(item, Record):  # then no runs come any more
            time = _clipped(item.timestamp_ns)
            matches = match(item.interface, item.data, item.wire_length)
            singles.append((matches, item.offset, time, len(item.data), item.wire_length))
    pieces.append(zip(*singles, strict=True) if singles else [()] * len(_KINDS))
    columns = zip(*pieces, strict=True)
    return PacketArrays(
        *(
            np.concatenate([np.asarray(piece, kind) for piece in column])
            for column, kind in zip(columns, _KINDS, strict=True)
        )
    )


_KINDS = ("bool", "uint64", "int64", "uint32", "uint32")
"""What the arrays hold, as NumPy calls it."""


def _numpy() -> Any:
    try:
        import numpy as np  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtraError("NumPy", "arrays", "giving packets as arrays") from error
    return np


def _from_rows(np: Any, run: Run) -> tuple[Any, ...]:
    rows = np.frombuffer(run.scan.rows(), np.uint64).reshape(-1, len(ROW)).T
    columns = dict(zip(ROW, rows, strict=True))
    times = np.zeros(rows.shape[1], np.int64)
    numbers, flags = np.divmod(columns["interface"], np.uint64(INTERFACE_BYTES))
    timed = flags & np.uint64(UNTIMED) == 0
    for number in np.unique(numbers):
        chosen = (numbers == number) & timed
        interface = run.structure.interfaces[int(number)]
        times[chosen] = _nanoseconds(np, interface, columns["ticks"][chosen])
    matches = columns["matched"] != 0
    # Copies: the rows' memory is used again.
    return (
        matches,
        columns["offset"].copy(),
        times,
        columns["captured"].astype(np.uint32),
        columns["wire"].astype(np.uint32),
    )


def _nanoseconds(np: Any, interface: Interface, ticks: Any) -> Any:
    """Return times as `Interface.nanoseconds` does, which knows no greatest number."""
    if not len(ticks):
        return ticks
    unit = interface.ticks_per_second
    most = int(ticks.max()) // unit + abs(interface.offset_seconds)
    if unit > NANOSECONDS or most >= _MOST_SECONDS:
        return np.array([_clipped(interface.nanoseconds(int(each))) for each in ticks], np.int64)
    seconds, rest = np.divmod(ticks, np.uint64(unit))
    fraction = rest * np.uint64(NANOSECONDS) // np.uint64(unit)
    whole = seconds.astype(np.int64) + np.int64(interface.offset_seconds)
    return whole * np.int64(NANOSECONDS) + fraction.astype(np.int64)


_MOST_SECONDS = (1 << 63) // NANOSECONDS - 1
"""Times beyond this are not told apart: it is 292 years after 1970."""


def _clipped(nanoseconds: int) -> int:
    """Return a time as near as 64 bits can say it."""
    return max(-(1 << 63), min((1 << 63) - 1, nanoseconds))
