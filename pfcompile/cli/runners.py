"""Programs made ready to give a verdict on packets, whatever they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pfcompile.cli.programs import Extended
from pfcompile.ebpf import check
from pfcompile.ebpf.machine.code import Environment
from pfcompile.ebpf.machine.helpers import HELPERS
from pfcompile.ebpf.machine.interpreter import Machine
from pfcompile.ebpf.machine.starts import RawPacket, Skb, User, Xdp
from pfcompile.ebpf.translate.targets import TC, XDP
from pfcompile.errors import ProgramError
from pfcompile.program import Program

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pfcompile.captures.formats.records import Record
    from pfcompile.cli.programs import Given
    from pfcompile.ebpf.check import Subject
    from pfcompile.ebpf.machine.starts import Start
    from pfcompile.jit.native import Native

_ETHERNET_HEADER: Final = 14
_DLT_EN10MB: Final = 1


def _start_xdp(record: Record) -> Start:
    return Xdp(record.data)


def _start_skb(record: Record) -> Start:
    data = record.data
    is_ethernet = record.interface.dlt == _DLT_EN10MB and len(data) >= _ETHERNET_HEADER
    protocol = int.from_bytes(data[12:14], "big") if is_ethernet else 0
    return Skb(data, length=record.wire_length, protocol=protocol)


def _start_user(record: Record) -> Start:
    return User(record.data, record.wire_length)


def _start_packet(record: Record) -> Start:
    return RawPacket(record.data)


@dataclass(frozen=True, slots=True)
class Place:
    """A place where extended programs run, as it is played here.

    Attributes:
        subject: What a program is checked for.
        start: Makes what the program is given.
        names: Of verdicts that have names; the low 32 bits, signed.
        kept: Verdicts for which the packet goes on its way; None for all but 0.
    """

    subject: Subject
    start: Callable[[Record], Start]
    names: Mapping[int, str] = field(default_factory=dict)
    kept: frozenset[int] | None = None

    def verdict(self, result: int) -> Verdict:
        """Return what a program's result, 0 to 2**64 - 1, means here."""
        number = result & 0xFFFF_FFFF
        if self.names and number >> 31:
            number -= 1 << 32
        keeps = number != 0 if self.kept is None else number in self.kept
        return Verdict(number, self.names.get(number, str(number)), keeps)


PLACES: Final = {
    "xdp": Place(
        check.XDP,
        _start_xdp,
        {number: name for name, number in XDP.actions.items()} | {4: "redirect"},
        frozenset({2, 3, 4}),
    ),
    "tc": Place(
        check.TC,
        _start_skb,
        {number: name for name, number in TC.actions.items()} | {7: "redirect"},
        frozenset({-1, 0, 1, 3, 7}),
    ),
    "socket": Place(check.SOCKET, _start_skb),
    "user": Place(check.USER, _start_user),
    "packet": Place(check.RAW_PACKET, _start_packet),
}
"""By target; "packet" is for programs that find the packet's address in R1, its length in R2.

Sources: linux/bpf.h, enum xdp_action; linux/pkt_cls.h, TC_ACT_*.
"""


def find_place(target: str) -> Place:
    """Return where programs for a target run.

    Raises:
        ProgramError: There is no such place here.
    """
    place = PLACES.get(target)
    if place is None:
        raise ProgramError(f"programs for {target} cannot be run here")
    return place


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a program says of a packet.

    Attributes:
        number: It, as the program gives it: for a place with names signed, else 0 to 2**32 - 1.
        name: It, for people.
        keeps: Whether the packet goes on its way, or matches.
    """

    number: int
    name: str
    keeps: bool


def runner(given: Given, *, native: bool = False) -> Callable[[Record], Verdict]:
    """Return a function that runs a program on a packet; maps stay as it leaves them.

    Args:
        given: A classic or an extended program.
        native: Whether to run it as native code, with run-time checks where the check of eBPF
            programs proves nothing; a classic program is translated for that.

    Raises:
        ProgramError: The program is not valid, or wants a map or a helper that is not here. The
            function raises it, too, for a program that does what it may not.
    """
    if not isinstance(given, Program):
        return _extended(given, native=native)
    if native:
        return _extended(Extended(given.to_ebpf("user")), native=True)
    return _classic(given)


def _classic(program: Program) -> Callable[[Record], Verdict]:
    def run(record: Record) -> Verdict:
        number = program.match(record.data, record.wire_length)
        return Verdict(number, str(number), number != 0)

    program.match(b"")  # what is wrong with it is said before any packet is read
    return run


def _extended(given: Extended, *, native: bool) -> Callable[[Record], Verdict]:
    place = find_place(given.program.target)
    environment = Environment(HELPERS) if given.source is None else given.source.environment()
    machine: Machine | Native
    if native:
        from pfcompile.jit.checked import checked_native  # noqa: PLC0415 - llvmlite is slow to load

        machine = checked_native(given.program.instructions, place.subject, environment)
    else:
        machine = Machine(given.program.instructions, environment)

    def run(record: Record) -> Verdict:
        return place.verdict(machine.run(place.start(record)))

    return run
