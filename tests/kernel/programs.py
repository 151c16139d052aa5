"""Classic BPF programs made by hand, so that these tests need no compiler."""

from __future__ import annotations

from pfcompile.cbpf.isa import Instruction, Op

ACCEPT = (Instruction(Op.RET_K, 0, 0, 262144),)
REJECT = (Instruction(Op.RET_K, 0, 0, 0),)


def first_byte_is(value: int, kept: int = 262144) -> tuple[Instruction, ...]:
    """Accept packets whose first byte is `value`, `kept` bytes of each."""
    return (
        Instruction(Op.LD_B_ABS, 0, 0, 0),
        Instruction(Op.JEQ_K, 0, 1, value),
        Instruction(Op.RET_K, 0, 0, kept),
        Instruction(Op.RET_K, 0, 0, 0),
    )


def udp_to_port(
    port: int, *, kept: int = 262144, ether_type: int = 12, header: int = 14
) -> tuple[Instruction, ...]:
    """Accept UDP over IPv4 (no options) to `port`.

    Args:
        port: 0 to 65535.
        kept: Bytes to keep.
        ether_type: Where the EtherType is.
        header: Where the IP header is.
    """
    return (
        Instruction(Op.LD_H_ABS, 0, 0, ether_type),
        Instruction(Op.JEQ_K, 0, 5, 0x0800),
        Instruction(Op.LD_B_ABS, 0, 0, header + 9),
        Instruction(Op.JEQ_K, 0, 3, 17),
        Instruction(Op.LD_H_ABS, 0, 0, header + 22),
        Instruction(Op.JEQ_K, 0, 1, port),
        Instruction(Op.RET_K, 0, 0, kept),
        Instruction(Op.RET_K, 0, 0, 0),
    )
