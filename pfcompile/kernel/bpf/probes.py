"""What this kernel can do, found by trying, as rows.

Each row tries a small thing and takes it back. What needs an interface is tried on the loopback
interface of a network namespace that is made for that and goes with its thread.

Source: bpf(2), bpf-helpers(7); the versions are of the "BPF features by kernel version" list
of the BCC project and of Linux's history.
"""

from __future__ import annotations

import ctypes
import errno
import threading
from enum import Enum
from functools import cache, partial
from typing import TYPE_CHECKING, Final, NamedTuple

from pfcompile.ebpf.builder import Builder
from pfcompile.ebpf.isa import R0, R1, R2, Instruction, Wide
from pfcompile.ebpf.program import EbpfProgram
from pfcompile.errors import KernelError
from pfcompile.kernel.bpf import layouts
from pfcompile.kernel.bpf.kinds import KINDS, MapKind
from pfcompile.kernel.bpf.links import (
    XDP_HAS_FRAGS,
    AttachType,
    XdpMode,
    attach_tcx,
    attach_xdp,
)
from pfcompile.kernel.bpf.maps import create_map
from pfcompile.kernel.bpf.perf_events import tells_losses
from pfcompile.kernel.bpf.programs import load, run_statistics
from pfcompile.kernel.bpf.syscall import Command, call
from pfcompile.kernel.bpf.verifier import VerifierError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class ProgramType(Enum):
    """The program types that filters run as: number, name of the target, first version."""

    SOCKET_FILTER = (1, "socket", "3.19")
    SCHED_CLS = (3, "tc", "4.1")
    XDP = (6, "xdp", "4.8")
    CGROUP_SKB = (8, "cgroup", "4.10")


class Group(Enum):
    """What a feature is one of; the value is the heading of a table."""

    PROGRAM = "program types"
    MAP = "kinds of maps"
    HELPER = "helpers"
    LINK = "links"
    OTHER = "other"


class Feature(NamedTuple):
    """Something that kernels have from a version on.

    Attributes:
        group: What it is one of.
        name: As the kernel and bpftool call it, where they do.
        tried: What is tried, for people.
        since: The version of Linux that brought it.
        attempt: Tries it; raises KernelError where it is refused.
    """

    group: Group
    name: str
    tried: str
    since: str
    attempt: Callable[[], None]


class FeatureState(NamedTuple):
    """Whether this kernel has something.

    Attributes:
        group: What it is one of.
        name: What it is called.
        tried: What was tried.
        since: The version of Linux that brought it.
        available: Whether it is there; None where that could not be tried.
        reason: Why it is not there, or could not be tried; "" where it is.
    """

    group: Group
    name: str
    tried: str
    since: str
    available: bool | None
    reason: str


class _AbsentError(KernelError):
    """What was tried is not there, whatever else is."""

    def __init__(self, what: str) -> None:
        super().__init__(what, errno.EOPNOTSUPP)


_UNKNOWN: Final = frozenset(
    {errno.EPERM, errno.EACCES, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN}
)
"""Refusals that say something of who asks, and when, rather than of the kernel."""
_NO_HELPER: Final = ("invalid func", "unknown func", "cannot use helper", "program of this type")
_EXIT: Final = Instruction(0x95)
_CLONE_NEWNET: Final = 0x4000_0000
_LOOPBACK: Final = 1
"""The number of the loopback interface in every network namespace."""

_libc = ctypes.CDLL(None, use_errno=True)


def features() -> tuple[FeatureState, ...]:
    """Return all that is looked for, each tried once in a process.

    Takes some 100 ms at the first call.
    """
    return tuple(_state(feature) for feature in FEATURES)


def feature(name: str) -> FeatureState:
    """Return one of them, tried once in a process.

    Raises:
        KeyError: Nothing is called so.
    """
    return _state(_NAMED[name])


@cache
def _state(wanted: Feature) -> FeatureState:
    try:
        wanted.attempt()
    except KernelError as error:
        is_known = error.errno not in _UNKNOWN or isinstance(error, VerifierError)
        return FeatureState(
            *wanted[:4], available=False if is_known else None, reason=error.message
        )
    except OSError as error:
        return FeatureState(*wanted[:4], available=None, reason=str(error))
    return FeatureState(*wanted[:4], available=True, reason="")


def _program(
    kind: ProgramType, instructions: Sequence[Instruction] = (), verdict: int = 1
) -> EbpfProgram:
    number, target, _ = kind.value
    code = tuple(instructions) or tuple(Builder().mov(R0, verdict).exit().finish())
    return EbpfProgram(code, target, number, name="probe")


