"""eBPF programs in the kernel: loaded with their maps, looked at, and run on made-up packets.

Needs root, or CAP_BPF with CAP_NET_ADMIN and CAP_PERFMON (capabilities(7)).

Sources: bpf(2); linux/bpf.h, `union bpf_attr`; Documentation/bpf/bpf_prog_run.rst of Linux.
"""

from __future__ import annotations

import ctypes
import errno
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from pfcompile.ebpf.isa import ROW_NAMED, Key, Kind, Operand, Wide
from pfcompile.errors import ProgramError
from pfcompile.kernel.bpf import layouts
from pfcompile.kernel.bpf.descriptors import (
    Descriptor,
    KernelObject,
    ObjectType,
    ask_info,
    fd_of,
    ids,
)
from pfcompile.kernel.bpf.names import object_name
from pfcompile.kernel.bpf.refusals import Asked, BpfError, refused
from pfcompile.kernel.bpf.syscall import BYTE_ORDER, Command, address, buffer_of, call, room_for
from pfcompile.kernel.bpf.verifier import LOG_SIZES, VerifierError, last_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pfcompile.ebpf.isa import Instruction
    from pfcompile.ebpf.program import EbpfProgram
    from pfcompile.kernel.bpf.maps import Map
    from pfcompile.kernel.bpf.syscall import Buffer

_HEADROOM: Final = 512
"""Bytes by which a program may make its packet longer."""
_STATS_RUN_TIME: Final = 0
"""BPF_STATS_RUN_TIME, linux/bpf.h."""
_LOAD: Final = ROW_NAMED[Key(Kind.WIDE, Wide.MAP_INDEX, 64, Operand.IMMEDIATE)].code
_BY_INDEX: Final = {
    (_LOAD, Wide.MAP_INDEX.value): Wide.MAP_FD,
    (_LOAD, Wide.MAP_VALUE_INDEX.value): Wide.MAP_VALUE_FD,
}
"""What tells a map by its number among a program's, and what the kernel takes for it."""


class TestRun(NamedTuple):
    """What came of running a program.

    Attributes:
        verdict: What it returned, 0 to 2**32 - 1.
        data: The packet afterwards.
        duration_ns: Mean nanoseconds a run; means something from some 100,000 repetitions on.
    """

    verdict: int
    data: bytes
    duration_ns: int


class ProgramInfo(NamedTuple):
    """What the kernel tells of a program.

    Attributes:
        type: BPF_PROG_TYPE_*, linux/bpf.h.
        id: Its number in the system.
        tag: A hash of its instructions, 16 hexadecimal digits.
        name: For people, up to 15 characters.
        loaded_ns: When it was loaded, in nanoseconds of CLOCK_BOOTTIME.
        user: Who loaded it.
        machine_bytes: Bytes of machine code; 0 where the kernel does not tell.
        bytes: Bytes of its instructions, as the verifier has rewritten them.
        map_ids: The numbers of its maps.
        run_count: How often it ran while runs were counted, see `run_statistics`.
        run_time_ns: How long that took.
    """

    type: int
    id: int
    tag: str
    name: str
    loaded_ns: int
    user: int
    machine_bytes: int
    bytes: int
    map_ids: tuple[int, ...]
    run_count: int
    run_time_ns: int


class LoadedProgram(KernelObject):
    """A program in the kernel, which lives until it is closed and nothing uses it any more.

    A context manager. `load` makes one.
    """

    type = ObjectType.PROGRAM

    def __init__(self, fd: int, name: str) -> None:
        super().__init__(fd)
        self._name = name

    @classmethod
    def _found(cls, fd: int) -> Self:
        program = cls(fd, "")
        try:
            program._name = program.info().name
        except BaseException:
            program.close()
            raise
        return program

    @property
    def name(self) -> str:
        """Its name, "" for none."""
        return self._name

    def test_run(self, data: bytes, context: bytes = b"", repeat: int = 1) -> TestRun:
        """Run the program on a packet that belongs to nobody.

        Socket filters get what is behind the Ethernet header; tc and XDP programs all of it.

        Args:
            data: At least `MIN_FRAME` bytes, an Ethernet header first. With an EtherType of IPv4
                or IPv6, such a header has to follow, except for XDP.
            context: A `struct __sk_buff` or `struct xdp_md`, of which few fields may be set; none
                when empty.
            repeat: How often.

        Raises:
            KernelError: EINVAL for a packet or context that the kernel does not take.
        """
        packet, ctx = buffer_of(data), buffer_of(context)
        result = room_for(len(data) + _HEADROOM)
        attr = layouts.RunOnPacket(
            prog_fd=fd_of(self),
            data_size_in=len(data),
            data_size_out=len(result),
            data_in=address(packet),
            data_out=address(result),
            repeat=repeat,
            ctx_size_in=len(context),
            ctx_in=address(ctx) if context else 0,
        )
        status = call(Command.PROG_TEST_RUN, attr)
        if status < 0:
            raise refused(Asked.TEST_RUN, status, self._name)
        return TestRun(attr.retval, result.raw[: attr.data_size_out], attr.duration)

    def info(self) -> ProgramInfo:
        """Ask the kernel what it is.

        Raises:
            KernelError: EBADF where it is closed, EINVAL before Linux 4.13.
        """
        subject = f"the eBPF program '{self._name}'"
        first = ask_info(self, layouts.ProgInfoAnswer(), subject)
        count = first.nr_map_ids
        numbers = (ctypes.c_uint32 * max(count, 1))()
        asked = layouts.ProgInfoAnswer(
            nr_map_ids=count, map_ids=ctypes.addressof(numbers) if count else 0
        )
        got = ask_info(self, asked, subject)
        return ProgramInfo(
            got.type,
            got.id,
            bytes(got.tag).hex(),
            got.name.decode("ascii", "replace"),
            got.load_time,
            got.created_by_uid,
            got.jited_prog_len,
            got.xlated_prog_len,
            tuple(numbers[: min(count, got.nr_map_ids)]),
            got.run_cnt,
            got.run_time_ns,
        )

    def machine_bytes(self) -> int:
        """Return how many bytes of machine code it is; 0 where the kernel does not tell.

        It tells it only to root, and it compiles programs only with net.core.bpf_jit_enable.

        Raises:
            KernelError: EBADF where it is closed, EINVAL before Linux 4.13.
        """
        return self.info().machine_bytes


