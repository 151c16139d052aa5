"""Maps: against the kernel's on the same operations, and what only ours can show."""

from __future__ import annotations

import errno
import random
import threading
from collections import Counter
from dataclasses import replace

import pytest

from pfcompile.ebpf.maps.array import ArrayMap
from pfcompile.ebpf.maps.hashed import HashMap
from pfcompile.ebpf.maps.kinds import KINDS, create
from pfcompile.ebpf.maps.rings import RECORD_HEADER_BYTES, RingBuffer
from pfcompile.ebpf.maps.vocabulary import MapFlag, MapSpec, MapType, Update
from pfcompile.errors import ProgramError
from tests.ebpf.kernel_maps import KernelMap
from tests.generator.seed import SEED, rerun

RERUN = rerun("tests/ebpf/test_maps.py")
FLAGS = (0, 0, 0, 1, 1, 2, 2, 3, 4, 1 << 40)


def keys_of(map_):
    """Return all keys in the order in which the map gives them."""
    keys = []
    key = map_.next_key(None)
    while key is not None:
        keys.append(bytes(key))
        key = map_.next_key(key)
    return keys


def array_key(rng):
    return rng.choice((*range(7), 0xFFFF_FFFF)).to_bytes(4, "little")


def hash_key(rng):
    return bytes((rng.randrange(3), 0, rng.randrange(4)))


def prefix(rng):
    length = rng.choice((0, 1, 7, 8, 9, 12, 15, 16, 17))
    return length.to_bytes(4, "little") + bytes(
        (rng.choice((0, 1, 10, 128, 255)), rng.choice((0, 1, 128)))
    )


def hosts(rng):
    return (16).to_bytes(4, "little") + prefix(rng)[4:]


SPECS = (
    (MapSpec(MapType.ARRAY, 4, 5, 6), array_key, array_key),
    (MapSpec(MapType.ARRAY, 4, 8, 1), array_key, array_key),
    (MapSpec(MapType.HASH, 3, 5, 6), hash_key, hash_key),
    (MapSpec(MapType.HASH, 3, 5, 6, MapFlag.NO_PREALLOC), hash_key, hash_key),
    (MapSpec(MapType.HASH, 3, 1, 100), hash_key, hash_key),
    (MapSpec(MapType.PERCPU_ARRAY, 4, 5, 6), array_key, array_key),
    (MapSpec(MapType.PERCPU_HASH, 3, 5, 6), hash_key, hash_key),
    (MapSpec(MapType.LRU_HASH, 3, 5, 200), hash_key, hash_key),
    (MapSpec(MapType.LRU_PERCPU_HASH, 3, 5, 200), hash_key, hash_key),
    (MapSpec(MapType.LPM_TRIE, 6, 3, 10, MapFlag.NO_PREALLOC), prefix, hosts),
    (MapSpec(MapType.LPM_TRIE, 6, 3, 1000, MapFlag.NO_PREALLOC), prefix, prefix),
)
UNORDERED = {
    MapType.HASH, MapType.PERCPU_HASH, MapType.LRU_HASH, MapType.LRU_PERCPU_HASH,
}  # fmt: skip


@pytest.mark.bpf
@pytest.mark.parametrize(("spec", "key", "sought"), SPECS)
def test_operations_as_in_the_kernel(spec, key, sought):
    rng = random.Random(SEED)
    seen = Counter()
    for _ in range(10):
        ours = create(spec)
        with KernelMap(spec) as theirs:
            done = []
            for _ in range(300):
                method = rng.choice(("update", "update", "delete", "lookup", "lookup"))
                made = sought(rng) if method == "lookup" else key(rng)
                arguments = (made,)
                if method == "update":
                    arguments += (rng.randbytes(spec.value_size), rng.choice(FLAGS))
                done.append((method, *arguments))
                mine = getattr(ours, method)(*arguments)
                wanted = getattr(theirs, method)(*arguments)
                mine = bytes(mine) if isinstance(mine, bytearray) else mine
                seen[method, wanted if isinstance(wanted, int) else wanted is None] += 1
                assert mine == wanted, (done, RERUN)
            mine, wanted = keys_of(ours), keys_of(theirs)
            if spec.type in UNORDERED:
                mine, wanted = sorted(mine), sorted(wanted)
            assert mine == wanted, (done, RERUN)
            strange = key(rng)
            if spec.type not in UNORDERED:
                assert ours.next_key(strange) == theirs.next_key(strange), (strange, RERUN)
    for outcome in (("update", 0), ("update", -errno.EINVAL), ("lookup", False)):
        assert seen[outcome] > 10, seen
    assert seen["update", -errno.EEXIST] > 10, seen


