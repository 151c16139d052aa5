"""Maps through bpf(2): every kind, each CPU's values, many at once, names in a file system."""

from __future__ import annotations

import errno
import random
import struct
import time
from collections import Counter

import pytest

from pfcompile.ebpf.builder import Builder
from pfcompile.ebpf.isa import R0, R1, Wide
from pfcompile.errors import KernelError, ProgramError
from pfcompile.kernel.bpf import batches, bpffs, cpus, create_map, load
from pfcompile.kernel.bpf.kinds import KINDS, MapKind
from pfcompile.kernel.bpf.maps import Map, all_maps
from pfcompile.kernel.bpf.programs import LoadedProgram, all_programs, run_statistics
from tests.generator.seed import SEED
from tests.kernel import ebpf_programs
from tests.kernel.attaching import eventually
from tests.kernel.ebpf_programs import XDP_PASS, constant, counting, open_files, program, total

pytestmark = pytest.mark.bpf
TABLES = [
    MapKind.HASH, MapKind.PERCPU_HASH, MapKind.LRU_HASH, MapKind.LRU_PERCPU_HASH, MapKind.LPM_TRIE,
]  # fmt: skip


@pytest.fixture(autouse=True)
def _bpf():
    ebpf_programs.skip_without_bpf()
    before = open_files()
    yield
    assert open_files() == before


@pytest.fixture
def pins(tmp_path):
    """A file system for pins, mounted at a folder of the test, gone afterwards whatever happens."""
    try:
        bpffs.mount(tmp_path)
    except KernelError as error:
        pytest.skip(str(error))
    try:
        assert tmp_path in bpffs.mounts()
        yield tmp_path
    finally:
        bpffs.unmount(tmp_path)
        assert tmp_path not in bpffs.mounts()


def key_of(number):
    return struct.pack("=I4s", 32, number.to_bytes(4, "big"))


@pytest.mark.parametrize("row", KINDS.values(), ids=lambda row: row.kind.name)
def test_every_kind_is_made_named_and_listed(row):
    key_size, value_size, entries = row.smallest
    with create_map(row.kind, key_size, value_size, entries, name="a_map.1") as made:
        shape = made.info()
        assert shape == made.shape
        assert shape[2:5] == (key_size, value_size, entries)
        assert (shape.type, shape.name) == (row.kind, "a_map.1")
        assert shape.flags & row.needs == row.needs
        assert shape in all_maps()
        with Map.by_id(shape.id) as again:
            assert again.shape == shape
    assert made.fileno() == -1
    made.close()
    if row.kind is not MapKind.PROG_ARRAY:
        wait_until_gone(shape.id)


def wait_until_gone(number: int) -> None:
    """Wait until the kernel has freed a map: after the last that may use it has gone.

    Not a program array: looking at one just when it is closed may keep it for good, see
    `pfcompile.kernel.attach.find.attachments`.
    """
    assert eventually(lambda: number not in {each.id for each in all_maps()})


def test_what_a_mapping_does():
    with create_map(MapKind.HASH, 2, 3, 4, name="words") as words:
        words[b"ab"] = b"one"
        words.set(b"cd", b"two")
        assert b"ab" in words
        assert b"zz" not in words
        assert words.get(b"zz") is None
        assert dict(words.items()) == {key: words[key] for key in words} == {
            b"ab": b"one", b"cd": b"two",
        }  # fmt: skip
        del words[b"ab"]
        for act in (lambda: words[b"ab"], lambda: words.__delitem__(b"ab")):
            with pytest.raises(KeyError):
                act()
        assert not words.delete(b"ab")
        for wrong in ({b"a": b"one"}, {b"ab": b"four"}):
            with pytest.raises(ProgramError, match="bytes, not"):
                words.update(wrong.items())
        for flags, number in ((1, errno.EEXIST), (2, errno.ENOENT)):
            with pytest.raises(KernelError) as caught:
                words.set(b"cd" if flags == 1 else b"xx", b"new", flags)
            assert caught.value.errno == number
        with pytest.raises(KernelError, match=r"after 3 others: it is full.*E2BIG"):
            words.update((bytes((n, n)), b"all") for n in range(9))


