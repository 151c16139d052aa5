"""Object files: LLVM's and ours read, ours written."""

from __future__ import annotations

import io
import random
import re
import struct
import subprocess
import sys
from dataclasses import replace

import pytest
from elftools.elf.elffile import ELFFile
from llvmlite import binding

from pfcompile.compiler import compile as compile_text
from pfcompile.ebpf.asm import assemble, disassemble
from pfcompile.ebpf.elf import read, write
from pfcompile.ebpf.elf.conformance import load
from pfcompile.ebpf.elf.format import read_tables
from pfcompile.ebpf.elf.sections import PROGRAM_SECTIONS, find_section
from pfcompile.ebpf.isa import Callee, Kind, row_of
from pfcompile.ebpf.machine.interpreter import Machine
from pfcompile.ebpf.machine.starts import NoData, Xdp
from pfcompile.ebpf.maps.vocabulary import MapFlag, MapSpec, MapType
from pfcompile.ebpf.program import EbpfProgram
from pfcompile.ebpf.translate import translate
from pfcompile.errors import ProgramError
from tests.ebpf.llvm_objects import EVERYTHING_MAPS, LICENSE, Maps, compiled, everything
from tests.generator.seed import SEED, rerun

SPECS = (
    MapSpec(MapType.HASH, 4, 8, 10, MapFlag.NONE, "seen"),
    MapSpec(MapType.ARRAY, 4, 8, 1, MapFlag.NONE, ".data"),
    MapSpec(MapType.LPM_TRIE, 8, 4, 100, MapFlag.NO_PREALLOC, "nets"),
)
WITH_ALL = EbpfProgram(
    assemble(
        """
        r1 = map[idx:2]
        r2 = map[idx:1][0]+4
        r6 = *(u32 *)(r2 + 0)
        r1 = 5
        call far
        r1 = r0
        call near
        exit
  near: r2 = map[idx:0]
        call far
        exit
  far:  r0 = r1
        r0 += 1
        exit
        """
    ),
    "xdp",
    6,
    name="all",
)
CONTENTS = {1: bytes(range(8))}


def xdp(text: str, **fields) -> EbpfProgram:
    return EbpfProgram(assemble(text), "xdp", 6, **fields)


def run(program, start=None, environment=None):
    return Machine(program.instructions, environment).run(start or Xdp(bytes(60)))


# Reading LLVM's.


def test_programs_maps_and_variables_of_an_object():
    found = read(everything())
    assert found.license == "GPL"
    assert found.byte_order == "little"
    assert list(found.programs) == ["sum", "remember"]
    assert [each.name for each in found.maps] == ["counts", "seen", ".rodata", ".data", ".bss"]
    counts, seen, constants, data, zeros = found.maps
    assert counts.spec() == MapSpec(MapType.ARRAY, 4, 8, 4, name="counts")
    assert seen.spec() == MapSpec(MapType.HASH, 8, 8, 16, MapFlag.NO_PREALLOC, "seen")
    assert (constants.contents, data.contents) == (b"\x35\0\0\0", b"\7\0\0\0")
    assert constants.flags == MapFlag.RDONLY_PROG
    assert zeros.contents == bytes(8)
    program = found.program("sum")
    assert (program.target, program.program_type, program.license) == ("xdp", 6, "GPL")


def test_an_object_runs_and_its_maps_remember():
    found = read(everything())
    environment = found.environment()
    lengths = [60, 60, 14, 100]
    results = [run(found.program("sum"), Xdp(bytes(n)), environment) for n in lengths]
    total, expected = 0, []
    for times, length in enumerate(lengths, 1):
        total += length
        expected.append(total + 53 + times + 7)
    assert results == expected
    assert environment.maps[0].lookup(struct.pack("<I", 1)) == struct.pack("<Q", len(lengths))
    assert environment.maps[4].lookup(bytes(4)) == struct.pack("<II", 0, total) or environment.maps[
        4
    ].lookup(bytes(4)) == struct.pack("<II", total, 0)
    remembered = [run(found.program("remember"), None, environment) for _ in range(3)]
    assert remembered == [2, 1, 1]
    # Another environment starts anew.
    assert run(found.program("remember"), None, found.environment()) == 2


