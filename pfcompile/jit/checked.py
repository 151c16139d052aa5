"""Native code of a program that the check has looked at.

Accesses to the packet and to stack frames that are proved run without a check of where they end,
which is what makes them fast; accesses elsewhere (maps, variables, metadata) keep their checks.
What cannot be proved runs with its run-time check, and what may not end within its budget; a
program started in another way than it was checked for is refused.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.check import NO_DATA, RAW_PACKET, SOCKET, TC, USER, XDP, analyse
from pfcompile.ebpf.machine.code import Environment, Limits
from pfcompile.ebpf.machine.helpers import HELPERS
from pfcompile.ebpf.machine.starts import NoData, RawPacket, Skb, User, Xdp
from pfcompile.jit.native import native

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pfcompile.ebpf.check import Subject
    from pfcompile.ebpf.isa import Instruction
    from pfcompile.ebpf.machine.starts import Start
    from pfcompile.jit.native import Native

_STARTS: Final[Mapping[str, type[Start]]] = MappingProxyType(
    {
        NO_DATA.name: NoData,
        RAW_PACKET.name: RawPacket,
        USER.name: User,
        XDP.name: Xdp,
        TC.name: Skb,
        SOCKET.name: Skb,
    }
)
"""How programs are started that are checked for a subject."""


def checked_native(
    program: Sequence[Instruction],
    subject: Subject,
    environment: Environment | None = None,
    limits: Limits | None = None,
) -> Native:
    """Return a program as native code for one way of being started.

    Args:
        program: Any; what the check refuses runs with checks at run time.
        subject: What it is checked for, of `pfcompile.ebpf.check`; maps and variables are the
            environment's.
        environment: What it can call and use; without one, the helpers of `HELPERS`.
        limits: How far a run may go.

    Raises:
        ProgramError: The program is not valid, or wants what is not in `environment`.
    """
    given = Environment(HELPERS) if environment is None else environment
    own = replace(
        subject,
        maps={number: each.spec for number, each in given.maps.items()},
        variables={number: len(each) for number, each in given.variables.items()},
    )
    found = analyse(program, own)
    return native(
        program,
        given,
        Limits() if limits is None else limits,
        proved=found.proved,
        starts=(_STARTS[subject.name],),
    )