@pytest.mark.bpf
def test_lru_tables_keep_what_the_kernel_guarantees():
    """No more than it may hold, always the latest, and never a wrong value: in both."""
    rng = random.Random(SEED)
    spec = MapSpec(MapType.LRU_HASH, 4, 4, 64)
    ours = create(spec)
    with KernelMap(spec) as theirs:
        for map_ in (ours, theirs):
            held = {}
            for number in range(1000):
                key, value = rng.randbytes(1) + bytes(3), rng.randbytes(4)
                held[key] = value
                assert map_.update(key, value) == 0
                assert bytes(map_.lookup(key)) == value
                other = rng.choice(list(held))
                found = map_.lookup(other)
                assert found is None or bytes(found) == held[other], (number, RERUN)
            assert 0 < len(keys_of(map_)) <= spec.max_entries
            assert map_.update(rng.randbytes(4), bytes(4), Update.EXIST) == -errno.ENOENT
            assert map_.update(key, bytes(4), Update.NOEXIST) == -errno.EEXIST
            assert map_.delete(key) == 0
            assert map_.delete(key) == -errno.ENOENT


@pytest.mark.bpf
@pytest.mark.parametrize("type_", MapType)
def test_the_kernel_makes_what_we_make(type_):
    """What can be made is the same here and there, of sizes around the limits."""
    rng = random.Random(SEED)
    agreed = Counter()
    for _ in range(150):
        spec = MapSpec(
            type_,
            rng.choice((0, 1, 4, 4, 4, 5, 8, 260, 261, 512, 513)),
            rng.choice((0, 0, 1, 4, 4, 8, 100)),
            rng.choice((0, 1, 2, 100, 4096, 4097, 8192)),
            rng.choice((MapFlag.NONE, MapFlag.NO_PREALLOC)),
        )
        try:
            create(spec)
            mine = True
        except ProgramError:
            mine = False
        try:
            with KernelMap(spec):
                theirs = True
        except OSError:
            theirs = False
        # Flags are the kernel's own affair where they are not needed.
        if not (mine and not theirs and spec.flags):
            assert mine == theirs, (spec, RERUN)
        agreed[mine] += 1
    assert agreed[False] > 10


def test_every_kind_has_a_row():
    assert set(KINDS) == set(MapType)


def test_lru_drops_the_longest_unused():
    table = create(MapSpec(MapType.LRU_HASH, 1, 1, 2))
    for key in (b"a", b"b"):
        table.update(key, key)
    assert table.lookup(b"a") == b"a"
    table.update(b"c", b"c")
    assert [table.lookup(key) for key in (b"a", b"b", b"c")] == [b"a", None, b"c"]
    table.update(b"a", b"A")
    table.update(b"d", b"d")
    assert sorted(keys_of(table)) == [b"a", b"d"]


@pytest.mark.parametrize(
    ("type_", "in_place"),
    [
        (MapType.ARRAY, True),
        (MapType.PERCPU_ARRAY, True),
        (MapType.HASH, False),
        (MapType.PERCPU_HASH, True),
        (MapType.LRU_HASH, False),
        (MapType.LRU_PERCPU_HASH, True),
    ],
)
def test_values_can_be_changed_in_place(type_, in_place):
    map_ = create(MapSpec(type_, 4, 2, 3))
    map_.update(bytes(4), b"ab")
    value = map_.lookup(bytes(4))
    value[0] = 0x78
    assert map_.lookup(bytes(4)) == b"xb"
    map_.update(bytes(4), b"cd")
    assert map_.lookup(bytes(4)) == b"cd"
    assert value == (b"cd" if in_place else b"xb")


