"""`pfcompile prove A B`."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from click.testing import CliRunner
from scapy.layers.l2 import Ether
from scapy.utils import RawPcapReader, rdpcap

from pfcompile.cbpf import savefile
from pfcompile.cli import operand
from pfcompile.cli.commands import group
from pfcompile.cli.dissection import dissect
from pfcompile.cli.operand import Expression, File, Given, Text, classify, load
from pfcompile.compiler import compile as compile_text
from pfcompile.errors import FilterError, ProgramError
from pfcompile.facts import link_types
from pfcompile.program import FORMATS
from pfcompile.prove import Undecided
from tests.generator.seed import SEED, rerun
from tests.oracles.kernel import Kernel

EQUAL, DIFFERENT, TROUBLE, UNDECIDED = range(4)
NETMASK = 0xFFFFFF00


def prove(*arguments, stdin=None):
    """Run the command in this process, which is spared to load z3 and scapy each time."""
    done = CliRunner().invoke(group, ["prove", *map(str, arguments)], input=stdin)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done


def relation(*arguments, stdin=None, status=None):
    """Return the first word or words of the answer."""
    done = prove(*arguments, stdin=stdin)
    assert done.stderr == ""
    said = done.stdout.partition(":")[0]
    assert done.exit_code == (status or (EQUAL if said == "equal" else DIFFERENT)), done.output
    return said


def refused(done, *words):
    assert done.exit_code == TROUBLE, done.output
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr
    return done.stderr


def shown_packets(text):
    """Return the packets of an answer: bytes, wire length and what A and B are said to return."""
    return [
        (bytes.fromhex(data or ""), int(wire), (int(a), int(b)))
        for a, b, captured, wire, data in re.findall(
            r"this packet: A returns (\d+), B returns (\d+)\n"
            r" +captured: (\d+) bytes of (\d+)\n(?: +metadata: .*\n)?(?: +hex: ([0-9a-f]+)\n)?",
            text,
        )
    ]


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ("port 80", "src port 80 or dst port 80", "equal"),
        ("tcp port 80", "port 80", "A implies B"),
        ("ip or ip6", "ip6", "B implies A"),
        ("ip", "ip6", "disjoint"),
        ("tcp src port 80", "tcp dst port 80", "neither"),
        ("greater 100", "len >= 100", "equal"),
        ("greater 100", "len > 100", "B implies A"),
        ("", "ip or not ip", "equal"),
        ("", "1\n6 0 0 96\n", "alike"),
        ("link[0:4] & 0xffffffff != 0", "link[0:4] != 0", "equal"),
    ],
)
def test_relations(libpcap, a, b, said):
    done = prove(a, b)
    assert done.stdout.startswith(f"{said}: ")
    assert done.exit_code == (EQUAL if said == "equal" else DIFFERENT)
    packets = shown_packets(done.stdout)
    takers = {"equal": [], "alike": ["both"], "A implies B": ["B"], "B implies A": ["A"]}
    expected = takers.get(said, ["A", "B"])
    assert done.stdout.count("this packet") == len(expected)
    assert len(packets) == len(expected)
    # The oracle is libpcap's interpreter on libpcap's own programs.
    programs = [
        given.instructions
        if isinstance(given := load(classify(word)), Given)
        else libpcap.compile(word, 1, netmask=NETMASK, optimize=False)
        for word in (a, b)
    ]
    for (packet, wire_length, verdicts), who in zip(packets, expected, strict=True):
        assert wire_length >= len(packet)
        ran = [libpcap.filter(one, packet, wire_length) for one in programs]
        assert tuple(ran) == verdicts
        assert [bool(one) for one in ran] == [who in {"A", "both"}, who in {"B", "both"}]


def test_a_filter_that_takes_nothing():
    """What the optimiser refuses to compile is a filter like any other here."""
    assert "A takes no packet at all" in prove("ip and ip6", "arp").stdout
    assert "B takes no packet at all" in prove("arp", "ip and ip6").stdout
    assert relation("ip and ip6", "tcp and udp") == "equal"


def test_a_filter_that_takes_only_what_the_other_reads_past():
    """`less 10` reads nothing, and `ip` 14 bytes, which a packet on which both agree must have."""
    for words in (("less 10", "ip"), ("ip", "less 10")):
        text = prove(*words).stdout
        assert "no packet at all" not in text
        assert "of packets that both read whole" in text.partition("\n")[0]
    short = bytes(5)
    assert compile_text("less 10").match(short)
    assert not compile_text("less 10 and ip", optimize=False).match(short)
    said = prove("less 10", "less 10 and ip").stdout
    assert said == "equal: A and B return the same for every packet that both read whole\n"
    for words in (("port 80", "src or dst port 80"), ("greater 100", "len >= 100")):
        said = prove(*words).stdout
        assert said == "equal: A and B return the same for every packet\n"


def test_a_wide_shift_is_not_passed_off_for_a_kernels():
    """The prover means libpcap's interpreter; that a kernel shifts otherwise is said."""
    text = "1 << ether[0] = 0"
    done = prove(text, "tcp and udp")
    assert "note: a shift by 32 or more" in done.stdout.splitlines()[1]
    (packet,) = [
        bytes.fromhex(each) for each in re.findall(r"^    hex: (.*)$", done.stdout, re.MULTILINE)
    ]
    said = re.search(
        r"^    in a kernel: A returns (\d+), B returns (\d+)$", done.stdout, re.MULTILINE
    )
    with Kernel() as kernel:
        for word, returned in zip((text, "tcp and udp"), said.groups(), strict=True):
            kernel.attach(compile_text(word, optimize=False).instructions)
            assert kernel.run(packet) == int(returned) == 0
    assert "note:" in prove(text, "ether[0] > 31").stdout
    for narrow in (
        "1 << (ether[0] & 31) = 2",
        "ether[0] < 32 and 1 << ether[0] = 2",
        "1 << 5 = 32",
    ):
        assert "note:" not in prove(narrow, "ip").stdout
        assert "in a kernel" not in prove(narrow, "ip").stdout


