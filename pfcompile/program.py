"""What `compile` returns: a classic BPF program and what can be done with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

from pfcompile.cbpf import listing
from pfcompile.cbpf.isa import Op
from pfcompile.cbpf.listing import dump
from pfcompile.facts import link_types

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from pfcompile.captures.blocks.arrays import PacketArrays
    from pfcompile.captures.sources.inputs import Source
    from pfcompile.cbpf.interpreter import Machine
    from pfcompile.cbpf.isa import Instruction
    from pfcompile.ebpf.program import EbpfProgram
    from pfcompile.ebpf.translate.verdicts import Verdict


FORMATS: Final = (*listing.FORMATS, "savefile")
"""What `Program.dump` and `--format` write."""


@dataclass(frozen=True)
class Program:
    """A compiled filter.

    Attributes:
        instructions: 1 to 4096 classic BPF instructions.
        dlt: The link type (DLT value) that it is for.
        snaplen: What it returns for a packet that matches, in bytes.
        text: The expression.
        optimized: Whether the optimiser has run.
        netmask: The IPv4 netmask that it was compiled with, or None.
    """

    instructions: tuple[Instruction, ...]
    dlt: int
    snaplen: int
    text: str = ""
    optimized: bool = True
    netmask: int | None = field(default=None, kw_only=True)

    @property
    def link_type(self) -> str:
        """The link type's name without `DLT_`, or its number where it has none."""
        row = link_types.by_dlt(self.dlt)
        return str(self.dlt) if row is None else row.name

    @cached_property
    def _machine(self) -> Machine:
        from pfcompile.cbpf.interpreter import prepare  # noqa: PLC0415 - not needed to compile

        return prepare(self.instructions)

    def match(
        self,
        packet: bytes | bytearray | memoryview,
        wire_length: int | None = None,
        ancillary: Mapping[int, int] | None = None,
    ) -> int:
        """Return what the program returns for a packet: 0, or the snaplen where it matches.

        Args:
            packet: The captured bytes, from the link header on.
            wire_length: The packet's length on the wire; None where all of it was captured.
            ancillary: Words of the kernel's metadata by their offset from SKF_AD_OFF.
        """
        return self._machine(packet, wire_length, ancillary)

    def mask(self, capture: Source) -> PacketArrays:
        """Return which packets of a capture match, as NumPy arrays; see `PacketArrays`.

        Args:
            capture: A path, "-" for standard input, a URL or a binary stream: pcap or pcapng.

        Raises:
            CaptureError: It cannot be read, is damaged, or has packets of another link type.
            MissingExtraError: NumPy is not installed (`pip install 'pfcompile[arrays]'`).

        Warns:
            RuntimeWarning: There is no native code, and the interpreter has filtered.
        """
        from pfcompile.jit.scan.masks import mask  # noqa: PLC0415 - rarely needed

        return mask(self.instructions, self.dlt, self._machine, capture)

    def dump(self, format: str = "tcpdump") -> str | bytes:  # noqa: A002 - the interface's word
        """Return the program in one of `FORMATS`; bytes for "raw" and "savefile".

        Raises:
            ProgramError: There is no such format, or the program does not fit it.
        """
        if format == "savefile":
            return self._savefile()
        return dump(self.instructions, format)

    def _savefile(self) -> bytes:
        from pfcompile.cbpf import savefile  # noqa: PLC0415 - rarely needed

        row = link_types.by_dlt(self.dlt)
        contents = savefile.Savefile(
            self.instructions,
            self.snaplen,
            link_types.linktype_of_dlt(self.dlt),
            link_type_name=None if row is None else row.name,
            expression=self.text if self.text.isascii() else None,
            optimize=self.optimized,
            netmask=self.netmask,
        )
        return savefile.write(contents)

    def to_ebpf(
        self,
        target: str = "user",
        *,
        access: str | None = None,
        match: Verdict | None = None,
        no_match: Verdict | None = None,
    ) -> EbpfProgram:
        """Return an eBPF program with the same verdict on every packet.

        Args:
            target: "socket", "tc", "xdp", or "user" for our own machines.
            access: How it reads packets: "direct", "legacy" or "helpers"; None for the usual way.
            match: What it returns for a packet that matches: a number, the name of an action
                ("pass" at xdp, "ok" at tc), or "value" for the snaplen; None for the usual one.
            no_match: The same for one that does not match.

        Raises:
            ProgramError: The target has not what is asked for, or what the program reads.
        """
        from pfcompile.ebpf.translate import translate  # noqa: PLC0415 - rarely needed

        return translate(self.instructions, target, access=access, match=match, no_match=no_match)

    def attach(self, sock: socket.socket) -> None:
        """Make the kernel drop what this program rejects before `sock` sees it.

        Raises:
            KernelError: The kernel refused.

        Source: socket(7), SO_ATTACH_FILTER.
        """
        from pfcompile.kernel.socket_filter import attach  # noqa: PLC0415 - rarely needed

        attach(self.instructions, sock)

    @classmethod
    def read_back(cls, sock: socket.socket, link_type: str | int = "EN10MB") -> Program:
        """Return the filter that is attached to a socket, for a link type that the caller knows.

        Its snaplen is the largest constant that it returns.

        Raises:
            KernelError: The socket has no classic filter, or the kernel keeps it to itself.

        Source: socket(7), SO_GET_FILTER.
        """
        from pfcompile.kernel.socket_filter import read_back  # noqa: PLC0415 - rarely needed

        instructions = read_back(sock)
        snaplen = max((each.k for each in instructions if each.code == Op.RET_K), default=0)
        return cls(instructions, link_types.number(link_type), snaplen)

    @staticmethod
    def detach(sock: socket.socket) -> None:
        """Take the filter off a socket; raises KernelError where there is none, or it is locked."""
        from pfcompile.kernel.socket_filter import detach  # noqa: PLC0415 - rarely needed

        detach(sock)

    @staticmethod
    def lock(sock: socket.socket) -> None:
        """Keep the filter of a socket from being changed or taken off, for good.

        Source: socket(7), SO_LOCK_FILTER.
        """
        from pfcompile.kernel.socket_filter import lock  # noqa: PLC0415 - rarely needed

        lock(sock)
