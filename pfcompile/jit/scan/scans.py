"""Native scans of whole captures, whatever kinds of records they have."""

from __future__ import annotations

from threading import Lock, RLock
from typing import TYPE_CHECKING, Final

from pfcompile.captures.filtering import check_link_type
from pfcompile.captures.formats.layouts import Layout, PcapLayout, PcapngLayout
from pfcompile.errors import ProgramError
from pfcompile.facts.link_types import KNOWN_DLTS
from pfcompile.jit.scan.scanner import Scan, Scanner

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pfcompile.captures.blocks.scans import BlockScan, Wanted
    from pfcompile.captures.formats.records import Interface, PcapHeader
    from pfcompile.jit.scan.counted import Scanned

_NO_LLVM: Final = (ImportError, OSError, RuntimeError, AttributeError)
"""What llvmlite raises where it is missing, broken, or too old to have what is asked of it."""


class Scanners:
    """The native code of some filters, made when a kind of record first needs it.

    Threads may ask at the same time.

    Attributes:
        wanted: What is taken down of packets.
        filters: How many filters there are.
    """

    def __init__(
        self,
        programs_for: Callable[[int, int], Sequence[Scanned]],
        filters: int,
        wanted: Wanted,
        *,
        cached: bool,
        give_up: Callable[[str], None],
    ) -> None:
        """Prepare; nothing is compiled yet.

        Args:
            programs_for: Gives the program of each filter for a link type (DLT value) and snaplen,
                or a graph to be counted.
            filters: How many filters there are.
            wanted: What is taken down of packets.
            cached: Whether native code may be taken from the user's cache, and is kept there.
            give_up: Told, once, why there is no native code.
        """
        self.wanted = wanted
        self.filters = filters
        self._programs_for = programs_for
        self._cached = cached
        self._give_up = give_up
        self._made: dict[tuple[Layout, tuple[int, ...]], Scanner] = {}
        self._hopeless = False
        self._lock = RLock()

    def check(self, dlt: int, snaplen: int) -> None:
        """Raise FilterError where an expression is wrong for a link type (DLT value)."""
        self._programs_for(dlt, snaplen)

    def scanner(self, layout: Layout, link_types: Mapping[int, int]) -> Scanner | None:
        """Return native code for some records; None where there can be none.

        Args:
            layout: The records.
            link_types: The link types (DLT values) that there are, with a snaplen each.

        Raises:
            FilterError: An expression is wrong for a link type.
        """
        with self._lock:
            key = (layout, tuple(link_types))
            if key not in self._made:
                if self._hopeless:
                    return None
                programs = [self._programs_for(dlt, cut) for dlt, cut in link_types.items()]
                try:
                    self._made[key] = Scanner(programs, layout, self.wanted, cached=self._cached)
                except ProgramError as error:  # it is one for the interpreter only
                    reason = str(error)
                except _NO_LLVM as error:
                    reason = f"LLVM cannot be used: {error}"
                if key not in self._made:
                    self._hopeless = True
                    self._give_up(reason)
                    return None
            return self._made[key]

    def scan(self, layout: Layout) -> Scan | None:
        """Return a scan of some records, which has no native code yet; None where none will be."""
        return None if self._hopeless else Scan(layout, self.wanted, self.filters)


class CaptureScans:
    """The native scans of one capture; a `captures.blocks.scans.Scans`.

    Attributes:
        wanted: What is taken down of packets.
    """

    def __init__(self, scanners: Scanners, path: str) -> None:
        """Prepare for the capture of that name."""
        self.wanted = scanners.wanted
        self._scanners = scanners
        self._path = path
        self._link_types: dict[int, int] = {}  # in pcapng, with the snaplen of one interface
        self._lock = Lock()

    def pcap(self, header: PcapHeader) -> Scan | None:
        """Return a scan of a pcap file, with nothing counted; see `captures.blocks.scans.Scans`."""
        interface = header.interface
        check_link_type(interface.dlt, self._path)
        layout = PcapLayout.of(header)
        scanner = self._scanners.scanner(layout, {interface.dlt: interface.filter_snaplen})
        if scanner is None:
            return None
        scan = Scan(layout, self._scanners.wanted, self._scanners.filters)
        scan.use(scanner)
        return scan

    def pcapng(self, byte_order: str) -> Scan | None:
        """Return a scan of pcapng sections; see `captures.blocks.scans.Scans`."""
        return self._scanners.scan(PcapngLayout(byte_order, filters=0))

    def choose(self, scan: BlockScan, interface: Interface) -> int | None:
        """Let a scan know the filter for an interface; see `captures.blocks.scans.Scans`."""
        assert isinstance(scan, Scan)
        assert isinstance(scan.layout, PcapngLayout)
        dlt, snaplen = interface.dlt, interface.filter_snaplen
        if dlt not in KNOWN_DLTS:
            return None  # whoever gets the packet says so
        # What is wrong for this interface must not get in the way of threads that know only others.
        self._scanners.check(dlt, snaplen)
        with self._lock:
            self._link_types.setdefault(dlt, snaplen)
            known = dict(self._link_types)
        number = list(known).index(dlt)
        if scan.layout.filters <= number:
            scanner = self._scanners.scanner(scan.layout._replace(filters=len(known)), known)
            if scanner is None:
                return None
            scan.use(scanner)
        return number
