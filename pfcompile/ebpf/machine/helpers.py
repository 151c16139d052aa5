"""The functions that every program may call, by number.

A wrong pointer is a fault, since the kernel's verifier would not have let the program in; what can
go wrong in the kernel at run time gives the kernel's negative errno number.

Source: bpf-helpers(7); linux/bpf.h, enum bpf_func_id.
"""

from __future__ import annotations

import errno
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pfcompile.ebpf.arithmetic import MASK32, signed
from pfcompile.ebpf.machine.code import HasCode, Helper, Run, TailCall
from pfcompile.ebpf.machine.contexts import SK_BUFF, XDP_MD, Layout
from pfcompile.ebpf.machine.faults import Fault, Leave
from pfcompile.ebpf.machine.memory import CONTEXT_ADDRESS, Buffer
from pfcompile.ebpf.maps.programs import ProgramArray
from pfcompile.ebpf.maps.rings import CURRENT_CPU, PerfEventArray, RingBuffer

if TYPE_CHECKING:
    from collections.abc import Mapping

_M = TypeVar("_M")

_WAKEUP_FLAGS: Final = 0x3
"""BPF_RB_NO_WAKEUP and BPF_RB_FORCE_WAKEUP: nobody sleeps here."""
_PACKET_BYTES_SHIFT: Final = 32
_PACKET_BYTES_MASK: Final = 0xFFFFF
"""BPF_F_CTXLEN_MASK: how much of the packet goes into an event, above the CPU's number."""
_MAX_OFFSET: Final = 0xFFFF
_MAX_INT: Final = 0x7FFF_FFFF


def _map_lookup(run: Run, map_: int, key: int, _3: int, _4: int, _5: int) -> int:
    found = run.map_at(map_)
    value = found.lookup(run.memory.read(key, found.spec.key_size))
    return 0 if value is None else run.memory.address_of(value, "map value")


def _map_update(run: Run, map_: int, key: int, value: int, flags: int, _5: int) -> int:
    found = run.map_at(map_)
    memory, spec = run.memory, found.spec
    new = memory.read(value, spec.value_size)
    return found.update(memory.read(key, spec.key_size), new, flags)


def _map_delete(run: Run, map_: int, key: int, _3: int, _4: int, _5: int) -> int:
    found = run.map_at(map_)
    return found.delete(run.memory.read(key, found.spec.key_size))


def _time(run: Run, *_: int) -> int:
    return run.environment.clock()


def _random(run: Run, *_: int) -> int:
    return run.environment.random.getrandbits(32)


def _processor(_run: Run, *_: int) -> int:
    return 0


_CONVERSION: Final = re.compile(r"%%|%(?:l|ll)?([diuxXsc])|%p|%")
"""What bpf_trace_printk takes; a per cent sign with anything else behind it is an error."""


def _trace(run: Run, text: int, size: int, *values: int) -> int:
    """Print up to three values; returns the length, or -EINVAL for a bad format."""
    form = run.memory.read(text, size)
    if not form.endswith(b"\0"):
        return -errno.EINVAL
    left = list(values)
    printed = []
    place = 0
    shape = form[: form.index(0)].decode("latin-1")
    for match in _CONVERSION.finditer(shape):
        printed.append(shape[place : match.start()])
        place = match.end()
        if match[0] == "%%":
            printed.append("%")
        elif match[0] == "%" or not left:
            return -errno.EINVAL
        else:
            printed.append(_shown(run, match[0], left.pop(0)))
    line = "".join(printed) + shape[place:]
    run.environment.trace(line)
    return len(line)


def _shown(run: Run, conversion: str, value: int) -> str:
    width = 64 if "l" in conversion else 32
    match conversion[-1]:
        case "d" | "i":
            return str(signed(value, width))
        case "s":
            return _string(run, value)
        case "c":
            return chr(value & 0xFF)
        case "p":
            return f"{value:016x}"
        case letter:
            return format(value & (1 << width) - 1, "d" if letter == "u" else letter)


def _string(run: Run, address: int) -> str:
    """Return the text at an address, up to its zero byte."""
    data = bytearray()
    while byte := run.memory.load(address + len(data), 8):
        data.append(byte)
    return data.decode("latin-1")


def _tail_call(run: Run, _context: int, map_: int, index: int, _4: int, _5: int) -> int:
    programs: ProgramArray[Any] = _map_of(run, map_, ProgramArray)
    program: HasCode | None = programs.program(index & MASK32)
    if program is None or run.tail_calls == 0:
        return -errno.ENOENT
    raise TailCall(program.code)


