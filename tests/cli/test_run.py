"""`pfcompile run PROGRAM -r CAPTURE`."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from pfcompile.captures.reader import read_records
from pfcompile.compiler import compile as compile_text
from pfcompile.ebpf.asm import assemble
from pfcompile.ebpf.elf import write
from pfcompile.ebpf.listing import dump
from pfcompile.ebpf.program import EbpfProgram
from pfcompile.ebpf.translate import translate
from tests.cli.in_process import output, refused, run
from tests.ebpf.llvm_objects import everything

CAPTURE = Path(__file__).parents[2] / "pcaps" / "ethernet.pcap"
FILTERS = ["udp", "tcp port 443", "ip6", "len > 100", "arp or icmp"]


def packets(data):
    return [record.data for record in read_records(io.BytesIO(data), "capture")]


def wanted(text):
    program = compile_text(text, savefile=True)
    return [
        bool(program.match(record.data, record.wire_length))
        for record in read_records(io.BytesIO(CAPTURE.read_bytes()), "capture")
    ]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "program"

    def keep(data):
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    return keep


@pytest.mark.parametrize("text", FILTERS)
def test_all_forms_say_the_same(file, text):
    program = compile_text(text, savefile=True)
    expected = wanted(text)
    assert {True, False} == set(expected)
    forms = [(program.dump(name), []) for name in ("decimal", "raw", "savefile")]
    forms += [(write(translate(program.instructions, t)), []) for t in ("xdp", "tc", "socket")]
    user = translate(program.instructions, "user")
    forms += [(write(user), []), (dump(user, "asm"), []), (user.to_bytes(), ["--target", "user"])]
    for data, options in forms:
        lines = output("run", file(data), "-r", CAPTURE, *options).decode().splitlines()
        verdicts = [line.split("\t")[0] for line in lines]
        kept = [verdict in {"pass", "ok", "262144"} for verdict in verdicts]
        assert kept == expected, data[:100]


def test_kept_packets_are_written_unchanged(file, tmp_path):
    out = tmp_path / "out.pcap"
    program = write(translate(compile_text("udp").instructions, "xdp"))
    assert output("run", file(program), "-r", CAPTURE, "-w", out) == b""
    every = packets(CAPTURE.read_bytes())
    kept = [data for data, keep in zip(every, wanted("udp"), strict=True) if keep]
    assert packets(out.read_bytes()) == kept
    command = [sys.executable, "-m", "pfcompile", "run", file(program), "-r", CAPTURE, "-w", "-"]
    piped = subprocess.run(command, capture_output=True, check=True, timeout=60)
    assert packets(piped.stdout) == kept
    assert piped.stderr == b""


def test_totals(file):
    program = write(translate(compile_text("udp").instructions, "xdp"))
    lines = output("run", file(program), "-r", CAPTURE, "-r", CAPTURE, "--count").decode()
    matches = 2 * sum(wanted("udp"))
    assert lines == f"{2 * len(wanted('udp')) - matches}\tdrop\n{matches}\tpass\n"


@pytest.mark.parametrize("limit", [1, 3])
def test_it_stops_after_so_many_that_are_accepted(file, tmp_path, limit):
    out = tmp_path / "out.pcap"
    program = file(write(translate(compile_text("udp").instructions, "xdp")))
    every = wanted("udp")
    assert sum(every) > limit
    matches = [place for place, is_wanted in enumerate(every) if is_wanted]
    looked_at = matches[limit - 1] + 1
    lines = output("run", program, "-r", CAPTURE, "-c", limit).decode().splitlines()
    assert len(lines) == looked_at
    assert lines[-1].startswith("pass\t")
    assert output("run", program, "-r", CAPTURE, "-c", limit, "-w", out) == b""
    data = packets(CAPTURE.read_bytes())
    assert packets(out.read_bytes()) == [data[place] for place in matches[:limit]]
    counted = output("run", program, "-r", CAPTURE, "-r", CAPTURE, "-c", limit, "--count").decode()
    assert dict(reversed(line.split("\t")) for line in counted.splitlines()) == {
        name: str(number)
        for name, number in (("pass", limit), ("drop", looked_at - limit))
        if number
    }


@pytest.mark.parametrize("own", ["xdp", "tc", "socket"])
@pytest.mark.parametrize("target", ["xdp", "tc", "socket", "user", "packet"])
def test_an_object_is_run_as_what_its_section_says(file, own, target):
    program = file(write(translate(compile_text("udp").instructions, own)))
    if target == own:
        assert output("run", program, "-r", CAPTURE, "--target", target, "--count")
    else:
        said = refused("run", program, "-r", CAPTURE, "--target", target, status=1)
        assert f"its section says that it is for {own}, not for {target}" in said


def test_an_object_whose_section_says_nothing_is_run_as_told(file):
    program = file(write(EbpfProgram(assemble("r0 = r2\nexit"), "user")))
    assert output("run", program, "-r", CAPTURE, "--target", "packet", "--count")


@pytest.mark.parametrize("options", [[], ["--count"]])
def test_closed_output_is_said(file, options):
    command = ["sh", "-c", '"$@" >&-', "sh", sys.executable, "-m", "pfcompile", "run"]
    done = subprocess.run(
        [*command, file("ret #0\n"), "-r", CAPTURE, *options],
        stderr=subprocess.PIPE, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, b"pfcompile: standard output is closed\n")


def test_maps_remember_from_packet_to_packet(file):
    lines = output("run", file(everything()), "--program", "remember", "-r", CAPTURE).decode()
    verdicts = [line.split("\t")[0] for line in lines.splitlines()]
    assert verdicts == ["pass"] + ["drop"] * (len(verdicts) - 1)


def test_the_packet_and_its_length_in_registers(file):
    lines = output("run", file("r0 = r2\nexit\n"), "--target", "packet", "-r", CAPTURE).decode()
    lengths = [int(line.split("\t")[0]) for line in lines.splitlines()]
    assert lengths == [len(data) for data in packets(CAPTURE.read_bytes())]


def test_verdicts_without_a_name_are_numbers(file):
    listed = output("run", file("r0 = -1\nexit\n"), "--target", "tc", "-r", CAPTURE, "--count")
    assert listed.split()[1] == b"unspec"
    listed = output("run", file("r0 = 77\nexit\n"), "--target", "xdp", "-r", CAPTURE, "--count")
    assert listed.split()[1] == b"77"


def test_a_program_on_standard_input():
    data = compile_text("udp").dump("decimal").encode()
    assert output("run", "-", "-r", CAPTURE, "--count", stdin=data).endswith(b"\t262144\n")


def test_a_program_that_fails(file):
    bad = file("r0 = *(u32 *)(r2 + 0)\nexit\n")
    message = refused("run", bad, "--target", "xdp", "-r", CAPTURE, status=1)
    assert "packet 1: the program fails: instruction 0" in message
    endless = file("x: goto x\n")
    assert "not done after" in refused(
        "run", endless, "--extended", "-r", CAPTURE, "--target", "xdp", status=1
    )


def test_a_damaged_capture_keeps_what_was_whole(file, tmp_path):
    damaged = tmp_path / "damaged.pcap"
    damaged.write_bytes(CAPTURE.read_bytes()[:-3])
    program = file(compile_text("udp").dump("decimal"))
    done = run("run", program, "-r", damaged, "--count")
    assert done.returncode == 1
    assert b"byte" in done.stderr
    total = sum(int(line.split()[0]) for line in done.stdout.splitlines())
    assert total == len(wanted("udp")) - 1


@pytest.mark.parametrize(
    ("data", "options", "words", "status"),
    [
        ("ret #0\n", ["--target", "xdp"], "a classic program is for no target", 1),
        ("r0 = 0\n", [], "neither exit nor a jump", 1),
        ("r1 = map[fd:3]\nr0 = 0\nexit\n", [], "map", 1),
        ("ld [0]\n", [], "", 1),
        ("ret #0\n", ["-r", "/no/such/file"], "cannot be opened", 1),
        ("ret #0\n", ["-w", "-", "--count"], "would both write", 2),
        (b"\x7fELF", [], "cut short", 1),
        ("ret #0\n", ["-c", "0"], "-c", 2),
        ("ret #0\n", ["-c", "x"], "-c", 2),
    ],
)
def test_mistakes(file, data, options, words, status):
    inputs = [] if "-r" in options else ["-r", CAPTURE]
    assert words in refused("run", file(data), *inputs, *options, status=status)


def test_inputs_are_not_overwritten(file, tmp_path):
    copy = tmp_path / "in.pcap"
    copy.write_bytes(CAPTURE.read_bytes())
    program = file("ret #0\n")
    for target in (copy, program):
        assert "would overwrite" in refused("run", program, "-r", copy, "-w", target)
    assert copy.read_bytes() == CAPTURE.read_bytes()
    assert "only once" in refused("run", "-", "-r", "-")
    assert "Missing option '-r'" in refused("run", program)
