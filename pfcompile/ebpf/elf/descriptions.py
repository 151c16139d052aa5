"""What an object's BTF says: the type of its program, and what its maps are made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.ebpf import btf
from pfcompile.ebpf.btf import Kind, Member, Type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.ebpf.isa import ByteOrder
    from pfcompile.ebpf.maps.vocabulary import MapSpec
    from pfcompile.ebpf.program import EbpfProgram

_FIELDS: Final = (
    ("type", "type"),
    ("key_size", "key_size"),
    ("value_size", "value_size"),
    ("max_entries", "max_entries"),
    ("map_flags", "flags"),
)
"""The members of a definition, and the attributes of `MapSpec` that they tell."""

_POINTER_BYTES: Final = 8
MAP_BYTES: Final = len(_FIELDS) * _POINTER_BYTES
"""What a definition takes in `.maps`; nothing is ever there."""

_CONTEXTS: Final = {"xdp": "xdp_md", "tc": "__sk_buff", "socket": "__sk_buff"}
"""The structs that programs get, by target."""


class _Types:
    """Types that are being collected; each gets the next number."""

    def __init__(self) -> None:
        self.types: list[Type] = []

    def add(self, kind: Kind, name: str = "", value: int = 0, **details: object) -> int:
        self.types.append(Type(kind, name, value, **details))  # type: ignore[arg-type]
        return len(self.types)


def describe(
    program: EbpfProgram, maps: Sequence[MapSpec], byte_order: ByteOrder = "little"
) -> bytes:
    """Return the section `.BTF` of an object.

    Args:
        program: Its program.
        maps: Its maps that are in `.maps`, in that order.
        byte_order: Of the machine that it is for.
    """
    types = _Types()
    integer = types.add(Kind.INT, "int", 4, extra=(btf.SIGNED << 24 | 32,))
    index = types.add(Kind.INT, "__ARRAY_SIZE_TYPE__", 4, extra=(32,))
    _add_program(types, program, integer)
    variables = [
        _add_map(types, spec, f"map{number}", integer, index) for number, spec in enumerate(maps)
    ]
    if variables:
        members = tuple(
            Member((variable, place * MAP_BYTES, MAP_BYTES))
            for place, variable in enumerate(variables)
        )
        types.add(Kind.DATASEC, ".maps", MAP_BYTES * len(variables), members=members)
    return btf.encode(types.types, byte_order)


def _add_program(types: _Types, program: EbpfProgram, integer: int) -> None:
    context = _CONTEXTS.get(program.target)
    struct = btf.VOID if context is None else types.add(Kind.FWD, context)
    pointer = types.add(Kind.PTR, value=struct)
    function = types.add(Kind.FUNC_PROTO, value=integer, members=(Member((pointer,), "context"),))
    types.add(Kind.FUNC, program.name, function, linkage=btf.GLOBAL)


def _add_map(types: _Types, spec: MapSpec, unnamed: str, integer: int, index: int) -> int:
    """Add a variable that defines a map; return its number."""
    members = []
    for place, (member, attribute) in enumerate(_FIELDS):
        number = int(getattr(spec, attribute))
        array = types.add(Kind.ARRAY, extra=(integer, index, number))
        pointer = types.add(Kind.PTR, value=array)
        members.append(Member((pointer, place * _POINTER_BYTES * 8), member))
    struct = types.add(Kind.STRUCT, "", MAP_BYTES, members=tuple(members))
    return types.add(Kind.VAR, spec.name or unnamed, struct, extra=(btf.GLOBAL,))
