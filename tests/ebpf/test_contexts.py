"""Contexts: field by field, and against the kernel's own XDP and tc programs."""

from __future__ import annotations

import ctypes
import errno
import os
import random
import struct

import pytest

from pfcompile.ebpf.asm import assemble
from pfcompile.ebpf.isa import encode
from pfcompile.ebpf.machine.contexts import SK_BUFF, XDP_MD, Context, Pointer
from pfcompile.ebpf.machine.faults import Fault, RunError
from pfcompile.ebpf.machine.interpreter import Machine
from pfcompile.ebpf.machine.memory import PACKET_ADDRESS
from pfcompile.ebpf.machine.starts import Skb, Xdp
from pfcompile.jit.native import native
from tests.ebpf.kernel_machine import PROG_LOAD, PROG_TEST_RUN, PROG_TYPE_XDP, KernelMachine, bpf
from tests.generator.seed import SEED, rerun

RERUN = rerun("tests/ebpf/test_contexts.py")
PROG_TYPE_TC = 3
EGRESS = ("read", 20, 4)
"""Only for programs of device maps, which are loaded with another attach type."""
PACKET = bytes(12) + b"\x90\0" + bytes(range(50))
POINTERS = {Pointer.DATA: PACKET_ADDRESS, Pointer.DATA_END: PACKET_ADDRESS + 64}
SIZES = {1: "u8", 2: "u16", 4: "u32", 8: "u64"}


def loaded(program, kind):
    """Return a program in the kernel, None where the verifier refuses it."""
    code = ctypes.create_string_buffer(encode(program))
    license_ = ctypes.create_string_buffer(b"GPL")
    request = struct.pack(
        "=IIQQ", kind, len(program), ctypes.addressof(code), ctypes.addressof(license_)
    )
    try:
        fd, _ = bpf(PROG_LOAD, request)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENOSYS):
            pytest.skip(f"bpf(2): {error.strerror}")
        if error.errno not in (errno.EACCES, errno.EINVAL):
            raise
        return None
    return fd


def does(action, *arguments):
    """Tell whether a context takes an access."""
    try:
        action(*arguments)
    except Fault:
        return False
    return True


@pytest.mark.bpf
@pytest.mark.parametrize(
    ("layout", "kind"), [(XDP_MD, PROG_TYPE_XDP), (SK_BUFF, PROG_TYPE_TC)], ids=["xdp", "tc"]
)
def test_the_kernel_takes_the_same_accesses(layout, kind):
    """Every offset in every size, for reading and for writing."""
    context = Context(layout, {}, POINTERS)
    counts = {"read": 0, "write": 0}
    for size, name in SIZES.items():
        for offset in range(layout.size + 4):
            load = assemble(f"r0 = *({name} *)(r1 + {offset})\nr0 = 0\nexit")
            store = assemble(f"r2 = 0\n*({name} *)(r1 + {offset}) = r2\nr0 = 0\nexit")
            for what, program, ours in (
                ("read", load, does(context.load, offset, size)),
                ("write", store, does(context.store, offset, bytes(size))),
            ):
                fd = loaded(program, kind)
                if fd is not None:
                    os.close(fd)
                assert ours == (
                    fd is not None or (layout is XDP_MD and (what, offset, size) == EGRESS)
                )
                counts[what] += ours
    assert counts["read"] >= 6
    assert counts["write"] > 20 or layout is XDP_MD


def test_tables():
    for layout in (XDP_MD, SK_BUFF):
        end = 0
        for field in layout.fields:
            assert end <= field.offset <= layout.size - field.size, field
            assert max(field.reads) <= max(field.size, 4), field
            end = field.offset + field.size
        assert len(layout.by_name()) == len(layout.fields)


def test_pointers_load_whole():
    for start in (Xdp(PACKET), Skb(PACKET)):
        first = 0 if isinstance(start, Xdp) else 76
        text = (
            f"r2 = *(u32 *)(r1 + {first})\nr3 = *(u32 *)(r1 + {first + 4})\nr4 = r2\nr4 += 16\n"
            "r0 = 0\nif r4 > r3 goto +1\nr0 = *(u16 *)(r2 + 14)\nexit"
        )
        assert Machine(assemble(text)).run(start) == 0x0100
        last = f"r3 = *(u32 *)(r1 + {first + 4})\nr0 = *(u8 *)(r3 - 1)\nexit"
        assert Machine(assemble(last)).run(start) == 49
        behind = last.replace("- 1", "+ 0")
        with pytest.raises(RunError, match="instruction 1: reads 1 byte at offset 64"):
            Machine(assemble(behind)).run(start)


