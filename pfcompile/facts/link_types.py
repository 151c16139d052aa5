"""Link types: what a packet begins with.

A link type has two numbers. The DLT is what a filter is compiled for and what a capture handle
reports; the LINKTYPE is what a savefile's header holds. They differ for five types, whose DLT
means different things on different systems.

Source: the list of link-layer header types at tcpdump.org (linktypes.html) and pcap-linktype(7);
names and descriptions are those that libpcap 1.11 prints; both numbers were checked against the
savefiles that libpcap 1.10.6 writes and reads.
"""

from __future__ import annotations

from typing import NamedTuple


class LinkType(NamedTuple):
    """One named link type.

    Attributes:
        dlt: The number that filters are compiled for, 0 to 304.
        linktype: The number in the header of a pcap or pcapng file, 0 to 304.
        name: The name without `DLT_`, in capitals.
        description: What messages print in parentheses behind the name.
    """

    dlt: int
    linktype: int
    name: str
    description: str


LINK_TYPES: tuple[LinkType, ...] = (
    LinkType(0, 0, "NULL", "BSD loopback"),
    LinkType(1, 1, "EN10MB", "Ethernet"),
    LinkType(2, 2, "EN3MB", "experimental Ethernet (3Mb/s)"),
    LinkType(3, 3, "AX25", "AX.25 layer 2"),
    LinkType(4, 4, "PRONET", "Proteon ProNET Token Ring"),
    LinkType(5, 5, "CHAOS", "MIT Chaosnet"),
    LinkType(6, 6, "IEEE802", "802.5 Token Ring"),
    LinkType(7, 7, "ARCNET", "BSD ARCnet"),
    LinkType(8, 8, "SLIP", "Serial Line IP"),
    LinkType(9, 9, "PPP", "Point-to-Point Protocol"),
    LinkType(10, 10, "FDDI", "Fiber Distributed Data Interface"),
    LinkType(11, 100, "ATM_RFC1483", "RFC 1483 LLC-encapsulated ATM"),
    LinkType(12, 101, "RAW", "Raw IPv4/IPv6"),
    LinkType(15, 102, "SLIP_BSDOS", "BSD/OS Serial Line IP"),
    LinkType(16, 103, "PPP_BSDOS", "BSD/OS Point-to-Point Protocol"),
    LinkType(19, 106, "ATM_CLIP", "Linux Classical IP over ATM"),
    LinkType(32, 32, "REDBACK_SMARTEDGE", "Redback SmartEdge 400/800"),
    LinkType(50, 50, "PPP_SERIAL", "Point-to-Point Protocol over serial"),
    LinkType(51, 51, "PPP_ETHER", "PPPoE session packets"),
    LinkType(99, 99, "SYMANTEC_FIREWALL", "Symantec Firewall"),
    LinkType(104, 104, "C_HDLC", "Cisco HDLC"),
    LinkType(105, 105, "IEEE802_11", "802.11"),
    LinkType(107, 107, "FRELAY", "Frame Relay"),
    LinkType(108, 108, "LOOP", "OpenBSD loopback"),
    LinkType(109, 109, "ENC", "OpenBSD encapsulated IP"),
    LinkType(113, 113, "LINUX_SLL", "Linux cooked v1"),
    LinkType(114, 114, "LTALK", "LocalTalk"),
    LinkType(117, 117, "PFLOG", "OpenBSD pflog file"),
    LinkType(119, 119, "PRISM_HEADER", "802.11 plus Prism header"),
    LinkType(122, 122, "IP_OVER_FC", "RFC 2625 IP-over-Fibre Channel"),
    LinkType(123, 123, "SUNATM", "Sun raw ATM"),
    LinkType(127, 127, "IEEE802_11_RADIO", "802.11 plus radiotap header"),
    LinkType(129, 129, "ARCNET_LINUX", "Linux ARCnet"),
    LinkType(130, 130, "JUNIPER_MLPPP", "Juniper Multi-Link PPP"),
    LinkType(131, 131, "JUNIPER_MLFR", "Juniper Multi-Link Frame Relay"),
    LinkType(132, 132, "JUNIPER_ES", "Juniper Encryption Services PIC"),
    LinkType(133, 133, "JUNIPER_GGSN", "Juniper GGSN PIC"),
    LinkType(134, 134, "JUNIPER_MFR", "Juniper FRF.16 Frame Relay"),
    LinkType(135, 135, "JUNIPER_ATM2", "Juniper ATM2 PIC"),
    LinkType(136, 136, "JUNIPER_SERVICES", "Juniper Advanced Services PIC"),
    LinkType(137, 137, "JUNIPER_ATM1", "Juniper ATM1 PIC"),
    LinkType(138, 138, "APPLE_IP_OVER_IEEE1394", "Apple IP-over-IEEE 1394"),
    LinkType(139, 139, "MTP2_WITH_PHDR", "SS7 MTP2 with Pseudo-header"),
    LinkType(140, 140, "MTP2", "SS7 MTP2"),
    LinkType(141, 141, "MTP3", "SS7 MTP3"),
    LinkType(142, 142, "SCCP", "SS7 SCCP"),
    LinkType(143, 143, "DOCSIS", "DOCSIS"),
    LinkType(144, 144, "LINUX_IRDA", "Linux IrDA"),
    LinkType(147, 147, "USER0", "Private use 0"),
    LinkType(148, 148, "USER1", "Private use 1"),
    LinkType(149, 149, "USER2", "Private use 2"),
    LinkType(150, 150, "USER3", "Private use 3"),
    LinkType(151, 151, "USER4", "Private use 4"),
    LinkType(152, 152, "USER5", "Private use 5"),
    LinkType(153, 153, "USER6", "Private use 6"),
    LinkType(154, 154, "USER7", "Private use 7"),
    LinkType(155, 155, "USER8", "Private use 8"),
    LinkType(156, 156, "USER9", "Private use 9"),
    LinkType(157, 157, "USER10", "Private use 10"),
    LinkType(158, 158, "USER11", "Private use 11"),
    LinkType(159, 159, "USER12", "Private use 12"),
    LinkType(160, 160, "USER13", "Private use 13"),
    LinkType(161, 161, "USER14", "Private use 14"),
    LinkType(162, 162, "USER15", "Private use 15"),
    LinkType(163, 163, "IEEE802_11_RADIO_AVS", "802.11 plus AVS radio information header"),
    LinkType(164, 164, "JUNIPER_MONITOR", "Juniper Passive Monitor PIC"),
    LinkType(165, 165, "BACNET_MS_TP", "BACnet MS/TP"),
    LinkType(166, 166, "PPP_PPPD", "PPP for pppd, with direction flag"),
    LinkType(167, 167, "JUNIPER_PPPOE", "Juniper PPPoE"),
    LinkType(168, 168, "JUNIPER_PPPOE_ATM", "Juniper PPPoE/ATM"),
    LinkType(169, 169, "GPRS_LLC", "GPRS LLC"),
    LinkType(170, 170, "GPF_T", "GPF-T"),
    LinkType(171, 171, "GPF_F", "GPF-F"),
    LinkType(174, 174, "JUNIPER_PIC_PEER", "Juniper PIC Peer"),
    LinkType(175, 175, "ERF_ETH", "Ethernet with Endace ERF header"),
    LinkType(176, 176, "ERF_POS", "Packet-over-SONET with Endace ERF header"),
    LinkType(177, 177, "LINUX_LAPD", "Linux vISDN LAPD"),
    LinkType(178, 178, "JUNIPER_ETHER", "Juniper Ethernet"),
    LinkType(179, 179, "JUNIPER_PPP", "Juniper PPP"),
    LinkType(180, 180, "JUNIPER_FRELAY", "Juniper Frame Relay"),
    LinkType(181, 181, "JUNIPER_CHDLC", "Juniper C-HDLC"),
    LinkType(182, 182, "MFR", "FRF.16 Frame Relay"),
    LinkType(183, 183, "JUNIPER_VP", "Juniper Voice PIC"),
    LinkType(184, 184, "A429", "Arinc 429"),
    LinkType(185, 185, "A653_ICM", "Arinc 653 Interpartition Communication"),
    LinkType(186, 186, "USB_FREEBSD", "USB with FreeBSD header"),
    LinkType(187, 187, "BLUETOOTH_HCI_H4", "Bluetooth HCI UART transport layer"),
    LinkType(188, 188, "IEEE802_16_MAC_CPS", "IEEE 802.16 MAC Common Part Sublayer"),
    LinkType(189, 189, "USB_LINUX", "USB with Linux header"),
    LinkType(190, 190, "CAN20B", "Controller Area Network (CAN) v. 2.0B"),
    LinkType(191, 191, "IEEE802_15_4_LINUX", "IEEE 802.15.4 with Linux padding"),
    LinkType(192, 192, "PPI", "Per-Packet Information"),
    LinkType(
        193,
        193,
        "IEEE802_16_MAC_CPS_RADIO",
        "IEEE 802.16 MAC Common Part Sublayer plus radiotap header",
    ),
    LinkType(194, 194, "JUNIPER_ISM", "Juniper Integrated Service Module"),
    LinkType(195, 195, "IEEE802_15_4", "IEEE 802.15.4 with FCS"),
    LinkType(196, 196, "SITA", "SITA pseudo-header"),
    LinkType(197, 197, "ERF", "Endace ERF header"),
    LinkType(198, 198, "RAIF1", "Ethernet with u10 Networks pseudo-header"),
    LinkType(199, 199, "IPMB_KONTRON", "IPMB with Kontron pseudo-header"),
    LinkType(200, 200, "JUNIPER_ST", "Juniper Secure Tunnel"),
    LinkType(
        201,
        201,
        "BLUETOOTH_HCI_H4_WITH_PHDR",
        "Bluetooth HCI UART transport layer plus pseudo-header",
    ),
    LinkType(202, 202, "AX25_KISS", "AX.25 with KISS header"),
    LinkType(209, 209, "I2C_LINUX", "I2C with Linux/Pigeon Point pseudo-header"),
    LinkType(215, 215, "IEEE802_15_4_NONASK_PHY", "IEEE 802.15.4 with non-ASK PHY data"),
    LinkType(216, 216, "LINUX_EVDEV", "Linux evdev events"),
    LinkType(219, 219, "MPLS", "MPLS with label as link-layer header"),
    LinkType(220, 220, "USB_LINUX_MMAPPED", "USB with padded Linux header"),
    LinkType(221, 221, "DECT", "DECT"),
    LinkType(222, 222, "AOS", "AOS Space Data Link protocol"),
    LinkType(223, 223, "WIHART", "WirelessHART"),
    LinkType(224, 224, "FC_2", "Fibre Channel FC-2"),
    LinkType(225, 225, "FC_2_WITH_FRAME_DELIMS", "Fibre Channel FC-2 with frame delimiters"),
    LinkType(226, 226, "IPNET", "Solaris ipnet"),
    LinkType(227, 227, "CAN_SOCKETCAN", "CAN-bus with SocketCAN headers"),
    LinkType(228, 228, "IPV4", "Raw IPv4"),
    LinkType(229, 229, "IPV6", "Raw IPv6"),
    LinkType(230, 230, "IEEE802_15_4_NOFCS", "IEEE 802.15.4 without FCS"),
    LinkType(231, 231, "DBUS", "D-Bus"),
    LinkType(232, 232, "JUNIPER_VS", "Juniper Virtual Server"),
    LinkType(233, 233, "JUNIPER_SRX_E2E", "Juniper SRX E2E"),
    LinkType(234, 234, "JUNIPER_FIBRECHANNEL", "Juniper Fibre Channel"),
    LinkType(235, 235, "DVB_CI", "DVB-CI"),
    LinkType(236, 236, "MUX27010", "MUX27010"),
    LinkType(237, 237, "STANAG_5066_D_PDU", "STANAG 5066 D_PDUs"),
    LinkType(238, 238, "JUNIPER_ATM_CEMIC", "Juniper ATM CEMIC"),
    LinkType(239, 239, "NFLOG", "Linux netfilter log messages"),
    LinkType(240, 240, "NETANALYZER", "Ethernet with Hilscher netANALYZER pseudo-header"),
    LinkType(
        241,
        241,
        "NETANALYZER_TRANSPARENT",
        "Ethernet with Hilscher netANALYZER pseudo-header and with preamble and SFD",
    ),
    LinkType(242, 242, "IPOIB", "RFC 4391 IP-over-InfiniBand"),
    LinkType(243, 243, "MPEG_2_TS", "MPEG-2 transport stream"),
    LinkType(244, 244, "NG40", "ng40 protocol tester Iub/Iur"),
    LinkType(245, 245, "NFC_LLCP", "NFC LLCP PDUs with pseudo-header"),
    LinkType(246, 246, "PFSYNC", "Packet filter state syncing"),
    LinkType(247, 247, "INFINIBAND", "InfiniBand"),
    LinkType(248, 248, "SCTP", "SCTP"),
    LinkType(249, 249, "USBPCAP", "USB with USBPcap header"),
    LinkType(250, 250, "RTAC_SERIAL", "Schweitzer Engineering Laboratories RTAC packets"),
    LinkType(251, 251, "BLUETOOTH_LE_LL", "Bluetooth Low Energy air interface"),
    LinkType(253, 253, "NETLINK", "Linux netlink"),
    LinkType(254, 254, "BLUETOOTH_LINUX_MONITOR", "Bluetooth Linux Monitor"),
    LinkType(
        255, 255, "BLUETOOTH_BREDR_BB", "Bluetooth Basic Rate/Enhanced Data Rate baseband packets"
    ),
    LinkType(
        256,
        256,
        "BLUETOOTH_LE_LL_WITH_PHDR",
        "Bluetooth Low Energy air interface with pseudo-header",
    ),
    LinkType(257, 257, "PROFIBUS_DL", "PROFIBUS data link layer"),
    LinkType(258, 258, "PKTAP", "Apple PKTAP"),
    LinkType(259, 259, "EPON", "Ethernet with 802.3 Clause 65 EPON preamble"),
    LinkType(260, 260, "IPMI_HPM_2", "IPMI trace packets"),
    LinkType(261, 261, "ZWAVE_R1_R2", "Z-Wave RF profile R1 and R2 packets"),
    LinkType(262, 262, "ZWAVE_R3", "Z-Wave RF profile R3 packets"),
    LinkType(
        263,
        263,
        "WATTSTOPPER_DLM",
        "WattStopper Digital Lighting Management (DLM) and Legrand Nitoo Open protocol",
    ),
    LinkType(264, 264, "ISO_14443", "ISO 14443 messages"),
    LinkType(265, 265, "RDS", "IEC 62106 Radio Data System groups"),
    LinkType(266, 266, "USB_DARWIN", "USB with Darwin header"),
    LinkType(267, 267, "OPENFLOW", "OpenBSD OpenFlow"),
    LinkType(268, 268, "SDLC", "IBM SDLC frames"),
    LinkType(269, 269, "TI_LLN_SNIFFER", "TI LLN sniffer frames"),
    LinkType(271, 271, "VSOCK", "Linux vsock"),
    LinkType(272, 272, "NORDIC_BLE", "Nordic Semiconductor Bluetooth LE sniffer frames"),
    LinkType(273, 273, "DOCSIS31_XRA31", "Excentis XRA-31 DOCSIS 3.1 RF sniffer frames"),
    LinkType(274, 274, "ETHERNET_MPACKET", "802.3br mPackets"),
    LinkType(275, 275, "DISPLAYPORT_AUX", "DisplayPort AUX channel monitoring data"),
    LinkType(276, 276, "LINUX_SLL2", "Linux cooked v2"),
    LinkType(278, 278, "OPENVIZSLA", "OpenVizsla USB"),
    LinkType(279, 279, "EBHSCR", "Elektrobit High Speed Capture and Replay (EBHSCR)"),
    LinkType(280, 280, "VPP_DISPATCH", "VPP graph dispatch tracer"),
    LinkType(281, 281, "DSA_TAG_BRCM", "Broadcom infix DSA tag"),
    LinkType(282, 282, "DSA_TAG_BRCM_PREPEND", "Broadcom prefix DSA tag"),
    LinkType(283, 283, "IEEE802_15_4_TAP", "IEEE 802.15.4 with pseudo-header"),
    LinkType(284, 284, "DSA_TAG_DSA", "Marvell infix 4-octet DSA tag"),
    LinkType(285, 285, "DSA_TAG_EDSA", "Marvell infix 8-octet DSA tag"),
    LinkType(286, 286, "ELEE", "ELEE lawful intercept packets"),
    LinkType(287, 287, "Z_WAVE_SERIAL", "Z-Wave serial frames between host and chip"),
    LinkType(288, 288, "USB_2_0", "USB 2.0/1.1/1.0 as transmitted over the cable"),
    LinkType(289, 289, "ATSC_ALP", "ATSC Link-Layer Protocol packets"),
    LinkType(290, 290, "ETW", "Event Tracing for Windows messages"),
    LinkType(291, 291, "NETANALYZER_NG", "Hilscher netANALYZER NG pseudo-footer"),
    LinkType(292, 292, "ZBOSS_NCP", "ZBOSS NCP protocol with pseudo-header"),
    LinkType(
        293, 293, "USB_2_0_LOW_SPEED", "Low-Speed USB 2.0/1.1/1.0 as transmitted over the cable"
    ),
    LinkType(
        294, 294, "USB_2_0_FULL_SPEED", "Full-Speed USB 2.0/1.1/1.0 as transmitted over the cable"
    ),
    LinkType(295, 295, "USB_2_0_HIGH_SPEED", "High-Speed USB 2.0 as transmitted over the cable"),
    LinkType(296, 296, "AUERSWALD_LOG", "Auerswald Logger Protocol"),
    LinkType(297, 297, "ZWAVE_TAP", "Z-Wave packets with a TAP meta-data header"),
    LinkType(298, 298, "SILABS_DEBUG_CHANNEL", "Silicon Labs debug channel protocol"),
    LinkType(299, 299, "FIRA_UCI", "Ultra-wideband controller interface protocol"),
    LinkType(300, 300, "MDB", "Multi-Drop Bus"),
    LinkType(301, 301, "DECT_NR", "DECT New Radio"),
    LinkType(302, 302, "EDK2_MM", "EDK II MM request serialization protocol"),
    LinkType(303, 303, "DEBUG_ONLY", "unstructured data for manual debugging only"),
    LinkType(304, 304, "DECT_NR_TAP", "DECT-2020 New Radio TAP"),
)