@pytest.mark.parametrize(
    "load", ["ldb [0xfff00009]", "ldh [0xffe0000c]", "ldxb 4*([0xfff00000]&0xf)"]
)
def test_loads_that_only_a_kernel_can_place(load):
    program = f"{load}\njeq #6, yes, no\nyes: ret #1\nno: ret #0"
    assert "note: loads that a kernel counts" in prove(program, "ret #0").stdout
    assert "note:" not in prove("ldb [9]\nret #0", "ret #0").stdout
    assert "note:" not in prove("ld [0xfffff000]\nret #0", "ret #0").stdout


def test_the_kernel_agrees_with_what_is_shown(libpcap):
    rng = random.Random(f"{SEED} prove command")
    path = Path(__file__).parents[1] / "filters" / "usual.txt"
    usual = [one for one in path.read_text(encoding="utf-8").splitlines() if one and one[0] != "#"]
    shown = 0
    with Kernel() as kernel:
        for _ in range(25):
            words = rng.choice(usual), rng.choice(usual)
            told = f"{words}\n{rerun('tests/cli/test_prove.py')}"
            done = prove("-m", "255.255.255.0", "-s", "65535", *words)
            assert done.exit_code in {EQUAL, DIFFERENT}, told
            for packet, wire_length, verdicts in shown_packets(done.stdout):
                if wire_length != len(packet):
                    continue
                shown += 1
                for word, said in zip(words, verdicts, strict=True):
                    kernel.attach(libpcap.compile(word, 1, netmask=NETMASK, snaplen=65535))
                    assert bool(kernel.run(packet)) == bool(said), f"{told}\n{packet.hex()}"
    assert shown > 10


def test_programs_of_libpcap_are_proved_equal_to_their_expressions(libpcap):
    for text in ("tcp port 80", "vlan and ip", "host 10.0.0.1 or net 192.168.0.0/16"):
        numbers = libpcap.compile(text, 1, optimize=True)
        listing = f"{len(numbers)}\n" + "".join(f"{' '.join(map(str, one))}\n" for one in numbers)
        assert relation(listing, text) == "equal"
        assert relation("-", text, stdin=listing) == "equal"


