"""`pfcompile debug`: what it takes, and what it refuses; what it says is in tests/debugger."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pfcompile.compiler import compile as compile_text
from pfcompile.ebpf.asm import assemble
from pfcompile.ebpf.elf import write
from pfcompile.ebpf.maps.vocabulary import MapSpec, MapType
from pfcompile.ebpf.program import EbpfProgram
from pfcompile.ebpf.translate import translate
from tests.cli.in_process import output, refused, run
from tests.debugger.sessions import write_capture
from tests.debugger.test_session import COUNTER, ENDLESS, IP

ROOT = Path(__file__).parents[2]
CAPTURE = ROOT / "pcaps" / "ethernet.pcap"
TEXT = "udp port 53"


def verdicts(*arguments, stdin=b"c all\n"):
    """Return the lines that count packets by verdict."""
    lines = output("debug", *arguments, stdin=stdin).decode().splitlines()
    return [line for line in lines if " packet" in line and ": " in line and line[0].isdigit()]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "program"

    def keep(data):
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return f"@{path}"

    return keep


def test_all_forms_of_a_program(file):
    program = compile_text(TEXT, savefile=True)
    wanted = verdicts(TEXT, "-r", CAPTURE)
    assert len(wanted) == 2
    for name in ("decimal", "raw", "savefile", "tcpdump", "json"):
        assert verdicts(file(program.dump(name)), "-r", CAPTURE) == wanted
    assert verdicts(program.dump("iptables").strip(), "-r", CAPTURE) == wanted
    assert verdicts(*TEXT.split(), "-r", CAPTURE) == wanted
    assert verdicts(TEXT, "-O", "-r", CAPTURE) == wanted
    user = translate(program.instructions, "user")
    assert verdicts(file(write(user)), "-r", CAPTURE) == wanted
    xdp = [line.split(": ", 1)[1] for line in verdicts(
        file(write(translate(program.instructions, "xdp"))), "-r", CAPTURE
    )]  # fmt: skip
    assert sorted(xdp) == ["verdict: drop", "verdict: pass"]


def test_an_expression_from_a_file(tmp_path):
    path = tmp_path / "filter"
    path.write_text("udp # and\n port 53")
    assert verdicts("-F", path, "-r", CAPTURE) == verdicts(TEXT, "-r", CAPTURE)


def test_no_expression_matches_every_packet():
    assert verdicts("-r", CAPTURE, stdin=b"c all\n") == ["22 packets: match: returns 262144"]


def test_an_object_with_maps(file):
    program = EbpfProgram(assemble(COUNTER.replace("fd:", "idx:").replace("idx:1", "idx:0")), "xdp")
    data = write(program, [MapSpec(MapType.ARRAY, 4, 8, 1, name="seen")])
    said = output("debug", file(data), "-r", CAPTURE, stdin=b"select 5\nc\ninfo maps\n").decode()
    assert "map seen: key 00 00 00 00 = 05 00 00 00 00 00 00 00" in said
    assert said.endswith(
        "seen: 1 entry, all others are zeros\n  00 00 00 00: 05 00 00 00 00 00 00 00\n"
    )


def test_scripts(tmp_path):
    script = tmp_path / "script"
    script.write_text("# a comment\n\nstep 2\nprint A\n")
    plain = output("debug", "ip", "-r", CAPTURE, "--script", script).decode()
    assert plain.splitlines()[-1] == "A = 0x800 (2048)"
    assert plain == output("debug", "ip", "-r", CAPTURE, stdin=script.read_bytes()).decode()
    echoed = output("debug", "ip", "-r", CAPTURE, "--script", script, "--echo").decode()
    assert "(pfcompile) print A\nA = 0x800 (2048)\n" in echoed
    given = ("-e", "step 2", "-e", "print A")
    assert plain == output("debug", "ip", "-r", CAPTURE, *given, stdin=b"rubbish").decode()
    assert output("debug", "ip", "-r", "-", *given, stdin=CAPTURE.read_bytes()).decode() == plain
    assert output("debug", "ip", "-r", "-", "--script", script, stdin=CAPTURE.read_bytes()).decode()


def test_the_first_command_that_cannot_be_done_ends_a_script():
    done = run("debug", "ip", "-r", CAPTURE, stdin=b"step\nstpe\nprint A\n")
    assert done.returncode == 2
    assert done.stderr == (
        b"pfcompile: standard input: line 2: unknown command 'stpe'\n    hint: did you mean step?\n"
    )
    assert b"A =" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["ip"], 2, "Missing option '-r'"),
        (["ip", "-r", "/nowhere"], 1, "/nowhere: cannot be opened"),
        (["ip", "-r", str(ROOT / "pcaps" / "empty.pcap")], 1, "there are no packets in it"),
        (["ip", "-r", __file__], 1, "unknown file format"),
        (["ipp", "-r", str(CAPTURE)], 2, "did you mean"),
        (["tcp prot 80", "-r", str(CAPTURE)], 2, "hint: did you mean 'port' or 'proto'?"),
        (["tcp and udp", "-r", str(CAPTURE)], 2, "expression rejects all packets"),
        (["@/nowhere", "-r", str(CAPTURE)], 1, "/nowhere: cannot be read"),
        (["ip", "-r", "-"], 2, "give the commands with -e or --script FILE"),
        (["-", "-r", str(CAPTURE)], 2, "give the commands with -e or --script FILE"),
        (["ip", "-r", str(CAPTURE), "-e", "c", "--script", "x"], 2, "not both"),
        (["ip", "-r", str(CAPTURE), "--script", "/nowhere"], 1, "/nowhere: cannot be read"),
        (["ip", "-r", str(CAPTURE), "--target", "xdp"], 1, "ip: cannot be read"),
        (["ip", "-m", "rubbish", "-r", str(CAPTURE)], 2, "rubbish"),
    ],
)
def test_what_is_refused(arguments, status, said):
    assert said in refused("debug", *arguments, status=status)


def test_a_file_by_its_name_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("dns.o").write_bytes(write(translate(compile_text(TEXT).instructions, "user")))
    assert verdicts("dns.o", "-r", CAPTURE) == verdicts(TEXT, "-r", CAPTURE)
    # What is an expression is one, whatever files there are.
    Path("ip").write_bytes(Path("dns.o").read_bytes())
    assert verdicts("ip", "-r", CAPTURE) != verdicts("@ip", "-r", CAPTURE)


def test_a_script_that_is_no_text(tmp_path):
    script = tmp_path / "script"
    script.write_bytes(b"\xff\xfe")
    assert "cannot be read" in refused("debug", "ip", "-r", CAPTURE, "--script", script, status=1)


COMMAND = [sys.executable, "-m", "pfcompile", "debug"]


def test_a_reader_that_has_enough():
    commands = b"info program\n" * 5000
    with subprocess.Popen(
        [*COMMAND, "tcp port 443", "-r", CAPTURE],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        process.stdout.readline()
        process.stdout.close()
        _, errors = process.communicate(commands, timeout=60)
    assert (process.returncode, errors) == (1, b"")


class Terminal:
    """A `pfcompile debug` on a terminal of its own."""

    def __init__(self, *arguments):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            stdin=slave, stdout=slave, stderr=slave, close_fds=True, start_new_session=True,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
        )  # fmt: skip
        os.close(slave)
        self.seen = b""

    def wait_for(self, text):
        """Read until `text` comes; return all that came."""
        assert self.sees(text, 60), self.seen
        seen, _, self.seen = self.seen.partition(text)
        return seen

    def sees(self, text, seconds):
        """Read until `text` comes, or for so long; return whether it has come."""
        end = time.monotonic() + seconds
        while text not in self.seen and time.monotonic() < end:
            if select.select([self.master], [], [], 0.1)[0]:
                self.seen += os.read(self.master, 65536)
        return text in self.seen

    def say(self, line):
        os.write(self.master, line)

    def end(self):
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()
            os.close(self.master)


def test_a_plain_prompt(tmp_path):
    path = tmp_path / "endless.s"
    path.write_text(f"r2 = 1\n{ENDLESS.replace('r0 += 1', 'r0 += r2')}")
    capture = write_capture(tmp_path / "capture", [IP])
    terminal = Terminal(f"@{path}", "-r", capture, "--plain")
    terminal.wait_for(b"(pfcompile) ")
    terminal.say(b"stpe\n")
    terminal.wait_for(b"did you mean step?")
    terminal.say(b"step 5\n")
    terminal.wait_for(b"r0: 0 -> 2")
    terminal.wait_for(b"(pfcompile) ")
    terminal.say(b"print r0\n")
    terminal.wait_for(b"r0 = 2")
    terminal.wait_for(b"(pfcompile) ")
    # One that comes between the prompt and the waiting for a line counts only at the line's end.
    for _ in range(60):
        os.kill(terminal.process.pid, signal.SIGINT)
        if terminal.sees(b"(pfcompile) ", 1):
            break
    terminal.wait_for(b"(pfcompile) ")
    terminal.say(b"quit\n")
    assert terminal.end() == 0


def test_the_full_screen():
    pytest.importorskip("textual")
    terminal = Terminal("tcp port 443", "-r", CAPTURE)
    terminal.wait_for(b"registers")
    terminal.say(b"s")
    terminal.wait_for(b"*A  0x00000800")
    terminal.say(b"q")
    assert terminal.end() == 0