def test_values_of_each_cpu():
    count = len(cpus.possible())
    for kind in (MapKind.PERCPU_ARRAY, MapKind.PERCPU_HASH, MapKind.LRU_PERCPU_HASH):
        with create_map(kind, 4, 5, 3) as held:
            assert held.value_bytes == 8 * count
            values = [bytes((cpu,)) * 5 for cpu in range(count)]
            held.set_each(bytes(4), values)
            assert held.each(bytes(4)) == values
            assert dict(held.items())[bytes(4)] == held[bytes(4)]
            with pytest.raises(ProgramError, match="for each of"):
                held.set_each(bytes(4), values[:-1])
    with create_map(MapKind.ARRAY, 4, 5, 3) as held, pytest.raises(ProgramError, match="one value"):
        held.each(bytes(4))


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("has_batches", [True, False])
def test_many_at_once(kind, has_batches, monkeypatch):
    if not has_batches:
        monkeypatch.setattr(batches, "call", lambda *_: -errno.EINVAL)
    rng = random.Random(SEED)
    with create_map(kind, 8, 4, 40_000) as held:
        numbers = rng.sample(range(1 << 32), 5000)
        width = held.value_bytes
        wanted = {key_of(number): rng.randbytes(4).ljust(8, b"\0") * (width // 8) if width > 4
                  else rng.randbytes(4) for number in numbers}  # fmt: skip
        assert held.update_packed(b"".join(wanted), b"".join(wanted.values())) == 5000
        assert dict(held.items()) == wanted
        assert sorted(held) == sorted(wanted)
        gone = [key_of(number) for number in numbers[::3]]
        absent = [key_of(number) for number in range(3) if number not in numbers]
        assert held.delete_packed(b"".join(gone[:9] + absent + gone[9:])) == len(gone)
        assert set(held) == set(wanted) - set(gone)
        assert held.update_packed(b"".join(gone), bytes(width)) == len(gone)
        assert {held[key] for key in gone} == {bytes(width)}
        assert held.update_packed(b"", b"") == held.delete_packed(b"") == 0
        with pytest.raises(ProgramError, match="are not keys"):
            held.delete_packed(bytes(7))
        with pytest.raises(ProgramError, match="are not 2 values"):
            held.update_packed(bytes(16), bytes(width + 1))


def test_items_of_a_table_that_is_emptied_meanwhile():
    with create_map(MapKind.HASH, 8, 4, 20_000) as held:
        keys = b"".join(map(key_of, range(20_000)))
        held.update_packed(keys, bytes(4))
        seen = Counter()
        for key in held:
            seen[key] += 1
            held.delete(key)
        assert set(seen.values()) == {1}
        assert len(seen) == 20_000
        assert not list(held.items())


def test_a_million_networks_load_in_seconds():
    count = 1_000_000
    prefixes = bytearray()
    for number in range(count):
        prefixes += struct.pack("=I", 24 + number % 9) + ((number << 8) & 0xFFFFFFFF).to_bytes(4)
    with create_map(MapKind.LPM_TRIE, 8, 8, count) as networks:
        started = time.process_time()  # what others do meanwhile does not count
        assert networks.update_packed(prefixes, bytes(8)) == count
        took = time.process_time() - started
        assert took < 10
        assert sum(1 for _ in networks.items()) == count
        assert networks.get(key_of(5 << 8)) == bytes(8)
        assert networks.get(key_of(count << 8)) is None
    print(f"{took:.2f} s")


def test_a_frozen_map_stays_as_it_is():
    with create_map(MapKind.ARRAY, 4, 4, 1) as held:
        held[bytes(4)] = b"kept"
        held.freeze()
        with pytest.raises(KernelError, match=r"frozen.*EPERM"):
            held[bytes(4)] = b"else"
        assert held[bytes(4)] == b"kept"
        with pytest.raises(KernelError, match=r"freeze.*it is frozen.*EPERM"):
            held.freeze()


def test_pins_keep_what_they_name(pins):
    with create_map(MapKind.HASH, 4, 4, 9) as held, load(constant(XDP_PASS)) as loaded:
        held[b"abcd"] = b"kept"
        held.pin(pins / "held")
        loaded.pin(pins / "loaded")
        for name in ("a.b", "", "x" * 256):
            with pytest.raises(ProgramError, match="cannot name a pin"):
                held.pin(f"{pins}/{name}" if name else "/")
        with pytest.raises(KernelError, match="something is pinned there"):
            held.pin(pins / "held")
        with pytest.raises(KernelError, match="no file system of type bpf"):
            held.pin(f"{pins.parent}/elsewhere")
    with Map.open(pins / "held") as again:
        assert again[b"abcd"] == b"kept"
    with LoadedProgram.open(pins / "loaded") as again:
        assert again.name == "test"
        assert again.test_run(bytes(64)).verdict == XDP_PASS
    with pytest.raises(KernelError, match="it is a program, no map"):
        Map.open(pins / "loaded")
    with pytest.raises(KernelError, match="nothing is pinned there"):
        Map.open(pins / "nothing")
    number = all_maps()[-1].id
    (pins / "held").unlink()
    wait_until_gone(number)


def test_mounts_are_found_as_the_kernel_tells_them():
    told = (
        "36 35 98:0 / /mnt rw shared:1 - ext4 /dev/root rw\n"
        "37 35 0:30 / /sys/fs/bpf rw,nosuid shared:9 master:1 - bpf bpf rw,mode=700\n"
        "38 35 0:31 / /with\\040space rw - bpf none rw\n"
        "39 35 0:32 / /covered rw - bpf none rw\n"
        "40 39 0:33 / /covered rw - tmpfs none rw\n"
    )
    assert list(map(str, bpffs.mounts(told))) == ["/sys/fs/bpf", "/with space"]
    assert bpffs.safe_name("tcp port 80 / a.b") == "tcp_port_80_a_b"


def test_programs_with_maps_are_loaded_run_and_asked():
    with create_map(MapKind.PERCPU_ARRAY, 4, 8, 1) as counts:
        with load(counting(XDP_PASS), [counts]) as loaded, run_statistics():
            assert loaded.test_run(bytes(64), repeat=1000).verdict == XDP_PASS
            info = loaded.info()
            assert info.map_ids == (counts.shape.id,)
            assert (info.type, info.name, info.user) == (ebpf_programs.XDP, "count", 0)
            assert info.loaded_ns < time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            assert bytes.fromhex(info.tag)
            assert info.bytes % 8 == 0
            assert info.id in {each.id for each in all_programs()}
        assert total(counts) == 1000
        with pytest.raises(ProgramError, match="refers to map 0, but 0 were given"):
            load(counting(XDP_PASS))
    with pytest.raises(KernelError, match="a map that it uses is closed"):
        load(counting(XDP_PASS), [counts])


def test_addresses_in_a_map():
    code = Builder().wide(R1, 1 | 4 << 32, Wide.MAP_VALUE_INDEX).load(32, R0, R1).exit()
    with create_map(MapKind.HASH, 4, 4, 1) as other, create_map(MapKind.ARRAY, 4, 8, 1) as held:
        held[bytes(4)] = struct.pack("=II", 1, 77)
        with load(program(code), [other, held]) as loaded:
            assert loaded.test_run(bytes(64)).verdict == 77


def test_refusals_say_what_to_do():
    with pytest.raises(KernelError, match=r"'odd': this kernel has no such.*power of two.*EINVAL"):
        create_map(MapKind.RINGBUF, 0, 0, 5000, name="odd")
    for name in ("x" * 16, "a b", "é"):
        with pytest.raises(ProgramError, match="name"):
            create_map(MapKind.ARRAY, max_entries=1, name=name)
    with pytest.raises(KernelError, match="none of that number"):
        Map.by_id(0x7FFF_FFFF)
    made = create_map(MapKind.ARRAY, 4, 4, 1, name="shut")
    made.close()
    with pytest.raises(KernelError, match=r"key of the map 'shut': it is closed.*EBADF"):
        made[bytes(4)] = bytes(4)
