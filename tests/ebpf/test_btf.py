"""BTF: round trips, LLVM's, the kernel's opinion of ours, and damage."""

from __future__ import annotations

import ctypes
import errno
import random
import struct

import pytest

from pfcompile.ebpf import btf
from pfcompile.ebpf.btf import ROWS, Btf, Kind, Member, Type
from pfcompile.ebpf.elf.descriptions import MAP_BYTES, describe
from pfcompile.ebpf.elf.format import read_tables
from pfcompile.ebpf.maps.vocabulary import MapFlag, MapSpec, MapType
from pfcompile.ebpf.program import EbpfProgram
from pfcompile.errors import ProgramError
from tests.ebpf.kernel_machine import bpf
from tests.ebpf.llvm_objects import EVERYTHING_MAPS, everything
from tests.generator.seed import SEED, rerun

BTF_LOAD = 18
INT = Type(Kind.INT, "int", 4, extra=(1 << 24 | 32,))
MAPS = (
    MapSpec(MapType.HASH, 4, 8, 10, MapFlag.NO_PREALLOC, "seen"),
    MapSpec(MapType.ARRAY, 4, 1000, 1),
)


def random_type(rng):
    row = ROWS[rng.choice(list(ROWS))]
    count = rng.choice((0, 1, 2, 7)) if row.members else 0

    def number():
        return rng.choice((0, 1, 2, 99, 1 << 31, 0xFFFFFFFF))

    def name():
        return rng.choice(("", "a", "counts", ".maps", "größe"))

    members = tuple(
        Member(
            tuple(number() for _ in range(row.members - row.has_names)),
            name() if row.has_names else "",
        )
        for _ in range(count)
    )
    return Type(
        row.kind,
        name(),
        number(),
        members,
        tuple(number() for _ in range(row.extra)),
        rng.randrange(3) if row.kind is Kind.FUNC else 0,
        rng.random() < 0.3,
    )


@pytest.mark.parametrize("byte_order", ["little", "big"])
def test_decode_undoes_encode(byte_order):
    rng = random.Random(f"{SEED} {byte_order}")
    seen = set()
    for _ in range(400):
        types = tuple(random_type(rng) for _ in range(rng.randrange(30)))
        seen |= {each.kind for each in types}
        assert btf.decode(btf.encode(types, byte_order)) == Btf(types), rerun(__file__)
    assert seen == set(Kind)


@pytest.mark.parametrize("triple", ["bpfel", "bpfeb"])
def test_what_llvm_writes(triple):
    data = read_tables(everything(triple=triple)).section(".BTF").data
    info = btf.decode(data)
    # LLVM writes each name once, too, though in another order.
    assert len(btf.encode(info.types, "big" if triple == "bpfeb" else "little")) == len(data)
    variables = {each.name: each for each in info.types if each.kind is Kind.VAR}
    assert set(variables) == set(EVERYTHING_MAPS)
    members = info.plain(variables["counts"].value).members
    assert [member.name for member in members] == ["type", "key", "value", "max_entries"]
    key, value = (info.plain(member.numbers[0]).value for member in members[1:3])
    assert (info.size(key), info.size(value)) == (4, 8)
    assert info.plain(value).name == "long"


def test_sizes():
    types = (
        INT,
        Type(Kind.PTR, value=1),
        Type(Kind.ARRAY, extra=(2, 1, 5)),
        Type(Kind.TYPEDEF, "five", 3),
        Type(Kind.ARRAY, extra=(4, 1, 3)),
        Type(Kind.FUNC_PROTO, value=1),
        Type(Kind.CONST, value=7),
        Type(Kind.ARRAY, extra=(8, 1, 2)),
    )
    info = Btf(types)
    assert [info.size(number) for number in range(1, 6)] == [4, 8, 40, 40, 120]
    for number, words in (
        (6, "has no size"), (7, "told by itself"), (8, "told by itself"), (0, "no type 0"),
        (9, "no type 9"),
    ):  # fmt: skip
        with pytest.raises(ProgramError, match=words):
            info.size(number)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: b"\0" + d[1:], "magic"),
        (lambda d: d[:2] + b"\2" + d[3:], "version 2"),
        (lambda d: d[:20], "header is cut short"),
        (lambda d: d[:-1], "names end at byte"),
        (lambda d: d[:28] + b"\x1f\0\0\x1f" + d[32:], "unknown kind"),
        (lambda d: d[:24] + b"\xff\xff\0\0" + d[28:], "no name at byte 65535"),
        (lambda d: d[:12] + struct.pack("<I", 13) + d[16:], "types are cut short at byte 12"),
    ],
)
def test_damage_is_named(change, words):
    data = btf.encode((INT,))
    assert btf.decode(data).types == (INT,)
    with pytest.raises(ProgramError, match=words):
        btf.decode(change(data))


def test_a_number_that_does_not_fit():
    with pytest.raises(ProgramError, match="does not fit"):
        btf.encode((Type(Kind.PTR, value=1 << 32),))
    with pytest.raises(ProgramError, match="65536 members"):
        btf.encode((Type(Kind.STRUCT, members=(Member((1, 0), "x"),) * 65536),))


def test_damaged_btf_is_refused_or_read():
    rng = random.Random(SEED)
    original = read_tables(everything()).section(".BTF").data
    refused = 0
    for _ in range(3000):
        data = bytearray(original)
        for _ in range(rng.choice((1, 1, 2, 5))):
            data[rng.randrange(len(data))] = rng.choice((0, 1, 0xFF, rng.randrange(256)))
        if rng.random() < 0.2:
            del data[rng.randrange(len(data)) :]
        try:
            info = btf.decode(bytes(data))
        except ProgramError:
            refused += 1
            continue
        for number in range(len(info.types) + 2):
            for ask in (info.plain, info.size):
                try:
                    ask(number)
                except ProgramError:
                    pass
                except Exception as error:
                    raise AssertionError(f"{data.hex()}\n{rerun(__file__)}") from error
    assert 300 < refused < 2900


@pytest.mark.bpf
@pytest.mark.parametrize("target", ["xdp", "tc", "socket", "user"])
def test_the_kernel_takes_it(target):
    data = describe(EbpfProgram((), target, name="drop"), MAPS)
    given = ctypes.create_string_buffer(data)
    log = ctypes.create_string_buffer(1 << 16)
    request = struct.pack(
        "=QQIII", ctypes.addressof(given), ctypes.addressof(log), len(data), 1 << 16, 1
    )
    try:
        bpf(BTF_LOAD, request)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENOSYS):
            pytest.skip(f"bpf(2): {error.strerror}")
        raise AssertionError(log.value.decode()) from error


def test_a_description_of_maps():
    info = btf.decode(describe(EbpfProgram((), "xdp", name="drop"), MAPS))
    (function,) = [each for each in info.types if each.kind is Kind.FUNC]
    assert (function.name, function.linkage) == ("drop", btf.GLOBAL)
    pointer = info.type(info.type(function.value).members[0].numbers[0])
    assert info.type(pointer.value).name == "xdp_md"
    (section,) = [each for each in info.types if each.kind is Kind.DATASEC]
    names = [info.type(member.numbers[0]).name for member in section.members]
    assert names == ["seen", "map1"]
    assert [member.numbers[1:] for member in section.members] == [
        (0, MAP_BYTES), (MAP_BYTES, MAP_BYTES),
    ]  # fmt: skip
