"""A live filter as one over packets that have their metadata before them.

The kernel keeps a packet's metadata beside it, and a scan sees only bytes: so the words that a
filter may ask for are put before the packet (`walk.METADATA`), and its loads are changed::

    ld [vlan_tci]     ld [16]
    ldh [12]          ldh [40]
    ld len            ld len; sub #28
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.cbpf.isa import Ancillary, Instruction, Op, Place, ancillary_word
from pfcompile.errors import ProgramError
from pfcompile.jit.ring.walk import METADATA
from pfcompile.kernel.cooked import join

if TYPE_CHECKING:
    from collections.abc import Sequence

_BYTES: Final = 4 * len(METADATA)

_PLACES: Final = {
    Ancillary.PROTOCOL: 0,
    Ancillary.PKTTYPE: 4,
    Ancillary.IFINDEX: 8,
    Ancillary.HATYPE: 12,
    Ancillary.VLAN_TAG: 16,
    Ancillary.VLAN_TAG_PRESENT: 20,
    Ancillary.VLAN_TPID: 24,
}


def behind_metadata(instructions: Sequence[Instruction]) -> tuple[Instruction, ...]:
    """Return the program that says of a packet behind its metadata what the given one says of it.

    Raises:
        ProgramError: It asks for what is not there, or computes with what has moved.
    """
    joined = join(instructions, [_moved(each) for each in instructions])
    if joined is None:
        raise ProgramError("the filter is too long to be run outside the kernel as native code")
    return joined


def _moved(instruction: Instruction) -> tuple[Instruction, ...]:
    code, k = instruction.code, instruction.k
    match code:
        case Op.LD_W_ABS | Op.LD_H_ABS | Op.LD_B_ABS:
            word = ancillary_word(instruction)
            if word is None:
                return (_further(instruction),)
            if word.reads is Place.METADATA and word.word in _PLACES:
                return (Instruction(Op.LD_W_ABS, 0, 0, _PLACES[word.word]),)
            raise ProgramError(f"{word.dump_name} is not known outside the kernel")
        case Op.LD_W_IND | Op.LD_H_IND | Op.LD_B_IND | Op.LDX_MSH:
            return (_further(instruction),)
        case Op.LD_LEN:
            return (instruction, Instruction(Op.SUB_K, 0, 0, _BYTES))
        case Op.LDX_LEN:
            raise ProgramError("the length in X is not known outside the kernel")
        case _:
            return (Instruction(code, instruction.jt, instruction.jf, k),)


def _further(instruction: Instruction) -> Instruction:
    # A K with the top bit set is a negative offset, of which X makes anything.
    if instruction.k >= 1 << 31:
        raise ProgramError("the filter's offsets are negative")
    return instruction._replace(k=instruction.k + _BYTES)