@pytest.mark.parametrize("form", FORMATS)
def test_every_form_of_a_program(tmp_path, form):
    program = compile_text("udp port 53", "RAW")
    written = program.dump(form)
    path = tmp_path / "program.of.some.form"
    path.write_bytes(written if isinstance(written, bytes) else written.encode())
    options = [] if form == "savefile" else ["-y", "RAW"]
    for word in (path, f"@{path}"):
        assert relation(*options, word, "udp port 53") == "equal"
        assert relation(*options, "udp", word) == "B implies A"
    assert relation(*options, "-", "udp port 53", stdin=path.read_bytes()) == "equal"
    if isinstance(written, str):
        assert relation(*options, written, "udp port 53") == "equal"


def test_savefiles_know_their_link_type(tmp_path):
    raw, ethernet = tmp_path / "raw", tmp_path / "ethernet"
    raw.write_bytes(compile_text("ip", "RAW").dump("savefile"))
    ethernet.write_bytes(compile_text("ip", "EN10MB").dump("savefile"))
    assert relation(raw, "ip") == "equal"
    assert relation("ip", ethernet) == "equal"
    refused(prove(raw, ethernet), "DLT_EN10MB (Ethernet)", "DLT_RAW", "-y")
    assert relation("-y", "RAW", raw, ethernet) == "neither"


def test_an_expression_is_one_whatever_files_there_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("ip").write_text("ret #0\n", encoding="utf-8")
    assert relation("ip", "ether proto 0x800") == "equal"
    assert relation("@ip", "ip") == "A implies B"
    assert classify("ip") == load(classify("ip")) == Expression("ip")


def test_packets_are_written(tmp_path):
    path = tmp_path / "shown.pcap"
    done = prove("-w", path, "tcp src port 80", "tcp dst port 80")
    packets = [(packet, wire) for packet, wire, _ in shown_packets(done.stdout)]
    assert len(packets) == 2
    assert [bytes(packet) for packet in rdpcap(str(path))] == [packet for packet, _ in packets]
    done = prove("-w", path, "-y", "IEEE802_11_RADIO", "type mgt", "type data and greater 1000")
    with RawPcapReader(str(path)) as reader:
        assert reader.linktype == 127  # LINKTYPE_IEEE802_11_RADIOTAP
        assert [(data, meta.wirelen) for data, meta in reader] == [
            (packet, wire) for packet, wire, _ in shown_packets(done.stdout)
        ]
    assert relation("-w", path, "-y", "RAW", "ip", "ip") == "equal"
    with RawPcapReader(str(path)) as reader:
        assert reader.linktype == link_types.linktype_of_dlt(12) == 101
        assert list(reader) == []


def test_packets_on_standard_output(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pfcompile", "prove", "-w", "-", "ip", "ip6"],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        timeout=60,
    )
    assert done.returncode == DIFFERENT
    packets = [packet for packet, _, _ in shown_packets(done.stderr.decode())]
    path = tmp_path / "piped.pcap"
    path.write_bytes(done.stdout)
    assert [bytes(packet) for packet in rdpcap(str(path))] == packets != []


def test_dissection(monkeypatch):
    assert "###[ Ethernet ]###" in prove("ip", "ip6").stdout
    # One byte is all that these read; scapy wants more to show anything.
    cut = prove("-y", "RAW", "ip", "ip6").stdout
    assert [packet for packet, _, _ in shown_packets(cut)] == [b"\x40", b"\x60"]
    assert cut.count("(dissected with zeros behind its end)") == 2
    assert "###[ IPv6 ]###" in cut
    many_options = bytes.fromhex("000000000000000000000000080049" + "00" * 40)
    whole = Ether(many_options).show(dump=True).splitlines()
    assert dissect(1, many_options).splitlines() == [
        *whole[:40],
        f"... {len(whole) - 40} more lines",
    ]
    # What scapy does not know is shown by its bytes.
    done = prove("-y", "JUNIPER_VS", "link[0] = 7", "link[0] = 8")
    assert shown_packets(done.stdout)[0][0] == b"\x07"
    assert "###" not in done.stdout
    monkeypatch.setitem(sys.modules, "scapy.all", None)
    done = prove("ip", "ip6")
    assert len(shown_packets(done.stdout)) == 2
    assert "###" not in done.stdout