def load(
    program: EbpfProgram,
    maps: Sequence[Map] = (),
    *,
    attach_type: int = 0,
    flags: int = 0,
) -> LoadedProgram:
    """Have the kernel verify and compile a program.

    Args:
        program: The program.
        maps: Its maps, as it numbers them: what refers to map 0 gets the first one. They live as
            long as the program, even when they are closed here.
        attach_type: BPF_* of enum bpf_attach_type, linux/bpf.h: where it is to be attached, for
            programs of which the verifier must know that.
        flags: BPF_F_* of linux/bpf.h, besides the program's own, such as `XDP_HAS_FRAGS`.

    Raises:
        ProgramError: It is for machines outside the kernel, its name or license is not valid, or
            it refers to a map that it was not given.
        VerifierError: The verifier refuses it.
        KernelError: EPERM without the privilege, ENOSYS without bpf(2).

    Source: bpf(2), BPF_PROG_LOAD.
    """
    if program.program_type is None:
        raise ProgramError(f"the kernel runs no programs for the target '{program.target}'")
    if not program.license.isascii() or "\0" in program.license:
        raise ProgramError(f"the program's license is not ASCII text: {program.license!r}")
    name = object_name(program.name, "program")
    linked = replace(program, instructions=with_maps(program.instructions, maps))
    instructions = buffer_of(linked.to_bytes(BYTE_ORDER))
    license_ = buffer_of(program.license.encode("ascii") + b"\0")

    def attempt(log: Buffer | None) -> int:
        attr = layouts.ProgLoad(
            prog_type=program.program_type,
            insn_cnt=len(linked.instructions),
            insns=address(instructions),
            license=address(license_),
            log_level=0 if log is None else 1,
            log_size=0 if log is None else len(log),
            log_buf=address(log),
            prog_flags=program.flags | flags,
            prog_name=name,
            expected_attach_type=attach_type,
        )
        return call(Command.PROG_LOAD, attr)

    # A log costs time and room, so that only a program that has failed gets one.
    reason = fd = attempt(None)
    if -fd in {errno.EPERM, errno.ENOSYS, errno.EFAULT}:
        raise refused(Asked.LOAD, fd, program.name)
    for size in LOG_SIZES:
        if fd >= 0:
            return LoadedProgram(fd, program.name)
        log = room_for(size)
        fd = attempt(log)
        if fd < 0 and fd != -errno.ENOSPC:
            break
    if fd >= 0:
        return LoadedProgram(fd, program.name)
    shown, left_out = last_lines(log.value.decode(errors="replace"))
    raise VerifierError(program.name, -reason, shown, left_out)


def with_maps(instructions: Sequence[Instruction], maps: Sequence[Map]) -> tuple[Instruction, ...]:
    """Return instructions that tell maps by their file descriptors instead of their numbers.

    Raises:
        ProgramError: There is no map of such a number.
    """
    linked = list(instructions)
    for slot, instruction in enumerate(instructions):
        by_descriptor = _BY_INDEX.get((instruction.code, instruction.src))
        if by_descriptor is None:
            continue
        if not 0 <= instruction.imm < len(maps):
            raise ProgramError(
                f"instruction {slot} refers to map {instruction.imm}, but {len(maps)} were given"
            )
        linked[slot] = replace(
            instruction, src=by_descriptor.value, imm=maps[instruction.imm].fileno()
        )
    return tuple(linked)


def all_programs() -> tuple[ProgramInfo, ...]:
    """Return all programs of the system, in the order in which they were loaded.

    Raises:
        KernelError: EPERM without CAP_SYS_ADMIN.
    """
    found = []
    for number in ids(ObjectType.PROGRAM):
        try:
            with LoadedProgram.by_id(number) as each:
                found.append(each.info())
        except BpfError as error:
            if error.errno != errno.ENOENT:  # it went since its number was asked for
                raise
    return tuple(found)


@contextmanager
def run_statistics() -> Iterator[None]:
    """Have the kernel count how often programs run, and how long, while the block runs.

    That makes every run of every program some 20 ns longer.

    Raises:
        KernelError: EPERM without CAP_SYS_ADMIN, EINVAL before Linux 5.8.

    Source: linux/bpf.h, BPF_ENABLE_STATS.
    """
    fd = call(Command.ENABLE_STATS, layouts.EnableStats(type=_STATS_RUN_TIME))
    if fd < 0:
        raise refused(Asked.COUNT_RUNS, fd, "")
    with Descriptor(fd):
        yield