def test_only_the_linear_part_is_seen_directly():
    text = "r2 = *(u32 *)(r1 + 76)\nr0 = *(u8 *)(r2 + 20)\nexit"
    with pytest.raises(RunError, match="offset 20 of the packet, which has 20"):
        Machine(assemble(text)).run(Skb(PACKET, linear=20))
    ends = "r2 = *(u32 *)(r1 + 76)\nr0 = *(u32 *)(r1 + 80)\nr0 -= r2\nexit"
    assert Machine(assemble(ends)).run(Skb(PACKET, linear=20)) == 20
    whole = "r6 = r1\nr0 = *(u8 *)skb[20]\nexit"
    assert Machine(assemble(whole)).run(Skb(PACKET, linear=20)) == 6


def test_packet_loads_need_the_context_and_the_right_kind_of_program():
    text = assemble("r0 = *(u8 *)skb[20]\nexit")
    with pytest.raises(RunError, match=r"instruction 0: .*context in r6"):
        Machine(text).run(Skb(PACKET))
    with pytest.raises(RunError, match="instruction 0: this kind of program has no"):
        Machine(text).run(Xdp(PACKET))


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (0, 64), (4, 3), (8, 7), (12, 2), (16, 0x0008), (20, 1), (24, 0x2005), (28, 0xA888),
        (32, 9), (36, 11), (40, 12), (44, 0), (48, 0x04030201), (64, 0), (68, 0xDEADBEEF),
        (160, 1500), (164, 4), (176, 1448),
    ],
)  # fmt: skip
def test_fields_of_skb(offset, value):
    start = Skb(
        PACKET, protocol=0x0800, vlan_tci=0x2005, vlan_protocol=0x88A8, ifindex=12,
        ingress_ifindex=11, packet_type=3, mark=7, queue_mapping=2, priority=9, hash=0xDEADBEEF,
        cb=b"\1\2\3\4", wire_length=1500, gso_segments=4, gso_size=1448, tstamp=5 << 40,
    )  # fmt: skip
    assert Machine(assemble(f"r0 = *(u32 *)(r1 + {offset})\nexit")).run(start) == value
    # The kernel has one byte for the packet's type, and gives it wherever a load begins.
    second = value if offset == 4 else value >> 8 & 0xFF
    assert Machine(assemble(f"r0 = *(u8 *)(r1 + {offset + 1})\nexit")).run(start) == second
    assert Machine(assemble("r0 = *(u64 *)(r1 + 152)\nexit")).run(start) == 5 << 40


def test_untagged_packets_have_no_tag():
    for offset in (20, 24, 28):
        assert Machine(assemble(f"r0 = *(u32 *)(r1 + {offset})\nexit")).run(Skb(PACKET)) == 0


def test_fields_of_xdp():
    start = Xdp(PACKET, ingress_ifindex=4, rx_queue_index=5, egress_ifindex=6)
    for offset, value in ((12, 4), (16, 5), (20, 6), (8, PACKET_ADDRESS)):
        assert Machine(assemble(f"r0 = *(u32 *)(r1 + {offset})\nexit")).run(start) == value


def test_what_is_written_to_a_context_can_be_read():
    text = "*(u32 *)(r1 + 8) = 77\n*(u64 *)(r1 + 56) = 1\nr0 = *(u32 *)(r1 + 8)\nexit"
    outcome = Machine(assemble(text)).execute(Skb(PACKET, mark=1))
    assert outcome.result == outcome.context.value("mark") == 77
    assert outcome.context.value("cb") == 1 << 64
    with pytest.raises(RunError, match="instruction 0: writes 4 bytes at offset 0 of struct __sk"):
        Machine(assemble("*(u32 *)(r1 + 0) = 77\nexit")).run(Skb(PACKET))
    with pytest.raises(RunError, match="instruction 1"):
        Machine(assemble("r2 = 1\nlock *(u32 *)(r1 + 8) += r2\nexit")).run(Skb(PACKET))


PUSH_TAG = "r6 = r1\nr2 = 0xa888\nr3 = 0x2123\ncall 18\nr1 = r6\n"
"""bpf_skb_vlan_push, which our machines do not have: 802.1ad, 0x2123."""
NARROW = {
    "len": "", "pkt_type": "", "mark": "", "queue_mapping": "*(u32 *)(r1 + 12) = 0x4567\n",
    "protocol": "", "vlan_present": PUSH_TAG, "vlan_tci": PUSH_TAG, "vlan_proto": PUSH_TAG,
    "priority": "", "ifindex": "", "ingress_ifindex": "",
    "tc_index": "*(u32 *)(r1 + 44) = 0x4567\n", "tc_classid": "*(u32 *)(r1 + 72) = 0x6789\n",
    "cb": "", "gso_segs": "", "gso_size": "",
}  # fmt: skip
"""Fields that are not 0 in a test run, and what has to be done to that end."""
TAGGED = Skb(
    PACKET, protocol=0x9000, packet_type=2, mark=0x11223344, priority=0x55667788, ifindex=1,
    ingress_ifindex=1, cb=bytes(range(1, 21)), gso_segments=0x3412, gso_size=0x4433,
    vlan_tci=0x2123, vlan_protocol=0x88A8,
)  # fmt: skip


