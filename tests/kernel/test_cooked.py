"""Cooked headers, and filters rewritten for a kernel that does not have them.

A rewritten program on the bare packet must say what the program says on the cooked one.
"""

from __future__ import annotations

import os
import random
import struct
from typing import TYPE_CHECKING

import pytest
from scapy.all import CookedLinux, CookedLinuxV2

from pfcompile.cbpf import interpreter
from pfcompile.cbpf.isa import Instruction, Op
from pfcompile.facts.link_types import by_dlt, by_name
from pfcompile.kernel.cooked import HEADERS, Header, Origin, for_kernel
from pfcompile.kernel.hardware_types import HARDWARE_TYPES, capture_link_type
from pfcompile.kernel.interfaces import ANY_INTERFACE, Flags, Interface
from tests.kernel.programs import udp_to_port
from tests.oracles.libpcap import Libpcap, library_path

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = int(os.environ.get("PFCOMPILE_SEED", "20240501"))
SLL, SLL2 = 113, 276

EXPRESSIONS = """
ip | ip6 | arp | tcp port 80 | udp port 53 or udp port 123 | host 10.9.0.1 | net 10.0.0.0/8
ip host 10.9.0.2 and not tcp | src net 10.9.0.0/24 and dst port 53 | portrange 50-60
less 100 | greater 100 | len = 80 or udp | len > 60 and len < 200 | ip[2:2] > 100
tcp[tcpflags] & tcp-syn != 0 | udp[4:2] > 20 | ip[0] & 0xf != 5 | icmp | ip proto 47
ip6 and udp port 53 | ip6 host fe80::1 | ether proto 0x800 | inbound | outbound
not ip and not ip6 | port 53 and len < 90 | ip multicast | len & 1 = 0 | (len + 4) / 4 * 4 = len
link[0] = 0 | link[0:2] = 4 | link[4:4] = 2 | link[10] = 0 | link[14:2] = 0x800 | link[1] = 4
link[6:4] = 0x02000000 | link[12:4] = 0x02000000 | ip[ip[0] & 0xf * 4:2] = 53
""".replace("\n", "|")


@pytest.fixture(scope="module")
def libpcap() -> Iterator[Libpcap]:
    if library_path() is None:
        pytest.skip("the package libpcap has no library for this machine")
    with Libpcap() as library:
        yield library


def random_packet(source: random.Random) -> tuple[Origin, bytes]:
    """Return a packet as a cooked socket gives it, of a kind that the expressions look for."""
    ports = struct.pack("!HH", source.choice((53, 80, 123, 9)), source.choice((53, 55, 80, 9)))
    payload = ports + source.randbytes(source.choice((4, 16, 17, 60, 200)))
    addresses = [bytes((10, 9, 0, source.randrange(4))), bytes((source.choice((10, 224)), 9, 0, 1))]
    options = source.choice((0, 0, 0, 8))
    version4 = struct.pack(
        "!BBHHHBBH", 0x45 + options // 4, 0, 20 + options + len(payload), 1, 0, 64,
        source.choice((1, 6, 17, 47)), 0,
    )  # fmt: skip
    packets = {
        0x0800: version4 + b"".join(addresses) + bytes(options) + payload,
        0x86DD: struct.pack("!IHBB", 6 << 28, len(payload), source.choice((6, 17)), 64)
        + bytes.fromhex("fe80" + "00" * 13 + "01") * 2
        + payload,
        0x0806: struct.pack("!HHBBH", 1, 0x800, 6, 4, 1) + source.randbytes(20),
        0x9000: source.randbytes(40),
    }
    protocol = source.choice(list(packets))
    origin = Origin(
        protocol,
        source.choice((0, 1, 2, 3, 4)),
        source.randrange(1, 4),
        source.choice((1, 772, 512)),
        bytes.fromhex(source.choice(("020000000001", "", "0200000000010203"))),
    )
    return origin, packets[protocol]


@pytest.mark.parametrize("dlt", [SLL, SLL2])
def test_rewritten_programs_say_the_same(libpcap: Libpcap, dlt: int) -> None:
    header = HEADERS[dlt]
    texts = [text.strip() for text in EXPRESSIONS.split("|") if text.strip()]
    source = random.Random(SEED)
    packets = [random_packet(source) for _ in range(150)]
    in_kernel, verdicts = 0, set()
    for text in texts:
        for optimize in (True, False):
            program = compiled(libpcap, text, dlt, optimize=optimize)
            rewritten = for_kernel(program, header)
            if rewritten is None:
                continue
            in_kernel += 1
            before, after = interpreter.prepare(program), interpreter.prepare(rewritten)
            for origin, packet in packets:
                expected = before(header.build(origin) + packet)
                got = after(packet, None, origin.metadata())
                assert got == expected, (
                    f"{text!r} on {packet.hex()} of {origin};"
                    f" rerun with PFCOMPILE_SEED={SEED}\n{program}\n{rewritten}"
                )
                verdicts.add((text, bool(got)))
    # Most are for the kernel, and most of those were seen to match and not to match.
    assert in_kernel > 50
    assert len(verdicts) > in_kernel * 3 // 4


def compiled(libpcap: Libpcap, text: str, dlt: int, *, optimize: bool) -> tuple[Instruction, ...]:
    """Compile; what only a live capture can ask for is written with the header's field."""
    field = {SLL: "link[0:2]", SLL2: "link[10]"}[dlt]
    plain = {"inbound": f"{field} != 4", "outbound": f"{field} = 4"}.get(text, text)
    return libpcap.compile(plain, dlt, optimize=optimize)