NUMBERED_DLTS = range(104, 305)
"""The DLTs that every system numbers alike; libpcap knows each of them, named or not."""

KNOWN_DLTS: frozenset[int] = frozenset(row.dlt for row in LINK_TYPES) | frozenset(NUMBERED_DLTS)
"""Every DLT that a filter can be compiled for; any other is an "unknown data link type"."""

SYNONYMS: dict[str, str] = {
    "ETHERNET": "EN10MB",
    "EXP_ETHERNET": "EN3MB",
    "IEEE802_5": "IEEE802",
    "ARCNET_BSD": "ARCNET",
    "PPP_HDLC": "PPP_SERIAL",
    "IEEE802_11_PRISM": "PRISM_HEADER",
    "IEEE802_11_RADIOTAP": "IEEE802_11_RADIO",
    "IEEE802_11_AVS": "IEEE802_11_RADIO_AVS",
    "IEEE802_15_4_WITHFCS": "IEEE802_15_4",
    "IPMB_LINUX": "I2C_LINUX",
}
"""Other names: of the LINKTYPE_ list where it differs, and before libpcap 1.11 of I2C_LINUX."""

_BY_DLT = {row.dlt: row for row in LINK_TYPES}
_BY_LINKTYPE = {row.linktype: row for row in LINK_TYPES}
_BY_NAME = {row.name: row for row in LINK_TYPES}
_PREFIXES = ("DLT_", "LINKTYPE_")