def test_a_linked_program_has_its_functions_once_and_in_order():
    data = everything()
    linked = read(data).program("sum").instructions
    functions = {each.name: each.size for each in read_tables(data).symbols}
    assert len(linked) * 8 == sum(functions[name] for name in ("sum", "add", "count"))
    text = disassemble(linked)
    assert len(re.findall(r"call L\d+", text)) == 3
    assert len(set(re.findall(r"call L\d+", text))) == 2
    assert {"map[idx:0]", "map[idx:2][0]+0", "map[idx:3][0]+0"} <= set(re.findall(r"map\S+", text))


def test_recursion_and_a_function_s_address():
    code = """
define internal i32 @down(i32 %x) noinline {
  %zero = icmp eq i32 %x, 0
  br i1 %zero, label %end, label %more
more:
  %less = sub i32 %x, 1
  %r = call i32 @down(i32 %less)
  %s = add i32 %r, 2
  ret i32 %s
end:
  ret i32 100
}
define dso_local i32 @start(ptr %context) section "xdp" {
  %f = alloca ptr
  store volatile ptr @down, ptr %f
  %r = call i32 @down(i32 3)
  ret i32 %r
}
"""
    program = read(compiled(code)).program()
    assert "subprog[" in disassemble(program.instructions)
    assert run(program) == 106


def test_old_definitions_of_maps():
    code = """
@old = dso_local global [5 x i32] [i32 1, i32 4, i32 8, i32 32, i32 0], section "maps"
@next = dso_local global [5 x i32] [i32 2, i32 4, i32 16, i32 3, i32 0], section "maps"
define dso_local i64 @start(ptr %context) section "socket" {
  %key = alloca i32
  store volatile i32 1, ptr %key
  %found = call i64 inttoptr (i64 1 to ptr)(ptr @next, ptr %key)
  ret i64 %found
}
"""
    found = read(compiled(code))
    assert [each.spec() for each in found.maps] == [
        MapSpec(MapType.HASH, 4, 8, 32, name="old"),
        MapSpec(MapType.ARRAY, 4, 16, 3, name="next"),
    ]
    program = found.program()
    assert (program.target, program.program_type) == ("socket", 1)
    assert "map[idx:1]" in disassemble(program.instructions)


def test_events_and_rings_get_the_sizes_that_libbpf_gives_them():
    maps = Maps(
        events={"type": 4, "key_size": 4, "value_size": 4},
        ring={"type": 27, "max_entries": 5000},
        devices={"type": 14, "key_size": 4, "value_size": 4, "max_entries": 1, "pinning": 1},
    )
    code = 'define dso_local i32 @start(ptr %c) section "xdp" {\n  ret i32 2\n}\n'
    events, ring, devices = read(compiled(code, maps)).maps
    assert events.spec().max_entries == 1
    assert ring.spec().max_entries == 8192
    with pytest.raises(ProgramError, match="devices: maps of type 14 are not known here"):
        devices.spec()


@pytest.mark.parametrize(
    ("code", "maps", "words"),
    [
        (
            (
                '@other = external global i32\ndefine i32 @f(ptr %c) section "xdp" {\n'
                "  %x = load i32, ptr @other\n  ret i32 %x\n}\n"
            ),
            {},
            "'other', which is not in the object",
        ),
        (
            (
                'declare i32 @other(i32)\ndefine i32 @f(ptr %c) section "xdp" {\n'
                "  %x = call i32 @other(i32 1)\n  ret i32 %x\n}\n"
            ),
            {},
            "'other', which is not in the object",
        ),
        (
            (
                '@odd = global i32 5, section "somewhere"\ndefine i32 @f(ptr %c) section "xdp" {\n'
                "  %x = load volatile i32, ptr @odd\n  ret i32 %x\n}\n"
            ),
            {},
            "'odd', which is no map",
        ),
    ],
)
def test_what_is_not_in_the_object_is_named(code, maps, words):
    found = read(compiled(code, Maps(**maps)))
    with pytest.raises(ProgramError, match=words):
        found.program()


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"type": 1, "values": 3}, "'values' in its definition is not known"),
        ({"key_size": 4}, "no type"),
        ({"type": 1, "key": "unsigned", "key_size": 8}, "key_size is 4, and also 8"),
        ({"type": "u64"}, "not told by an array"),
    ],
)
def test_definitions_that_cannot_be_understood(members, words):
    code = 'define i32 @f(ptr %c) section "xdp" {\n  ret i32 2\n}\n'
    with pytest.raises(ProgramError, match=words):
        read(compiled(code, Maps(odd=members)))