def _perf_event_output(run: Run, context: int, map_: int, flags: int, data: int, size: int) -> int:
    events = _map_of(run, map_, PerfEventArray)
    from_packet = flags >> _PACKET_BYTES_SHIFT
    if from_packet > _PACKET_BYTES_MASK:
        return -errno.EINVAL
    record = run.memory.read(data, size)
    packet = _packet(run, context, (SK_BUFF, XDP_MD)) if from_packet else b""
    if from_packet > len(packet):
        return -errno.EFAULT
    return events.output(flags & CURRENT_CPU, record + bytes(packet[:from_packet]))


def _skb_load_bytes(run: Run, context: int, offset: int, to: int, size: int, _5: int) -> int:
    packet, size = _packet(run, context, (SK_BUFF,)), size & MASK32
    offset &= MASK32
    if offset > _MAX_INT or offset + size > len(packet):
        run.memory.write(to, bytes(size) if size <= _MAX_OFFSET else b"")
        return -errno.EFAULT
    run.memory.write(to, bytes(packet[offset : offset + size]))
    return 0


def _xdp_length(run: Run, context: int, *_: int) -> int:
    return len(_packet(run, context, (XDP_MD,)))


def _xdp_load_bytes(run: Run, context: int, offset: int, to: int, size: int, _5: int) -> int:
    packet, size = _packet(run, context, (XDP_MD,)), size & MASK32
    offset &= MASK32
    if max(offset, size) > _MAX_OFFSET:
        return -errno.EFAULT
    if offset + size > len(packet):
        return -errno.EINVAL
    run.memory.write(to, bytes(packet[offset : offset + size]))
    return 0


def _ring_output(run: Run, map_: int, data: int, size: int, flags: int, _5: int) -> int:
    ring = _map_of(run, map_, RingBuffer)
    if flags & ~_WAKEUP_FLAGS:
        return -errno.EINVAL
    return ring.output(run.memory.read(data, size))


def _ring_reserve(run: Run, map_: int, size: int, flags: int, _4: int, _5: int) -> int:
    ring = _map_of(run, map_, RingBuffer)
    return 0 if flags else run.reserve(ring, size)


def _ring_submit(run: Run, data: int, *_: int) -> int:
    run.commit(data, counts=True)
    return 0


def _ring_discard(run: Run, data: int, *_: int) -> int:
    run.commit(data, counts=False)
    return 0


def _unwind(_run: Run, result: int, *_: int) -> int:
    raise Leave(result)


def _map_of(run: Run, address: int, kind: type[_M]) -> _M:
    """Return the map at an address; raises Fault where it is of another kind."""
    found = run.map_at(address)
    if not isinstance(found, kind):
        raise Fault(f"this helper takes no map of the type {found.spec.type.name}")
    return found


def _packet(run: Run, address: int, layouts: tuple[Layout, ...]) -> Buffer:
    """Return the packet of a context; raises Fault where `address` is not that of one."""
    context = run.entry.context
    if address != CONTEXT_ADDRESS or context is None or context.layout not in layouts:
        wanted = " or ".join(layout.name for layout in layouts)
        raise Fault(f"this helper takes a {wanted}, and 0x{address:x} is not the address of one")
    return run.entry.packet


def _by_number(*helpers: Helper) -> Mapping[int, Helper]:
    return MappingProxyType({helper.number: helper for helper in helpers})


HELPERS: Final = _by_number(
    Helper(1, "map_lookup_elem", _map_lookup),
    Helper(2, "map_update_elem", _map_update),
    Helper(3, "map_delete_elem", _map_delete),
    Helper(5, "ktime_get_ns", _time),
    Helper(6, "trace_printk", _trace),
    Helper(7, "get_prandom_u32", _random),
    Helper(8, "get_smp_processor_id", _processor),
    Helper(12, "tail_call", _tail_call),
    Helper(25, "perf_event_output", _perf_event_output),
    Helper(26, "skb_load_bytes", _skb_load_bytes),
    Helper(130, "ringbuf_output", _ring_output),
    Helper(131, "ringbuf_reserve", _ring_reserve),
    Helper(132, "ringbuf_submit", _ring_submit),
    Helper(133, "ringbuf_discard", _ring_discard),
    Helper(188, "xdp_get_buff_len", _xdp_length),
    Helper(189, "xdp_load_bytes", _xdp_load_bytes),
)
"""By the kernel's numbers."""

UNWIND: Final = Helper(5, "unwind", _unwind)
"""For conformance tests: ends the program, from any depth, with its first argument as result."""
