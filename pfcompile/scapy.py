"""Filters for scapy's sniff(), without libpcap and without the tcpdump program.

::

    from scapy.all import sniff
    from pfcompile.scapy import open_socket, sniff_filter

    sniff(opened_socket=open_socket("eth0", "tcp port 443"), prn=print)   # filtered by the kernel
    sniff(offline="in.pcap", lfilter=sniff_filter("udp port 53"))         # filtered here

On a busy interface open_socket() is the one to take: packets that do not match never reach Python.

Importing this raises MissingExtraError where scapy is not installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pfcompile import compiler
from pfcompile.errors import FilterError, MissingExtraError
from pfcompile.kernel.hardware_types import capture_link_type
from pfcompile.kernel.interfaces import find_interface, ipv4_netmask
from pfcompile.kernel.opening import MAX_SNAPLEN
from pfcompile.kernel.packet_socket import PacketSocket

try:
    # All of it, since each layer enters itself into conf.l2types as it is loaded.
    from scapy.all import Packet, conf, raw
    from scapy.supersocket import SuperSocket
    from scapy.utils import EDecimal
except ImportError as error:
    raise MissingExtraError("scapy", "scapy", "pfcompile.scapy") from error

if TYPE_CHECKING:
    from collections.abc import Callable

    from pfcompile.kernel.opening import Statistics
    from pfcompile.program import Program


def sniff_filter(
    expression: str, *, netmask: int | None = None, optimize: bool = True
) -> Callable[[Packet], bool]:
    """Return a test for packets, for `sniff(lfilter=...)` or any other use.

    The expression is compiled when the first packet of a link type comes, once for each.

    Args:
        expression: A filter in tcpdump's language.
        netmask: IPv4 netmask of the network that the packets come from, for `ip broadcast`.
        optimize: Whether to run the optimiser.

    Returns:
        A function that takes a scapy packet, beginning with its link layer, and tells whether it
        matches. It raises FilterError where the expression is wrong, has no meaning on the
        packet's link type, or scapy has no number for that type.
    """
    programs: dict[int, Program] = {}

    def matches(packet: Packet) -> bool:
        dlt = _dlt_of(packet)
        if dlt not in programs:
            programs[dlt] = compiler.compile(
                expression, link_type=dlt, netmask=netmask, optimize=optimize, savefile=True
            )
        data = raw(packet)
        # Packets from a file may be shorter than they were; changed ones may be longer.
        wire_length = max(len(data), packet.wirelen or 0)
        return bool(programs[dlt].match(data, wire_length))

    return matches


def open_socket(
    interface: str,
    expression: str = "",
    *,
    snaplen: int = MAX_SNAPLEN,
    promiscuous: bool | None = None,
    optimize: bool = True,
) -> FilteredSocket:
    """Open a socket for `sniff(opened_socket=...)` on which the kernel filters.

    It is filtered before the first packet can come in. Close it, or use it in `with`.

    Args:
        interface: A name, or `any`.
        expression: A filter in tcpdump's language; empty takes all packets.
        snaplen: Bytes to keep of each packet, 1 to 262144.
        promiscuous: Ask for packets to other hosts; None is as `conf.sniff_promisc` says.
        optimize: Whether to run the optimiser.

    Raises:
        FilterError: The expression is wrong.
        KernelError: The capability CAP_NET_RAW is missing, or there is no such interface.
    """
    where = find_interface(interface)
    link_type = capture_link_type(where)
    program = compiler.compile(
        expression,
        link_type=link_type.dlt,
        snaplen=snaplen,
        netmask=ipv4_netmask(where),
        optimize=optimize,
        live=True,
    )
    packets = PacketSocket(
        where.name,
        program.instructions,
        snaplen=snaplen,
        promiscuous=bool(conf.sniff_promisc) if promiscuous is None else promiscuous,
    )
    return FilteredSocket(packets)


class FilteredSocket(SuperSocket):  # type: ignore[misc]  # scapy has no types
    """A capture as scapy wants its sockets: to be selected, received from and closed."""

    desc = "read packets at layer 2 that the kernel has filtered with a classic BPF program"

    def __init__(self, packets: PacketSocket) -> None:
        """Take over `packets`, and close it in the end."""
        self.packets = packets
        self.iface = packets.interface.name
        self.LL = conf.l2types.num2layer.get(packets.link_type.dlt, conf.raw_layer)
        self._wire_length = 0

    def fileno(self) -> int:
        """Return the file descriptor to select on."""
        return self.packets.fileno()

    def recv_raw(self, x: int = MAX_SNAPLEN) -> tuple[Any, bytes | None, Any]:
        """Return the next packet's layer, bytes (at most `x`) and time, or None thrice.

        Raises:
            KernelError: The interface went down or away.
        """
        packet = self.packets.receive()
        if packet is None:
            return None, None, None
        self._wire_length = packet.wire_length
        return self.LL, packet.data[:x], EDecimal(packet.timestamp_ns) / 10**9

    def recv(self, x: int = MAX_SNAPLEN, **kwargs: Any) -> Packet | None:
        """Return the next packet dissected, or None; raises as recv_raw()."""
        packet = super().recv(x, **kwargs)
        if packet is not None:
            packet.wirelen = self._wire_length
        return packet

    def send(self, x: Packet) -> int:
        """Refuse: this socket only listens."""
        raise NotImplementedError(f"cannot send {x.summary()}: the socket only listens")

    def statistics(self) -> Statistics:
        """Return how many packets matched, and how many of them the kernel dropped."""
        return self.packets.statistics()

    def close(self) -> None:
        """End the capture."""
        self.closed = True
        self.packets.close()


def _dlt_of(packet: Packet) -> int:
    """Return the link type of what `packet` begins with."""
    for layer in type(packet).__mro__:
        dlt = conf.l2types.layer2num.get(layer)
        if dlt is not None:
            return int(dlt)
    raise FilterError(
        f"a packet that begins with scapy's {type(packet).__name__} has no link type",
        hint="filter whole packets, link layer included, as sniff() gives them",
    )