def _load(kind: ProgramType) -> None:
    load(_program(kind)).close()


def _create(kind: MapKind) -> None:
    create_map(kind, *KINDS[kind].smallest, name="probe").close()


def _call_helper(kind: ProgramType, number: int) -> None:
    """Load a call whose arguments are wrong for most: what matters is what the verifier minds."""
    try:
        load(_program(kind, Builder().call(number).exit().finish())).close()
    except VerifierError as error:
        if any(words in line for line in error.log for words in _NO_HELPER):
            raise


def _load_code(builder: Builder, kind: ProgramType = ProgramType.XDP) -> None:
    load(_program(kind, builder.finish())).close()


def _jump_far() -> None:
    far = Instruction(0x06, imm=0)
    load(_program(ProgramType.XDP, [*Builder().mov(R0, 1).finish(), far, _EXIT])).close()


def _jump_if_32() -> None:
    jump = Instruction(0x16, dst=int(R0), offset=0, imm=1)
    load(_program(ProgramType.XDP, [*Builder().mov(R0, 1).finish(), jump, _EXIT])).close()


def _loop() -> None:
    down = Instruction(0x07, dst=int(R0), imm=-1)
    again = Instruction(0x55, dst=int(R0), offset=-2)
    load(_program(ProgramType.XDP, [*Builder().mov(R0, 4).finish(), down, again, _EXIT])).close()


def _call_local() -> None:
    code = Builder().call_local("f").exit().label("f").mov(R0, 1).exit()
    _load_code(code)


def _use_value() -> None:
    code = Builder().wide(R1, 0, Wide.MAP_VALUE_INDEX).load(32, R0, R1).exit()
    with create_map(MapKind.ARRAY, 4, 4, 1) as held:
        load(_program(ProgramType.XDP, code.finish()), [held]).close()


def _fetch() -> None:
    swap = Instruction(0xDB, dst=10, src=int(R2), offset=-8, imm=0xE1)
    code = Builder().mov(R2, 1).emit(Instruction(0x7B, dst=10, src=int(R2), offset=-8), swap)
    _load_code(code.mov(R0, 1).exit())


def _run() -> None:
    with load(_program(ProgramType.XDP)) as loaded:
        loaded.test_run(bytes(64))


def _batches(kind: MapKind, command: Command) -> None:
    """Ask for a batch of nothing: kernels that have none refuse even that."""
    with create_map(kind, *KINDS[kind].smallest) as held:
        status = call(command, layouts.MapBatch(map_fd=held.fileno()))
    if status < 0:
        raise _AbsentError(f"no batches of {kind.name.lower()}")


def _freeze() -> None:
    with create_map(MapKind.ARRAY, 4, 4, 1) as held:
        held.freeze()


def _load_with_frags() -> None:
    load(_program(ProgramType.XDP), flags=XDP_HAS_FRAGS).close()


def _count_runs() -> None:
    with run_statistics():
        pass


def _link_xdp() -> None:
    with load(_program(ProgramType.XDP, verdict=2)) as loaded:
        attach_xdp(loaded, _LOOPBACK, XdpMode.GENERIC).close()


def _link_tcx() -> None:
    with load(_program(ProgramType.SCHED_CLS, verdict=-1)) as loaded:
        attach_tcx(loaded, _LOOPBACK).close()


def _link_cgroup() -> None:
    """Ask for a link to what is no cgroup: kernels that have such links say EBADF to that."""
    with create_map(MapKind.ARRAY, 4, 4, 1) as held, load(_program(ProgramType.CGROUP_SKB)) as made:
        attr = layouts.LinkCreate(
            prog_fd=made.fileno(),
            target=held.fileno(),
            attach_type=AttachType.CGROUP_INET_INGRESS,
        )
        if call(Command.LINK_CREATE, attr) != -errno.EBADF:
            raise _AbsentError("no links to cgroups")


def _lost_told() -> None:
    if not tells_losses():
        raise _AbsentError("the kernel does not count lost events")


def _apart(attempt: Callable[[], None]) -> None:
    """Try something in a network namespace of its own, which goes when its thread ends."""
    raised: list[BaseException] = []

    def inside() -> None:
        try:
            if _libc.unshare(_CLONE_NEWNET) != 0:
                number = ctypes.get_errno()
                raise OSError(number, "cannot make a network namespace")  # noqa: TRY301
            attempt()
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            raised.append(error)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


