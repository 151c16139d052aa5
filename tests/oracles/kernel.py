"""The Linux kernel's own classic BPF, on any bytes, through a unix datagram socket pair.

The filter sits on the receiving socket: a datagram that it rejects never arrives, and one that it
accepts arrives cut to the length that the program returned. No privileges are needed.

Source: socket(7), SO_ATTACH_FILTER.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from pfcompile.cbpf.isa import Instruction

SO_ATTACH_FILTER: Final = 26
MAX_PACKET: Final = 60_000
_SEND_BUFFER: Final = 4 * MAX_PACKET


class Kernel:
    """One socket pair with a filter; closed by `close` or at the end of `with`."""

    def __init__(self) -> None:
        self._sender, self._receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self._receiver.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close both sockets."""
        self._sender.close()
        self._receiver.close()

    def attach(self, instructions: Sequence[Instruction]) -> None:
        """Replace the filter.

        Raises:
            OSError: The kernel refused. EINVAL: not a valid program; ENOMEM: a valid one, too
                long for net.core.optmem_max.
        """
        raw = b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
        array = ctypes.create_string_buffer(raw, max(len(raw), 1))
        # struct sock_fprog: the count, padding to the pointer's alignment, the pointer.
        fprog = struct.pack("@HP", len(instructions), ctypes.addressof(array))
        self._receiver.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, fprog)

    def takes(self, instructions: Sequence[Instruction]) -> bool:
        """Tell whether the kernel finds a program valid, attaching it where that is possible."""
        try:
            self.attach(instructions)
        except OSError as error:
            if error.errno not in {errno.EINVAL, errno.ENOMEM}:
                raise
            return error.errno == errno.ENOMEM
        return True

    def run(self, packet: bytes) -> int:
        """Return how many bytes of `packet` the attached filter accepts: `min(ret, len(packet))`.

        Args:
            packet: 0 to `MAX_PACKET` bytes; offset 0 of the program is its first byte.
        """
        self._sender.send(packet)
        try:
            return len(self._receiver.recv(MAX_PACKET + 1))
        except BlockingIOError:
            return 0