def run_with_fields(fd, packet):
    """Run a tc program on a packet with the fields of TAGGED."""
    context = bytearray(SK_BUFF.size)
    for offset, value in (
        (8, TAGGED.mark), (32, TAGGED.priority), (36, 1), (40, 1), (164, 0x3412), (176, 0x4433),
    ):  # fmt: skip
        struct.pack_into("=I", context, offset, value)
    context[48:68] = TAGGED.cb
    given = ctypes.create_string_buffer(packet, len(packet))
    shown = ctypes.create_string_buffer(bytes(context), len(context))
    request = struct.pack(
        "=IIIIQQIIII", fd, 0, len(packet), 0, ctypes.addressof(given), 0, 1, 0, len(context), 0
    ) + struct.pack("=Q", ctypes.addressof(shown))
    _, answer = bpf(PROG_TEST_RUN, request)
    return struct.unpack_from("=I", answer, 4)[0]


@pytest.mark.bpf
@pytest.mark.parametrize("name", NARROW)
def test_narrow_loads_as_in_the_kernel(name):
    """Every size at every offset inside a field, on both of our machines."""
    first, before, seen = SK_BUFF.by_name()[name].offset, NARROW[name], set()
    for size in (1, 2, 4):
        for offset in range(first, first + 4, size):
            load = f"r0 = *({SIZES[size]} *)(r1 + {offset})\nexit"
            fd = loaded(assemble(before + load), PROG_TYPE_TC)
            assert fd is not None
            try:
                # To a group, or the packet would be for this host, which is 0.
                wanted = run_with_fields(fd, b"\1" + PACKET[1:])
            finally:
                os.close(fd)
            ours = assemble((before if before != PUSH_TAG else "") + load)
            found = (Machine(ours).run(TAGGED), native(ours).run(TAGGED))
            assert found == (wanted, wanted), (name, size, offset)
            seen.add(wanted)
    assert seen - {0}


CONTEXT = "=IIIIIIIIIIII20sIIIIIIII"
"""struct __sk_buff up to `family`."""


@pytest.mark.bpf
def test_skb_fields_as_in_the_kernel():
    """What BPF_PROG_TEST_RUN lets a caller set, in every size, and packet loads."""
    rng = random.Random(SEED)
    for _ in range(40):
        mark, priority, cb = rng.getrandbits(32), rng.getrandbits(32), rng.randbytes(20)
        size = rng.choice((1, 2, 4))
        offset = rng.choice((0, 8, 32, 48, 52, 64)) + rng.randrange(4 // size) * size
        at = rng.choice((0, 11, 12, 40, 60, 62, 63, 64, 1000, -1))
        load = f"*({rng.choice(('u8', 'u16', 'u32'))} *)skb[{at}]" if at >= 0 else "1"
        program = assemble(
            f"r6 = r1\nr7 = *({SIZES[size]} *)(r1 + {offset})\nr0 = {load}\nr0 += r7\nexit"
        )
        fd = loaded(program, PROG_TYPE_TC)
        assert fd is not None
        context = struct.pack(CONTEXT, 0, 0, mark, 0, 0, 0, 0, 0, priority, 0, 0, 0, cb, *[0] * 8)
        given, shown = (ctypes.create_string_buffer(data, len(data)) for data in (PACKET, context))
        request = struct.pack(
            "=IIIIQQIIII", fd, 0, len(PACKET), 0, ctypes.addressof(given), 0, 1, 0, len(context), 0
        ) + struct.pack("=Q", ctypes.addressof(shown))
        _, answer = bpf(PROG_TEST_RUN, request)
        os.close(fd)
        ours = Machine(program).run(Skb(PACKET, mark=mark, priority=priority, cb=cb))
        wanted = struct.unpack_from("=I", answer, 4)[0]
        assert ours & 0xFFFF_FFFF == wanted, (offset, size, load, RERUN)


@pytest.mark.bpf
def test_xdp_programs_as_in_the_kernel():
    rng = random.Random(SEED)
    for _ in range(40):
        at, size = rng.randrange(70), rng.choice((1, 2, 4, 8))
        text = (
            "r2 = *(u32 *)(r1 + 0)\nr3 = *(u32 *)(r1 + 4)\nr0 = 99\nr4 = r2\n"
            f"r4 += {at + size}\nif r4 > r3 goto +2\nr0 = *({SIZES[size]} *)(r2 + {at})\n"
            f"*({SIZES[size]} *)(r2 + {at}) = -1\nexit"
        )
        packet = rng.randbytes(rng.randint(14, 80))
        ours = bytearray(packet)
        result = Machine(assemble(text)).run(Xdp(ours))
        with KernelMachine(assemble(text)) as kernel:
            assert (result & 0xFFFF_FFFF, bytes(ours)) == kernel.run(packet), (text, RERUN)
