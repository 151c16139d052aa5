"""An object that clang makes of C, where clang is installed: with debug information, as usual."""

from __future__ import annotations

import shutil
import struct
import subprocess

import pytest

from pfcompile.ebpf.elf import read
from pfcompile.ebpf.machine.interpreter import Machine
from pfcompile.ebpf.machine.starts import Xdp
from pfcompile.ebpf.maps.vocabulary import MapFlag, MapSpec, MapType

SOURCE = """
typedef unsigned int u32;
typedef unsigned long long u64;
#define SEC(name) __attribute__((section(name), used))
struct xdp_md { u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex; };
static void *(*lookup)(void *map, const void *key) = (void *)1;
static long (*update)(void *map, const void *key, const void *value, u64 flags) = (void *)2;

struct address { u32 low; unsigned char more[6]; };
struct {
    int (*type)[1];
    struct address *key;
    const volatile u64 *value;
    int (*max_entries)[64];
    int (*map_flags)[1];
} seen SEC(".maps");

const volatile u32 limit = 3;
u32 kept = 0;
static const char names[2][4] = { "no", "yes" };

static __attribute__((noinline)) u64 *entry(const struct address *key)
{
    u64 zero = 0, *found = lookup(&seen, key);
    if (found)
        return found;
    update(&seen, key, &zero, 0);
    return lookup(&seen, key);
}

SEC("xdp") int at_most(struct xdp_md *context)
{
    void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
    struct address key = {};
    u64 *count;

    if (data + 12 > end)
        return 1;
    __builtin_memcpy(key.more, data + 6, 6);
    count = entry(&key);
    if (!count || *count >= limit)
        return 1;
    *count += 1;
    kept++;
    return 2;
}

SEC("tc") int letter(struct xdp_md *context)
{
    return names[context->data & 1][0];
}

char text[] SEC("license") = "Dual BSD/GPL";
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    clang = shutil.which("clang")
    if clang is None:
        pytest.skip("clang is not installed")
    folder = tmp_path_factory.mktemp("clang")
    (folder / "made.c").write_text(SOURCE)
    done = subprocess.run(
        [clang, "-target", "bpf", "-O2", "-g", "-c", "made.c", "-o", "made.o"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode and "unable to create target" in done.stderr:
        pytest.skip("this clang knows no BPF")
    assert done.returncode == 0, done.stderr
    return (folder / "made.o").read_bytes()


def test_an_object_of_clang(compiled):
    found = read(compiled)
    assert found.license == "Dual BSD/GPL"
    assert {name: each.target for name, each in found.programs.items()} == {
        "at_most": "xdp",
        "letter": "tc",
    }
    seen = next(each for each in found.maps if each.name == "seen")
    assert seen.spec() == MapSpec(MapType.HASH, 12, 8, 64, MapFlag.NO_PREALLOC, "seen")
    environment = found.environment()
    machine = Machine(found.program("at_most").instructions, environment)
    first, second = bytes(6) + b"AAAAAA" + bytes(20), bytes(6) + b"BBBBBB" + bytes(20)
    packets = [first, second, first, first, first, second, bytes(10)]
    assert [machine.run(Xdp(packet)) for packet in packets] == [2, 2, 2, 2, 1, 2, 1]
    number = next(n for n, each in enumerate(found.maps) if each.name in {".bss", ".data"})
    assert environment.maps[number].lookup(bytes(4)) == struct.pack("<I", 5)
