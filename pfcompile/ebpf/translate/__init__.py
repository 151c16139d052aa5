"""Classic BPF translated to eBPF.

::

    targets    where programs run, and what they find there, as rows
    verdicts   what they return
    guards     how long a packet must be, and where to ask
    disguises  what the verifier must not know, lest it never comes to an end
    start      what must be 0 at the start
    registers  what lies where
    emission   the program under way, and its exits
    packets    the ways to read packet bytes
    walk       the translation of each instruction
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pfcompile.cbpf.check import check_structure
from pfcompile.ebpf.program import EbpfProgram
from pfcompile.ebpf.translate.emission import Emission
from pfcompile.ebpf.translate.targets import find_form
from pfcompile.ebpf.translate.verdicts import find_verdicts
from pfcompile.ebpf.translate.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.cbpf.isa import Instruction as Classic
    from pfcompile.ebpf.isa import Instruction
    from pfcompile.ebpf.translate.targets import Form
    from pfcompile.ebpf.translate.verdicts import Verdict, Verdicts


def translate(
    instructions: Sequence[Classic],
    target: str = "user",
    *,
    access: str | None = None,
    match: Verdict | None = None,
    no_match: Verdict | None = None,
) -> EbpfProgram:
    """Return an eBPF program that gives the same verdict as a classic one on every packet.

    As in the classic program, a load past the packet's end and a division by X = 0 end with "no
    match", X + k is taken modulo 2**32, and a shift by X looks at the low five bits of X. What is
    past the end depends on the target: with direct access in the kernel, all that is not in the
    packet's linear part.

    Args:
        instructions: 1 to 4096 of them. Scratch words that are read before they are written are 0.
        target: "socket" (BPF_PROG_TYPE_SOCKET_FILTER), "tc" (SCHED_CLS), "xdp", or "user": for
            our own machines, whose context holds the addresses of the packet's first byte and of
            its end, 64 bits each, and its length on the wire, 32 bits.
        access: How packet bytes are read: "direct", through pointers (tc, xdp, user); "legacy",
            by LD_ABS and LD_IND (socket, tc); "helpers", by bpf_skb_load_bytes or
            bpf_xdp_load_bytes, which reach bytes outside the linear part too (socket, tc, xdp).
            None for what reads fastest, but for "legacy" at socket.
        match: The verdict for packets that match: a number, the name of an action of the target
            ("pass", "ok", ...), or "value" for what the classic program returns. None for "pass"
            at xdp, "ok" at tc, "value" elsewhere.
        no_match: The verdict for all others; "value" is 0. None for "drop" at xdp, "shot" at tc,
            0 elsewhere.

    Raises:
        ProgramError: The program is not valid, or loads a metadata word that the target has not;
            it loads at SKF_LL_OFF or SKF_NET_OFF (linux/filter.h), and the access is not "legacy"
            or `no_match` not 0; there is no such target, access or verdict.
    """
    form = find_form(target, access)
    written = write(instructions, form, find_verdicts(form.target, match, no_match))
    return _program(written, form)


def translate_with_sources(
    instructions: Sequence[Classic], target: str = "user"
) -> tuple[EbpfProgram, tuple[int | None, ...]]:
    """Return what `translate` does, and for each slot the classic instruction that it is for.

    None for slots that are for the whole program: its start, and its ways out with "no match".

    Raises:
        ProgramError: As of `translate`.
    """
    form = find_form(target, None)
    walk, emission = _walked(instructions, form, find_verdicts(form.target, None, None))
    return _program(emission.finish(), form), walk.sources()


def write(
    instructions: Sequence[Classic], form: Form, verdicts: Verdicts
) -> tuple[Instruction, ...]:
    """Return the translation of a classic program to a form, which may be one of no target's name.

    It is a function of its own, too: a larger program may call it with the context in R1.

    Raises:
        ProgramError: As of `translate`.
    """
    return _walked(instructions, form, verdicts)[1].finish()


def _walked(
    instructions: Sequence[Classic], form: Form, verdicts: Verdicts
) -> tuple[Walk, Emission]:
    """Return a translation that is done but for what `Emission.finish` does."""
    check_structure(instructions)
    emission = Emission(form, verdicts)
    walk = Walk(instructions, emission)
    walk.write()
    return walk, emission


def _program(written: tuple[Instruction, ...], form: Form) -> EbpfProgram:
    return EbpfProgram(written, form.target.name, form.target.program_type, form.flags)
