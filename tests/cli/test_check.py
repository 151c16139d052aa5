"""`pfcompile check PROGRAM`."""

from __future__ import annotations

import pytest

from pfcompile.compiler import compile as compile_text
from pfcompile.ebpf.asm import assemble
from pfcompile.ebpf.check import SUBJECTS, CheckRefusal, check
from pfcompile.ebpf.elf import write
from pfcompile.ebpf.maps.vocabulary import MapSpec, MapType
from pfcompile.ebpf.program import EbpfProgram
from pfcompile.ebpf.translate import translate
from tests.cli.in_process import output, refused
from tests.ebpf.llvm_objects import everything

BEHIND_THE_END = """
r2 = *(u32 *)(r1 + 4)
r1 = *(u32 *)(r1 + 0)
r3 = r1
r3 += 14
if r3 > r2 goto out
r0 = *(u8 *)(r1 + 14)
exit
out: r0 = 1
exit
"""
"""Looks at 14 bytes, and reads the fifteenth."""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "program"

    def keep(data):
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    return keep


@pytest.mark.parametrize("target", ["xdp", "tc", "socket", "user"])
def test_what_is_proved_is_said(file, target):
    program = translate(compile_text("tcp port 443 or vlan").instructions, target)
    found = check(program.instructions, SUBJECTS[target])
    expected = (
        f"accepted: {target}, {len(program.instructions)} instructions\n"
        f"  loads, stores and calls of helpers proved safe: {len(found.proved)}\n"
        "  every run ends\n"
        f"  stack: at most {found.stack} bytes\n"
        f"  instructions followed: {found.steps}\n"
    )
    assert len(found.proved) > 5
    assert output("check", file(write(program))).decode() == expected
    assert output("check", "--target", target, file(program.to_bytes())).decode() == expected
    assert output("check", "--target", target, stdin=program.to_bytes()).decode() == expected


def test_a_refusal_has_the_instruction_the_state_and_the_path(file):
    with pytest.raises(CheckRefusal) as caught:
        check(assemble(BEHIND_THE_END), SUBJECTS["xdp"])
    refusal = caught.value
    assert (refusal.slot, bool(refusal.registers), bool(refusal.path)) == (5, True, True)
    bad = file(BEHIND_THE_END)
    said = refused("check", "--target", "xdp", bad, status=1)
    assert said == f"pfcompile: {bad}: not proved safe: {refusal}\n"
    for line in (*refusal.registers, *refusal.path):
        assert line in said
    good = file(BEHIND_THE_END.replace("+ 14)", "+ 13)"))
    assert output("check", "--target", "xdp", good).startswith(b"accepted: xdp, 9 instructions\n")


def test_an_object_s_maps_and_variables_are_known(file):
    path = file(everything())
    assert output("check", "--program", "remember", path).startswith(b"accepted: xdp")
    # How far a variable reaches, only the object tells.
    spec = MapSpec(MapType.ARRAY, 4, 8, 1, name=".data")
    for offset, is_inside in ((0, True), (4, True), (5, False), (7, False)):
        program = assemble(f"r1 = map[idx:0][0]+{offset}\nw0 = *(u32 *)(r1 + 0)\nexit")
        data = file(write(EbpfProgram(program, "user"), [spec], {0: bytes(8)}))
        if is_inside:
            assert output("check", data).startswith(b"accepted: user, 4 instructions")
        else:
            assert "instruction 2 (" in refused("check", data, status=1)


def test_a_loop_without_end(file):
    said = refused("check", "--extended", file("x: goto x\n"), status=1)
    assert "may go around in a loop without end" in said


def test_classic_programs_are_checked_for_the_kernel(file):
    program = compile_text("udp port 53")
    said = output("check", file(program.dump("decimal"))).decode()
    assert said.startswith(f"accepted: classic BPF, {len(program.instructions)} instructions\n")
    # Scratch words are not set before they are read.
    assert "M[3]" in refused("check", file("ld M[3]\nret a\n"), status=1)


@pytest.mark.parametrize(
    ("data", "options", "words", "status"),
    [
        ("ret #0\n", ["--target", "xdp"], "a classic program is for no target", 1),
        ("r0 = 0\n", [], "neither exit nor a jump", 1),
        ("r0 = 0\nexit\n", ["--target", "moon"], "Invalid value for '--target'", 2),
        (b"\x7fELF", [], "cut short", 1),
        ("r0 = 0\nexit\n", ["--program", "f"], "only an object file", 1),
        (everything(), [], "several programs, name one of", 1),
        (everything(), ["--program", "sum", "--target", "tc"], "is for xdp, not for tc", 1),
    ],
)
def test_mistakes(file, data, options, words, status):
    assert words in refused("check", *options, file(data), status=status)
    assert "cannot be read" in refused("check", "/no/such/file", status=1)