def test_metadata_is_told(tmp_path):
    path = tmp_path / "shown.pcap"
    done = prove("--live", "-w", path, "vlan 7", "vlan")
    assert done.stdout.startswith("A implies B: ")
    assert re.search(r"^    metadata: .*vlanp \d+", done.stdout, re.MULTILINE)


def test_a_list_that_is_too_long_without_optimising():
    text = " or ".join(f"host 10.{i % 200}.{i % 7}.{i % 251}" for i in range(560))
    with pytest.raises(FilterError, match="too long"):
        compile_text(text, optimize=False)
    assert relation(f"({text}) and ip", text) == "A implies B"
    rng = random.Random(0)
    hosts = " or ".join(f"host {IPv6Address(rng.getrandbits(128))}" for _ in range(450))
    with pytest.raises(FilterError, match="too long"):
        compile_text(hosts)
    assert relation(hosts, f"ip6 and ({hosts})") == "equal"


def test_each_expression_is_compiled_once_and_as_written(monkeypatch):
    compiled = []

    def noted(text, *arguments, **options):
        compiled.append((text, options["optimize"]))
        return compile_text(text, *arguments, **options)

    monkeypatch.setattr("pfcompile.cli.prove.compile_text", noted)
    refused(prove("ip", "host 10.0.0.256"))
    assert compiled == [("ip", False), ("host 10.0.0.256", False)]


XOR_THEN_MULTIPLY = "ld [4]; tax; ld [0]; xor x; tax; ld [8]; mul x; ret a"
SAME_BY_SUMS = (
    "ld [4]; tax; ld [0]; and x; mul #2; st M[0]; ld [0]; add x; ldx M[0]; sub x; tax; ld [8]; "
    "mul x; ret a"
)
"""x ^ y is x + y - 2 * (x & y), which takes the solver minutes to see behind a product."""


def test_too_little_time():
    hard = (each.replace("; ", "\n") for each in (XOR_THEN_MULTIPLY, SAME_BY_SUMS))
    done = prove("--timeout", "1", *hard)
    assert done.stdout.startswith("undecided: ")
    assert done.exit_code == UNDECIDED
    assert done.stderr == ""


