"""`pfcompile EXPR` as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from pfcompile.cbpf import savefile
from pfcompile.cbpf.asm import assemble
from pfcompile.cbpf.isa import Instruction
from pfcompile.cbpf.listing import SOCK_FILTER
from pfcompile.compiler import compile as compile_text
from pfcompile.facts import link_types
from pfcompile.passes.pipeline import PASS_NAMES

COMMAND = [sys.executable, "-m", "pfcompile"]

IP = """\
(000) ldh      [12]
(001) jeq      #0x800           jt 2\tjf 3
(002) ret      #262144
(003) ret      #0
"""
IP_NUMBERS = "4\n40 0 0 12\n21 0 1 2048\n6 0 0 262144\n6 0 0 0\n"
IP_ARRAY = """\
{ 0x28, 0, 0, 0x0000000c },
{ 0x15, 0, 1, 0x00000800 },
{ 0x6, 0, 0, 0x00040000 },
{ 0x6, 0, 0, 0x00000000 },
"""


@pytest.fixture
def run(tmp_path):
    """Run the command in an empty folder, which stays empty."""
    folder = tmp_path / "empty"
    folder.mkdir()

    def start(*arguments, stdin=b"", **environment):
        done = subprocess.run(
            [*COMMAND, *map(str, arguments)],
            input=stdin,
            capture_output=True,
            check=False,
            cwd=folder,
            timeout=60,
            env={**os.environ, **environment},
        )
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        assert list(folder.iterdir()) == []
        return done

    return start


def listed(done):
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
    return done.stdout.decode()


def refused(done, *words, status=2):
    """Check that nothing but a message was printed, and return it."""
    assert done.stdout == b""
    assert done.returncode == status, done
    message = done.stderr.decode()
    for word in words:
        assert word in message
    return message


@pytest.mark.parametrize("options", [[], ["-d"], ["--dump"], ["--format", "tcpdump"]])
def test_a_listing(run, options):
    assert listed(run(*options, "ip")) == IP
    assert listed(run("ip", *options)) == IP


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["-dd"], IP_ARRAY),
        (["-d", "-d"], IP_ARRAY),
        (["--format", "c"], IP_ARRAY),
        (["-ddd"], IP_NUMBERS),
        (["--format", "decimal"], IP_NUMBERS),
    ],
)
def test_numbers(run, options, expected):
    assert listed(run(*options, "ip")) == expected


def test_iptables_sees_packets_from_the_ip_header_on(run):
    expected = compile_text("tcp port 443", "RAW").instructions
    numbers = [",".join(" ".join(str(int(field)) for field in one) for one in expected)]
    assert listed(run("--format", "iptables", "tcp port 443")) == (
        f"{len(expected)},{numbers[0]}\n"
    )
    long_one = " or ".join(f"(ip[{i}] = 7 and udp[{i}] = {i})" for i in range(40))
    refused(run("--format", "iptables", long_one), "iptables takes at most 64", status=1)


def test_asm_reads_back(run):
    text = listed(run("--format", "asm", "tcp port 80"))
    assert tuple(assemble(text)) == compile_text("tcp port 80").instructions


def test_json_and_raw(run):
    expected = compile_text("udp port 53").instructions
    objects = json.loads(listed(run("--format", "json", "udp port 53")))
    assert [Instruction(o["code"], o["jt"], o["jf"], o["k"]) for o in objects] == list(expected)
    done = run("--format", "raw", "udp port 53")
    assert done.returncode == 0
    assert [Instruction(*fields) for fields in SOCK_FILTER.iter_unpack(done.stdout)] == list(
        expected
    )


def test_a_savefile(run):
    done = run("--format", "savefile", "-s", "96", "-y", "RAW", "udp", "port", "53")
    assert done.returncode == 0
    read = savefile.read(done.stdout)
    assert read.instructions == compile_text("udp port 53", "RAW", 96).instructions
    assert read.snaplen == 96
    assert read.expression == "udp port 53"


def test_many_words_are_one_expression(run):
    expected = listed(run("tcp port 80 or tcp port 443"))
    assert listed(run("tcp", "port", "80", "or", "tcp", "port", "443")) == expected
    assert listed(run("tcp port", "80 or tcp", "-O", "port 443")) != ""


def test_no_expression_matches_everything(run):
    assert listed(run()) == "(000) ret      #262144\n"
    assert listed(run("")) == "(000) ret      #262144\n"
    assert listed(run("-s", "96", "  ")) == "(000) ret      #96\n"


def test_a_minus_in_front(run):
    assert listed(run("--", "-1", ">", "len")) == listed(run("0 - 1 > len"))


def test_without_optimising(run):
    text = "ip and not ip"
    refused(run(text), "1:1: expression rejects all packets")
    expected = compile_text(text, optimize=False).dump()
    assert listed(run("-O", text)) == expected


def test_snaplen(run):
    assert "ret      #96\n" in listed(run("-s", "96", "ip"))
    assert "ret      #-1\n" in listed(run("-s", "4294967295", "ip"))
    refused(run("-s", "0", "ip"), "snaplen of 0 rejects all packets")
    refused(run("-s", "-1", "ip"), "-s")
    refused(run("-s", "4294967296", "ip"), "-s")
    refused(run("-s", "many", "ip"), "-s")


@pytest.mark.parametrize("name", ["RAW", "DLT_RAW", "LINKTYPE_RAW", "raw", "12"])
def test_link_types_by_name_and_number(run, name):
    assert listed(run("-y", name, "ip")) == compile_text("ip", "RAW").dump()


@pytest.mark.parametrize("name", ["NOSUCH", "DLT_", "99999", "-1", ""])
def test_unknown_link_types(run, name):
    refused(run("-y", name, "ip"), "unknown data link type")


def test_netmask(run):
    refused(run("ip broadcast"), "netmask not known, so 'ip broadcast' not supported")
    expected = compile_text("ip broadcast", netmask="255.255.255.0").dump()
    assert listed(run("-m", "255.255.255.0", "ip broadcast")) == expected
    for wrong in ("255.255", "nonsense", "1.2.3.256"):
        refused(run("-m", wrong, "ip broadcast"))


def test_a_file(run, tmp_path):
    path = tmp_path / "filter"
    path.write_text("# only web\ntcp port 80   # plain\n  or tcp port 443\n", encoding="utf-8")
    assert listed(run("-F", path)) == listed(run("tcp port 80 or tcp port 443"))
    text = path.read_bytes()
    assert listed(run("-F", "-", stdin=text)) == listed(run("-F", path))
    refused(run("-F", path, "ip"), "not both")


def test_an_error_in_a_file_says_where_in_the_file(run, tmp_path):
    path = tmp_path / "filter"
    path.write_text("# a comment\nip and # another\n  host 10.0.0.256\n", encoding="utf-8")
    message = refused(run("-F", path), "3:8: invalid IPv4 address '10.0.0.256'")
    assert "#" not in message


def test_files_that_cannot_be_read(run, tmp_path):
    refused(run("-F", tmp_path / "none"), "cannot read the expression")
    refused(run("-F", tmp_path), "cannot read the expression")
    latin = tmp_path / "latin"
    latin.write_bytes(b"host caf\xe9")
    refused(run("-F", latin), "cannot read the expression")


def test_no_names_are_looked_up(run):
    refused(
        run("-n", "host", "www.example.com"),
        "1:6: unknown host 'www.example.com'",
        "names are switched off",
    )
    assert listed(run("-n", "tcp port http")) == listed(run("tcp port 80"))


def test_the_list_of_link_types(run):
    lines = listed(run("-L")).splitlines()
    assert len(lines) == 1 + len(link_types.LINK_TYPES)
    assert "   1        1  EN10MB (Ethernet)" in lines
    raw = next(line for line in lines if " RAW (" in line)
    assert raw.split()[:3] == ["12", "101", "RAW"]


def test_live_and_savefile(run):
    refused(run("inbound"), "not a live capture, 'inbound' not supported on DLT_EN10MB (Ethernet)")
    assert "ldh      [type]" in listed(run("--live", "inbound"))
    plain, saved = listed(run("-y", "NULL", "ip6")), listed(run("-y", "NULL", "--savefile", "ip6"))
    assert len(saved.splitlines()) > len(plain.splitlines())


def test_errors_are_drawn(run):
    message = refused(run("ether proto ipx6"))
    first, text, caret = message.splitlines()[:3]
    assert first.startswith("pfcompile: 1:13: unknown 'link proto' value 'ipx6'")
    assert text == "    ether proto ipx6"
    assert caret == " " * 16 + "^^^^"


@pytest.mark.parametrize(
    "arguments",
    [
        ["ip and"],
        ["host 10.0.0.256"],
        ["tcp portt 80"],
        ["\N{SNOWMAN}"],
        ["ip\x1b[31m"],
        ["(" * 3000 + "ip" + ")" * 3000],
        ["not " * 30000 + "ip"],
        ["len" + "+len" * 20000 + "=1"],
    ],
    ids=["end", "address", "word", "snowman", "escape", "parentheses", "nots", "sum"],
)
def test_bad_expressions(run, arguments):
    done = run(*arguments)
    if done.returncode:
        message = refused(done)
        assert message.startswith("pfcompile: ")
        assert "\x1b" not in message


@pytest.mark.parametrize(
    "arguments", [["--format", "nope", "ip"], ["--nope", "ip"], ["-y"], ["-Z"]]
)
def test_bad_usage(run, arguments):
    refused(run(*arguments), "Error: ")


def test_too_long_is_a_clear_error(run):
    # Every second address: no prefix covers two of them.
    text = " or ".join(
        f"ether host 02:00:{i % 251:02x}:{i % 241:02x}:{i % 7:02x}:{2 * i % 256:02x}"
        for i in range(2500)
    )
    refused(run("-F", "-", stdin=text.encode()), "too long for classic BPF")


def test_no_colour_whatever_the_environment(run):
    for environment in ({"NO_COLOR": "1"}, {"FORCE_COLOR": "1", "TERM": "xterm-256color"}):
        assert listed(run("ip", **environment)) == IP
        assert "\x1b" not in refused(run("ip and", **environment))


def test_whoever_reads_may_go_away(tmp_path):
    """A closed pipe ends the command quietly."""
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [*COMMAND, "-L"], stdout=writing, stderr=subprocess.PIPE, cwd=tmp_path
    )
    os.close(writing)
    os.close(reading)
    _, message = process.communicate(timeout=60)
    assert message == b""
    assert process.returncode == 1


def test_standard_output_that_is_full(tmp_path):
    full = "/dev/full"
    if not os.path.exists(full):  # noqa: PTH110 - a device, not a path of ours
        pytest.skip("the system has no /dev/full")
    with open(full, "wb") as output:  # noqa: PTH123 - the same
        done = subprocess.run(
            [*COMMAND, "ip"],
            stdout=output,
            stderr=subprocess.PIPE,
            check=False,
            cwd=tmp_path,
            timeout=60,
        )
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert b"No space left" in done.stderr


def test_nothing_is_imported_from_the_current_folder(tmp_path):
    """A file in the current folder that is called like a module of ours is not run."""
    marker = "raise SystemExit('taken from the current folder')\n"
    for name in ("parsetab", "parser", "lextab", "click", "ply"):
        (tmp_path / f"{name}.py").write_text(marker, encoding="utf-8")
    script = "from pfcompile.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, "ip"],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        timeout=60,
    )
    assert done.stdout.decode() == IP, done.stderr
    assert {path.name for path in tmp_path.iterdir() if path.suffix != ".py"} == set()


def test_help_names_every_option(run):
    text = listed(run("compile", "--help"))
    for option in ("-d", "--dump", "--format", "-O", "-s", "-y", "-m", "-F", "-n", "-L"):
        assert f"{option}" in text
    for option in ("--verify", "--timeout", "--dump-after", "--stats", "--timings", *PASS_NAMES):
        assert option in text
    assert "compile" in listed(run("--help"))
    assert listed(run("--version")).startswith("pfcompile")


@pytest.mark.parametrize(
    ("command", "said", "status"),
    [
        ("-m pfcompile tcp >&-", "standard output is closed", 1),
        ("-m pfcompile -F - <&-", "standard input is closed", 2),
    ],
)
def test_closed_streams(command, said, status):
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} {command}"],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == status
    assert said in done.stderr
    assert "Traceback" not in done.stderr
