"""Filters on sockets that need no privilege."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pfcompile.cbpf.isa import Instruction, Op
from pfcompile.errors import KernelError, ProgramError
from pfcompile.kernel.refusals import REFUSALS, refused
from pfcompile.kernel.socket_filter import attach, detach, lock, read_back
from tests.kernel.programs import ACCEPT, REJECT, first_byte_is, udp_to_port

if TYPE_CHECKING:
    from collections.abc import Iterator

RET = Instruction(Op.RET_K, 0, 0, 1)
INVALID = {
    "no ret at the end": ((Instruction(Op.LD_IMM, 0, 0, 1),), "not ret"),
    "unknown operation": ((Instruction(0xFF, 0, 0, 0), RET), "0xff"),
    "jump past the end": ((Instruction(Op.JEQ_K, 5, 0, 0), RET), "jumps to instruction 6"),
    "division by zero": ((Instruction(Op.DIV_K, 0, 0, 0), RET), "division by zero"),
    "long shift": ((Instruction(Op.LSH_K, 0, 0, 32), RET), "shift by 32"),
    "no such word": ((Instruction(Op.ST, 0, 0, 16), RET), r"M\[16\]"),
    "word read before": ((Instruction(Op.LD_MEM, 0, 0, 3), RET), "instruction 0"),
    "no such metadata": ((Instruction(Op.LD_W_ABS, 0, 0, 0xFFFFF0F0), RET), "metadata"),
    "empty": ((), "has 0 instructions"),
    "4097": ((RET,) * 4097, "has 4097 instructions"),
    "beyond 16 bits": ((RET,) * 65537, "has 65537 instructions"),
}


@pytest.fixture(params=["unix", "udp", "udp6", "tcp"])
def sock(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    kinds = {
        "unix": (socket.AF_UNIX, socket.SOCK_DGRAM),
        "udp": (socket.AF_INET, socket.SOCK_DGRAM),
        "udp6": (socket.AF_INET6, socket.SOCK_DGRAM),
        "tcp": (socket.AF_INET, socket.SOCK_STREAM),
    }
    try:
        made = socket.socket(*kinds[request.param])
    except OSError as error:
        pytest.skip(f"no such sockets here: {error}")
    with made:
        yield made


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.setblocking(False)
    with sender, receiver:
        yield sender, receiver


def received(receiver: socket.socket) -> list[bytes]:
    packets = []
    while True:
        try:
            packets.append(receiver.recv(65536))
        except BlockingIOError:
            return packets


def test_a_program_reads_back_as_it_was_attached(sock: socket.socket) -> None:
    assert read_back(sock) == ()
    for program in (ACCEPT, first_byte_is(7), udp_to_port(53), (RET,) * 300):
        attach(program, sock)
        assert read_back(sock) == program
    detach(sock)
    assert read_back(sock) == ()


def test_extreme_fields_survive(sock: socket.socket) -> None:
    program = (
        Instruction(Op.LD_IMM, 0, 0, 0xFFFFFFFF),
        Instruction(Op.JEQ_K, 255, 1, 0x80000000),
        *(RET,) * 256,
    )
    attach(program, sock)
    assert read_back(sock) == program


def test_the_kernel_filters(pair: tuple[socket.socket, socket.socket]) -> None:
    sender, receiver = pair
    attach(first_byte_is(ord("a"), kept=3), receiver)
    for packet in (b"abcdef", b"bcd", b"a"):
        sender.send(packet)
    assert received(receiver) == [b"abc", b"a"]


def test_another_filter_takes_its_place(pair: tuple[socket.socket, socket.socket]) -> None:
    sender, receiver = pair
    attach(REJECT, receiver)
    sender.send(b"one")
    attach(ACCEPT, receiver)
    sender.send(b"two")
    assert received(receiver) == [b"two"]


def test_without_it_all_comes_through(pair: tuple[socket.socket, socket.socket]) -> None:
    sender, receiver = pair
    attach(REJECT, receiver)
    detach(receiver)
    sender.send(b"all")
    assert received(receiver) == [b"all"]


def test_detaching_twice_says_that_there_is_none(sock: socket.socket) -> None:
    attach(ACCEPT, sock)
    detach(sock)
    with pytest.raises(KernelError, match=r"cannot detach .* it has none") as caught:
        detach(sock)
    assert caught.value.errno == errno.ENOENT


def test_a_locked_filter_stays(pair: tuple[socket.socket, socket.socket]) -> None:
    sender, receiver = pair
    attach(first_byte_is(1), receiver)
    lock(receiver)
    for forbidden in (lambda: attach(ACCEPT, receiver), lambda: detach(receiver)):
        with pytest.raises(KernelError, match="locked") as caught:
            forbidden()
        assert caught.value.errno == errno.EPERM
    sender.send(b"\x02")
    assert received(receiver) == []
    assert read_back(receiver) == first_byte_is(1)


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_program_is_refused_and_the_fault_named(name: str) -> None:
    program, message = INVALID[name]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        attach(REJECT, sock)
        with pytest.raises(KernelError, match=message) as caught:
            attach(program, sock)
        assert caught.value.errno == errno.EINVAL
        assert read_back(sock) == REJECT


@pytest.mark.parametrize(
    ("field", "value"), [("code", 1 << 16), ("jt", 256), ("jf", -1), ("k", 1 << 32), ("k", -1)]
)
def test_a_field_that_does_not_fit_is_named(field: str, value: int) -> None:
    program = (Instruction(Op.LD_IMM, 0, 0, 0)._replace(**{field: value}), RET)
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock,
        pytest.raises(ProgramError, match=f"instruction 0.*{field} is {value}"),
    ):
        attach(program, sock)


def test_a_program_that_is_too_long_for_optmem_max_says_how_to_raise_it() -> None:
    program = (*(Instruction(Op.LD_W_ABS, 0, 0, 0),) * 4095, RET)
    limit = Path("/proc/sys/net/core/optmem_max").read_text(encoding="ascii").strip()
    if int(limit) > 1 << 17:
        pytest.skip("net.core.optmem_max is raised here")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        with pytest.raises(KernelError, match=r"sysctl -w net\.core\.optmem_max=") as caught:
            attach(program, sock)
        assert caught.value.errno == errno.ENOMEM
        assert f"net.core.optmem_max ({limit} bytes)" in str(caught.value)


def test_a_closed_socket_is_named() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        pass
    for operation in (lambda: attach(ACCEPT, sock), lambda: detach(sock), lambda: read_back(sock)):
        with pytest.raises(KernelError, match="the socket is closed") as caught:
            operation()
        assert caught.value.errno == errno.EBADF


@pytest.mark.bpf
def test_an_ebpf_filter_cannot_be_read_back() -> None:
    if platform.machine() != "x86_64":
        pytest.skip("the number of bpf(2) is known here for x86-64 only")
    libc = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(bytes.fromhex("b700000000000000 9500000000000000"))
    licence = ctypes.create_string_buffer(b"GPL")
    addresses = (ctypes.addressof(code), ctypes.addressof(licence))
    request = ctypes.create_string_buffer(struct.pack("<IIQQ", 1, 2, *addresses), 128)
    fd = libc.syscall(321, 5, request, len(request))
    if fd < 0:
        pytest.skip(f"bpf(2) is refused: {os.strerror(ctypes.get_errno())}")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, 50, fd)  # SO_ATTACH_BPF
            with pytest.raises(KernelError, match="eBPF") as caught:
                read_back(sock)
            assert caught.value.errno == errno.EACCES
    finally:
        os.close(fd)


@pytest.mark.parametrize("row", REFUSALS, ids=lambda row: f"{row.operation.name}-{row.errno}")
def test_every_row_makes_a_message(row) -> None:
    error = refused(row.operation, row.errno, "some0")
    assert error.errno == row.errno
    assert "{" not in str(error)
    assert errno.errorcode[row.errno] in str(error)


def test_rows_are_unique() -> None:
    assert len({(row.operation, row.errno) for row in REFUSALS}) == len(REFUSALS)
