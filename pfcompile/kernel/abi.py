"""Numbers and layouts of Linux's socket interface that Python's `socket` module does not name.

Sources: asm-generic/socket.h, linux/if_packet.h, linux/filter.h, linux/sockios.h. The option
numbers are those of every architecture but alpha, mips, parisc and sparc.
"""

from __future__ import annotations

import struct
from typing import Final

SO_ATTACH_FILTER: Final = 26
SO_GET_FILTER: Final = 26
"""The same number as SO_ATTACH_FILTER, but for getsockopt."""
SO_DETACH_FILTER: Final = 27
SO_RCVBUFFORCE: Final = 33
SO_TIMESTAMPNS: Final = 35
SO_LOCK_FILTER: Final = 44

SOL_PACKET: Final = 263
PACKET_ADD_MEMBERSHIP: Final = 1
PACKET_RX_RING: Final = 5
PACKET_STATISTICS: Final = 6
PACKET_AUXDATA: Final = 8
PACKET_VERSION: Final = 10
PACKET_FANOUT: Final = 18
PACKET_IGNORE_OUTGOING: Final = 23
PACKET_MR_PROMISC: Final = 1

TPACKET_V3: Final = 2
PACKET_FANOUT_HASH: Final = 0
PACKET_FANOUT_FLAG_UNIQUEID: Final = 0x2000

ETH_P_ALL: Final = 3
"""The protocol that stands for every protocol, linux/if_ether.h."""
ETH_P_8021Q: Final = 0x8100
"""What a VLAN tag's TPID is where the kernel does not say, linux/if_ether.h."""

TP_STATUS_USER: Final = 1 << 0
TP_STATUS_VLAN_VALID: Final = 1 << 4
TP_STATUS_VLAN_TPID_VALID: Final = 1 << 6

SOCK_FILTER: Final = struct.Struct("=HBBI")
"""struct sock_filter: code, jt, jf, k."""
SOCK_FPROG: Final = struct.Struct("@HP")
"""struct sock_fprog: count of instructions, their address."""
SOCKADDR_LL: Final = struct.Struct("=HHiHBB8s")
"""struct sockaddr_ll: family, protocol in network order, interface index, hardware type, packet
type, address length, address."""
PACKET_MREQ: Final = struct.Struct("@iHH8s")
"""struct packet_mreq: interface index, type, address length, address."""
TPACKET_STATS: Final = struct.Struct("@II")
"""struct tpacket_stats: packets that the filter accepted, those of them that were dropped."""
TPACKET_STATS_V3: Final = struct.Struct("@III")
"""struct tpacket_stats_v3: as tpacket_stats, and how often the whole ring was full."""
TPACKET_REQ3: Final = struct.Struct("@7I")
"""struct tpacket_req3: bytes of a block, blocks, bytes of a frame, frames, milliseconds after which
a block that is not full is handed over, bytes of private data, features."""
TPACKET_BLOCK_DESC: Final = struct.Struct("@8xIII4xQII")
"""struct tpacket_block_desc: status, count of packets, where the first begins; then its number and
the first packet's time, seconds and nanoseconds."""
BLOCK_STATUS: Final = 8
"""Where a block's status is."""
TPACKET3_HDR: Final = struct.Struct("@IIIIIIHHIIH")
"""struct tpacket3_hdr: where the next begins, seconds, nanoseconds, captured and wire length,
status, where the bytes from the link layer and from the network layer on begin, hash, TCI, TPID."""
TPACKET3_ADDRESS: Final = 48
"""Where in a packet of a ring its struct sockaddr_ll is: TPACKET_ALIGN(sizeof(tpacket3_hdr))."""
TPACKET_AUXDATA: Final = struct.Struct("@IIIHHHH")
"""struct tpacket_auxdata: status, len, snaplen, mac, net, vlan_tci, vlan_tpid."""
TIMESPEC: Final = struct.Struct("@ll")
"""struct timespec as SO_TIMESTAMPNS gives it: seconds, nanoseconds."""

SIOCGIFFLAGS: Final = 0x8913
SIOCGIFNETMASK: Final = 0x891B
SIOCGIFHWADDR: Final = 0x8927
SIOCGIFINDEX: Final = 0x8933
IFREQ: Final = struct.Struct("@16s24s")
"""struct ifreq: name, a union of at most 24 bytes."""
INTERFACE_NAME_BYTES: Final = 15
"""IFNAMSIZ without the closing zero, linux/if.h."""
