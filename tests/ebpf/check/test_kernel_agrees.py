"""The check against the kernel's verifier: both on the same programs for XDP, and on translations.

Where Linux refuses what the check accepts, or the other way round, the reasons are known and listed
here; any other difference fails.
"""

from __future__ import annotations

import ctypes
import errno
import os
import random
import struct
from collections import Counter
from dataclasses import replace

import pytest

import pfcompile
from pfcompile.ebpf.asm import disassemble
from pfcompile.ebpf.check import SUBJECTS, XDP, CheckRefusal, check
from pfcompile.ebpf.isa import encode
from pfcompile.ebpf.translate import translate
from tests.ebpf.check.plausible import MAPS, Numbers, plausible_program
from tests.ebpf.kernel_machine import LOG_BYTES, PROG_LOAD, PROG_TYPE_XDP, bpf
from tests.generator.seed import SEED, rerun

pytestmark = pytest.mark.bpf

RERUN = rerun("tests/ebpf/check/test_kernel_agrees.py")
MAP_CREATE = 0

FILTERS = (
    "ip", "tcp port 443", "host 10.0.0.1 and udp", "net 10.0.0.0/8 or ip6 net 2001:db8::/32",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0", "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420",
    "ip[ip[0] & 0xf:2] > 5 and len > 60", "vlan 7 and tcp portrange 80-90", "mpls 3 and ip",
    "ether[0] & 1 = 0 and ip[16] >= 224", "udp[8:4] % 7 = 3 or udp[10] / ip[8] > 2", "less 100",
    "ip6 protochain 6", "pppoes and ip host 1.2.3.4", "icmp[icmptype] = icmp-echo", "arp or rarp",
    "not (tcp or udp or icmp6 or arp)", "src port 53 and not dst host 10.1.2.3",
)  # fmt: skip
WAYS = (
    ("xdp", "direct"), ("xdp", "helpers"), ("tc", "direct"), ("tc", "legacy"), ("tc", "helpers"),
    ("socket", "legacy"), ("socket", "helpers"),
)  # fmt: skip

ONLY_LINUX_ACCEPTS = (
    # Root's programs may read stack that nothing has been written to, and write addresses anywhere.
    "where nothing has been written",
    "writes an address",
)
"""What the check says, of programs that the kernel accepts."""

MOST_ONLY_WE_ACCEPT = 0.01
"""Of the programs: the kernel knows less of the results of signed divisions, for instance."""


def kernel_says(program, program_type=PROG_TYPE_XDP, flags=0):
    """Return None where the kernel takes a program, otherwise the end of what it says."""
    code = ctypes.create_string_buffer(encode(program))
    log = ctypes.create_string_buffer(LOG_BYTES)
    name = ctypes.create_string_buffer(b"GPL")
    request = struct.pack(
        "=IIQQIIQII", program_type, len(program), ctypes.addressof(code), ctypes.addressof(name),
        1, LOG_BYTES, ctypes.addressof(log), 0, flags,
    )  # fmt: skip
    try:
        descriptor, _ = bpf(PROG_LOAD, request)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENOSYS):
            pytest.skip(f"bpf(2): {error.strerror}")
        return log.value.decode()[-600:] or str(error)
    os.close(descriptor)
    return None


@pytest.fixture(scope="module")
def kernel_maps():
    """The maps of the random programs, in the kernel."""
    descriptors = []
    for spec in MAPS:
        request = struct.pack(
            "=IIIII", spec.type, spec.key_size, spec.value_size, spec.max_entries, 0
        )
        try:
            descriptors.append(bpf(MAP_CREATE, request)[0])
        except OSError as error:
            pytest.skip(f"bpf(2): {error.strerror}")
    yield Numbers(*descriptors)
    for descriptor in descriptors:
        os.close(descriptor)


def we_say(program, subject):
    """Return None where the check accepts a program, otherwise its reason."""
    try:
        check(program, subject)
    except CheckRefusal as refusal:
        return refusal.reason
    return None


def test_plausible_programs(kernel_maps):
    rng = random.Random(SEED)
    subject = replace(XDP, maps=dict(zip(kernel_maps, MAPS, strict=True)))
    verdicts = Counter()
    for _ in range(400):
        program = plausible_program(rng, kernel_maps)
        ours, theirs = we_say(program, subject), kernel_says(program)
        verdicts[ours is None, theirs is None] += 1
        what = f"check: {ours}\nLinux: {theirs}\n{disassemble(program)}{RERUN}"
        if ours is None and theirs is not None:
            print(what)
        if theirs is None and ours is not None:
            assert any(reason in ours for reason in ONLY_LINUX_ACCEPTS), what
    total = verdicts.total()
    assert verdicts[True, False] <= MOST_ONLY_WE_ACCEPT * total, f"{verdicts}\n{RERUN}"
    assert verdicts[False, True] <= 0.08 * total, f"{verdicts}\n{RERUN}"
    assert min(verdicts[True, True], verdicts[False, False]) > 30, verdicts


@pytest.mark.parametrize("text", FILTERS)
def test_translated_filters(text):
    instructions = pfcompile.compile(text).instructions
    for target, access in WAYS:
        program = translate(instructions, target, access=access)
        theirs = kernel_says(program.instructions, program.program_type, program.flags)
        ours = we_say(program.instructions, SUBJECTS[target])
        assert theirs is None, (target, access, theirs)
        assert ours is None, (target, access, ours)
    program = translate(instructions, "user")
    assert we_say(program.instructions, SUBJECTS["user"]) is None