def test_maps_without_btf_are_refused():
    code = (
        '@m = global { ptr } zeroinitializer, section ".maps"\n'
        'define i32 @f(ptr %c) section "xdp" {\n  ret i32 2\n}\n'
    )
    with pytest.raises(ProgramError, match=r"(no section \.BTF|no variable for the map m)"):
        read(compiled(code))


def test_programs_by_section_and_name():
    code = "".join(
        f'define i32 @{name}(ptr %c) section "{section}" {{\n  ret i32 {number}\n}}\n'
        for number, (name, section) in enumerate(
            (("a", "xdp"), ("b", "tc/in"), ("c", "xdp.frags"), ("d", "xdp"), ("e", "kprobe/x"))
        )
    )
    found = read(compiled(LICENSE + code))
    assert {name: (each.section, each.target) for name, each in found.programs.items()} == {
        "a": ("xdp", "xdp"),
        "d": ("xdp", "xdp"),
        "b": ("tc/in", "tc"),
        "c": ("xdp.frags", "xdp"),
        "e": ("kprobe/x", "user"),
    }
    assert run(found.program("tc/in")) == 1
    assert found.program("c").flags == 1 << 5
    for name, words in (
        (None, "several programs, name one of: a"),
        ("xdp", "several programs in 'xdp'"),
        ("z", "no program or section 'z'"),
    ):
        with pytest.raises(ProgramError, match=words):
            found.program(name)
    assert list(read(compiled(code), "tc/in").programs) == ["b"]
    with pytest.raises(ProgramError, match="no section 'nothing'"):
        read(compiled(code), "nothing")


def test_an_object_for_a_conformance_suite():
    code = "define i64 @f(ptr %memory, i64 %length) {\n  %x = add i64 %length, 7\n  ret i64 %x\n}\n"
    assert Machine(*load(compiled(code))).run() == 7


def in_text(*functions):
    """Return an object whose functions are all in `.text`: each its name and what it calls."""
    return compiled(
        "".join(
            f"define i64 @{name}(i64 %x) noinline {{\n"
            + "".join(
                f"  %r{n} = call i64 @{callee}(i64 %{f'r{n - 1}' if n else 'x'})\n"
                for n, callee in enumerate(callees)
            )
            + f"  %sum = add i64 %{f'r{len(callees) - 1}' if callees else 'x'}, {own}\n"
            + "  ret i64 %sum\n}\n"
            for name, own, callees in functions
        )
    )


@pytest.mark.parametrize(
    ("functions", "name", "result"),
    [
        ([("main", 1, ["sub"]), ("sub", 10, [])], "main", 11),
        ([("sub", 10, []), ("main", 1, ["sub"])], "main", 11),
        ([("other", 10, []), ("main", 1, [])], "main", 1),
        ([("sub", 10, []), ("first", 1, ["sub", "far"]), ("far", 100, ["sub"])], "first", 121),
    ],
)
def test_functions_in_text_of_which_one_is_meant(functions, name, result):
    found = read(in_text(*functions))
    assert set(found.programs) == {each for each, _, _ in functions}
    for asked in (None, ".text"):
        assert found.entry(asked).name == name
        assert run(found.program(asked), NoData()) == result
    assert run(found.program(functions[0][0]), NoData()) in {10, 11}