def by_dlt(dlt: int) -> LinkType | None:
    """Return the named link type with this DLT, or None."""
    return _BY_DLT.get(dlt)


def by_linktype(linktype: int) -> LinkType | None:
    """Return the named link type that a file stores as `linktype`, or None."""
    return _BY_LINKTYPE.get(linktype)


def by_name(name: str) -> LinkType | None:
    """Return the link type called `name`, or None.

    Args:
        name: In any case, as it is or with `DLT_` or `LINKTYPE_` before it. The names of the
            LINKTYPE_ list (`ETHERNET`, `IEEE802_11_RADIOTAP`) are understood as well.
    """
    bare = name.upper()
    for prefix in _PREFIXES:
        if bare.startswith(prefix):
            bare = bare.removeprefix(prefix)
            break
    return _BY_NAME.get(SYNONYMS.get(bare, bare))


def number(link_type: str | int) -> int:
    """Return the DLT value of a link type given by name or number, which need not be in the table.

    Raises:
        ValueError: There is no link type of that name.
    """
    if isinstance(link_type, int):
        return link_type
    row = by_name(link_type)
    if row is not None:
        return row.dlt
    if link_type.isascii() and link_type.isdigit() and len(link_type) < _MOST_DIGITS:
        return int(link_type)
    raise ValueError(f"unknown data link type {link_type}")


_MOST_DIGITS = 10


def describe(dlt: int) -> str:
    """Return a DLT as messages print it: `DLT_NAME (description)`, or `DLT N` without a name."""
    row = by_dlt(dlt)
    return f"DLT {dlt}" if row is None else f"DLT_{row.name} ({row.description})"


def dlt_of_linktype(linktype: int) -> int:
    """Return the DLT for a file's link-type number, which need not have a name."""
    row = by_linktype(linktype)
    return linktype if row is None else row.dlt


def linktype_of_dlt(dlt: int) -> int:
    """Return the link-type number that a file stores for `dlt`, which need not have a name."""
    row = by_dlt(dlt)
    return dlt if row is None else row.linktype
