"""Programs on sockets, through the public interface."""

from __future__ import annotations

import socket

import pytest

import pfcompile


def test_attached_read_back_and_detached() -> None:
    program = pfcompile.compile("ether[0] = 7", snaplen=100)
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with sender, receiver:
        receiver.setblocking(False)
        program.attach(receiver)
        again = pfcompile.Program.read_back(receiver, "EN10MB")
        assert (again.instructions, again.snaplen, again.dlt) == (program.instructions, 100, 1)
        sender.send(b"\x08" * 60)
        sender.send(b"\x07" * 60)
        assert receiver.recv(100) == b"\x07" * 60
        pfcompile.Program.detach(receiver)
        sender.send(b"\x08" * 60)
        assert receiver.recv(100) == b"\x08" * 60
        with pytest.raises(pfcompile.KernelError):
            pfcompile.Program.detach(receiver)


def test_a_locked_filter_stays() -> None:
    program = pfcompile.compile("tcp")
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with sender, receiver:
        program.attach(receiver)
        pfcompile.Program.lock(receiver)
        with pytest.raises(pfcompile.KernelError):
            pfcompile.Program.detach(receiver)