def test_a_rewritten_program_reads_metadata_and_the_packet_without_its_header() -> None:
    rewritten = for_kernel(udp_to_port(53, ether_type=14, header=16), HEADERS[SLL])
    assert rewritten == udp_to_port(53, ether_type=0xFFFFF000, header=0)


@pytest.mark.parametrize(
    "instruction",
    [
        Instruction(Op.LD_B_ABS, 0, 0, 15),  # half a field
        Instruction(Op.LD_W_ABS, 0, 0, 14),  # a field and what follows
        Instruction(Op.LD_H_ABS, 0, 0, 4),  # the address's length
        Instruction(Op.LD_B_IND, 0, 0, 3),  # anywhere
        Instruction(Op.LD_B_IND, 0, 0, 0xFFFFFFF0),  # before X
        Instruction(Op.LDX_MSH, 0, 0, 14),
        Instruction(Op.LDX_LEN, 0, 0, 0),
        Instruction(Op.LD_W_ABS, 0, 0, 0xFFFFF00C),  # a netlink attribute, from an offset in A
    ],
)
def test_what_the_kernel_does_not_show_is_not_rewritten(instruction: Instruction) -> None:
    assert for_kernel((instruction, Instruction(Op.RET_A, 0, 0, 0)), HEADERS[SLL]) is None


@pytest.mark.parametrize(("lengths", "fits"), [(0, True), (1, True), (2, False)])
def test_jumps_over_inserted_instructions_reach_or_are_refused(lengths: int, fits: bool) -> None:
    skipped = (
        *(Instruction(Op.LD_LEN, 0, 0, 0),) * lengths,
        *(Instruction(Op.LD_IMM, 0, 0, 0),) * (254 - lengths),
    )
    program = (
        Instruction(Op.JEQ_K, 254, 0, 0),
        *skipped,
        Instruction(Op.RET_K, 0, 0, 7),
        Instruction(Op.JA, 0, 0, 0),
        Instruction(Op.RET_K, 0, 0, 9),
    )
    rewritten = for_kernel(program[:-2], HEADERS[SLL])
    assert (rewritten is not None) == fits
    if rewritten is not None:
        assert interpreter.run(rewritten, b"") == 7
        assert rewritten[rewritten[0].jt + 1].code == Op.RET_K


def test_long_jumps_are_moved_too() -> None:
    program = (
        Instruction(Op.JA, 0, 0, 2),
        Instruction(Op.LD_LEN, 0, 0, 0),
        Instruction(Op.RET_A, 0, 0, 0),
        Instruction(Op.RET_K, 0, 0, 5),
    )
    rewritten = for_kernel(program, HEADERS[SLL])
    assert rewritten is not None
    assert rewritten[0].k == 3
    assert interpreter.run(rewritten, b"") == 5


@pytest.mark.parametrize("address", ["", "020000000001", "0102030405060708", "01" * 20])
def test_headers_are_those_that_scapy_knows(address: str) -> None:
    origin = Origin(0x86DD, 4, 77, 772, bytes.fromhex(address))
    expected = bytes.fromhex(address)[:8].ljust(8, b"\0")
    first = CookedLinux(HEADERS[SLL].build(origin))
    assert (first.pkttype, first.lladdrtype, first.proto) == (4, 772, 0x86DD)
    assert first.lladdrlen == len(address) // 2
    assert first.src == expected
    second = CookedLinuxV2(HEADERS[SLL2].build(origin))
    assert (second.proto, second.ifindex, second.lladdrtype) == (0x86DD, 77, 772)
    assert second.pkttype == 4
    assert second.lladdrlen == len(address) // 2
    assert second.src == expected


@pytest.mark.parametrize(("dlt", "header"), HEADERS.items())
def test_every_field_that_is_metadata_is_that_field(dlt: int, header: Header) -> None:
    origin = Origin(0x1234, 3, 0x01020304, 0x0506, b"\7" * 6)
    data = header.build(origin)
    assert by_dlt(dlt) is not None
    assert len(data) == header.length
    for (op, offset), word in header.ancillary.items():
        load = (Instruction(op, 0, 0, offset), Instruction(Op.RET_A, 0, 0, 0))
        assert interpreter.run(load, data) == origin.metadata()[word]


def test_hardware_types_are_unique_and_have_link_types() -> None:
    assert len({row.number for row in HARDWARE_TYPES}) == len(HARDWARE_TYPES)
    for row in HARDWARE_TYPES:
        assert by_name(row.link_type) is not None, row


def test_hardware_types_agree_with_those_of_scapy() -> None:
    from scapy.data import ARPHRD_TO_DLT  # noqa: PLC0415

    ours = {row.number: by_name(row.link_type) for row in HARDWARE_TYPES}
    # scapy gives these as it likes its own sockets to see them; libpcap as the table has them.
    departures = {6, 19, 280, 512}
    for number, dlt in ARPHRD_TO_DLT.items():
        row = ours[number]
        assert row is not None
        assert (row.dlt == dlt) != (number in departures), number


def test_kinds_without_a_row_are_cooked_and_any_names_the_interface() -> None:
    assert capture_link_type(Interface("odd0", 9, 4711, Flags.UP)).name == "LINUX_SLL"
    assert capture_link_type(ANY_INTERFACE).name == "LINUX_SLL2"