@pytest.mark.parametrize(
    "functions",
    [
        [("one", 1, []), ("two", 2, [])],
        [("one", 1, ["sub"]), ("two", 2, ["sub"]), ("sub", 3, [])],
        [("one", 1, ["two"]), ("two", 2, ["one"])],
    ],
)
def test_functions_in_text_of_which_any_could_be_meant(functions):
    found = read(in_text(*functions))
    with pytest.raises(ProgramError, match="several programs, name one of: one"):
        found.entry()
    with pytest.raises(ProgramError, match=r"several programs in '\.text'"):
        found.entry(".text")


def test_a_big_endian_object_is_read_but_not_run():
    found = read(everything(triple="bpfeb"))
    assert found.byte_order == "big"
    codes = [
        [each.code for each in which.program("sum").instructions]
        for which in (found, read(everything()))
    ]
    assert codes[0] == codes[1]
    with pytest.raises(ProgramError, match="big-endian"):
        found.environment()


@pytest.mark.parametrize("cpu", ["v1", "v2", "v3", "v4"])
def test_every_version_of_the_instruction_set(cpu):
    found = read(everything(cpu=cpu))
    assert run(found.program("sum"), None, found.environment()) == 60 + 53 + 1 + 7


# Writing.


@pytest.mark.parametrize("byte_order", ["little", "big"])
@pytest.mark.parametrize("target", ["xdp", "tc", "socket", "user"])
def test_a_translated_program_comes_back(target, byte_order):
    program = translate(compile_text("tcp port 443 or vlan 5").instructions, target)
    data = write(replace(program, name="my_filter", license="GPL"), byte_order=byte_order)
    found = read(data)
    assert found.byte_order == byte_order
    assert found.program() == replace(program, name="my_filter", license="GPL")
    assert found.maps == ()


def test_flags_choose_the_section():
    program = translate(compile_text("ip").instructions, "xdp", access="helpers")
    assert program.flags == 1 << 5
    found = read(write(program))
    assert [each.section for each in found.programs.values()] == ["xdp.frags"]
    assert found.program().flags == program.flags


@pytest.mark.parametrize("byte_order", ["little", "big"])
def test_maps_variables_and_functions_come_back(byte_order):
    found = read(write(WITH_ALL, SPECS, CONTENTS, byte_order=byte_order))
    specs = {each.name: each for each in found.maps}
    assert {name: each.spec() for name, each in specs.items()} == {
        each.name: each for each in SPECS
    }
    assert specs[".data"].contents == CONTENTS[1]
    linked = found.program().instructions
    # Functions may have changed places, and maps their numbers; what they do is the same.
    assert len(linked) == len(WITH_ALL.instructions)
    if byte_order == "little":
        assert Machine(linked, found.environment()).run() == 7
    again = read(write(found.program(), [each.spec() for each in found.maps], {2: CONTENTS[1]}))
    assert again.program() == found.program()


def test_what_another_reader_says_of_it():
    elf = ELFFile(io.BytesIO(write(WITH_ALL, SPECS, CONTENTS)))
    assert (elf["e_type"], elf["e_machine"]) == ("ET_REL", "EM_BPF")
    names = [section.name for section in elf.iter_sections()]
    assert set(names) == {
        "", "xdp", ".text", "license", ".maps", ".data", ".relxdp", ".rel.text", ".BTF",
        ".symtab", ".strtab",
    }  # fmt: skip
    for section in elf.iter_sections():
        alignment = section["sh_addralign"] or 1
        assert section["sh_offset"] % alignment == 0, section.name
    symbols = {each.name: each for each in elf.get_section_by_name(".symtab").iter_symbols()}
    assert symbols["all"]["st_info"] == {"bind": "STB_GLOBAL", "type": "STT_FUNC"}
    assert symbols["all"]["st_size"] == 10 * 8
    assert symbols["seen"]["st_info"] == {"bind": "STB_GLOBAL", "type": "STT_OBJECT"}
    table = elf.get_section_by_name(".symtab")
    locals_ = [each["st_info"]["bind"] == "STB_LOCAL" for each in table.iter_symbols()]
    assert locals_ == [True] * table["sh_info"] + [False] * (len(locals_) - table["sh_info"])
    kinds = [each["r_info_type"] for each in elf.get_section_by_name(".relxdp").iter_relocations()]
    assert kinds == [1, 1, 10, 10]
    assert elf.get_section_by_name("license").data() == b"Dual MIT/GPL\0"


