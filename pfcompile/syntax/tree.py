"""The tree of a filter expression: what was written, with every inherited qualifier filled in.

`and` and `or` have one precedence and associate to the left, so a sequence of them is one `Chain`
and not a tower of binary nodes: ten thousand ports are one node deep. Parentheses that only group
leave no node of their own, nor does `not not`.

Source: pcap-filter(7); pcap's grammar as libpcap 1.11 reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from pfcompile.errors import Span

if TYPE_CHECKING:
    from pfcompile.ir.arithmetic import ArithmeticOp

NOWHERE = Span(0, 0)


class Proto(Enum):
    """The protocol keywords, each under the spelling that libpcap's messages use."""

    LINK = "link"
    IP = "ip"
    IP6 = "ip6"
    ARP = "arp"
    RARP = "rarp"
    SCTP = "sctp"
    TCP = "tcp"
    UDP = "udp"
    ICMP = "icmp"
    ICMP6 = "icmp6"
    IGMP = "igmp"
    IGRP = "igrp"
    PIM = "pim"
    VRRP = "vrrp"
    CARP = "carp"
    AH = "ah"
    ESP = "esp"
    RADIO = "radio"
    ATALK = "atalk"
    AARP = "aarp"
    DECNET = "decnet"
    LAT = "lat"
    SCA = "sca"
    MOPRC = "moprc"
    MOPDL = "mopdl"
    ISO = "iso"
    ESIS = "esis"
    ISIS = "isis"
    CLNP = "clnp"
    L1 = "l1"
    L2 = "l2"
    IIH = "iih"
    LSP = "lsp"
    SNP = "snp"
    CSNP = "csnp"
    PSNP = "psnp"
    STP = "stp"
    IPX = "ipx"
    NETBEUI = "netbeui"


class Direction(Enum):
    """Which of a packet's addresses or ports is meant."""

    SRC = "src"
    DST = "dst"
    SRC_OR_DST = "src or dst"
    SRC_AND_DST = "src and dst"
    ADDR1 = "addr1"
    ADDR2 = "addr2"
    ADDR3 = "addr3"
    ADDR4 = "addr4"
    RA = "ra"
    TA = "ta"


class Kind(Enum):
    """What an identifier names: pcap-filter(7) calls this the type qualifier."""

    HOST = "host"
    NET = "net"
    PORT = "port"
    PORTRANGE = "portrange"
    PROTO = "proto"
    PROTOCHAIN = "protochain"
    GATEWAY = "gateway"


class RelationOp(Enum):
    """The comparisons, all unsigned."""

    EQ = "="
    NE = "!="
    GT = ">"
    GE = ">="
    LT = "<"
    LE = "<="


class Junction(Enum):
    """What joins an operand of a chain to all that stands to its left."""

    AND = "and"
    OR = "or"


@dataclass(frozen=True, slots=True)
class Qualifiers:
    """The words before an identifier; None where one was not written."""

    proto: Proto | None = None
    direction: Direction | None = None
    kind: Kind | None = None


# Identifiers


@dataclass(frozen=True, slots=True)
class Name:
    """A name to look up, or a range of ports such as `80-90`. `text` is without a backslash."""

    text: str
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Number:
    """An unsigned 32-bit number."""

    value: int
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class IPv4:
    """An IPv4 address of two to four parts as written, with a prefix length or a netmask."""

    text: str
    prefix_length: int | None = None
    netmask: str | None = None
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class IPv6:
    """An IPv6 address that inet_pton(3) takes, with a prefix length where one was written."""

    text: str
    prefix_length: int | None = None
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Mac:
    """A 48-bit link-layer address, six bytes."""

    address: bytes
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class ArcnetAddress:
    """An 8-bit ARCnet address, `$xx`."""

    address: int
    span: Span = field(default=NOWHERE, compare=False)


Identifier: TypeAlias = Name | Number | IPv4 | IPv6 | Mac | ArcnetAddress