def test_undecided_leaves_no_packets_of_another_proof(monkeypatch, tmp_path):
    path = tmp_path / "shown.pcap"
    assert relation("-w", path, "ip", "ip6") == "disjoint"
    monkeypatch.setattr("pfcompile.prove.relate", lambda *_, **__: Undecided("enough"))
    done = prove("-w", path, "ip", "ip")
    assert (done.stdout, done.exit_code) == ("undecided: enough\n", UNDECIDED)
    with RawPcapReader(str(path)) as reader:
        assert list(reader) == []
    hard = (each.replace("; ", "\n") for each in (XOR_THEN_MULTIPLY, SAME_BY_SUMS))
    piped = subprocess.run(
        [sys.executable, "-m", "pfcompile", "prove", "--timeout", "1", "-w", "-", *hard],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (piped.returncode, piped.stdout) == (UNDECIDED, path.read_bytes())
    assert piped.stderr.startswith(b"undecided: ")


def test_only_a_users_mistake_is_bad_usage(monkeypatch):
    def broken(*_, **__):
        raise ValueError("ours")

    monkeypatch.setattr("pfcompile.prove.relate", broken)
    done = CliRunner().invoke(group, ["prove", "ip", "ip"])
    assert isinstance(done.exception, ValueError)


def test_bad_words(tmp_path):
    refused(prove("ip nn", "ip"), "1:4: can't parse filter expression", "^^")
    refused(prove("ip", "host 10.0.0.256"), "1:6: invalid IPv4 address")
    refused(prove("@no-such-file", "ip"), "no-such-file: cannot be read", "No such file")
    refused(prove(f"@{tmp_path}", "ip"), "cannot be read")
    refused(prove("@", "ip"), "cannot be read")
    refused(prove("@a\0b", "ip"), "cannot be read")
    refused(prove("len" + "+len" * 20000 + "=1", "ip"), "nested too deeply")
    broken = tmp_path / "broken"
    broken.write_bytes(b"ld [0]\nfrobnicate\n")
    assert str(broken) in refused(prove(broken, "ip"), "2:1")
    broken.write_bytes(savefile.MAGIC + b"\0")
    refused(prove("ip", broken), "cut short")
    broken.write_bytes(b"\xff\xfe\0binary")
    refused(prove("ip", broken), "neither text nor a cBPF savefile")
    refused(prove("-", "ip", stdin=""), "standard input: the program is empty")
    refused(prove("1\n5 0 0 4294967295\n", "ip"))


def test_bad_usage(tmp_path):
    refused(prove("-", "-"), "read only once")
    refused(prove("ip"), "Error")
    refused(prove("ip", "ip", "ip"), "Error")
    refused(prove("-y", "NOSUCH", "ip", "ip"), "unknown data link type NOSUCH")
    refused(prove("-m", "nonsense", "ip", "ip"), "netmask")
    for seconds in ("0", "-1", "nan", "1e9"):
        refused(prove("--timeout", seconds, "ip", "ip"), "--timeout")
    program = tmp_path / "program"
    program.write_text("ret #0\n", encoding="utf-8")
    refused(prove("-w", program, "ip", program), "would overwrite")
    assert program.read_text(encoding="utf-8") == "ret #0\n"
    refused(prove("-w", tmp_path / "no" / "folder", "ip", "ip6"), "folder")


def test_operands_that_are_nothing():
    assert isinstance(classify("tcp prot 80"), Text)
    with pytest.raises(FilterError, match="syntax error"):
        load(classify("tcp prot 80"))
    with pytest.raises(ProgramError, match="cannot be read"):
        load(File("/no/such/file"))


def test_each_word_is_classified_once(monkeypatch, tmp_path):
    parsed = []
    parse = operand.parse_partly
    monkeypatch.setattr(operand, "parse_partly", lambda word: parsed.append(word) or parse(word))
    program = str(tmp_path / "program")
    Path(program).write_text("ret #0\n", encoding="utf-8")
    prove("-w", tmp_path / "shown.pcap", "ip", program)
    assert parsed == ["ip", program]


def test_without_z3(tmp_path):
    script = (
        "import sys\nsys.modules['z3'] = None\n"
        "sys.argv = ['pfcompile', *sys.argv[1:]]\n"
        "from pfcompile.cli import main\nmain()\n"
    )

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-c", script, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            timeout=60,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )

    done = run("prove", "ip", "ip")
    assert done.returncode == TROUBLE
    assert "pip install 'pfcompile[prove]'" in done.stderr
    assert "Traceback" not in done.stderr
    done = run("--verify", "ip")
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install 'pfcompile[prove]'" in done.stderr
    assert run("prove", "--help").returncode == 0
    assert run("ip").returncode == 0


def test_nothing_is_called_equal_that_nobody_could_read():
    """Standard output that is full is trouble, and not a relation."""
    if not Path("/dev/full").exists():
        pytest.skip("the system has no /dev/full")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pfcompile", "prove", "ip", "ip"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert done.returncode == TROUBLE
    assert b"Traceback" not in done.stderr
    assert b"No space left" in done.stderr


def test_help_tells_the_statuses():
    text = prove("--help").stdout
    for words in (
        "its name alone",
        "libpcap",
        "0 equal",
        "1 not equal",
        "2 trouble",
        "3 undecided",
        "@FILE",
        "-y",
        "-w",
    ):
        assert words in text