def test_llvm_reads_it():
    data = write(WITH_ALL, SPECS, CONTENTS)
    found = binding.ObjectFileRef.from_data(data).sections()
    sections = {each.name(): each.data() for each in found}
    assert sections[b"license"] == b"Dual MIT/GPL\0"
    assert len(sections[b"xdp"]) == 10 * 8
    assert sections[b".data"] == CONTENTS[1]


def test_zeros_take_no_room():
    specs = (MapSpec(MapType.ARRAY, 4, 4096, 1, MapFlag.NONE, ".bss"),)
    program = xdp("r1 = map[idx:0][0]+8\nr0 = *(u32 *)(r1 + 0)\nexit")
    data = write(program, specs, {0: bytes(4096)})
    assert len(data) < 2048
    found = read(data)
    assert found.maps[0].contents == bytes(4096)
    assert run(found.program(), None, found.environment()) == 0
    with pytest.raises(ProgramError, match="zeros at the start"):
        write(program, specs, {0: b"\1" * 4096})


@pytest.mark.parametrize(
    ("program", "specs", "words"),
    [
        (xdp("r1 = map[idx:1]\nr0 = 0\nexit"), SPECS[:1], "refers to map 1, and there are 1"),
        (xdp("r0 = 0\nexit", name="no-name"), (), "'no-name' is no name in C"),
        (xdp("r0 = 0\nexit"), (replace(SPECS[0], name="a.b"),), "a.b: the name is none in C"),
        (xdp("r0 = 0\nexit"), (SPECS[0], SPECS[0]), "the same name"),
        (xdp("r0 = 0"), (), "neither exit nor a jump"),
        (
            xdp("call f\nif r0 == 0 goto out\nexit\nf: r0 = 0\nexit\nout: exit"),
            (),
            "jumps to instruction 5, in another function",
        ),
    ],
)
def test_what_cannot_be_written(program, specs, words):
    with pytest.raises(ProgramError, match=words):
        write(program, specs)


def random_functions(rng):
    """Return a program of several functions that call later ones, and what it returns."""
    count = rng.randint(1, 6)
    lines, values = [], {}
    for number in reversed(range(count)):
        own = rng.randrange(1000)
        callees = rng.sample(range(number + 1, count), k=min(2, count - number - 1))
        values[number] = own + sum(values[each] for each in callees)
        body = [f"f{number}: r6 = {own}"]
        for each in callees:
            body += [f"call f{each}", "r6 += r0"]
        body += ["r0 = r6", "exit"]
        lines = [*body, *lines]
    return "\n".join(lines), values[0]


def test_random_programs_of_functions_do_the_same_after_writing_and_reading():
    rng = random.Random(SEED)
    calls = 0
    for _ in range(200):
        text, expected = random_functions(rng)
        program = xdp(text)
        found = read(write(program)).program()
        where = f"{text}\n{rerun(__file__)}"
        assert run(program) == expected, where
        assert run(found) == expected, where
        calls += sum(
            (row := row_of(each)) is not None
            and row.kind is Kind.CALL
            and row.operation is Callee.LOCAL
            for each in found.instructions
        )
    assert calls > 200


def test_sections_have_one_row_each():
    names = [row.name for row in PROGRAM_SECTIONS]
    assert len(set(names)) == len(names)
    assert [find_section(name) for name in names] == list(PROGRAM_SECTIONS)
    assert find_section("xdp/my_own") == find_section("xdp_drop") == find_section("xdp")
    assert find_section("xdpx") is None


def test_pyelftools_is_loaded_only_for_objects():
    code = (
        "import sys, pfcompile, pfcompile.ebpf.listing, pfcompile.cli.ebpf, pfcompile.cli.disasm\n"
        "assert not [name for name in sys.modules if name.startswith('elftools')]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_maps_used_here_are_those_of_the_object():
    assert set(EVERYTHING_MAPS) == {"counts", "seen"}
