"""Random programs in both machines, started in every way."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any

from pfcompile.ebpf.machine.code import Limits
from pfcompile.ebpf.machine.interpreter import Machine
from pfcompile.ebpf.machine.starts import (
    FixedMetadata,
    MetadataBuffer,
    NoData,
    RawPacket,
    Skb,
    Xdp,
)
from pfcompile.errors import ProgramError
from tests.generator.seed import SEED, rerun
from tests.jit.pairs import World, check, full_environment
from tests.jit.random_programs import RandomProgram

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pfcompile.ebpf.isa import Row

PACKET = bytes(range(64))

STARTS: tuple[Callable[[bytearray], Any], ...] = (
    lambda _packet: NoData(),
    RawPacket,
    lambda packet: RawPacket(memoryview(packet)[3:50]),
    lambda packet: MetadataBuffer(bytearray(40), packet),
    lambda packet: FixedMetadata(packet, 0, 8),
    lambda packet: Xdp(packet, 3, 4),
    lambda packet: Xdp(packet, linear=20),
    lambda packet: Skb(packet, protocol=0x800, vlan_tci=5, hash=9, cb=b"abcdefgh"),
)


def run_random(path: str, rows: Sequence[Row], programs: int) -> Counter[str]:
    """Run so many programs of `rows`; return how many ended in which way."""
    rng = random.Random(f"{SEED} {path}")
    ways: Counter[str] = Counter()
    while ways.total() < programs:
        program = RandomProgram(rng, rows).make(rng.randint(3, 16))
        start, budget = rng.choice(STARTS), rng.choice((3, 15, 40, 1000))

        def make(start: Any = start, budget: int = budget) -> World:
            packet = bytearray(PACKET)
            environment, contents = full_environment()
            limits = Limits(budget, loops=7)
            return World(start(packet), [packet], environment, limits, contents)

        try:
            Machine(program, make().environment)
        except ProgramError:  # wants the value of something other than the array
            continue
        note = f"program {ways.total()}, budget {budget}, start {make().start}\n{rerun(path)}"
        ways[check(program, make, note)[0]] += 1
    return ways
