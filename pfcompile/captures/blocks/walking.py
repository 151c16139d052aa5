"""One capture walked the fastest way that there is for it, from its first byte to its last."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pfcompile.captures.blocks import native
from pfcompile.captures.formats import pcap
from pfcompile.captures.reader import name_of, open_source, walk_items
from pfcompile.captures.sources.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pfcompile.captures.blocks.native import Manner
    from pfcompile.captures.blocks.scans import Counted, Run, Scans, Tallied
    from pfcompile.captures.formats.records import Item, PcapHeader, Record
    from pfcompile.captures.reader import Source


def walk_source(
    source: Source,
    scans: Scans | None,
    manner: Manner,
    before_read: Callable[[int], None] | None = None,
) -> Iterator[Item | Run | Counted | Tallied]:
    """Yield what a capture is made of; packets one by one, or what scans have kept of them.

    Args:
        source: A path, "-" for standard input, or a binary stream.
        scans: Gives what filters it in blocks; None where packets are wanted.
        manner: How it is walked in blocks.
        before_read: Called before a read with the number of bytes read so far.

    Raises:
        CaptureError: It cannot be opened or read, or is damaged; after all that is whole.
        FilterError: The expression is wrong for the link type of an interface.
    """
    with open_source(source) as stream:
        window = Window(stream, name_of(source), before_read=before_read)
        yield from walk_window(window, scans, manner)


def walk_window(
    window: Window, scans: Scans | None, manner: Manner
) -> Iterator[Item | Run | Counted | Tallied]:
    """Yield what a capture is made of that has been opened; as `walk_source`."""
    if scans is None:
        yield from walk_items(window, pcap.walk)
        return
    yield from walk_items(
        window,
        partial(_walk_pcap, scans, manner),
        partial(native.walk_pcapng, scans=scans, manner=manner),
    )


def _walk_pcap(
    scans: Scans, manner: Manner, window: Window, header: PcapHeader
) -> Iterator[Record | Run | Counted | Tallied]:
    scan = scans.pcap(header)
    if scan is None:
        yield from pcap.walk(window, header)
    else:
        yield from native.walk_pcap(window, header, scan, manner)
