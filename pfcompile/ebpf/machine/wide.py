"""The steps of 64-bit immediate loads: numbers, and addresses of maps, variables and code."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pfcompile.ebpf.isa import SLOT_BYTES, Wide, wide_value
from pfcompile.ebpf.machine.decoded import Decoded, set_constant
from pfcompile.ebpf.machine.memory import CODE_ADDRESS
from pfcompile.ebpf.maps.vocabulary import U32, MapType
from pfcompile.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pfcompile.ebpf.machine.code import Registers, Run, Step
    from pfcompile.ebpf.maps.vocabulary import Map


def load_wide(decoded: Decoded) -> Step:
    """Make a 64-bit immediate load; raises ProgramError for what is not there."""
    wide = decoded.row.operation
    assert isinstance(wide, Wide)
    return _WIDES[wide](decoded)


def _halves(decoded: Decoded) -> tuple[int, int]:
    """Return both halves of a 64-bit immediate, unsigned, the low one first."""
    if decoded.second is None:
        raise InternalError("a 64-bit immediate load without its second half")
    high, low = divmod(wide_value(decoded.instruction, decoded.second), 1 << 32)
    return low, high


def _load_value(decoded: Decoded) -> Step:
    low, high = _halves(decoded)
    return set_constant(decoded.instruction.dst, high << 32 | low, decoded.then)


def _load_code_address(decoded: Decoded) -> Step:
    address = CODE_ADDRESS + decoded.target * SLOT_BYTES
    return set_constant(decoded.instruction.dst, address, decoded.then)


def _map_of(decoded: Decoded) -> Map:
    number, _ = _halves(decoded)
    map_ = decoded.environment.maps.get(number)
    if map_ is None:
        decoded.refuse(f"there is no map {number}")
    return map_


def _load_map(decoded: Decoded) -> Step:
    map_, dst, then = _map_of(decoded), decoded.instruction.dst, decoded.then

    def step(registers: Registers, run: Run) -> Step:
        registers[dst] = run.address_of_map(map_)
        return then

    return step


def _load_map_value(decoded: Decoded) -> Step:
    spec = _map_of(decoded).spec
    _, offset = _halves(decoded)
    # As in Linux, so that there is no question which value is meant.
    if spec.type is not MapType.ARRAY or spec.max_entries != 1:
        decoded.refuse("only the value of an array that has one can be loaded directly")
    if offset >= spec.value_size:
        decoded.refuse(f"offset {offset} is outside the map's value of {spec.value_size} bytes")
    value = _map_of(decoded).lookup(bytes(U32))
    assert value is not None
    return _load_address(decoded, value, f"value of {spec.name or 'an array'}", offset)


def _load_variable(decoded: Decoded) -> Step:
    number, _ = _halves(decoded)
    variable = decoded.environment.variables.get(number)
    if variable is None:
        decoded.refuse(f"there is no variable {number}")
    return _load_address(decoded, variable, f"variable {number}", 0)


def _load_address(decoded: Decoded, data: bytearray, name: str, offset: int) -> Step:
    dst, then = decoded.instruction.dst, decoded.then

    def step(registers: Registers, run: Run) -> Step:
        registers[dst] = run.memory.address_of(data, name) + offset
        return then

    return step


_WIDES: Final[Mapping[Wide, Callable[[Decoded], Step]]] = MappingProxyType(
    {
        Wide.VALUE: _load_value,
        Wide.MAP_FD: _load_map,
        Wide.MAP_VALUE_FD: _load_map_value,
        Wide.VARIABLE: _load_variable,
        Wide.CODE: _load_code_address,
        Wide.MAP_INDEX: _load_map,
        Wide.MAP_VALUE_INDEX: _load_map_value,
    }
)