_HELPERS: Final = (
    ("bpf_map_lookup_elem", 1, "3.19", ProgramType.XDP),
    ("bpf_map_update_elem", 2, "3.19", ProgramType.XDP),
    ("bpf_map_delete_elem", 3, "3.19", ProgramType.XDP),
    ("bpf_ktime_get_ns", 5, "4.1", ProgramType.XDP),
    ("bpf_get_prandom_u32", 7, "4.1", ProgramType.XDP),
    ("bpf_get_smp_processor_id", 8, "4.1", ProgramType.XDP),
    ("bpf_tail_call", 12, "4.2", ProgramType.XDP),
    ("bpf_perf_event_output", 25, "4.4", ProgramType.XDP),
    ("bpf_skb_load_bytes", 26, "4.5", ProgramType.SCHED_CLS),
    ("bpf_redirect_map", 51, "4.14", ProgramType.XDP),
    ("bpf_ktime_get_boot_ns", 125, "5.8", ProgramType.XDP),
    ("bpf_ringbuf_output", 130, "5.8", ProgramType.XDP),
    ("bpf_ringbuf_reserve", 131, "5.8", ProgramType.XDP),
    ("bpf_ringbuf_submit", 132, "5.8", ProgramType.XDP),
    ("bpf_ringbuf_discard", 133, "5.8", ProgramType.XDP),
    ("bpf_xdp_get_buff_len", 188, "5.18", ProgramType.XDP),
    ("bpf_xdp_load_bytes", 189, "5.18", ProgramType.XDP),
)
"""Name, number, first version, and the program type that calls it here."""

FEATURES: Final = (
    *(
        Feature(
            Group.PROGRAM,
            kind.name.lower(),
            "load a program of two instructions",
            kind.value[2],
            partial(_load, kind),
        )
        for kind in ProgramType
    ),
    *(
        Feature(
            Group.MAP,
            row.kind.name.lower(),
            "create a small one",
            row.since,
            partial(_create, row.kind),
        )
        for row in KINDS.values()
    ),
    *(
        Feature(
            Group.HELPER,
            name,
            f"load a program of type {kind.name.lower()} that calls it",
            since,
            partial(_call_helper, kind, number),
        )
        for name, number, since, kind in _HELPERS
    ),
    Feature(
        Group.LINK, "xdp_link", "attach to a loopback interface, generic mode", "5.9",
        partial(_apart, _link_xdp),
    ),
    Feature(
        Group.LINK, "tcx_link", "attach to a loopback interface, ingress", "6.6",
        partial(_apart, _link_tcx),
    ),
    Feature(Group.LINK, "cgroup_link", "attach to what is no cgroup", "5.7", _link_cgroup),
    Feature(Group.OTHER, "test_run", "run a program on a packet", "4.12", _run),
    Feature(Group.OTHER, "local_calls", "load a program of two functions", "4.16", _call_local),
    Feature(Group.OTHER, "jumps32", "load a 32-bit conditional jump", "5.1", _jump_if_32),
    Feature(Group.OTHER, "map_values", "load an address in an array", "5.2", _use_value),
    Feature(Group.OTHER, "freeze", "freeze an array", "5.2", _freeze),
    Feature(Group.OTHER, "loops", "load a loop of four rounds", "5.3", _loop),
    Feature(
        Group.OTHER, "hash_batches", "look up a batch of nothing in a hash table", "5.6",
        partial(_batches, MapKind.HASH, Command.MAP_LOOKUP_BATCH),
    ),
    Feature(
        Group.OTHER, "lpm_batches", "set a batch of nothing in a trie", "5.6",
        partial(_batches, MapKind.LPM_TRIE, Command.MAP_UPDATE_BATCH),
    ),
    Feature(Group.OTHER, "run_statistics", "have runs counted for a moment", "5.8", _count_runs),
    Feature(Group.OTHER, "fetching_atomics", "load an atomic exchange", "5.12", _fetch),
    Feature(
        Group.OTHER, "xdp_frags", "load a program for packets in pieces", "5.18", _load_with_frags,
    ),
    Feature(Group.OTHER, "lost_events", "open events that tell what was lost", "6.0", _lost_told),
    Feature(Group.OTHER, "gotol", "load a jump of 32 bits", "6.6", _jump_far),
)  # fmt: skip
"""Everything that is looked for."""

_NAMED: Final = {each.name: each for each in FEATURES}