def test_ring_buffer():
    ring = create(MapSpec(MapType.RINGBUF, 0, 0, 4096))
    assert ring.output(b"one") == 0
    pending = ring.reserve(2)
    assert ring.output(b"three") == 0
    # What comes after an unfinished record waits for it.
    assert ring.drain() == [b"one"]
    pending[:] = b"II"
    assert ring.commit(pending, counts=True)
    assert not ring.commit(pending, counts=True)
    dropped = ring.reserve(1)
    assert ring.commit(dropped, counts=False)
    assert ring.drain() == [b"II", b"three"]
    assert ring.reserve(4096) is None
    room = 4096 // (RECORD_HEADER_BYTES + 8)
    assert [ring.output(b"x") for _ in range(room + 1)].count(0) == room - 1
    assert ring.output(b"x") == -errno.EAGAIN
    assert len(ring.drain()) == room - 1
    assert ring.output(b"x") == 0
    assert ring.update(b"", b"") == ring.delete(b"") == -errno.EOPNOTSUPP
    assert ring.lookup(b"") is ring.next_key(None) is None


def test_perf_events():
    events = create(MapSpec(MapType.PERF_EVENT_ARRAY, 4, 4, 2))
    codes = [events.output(cpu, bytes([cpu & 1])) for cpu in (0, 0xFFFF_FFFF, 1, 2)]
    assert codes == [0, 0, -errno.ENOENT, -errno.E2BIG]
    assert events.drain() == [b"\0", b"\1"]
    assert events.drain() == []


def test_program_arrays():
    programs = create(MapSpec(MapType.PROG_ARRAY, 4, 4, 3))
    programs.put(2, "program")
    assert [programs.program(index) for index in (0, 2, 9)] == [None, "program", None]
    assert keys_of(programs) == [b"\2\0\0\0"]
    for index in (-1, 3):
        with pytest.raises(ProgramError, match="no place"):
            programs.put(index, "program")
    assert programs.update(bytes(4), bytes(4)) == -errno.EINVAL
    deleted = [programs.delete(index.to_bytes(4, "little")) for index in (2, 2, 3)]
    assert deleted == [0, -errno.ENOENT, -errno.E2BIG]


def change(map_, rng, key):
    """Do random operations; return what they gave."""
    results = []
    for _ in range(60):
        method = rng.choice(("update", "update", "delete", "lookup"))
        arguments = (key(rng),) + ((rng.randbytes(map_.spec.value_size),) * (method == "update"))
        result = getattr(map_, method)(*arguments)
        results.append(bytes(result) if isinstance(result, bytearray) else result)
    return results


@pytest.mark.parametrize(("spec", "key", "sought"), SPECS)
def test_maps_are_put_back_as_they_were(spec, key, sought):
    rng = random.Random(SEED)
    for _ in range(20):
        spec = replace(spec, max_entries=min(spec.max_entries, 6))
        twins = [create(spec), create(spec)]
        seed = rng.random()
        for each in twins:
            change(each, random.Random(seed), key)
        restore, before = twins[0].keep(), list(twins[0].entries())
        for _ in range(2):  # more than once
            change(twins[0], rng, sought)
            restore()
            assert list(twins[0].entries()) == before == list(twins[1].entries()), RERUN
        seed = rng.random()
        mine, wanted = (change(each, random.Random(seed), key) for each in twins)
        assert mine == wanted, RERUN


def test_looking_at_entries_changes_nothing():
    table = create(MapSpec(MapType.LRU_HASH, 1, 1, 2))
    table.update(b"a", b"1")
    table.update(b"b", b"2")
    assert list(table.entries()) == [(b"a", b"1"), (b"b", b"2")]
    table.update(b"c", b"3")
    assert table.lookup(b"a") is None
    array = create(MapSpec(MapType.ARRAY, 4, 2, 1000))
    array.lookup(bytes(4))
    array.update(b"\5\0\0\0", b"xy")
    assert list(array.entries()) == [(b"\5\0\0\0", b"xy")]