# Arithmetic


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant, unsigned 32 bits."""

    value: int
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Length:
    """`len`: the packet's length on the wire, in bytes."""

    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Accessor:
    """`proto[index:size]`: `size` is the number as written; only 1, 2 and 4 mean something."""

    proto: Proto
    index: Arithmetic
    size: int = 1
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Negate:
    """Unary minus, modulo 2**32."""

    operand: Arithmetic
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Binary:
    """Two operands joined by an arithmetic operator, modulo 2**32."""

    op: ArithmeticOp
    left: Arithmetic
    right: Arithmetic
    span: Span = field(default=NOWHERE, compare=False)


Arithmetic: TypeAlias = Literal | Length | Accessor | Negate | Binary

# Primitives


@dataclass(frozen=True, slots=True)
class Qualified:
    """An identifier under its qualifiers: `src host 10.0.0.1`.

    `qualifiers` is None where the identifier stands after something that leaves none to inherit,
    such as `tcp or 80`.
    """

    qualifiers: Qualifiers | None
    identifier: Identifier
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Abbreviation:
    """A protocol keyword on its own: `tcp`."""

    proto: Proto
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Relation:
    """Two arithmetic expressions compared."""

    op: RelationOp
    left: Arithmetic
    right: Arithmetic
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Cast:
    """`broadcast` or `multicast`, perhaps of one protocol."""

    word: str
    proto: Proto | None = None
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class LengthBound:
    """`less n` (at most n bytes on the wire) or `greater n` (at least n)."""

    word: str
    bound: int
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class LinkByte:
    """`byte offset op value`; `op` is one of `=`, `<`, `>`, `&`, `|`."""

    offset: int
    op: str
    value: int
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Way:
    """`inbound` or `outbound`."""

    word: str
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class InterfaceIndex:
    """`ifindex n`."""

    index: int
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Encapsulation:
    """`vlan`, `mpls`, `pppoed`, `pppoes`, `geneve` or `vxlan`, with its number where given.

    All but `pppoed` move the offsets of everything written to their right.
    """

    word: str
    number: int | None = None
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Llc:
    """`llc`, perhaps of one type."""

    type_name: str | None = None
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class WlanType:
    """`type T subtype S`, either part alone: 802.11 frames. Numbers or names, as written."""

    type: int | str | None
    subtype: int | str | None
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class WlanDirection:
    """`dir D`: the two DS bits of an 802.11 frame."""

    direction: int | str
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class PacketFilter:
    """A field of the pflog header. `word` is the first spelling of the keyword."""

    word: str
    value: int | str
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class AtmType:
    """A kind of ATM cell on SunATM captures: `lane`, `metac`, `oamf4`, ..."""

    word: str
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Ss7Unit:
    """A kind of SS7 signal unit: `fisu`, `lssu`, `msu` and their high-speed forms."""

    word: str
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class FieldValue:
    """A numbered field of ATM or SS7 compared with a number, or with any of several."""

    word: str
    op: RelationOp
    values: tuple[int, ...]
    span: Span = field(default=NOWHERE, compare=False)


FieldTest: TypeAlias = (
    Cast
    | LengthBound
    | LinkByte
    | Way
    | InterfaceIndex
    | Llc
    | WlanType
    | WlanDirection
    | PacketFilter
    | AtmType
    | Ss7Unit
    | FieldValue
)
"""What keywords of their own ask for."""

Primitive: TypeAlias = Qualified | Abbreviation | Relation | Encapsulation | FieldTest

# Logic


@dataclass(frozen=True, slots=True)
class Not:
    """The negation of what follows."""

    operand: Expression
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Link:
    """A junction and the operand to its right."""

    junction: Junction
    operand: Expression


@dataclass(frozen=True, slots=True)
class Chain:
    """`first`, then operands each joined to all before it: `a or b and c` is `(a or b) and c`.

    `first` is not a chain itself, since `(a or b) and c` is the same chain; `links` has at least
    one row.
    """

    first: Expression
    links: tuple[Link, ...]
    span: Span = field(default=NOWHERE, compare=False)


Expression: TypeAlias = Primitive | Not | Chain
