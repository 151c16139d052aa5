"""Texts that are hardly ever expressions, for the question whether anything breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random

_WORDS: Final = (
    "and or not ! && || ( ) [ ] : , ; / + - * % & | ^ << >> < > <= >= = == != <> => ~ \\ $ $1f "
    "$1ff src dst link ether ppp slip fddi tr wlan arp rarp ip ip6 sctp tcp udp icmp icmp6 igmp "
    "igrp pim vrrp carp ah esp radio atalk aarp decnet lat sca moprc mopdl iso esis isis clnp l1 "
    "l2 iih lsp snp csnp psnp stp ipx netbeui host net mask port portrange proto protochain "
    "gateway less greater byte broadcast multicast len length inbound outbound ifindex vlan mpls "
    "pppoed pppoes geneve vxlan llc type subtype dir direction addr1 addr4 ra ta lane metac bcc "
    "oam oamf4 oamf4ec sc ilmic vpi vci connectmsg metaconnect ifname on ruleset rset rnr rulenum "
    "srnr reason action fisu lssu msu hfisu sio opc dpc sls hsls tcpflags tcp-syn icmptype "
    "icmp-echo 0 1 2 4 08 010 0x 0x0 0xfg 255 256 65535 65536 4294967295 4294967296 1e5 80x 1-1 "
    "80-90 90-80 -80 80- 1.2 1.2.3 1.2.3.4 1.2.3.256 1.2.3.4.5 010.1 1.2.3.4/8 10/8 :: ::1 1:2:3 "
    "1:2 1::2::3 2001:db8::/32 fe80::1%eth0 [::1] 0:1:2:3:4:5 0-1-2-3-4-5 a.b.c.d.e.f "
    "abcd.ef01.2345 deadbeefcafe 123456789012 \\tcp \\ip \\http http domain x_y a..b _ . - "
    "TCP And \x00 \x0b \x0c \xa0 \u00e9 \u2028 \U0001f40d"
)
_TOKENS: Final = tuple(_WORDS.split(" "))

_BRACKETS: Final = ("(", ")", "[", "]", "not", "!", "-")


def soup(rng: random.Random) -> str:
    """Return tokens without order, one bracket many times over, or characters of any kind.

    Characters may be any that Python's text holds, lone surrogates among them (which is how bytes
    that are no UTF-8 come in from a command line).
    """
    form = rng.choices(("tokens", "nested", "characters", "bytes"), (6, 1, 2, 2))[0]
    match form:
        case "tokens":
            blank = rng.choice((" ", " ", " ", "", "\n"))
            return blank.join(rng.choices(_TOKENS, k=rng.randint(0, 25)))
        case "nested":
            return rng.choice(_BRACKETS) * rng.randint(1, 300) + rng.choice(_TOKENS)
        case "characters":
            return "".join(chr(rng.randrange(0x20, 0x7F)) for _ in range(rng.randint(0, 60)))
        case _:
            return rng.randbytes(rng.randint(0, 40)).decode("utf-8", "surrogateescape")