def test_rings_and_programs_are_put_back_as_they_were():
    ring = create(MapSpec(MapType.RINGBUF, 0, 0, 4096))
    ring.output(b"one")
    ring.commit(ring.reserve(8), counts=False)
    restore, room = ring.keep(), [0, 0]
    for turn in range(2):
        room[turn] = [ring.output(b"x") for _ in range(300)].count(0)
        ring.drain()
        restore()
        assert list(ring.entries()) == [(b"", b"one")]
    assert room[0] == room[1] > 200
    assert ring.drain() == [b"one"]
    events = create(MapSpec(MapType.PERF_EVENT_ARRAY, 4, 4, 2))
    events.output(0, b"one")
    restore = events.keep()
    events.output(0, b"two")
    restore()
    assert list(events.entries()) == [(b"", b"one")]
    programs = create(MapSpec(MapType.PROG_ARRAY, 4, 4, 3))
    programs.put(2, "program")
    restore = programs.keep()
    programs.delete(b"\2\0\0\0")
    restore()
    assert list(programs.entries()) == [(b"\2\0\0\0", b"")]
    assert programs.program(2) == "program"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (MapSpec(MapType.ARRAY, 8, 4, 1), "map counts: key_size is 8, not 4"),
        (MapSpec(MapType.HASH, 4, 0, 1), "value_size is 0"),
        (MapSpec(MapType.HASH, 4, 1, 0), "entries is 0"),
        (MapSpec(MapType.LPM_TRIE, 8, 1, 1), "needs the flag NO_PREALLOC"),
        (MapSpec(MapType.RINGBUF, 0, 0, 12288), "power of two"),
    ],
)
def test_maps_that_cannot_be(spec, message):
    named = MapSpec(spec.type, spec.key_size, spec.value_size, spec.max_entries, name="counts")
    with pytest.raises(ProgramError, match=message):
        create(named)


# Threads: the second one comes in where it would do harm.

PATIENCE = 0.2
"""Seconds that the second thread gets; behind a lock it waits until the first one is through."""


class Intruder:
    """Does `action` in a thread, once, when asked to."""

    def __init__(self, action):
        self.found = []
        self.thread = threading.Thread(target=lambda: self.found.append(action()))

    def come_in(self):
        if self.thread.ident is None:
            self.thread.start()
            self.thread.join(PATIENCE)

    def result(self):
        self.thread.join()
        return self.found[0]


def test_threads_that_ask_for_one_value_of_an_array_get_one():
    class Spec:
        max_entries = 4
        intruder = None

        @property
        def value_size(self):
            if self.intruder:
                self.intruder.come_in()
            return 8

    key, spec = bytes(4), Spec()
    array = ArrayMap(spec)
    spec.intruder = Intruder(lambda: array.lookup(key))
    assert array.lookup(key) is spec.intruder.result() is array.lookup(key)


def test_threads_find_a_key_of_an_lru_table_while_it_moves():
    class Key(bytes):
        __slots__ = ()
        hashed = 0

        def __hash__(self):
            Key.hashed += 1
            if Key.hashed == 2:
                intruder.come_in()
            return super().__hash__()

    table = create(MapSpec(MapType.LRU_HASH, 4, 4, 8))
    assert table.update(b"abcd", b"1234") == 0
    intruder = Intruder(lambda: table.lookup(b"abcd"))
    assert table.lookup(Key(b"abcd")) == b"1234"
    assert Key.hashed >= 2
    assert intruder.result() == b"1234"


def test_threads_cannot_fill_a_table_or_a_ring_beyond_its_size():
    class Spec:
        type = MapType.HASH
        intruder = None

        def __init__(self, most):
            self.most = most

        @property
        def max_entries(self):
            if self.intruder:
                self.intruder.come_in()
            return self.most

    spec = Spec(4096)
    ring = RingBuffer(spec)
    spec.intruder = Intruder(lambda: ring.reserve(3000))
    assert ring.reserve(3000) is not None
    assert spec.intruder.result() is None

    spec = Spec(1)
    table = HashMap(spec)
    spec.intruder = Intruder(lambda: table.update(b"b", b"2"))
    assert table.update(b"a", b"1") == 0
    assert spec.intruder.result() == -errno.E2BIG
    assert keys_of(table) == [b"a"]
