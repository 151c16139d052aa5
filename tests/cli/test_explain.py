"""`pfcompile explain`: what it prints, its options, and its exit status."""

from __future__ import annotations

import json

import pytest

from tests.cli.in_process import output, refused, run


def text(*arguments: object) -> str:
    return output("explain", "-n", *arguments).decode()


def test_the_answer_in_one_command():
    said = text("not port 22 and 80")
    assert said.startswith(
        "Read as, for DLT_EN10MB (Ethernet):\n    (not port 22) and port 80\n\nport 22\n"
    )
    assert "    do not: TCP port 22 (ssh)," in said
    assert "warning PF112: 1:1: `not` covers only port 22; then comes `and port 80`" in said
    assert "    hint: to leave out both: not port (22 or 80)\n" in said


def test_many_words_are_one_expression():
    assert text("tcp", "port", "80") == text("tcp port 80")


def test_lines_end_and_are_not_too_long():
    said = text("--notes", "not port 22 and 80 or host 10.0.0.1 and vlan and ip")
    assert all(line == line.rstrip() and len(line) <= 100 for line in said.splitlines())
    assert "\x1b" not in said


def test_notes_are_counted_until_they_are_asked_for():
    said = text("port 80")
    assert "note PF134" not in said
    assert said.endswith("notes on limits that seldom matter: --notes shows\n")
    said = text("--notes", "port 80")
    assert "note PF134: 1:1: " in said
    assert "--notes" not in said


def test_strict_is_for_warnings():
    assert run("explain", "--strict", "port 80").returncode == 0
    assert run("explain", "--strict", "--notes", "port 80").returncode == 0
    assert run("explain", "--strict", "not port 22 and 80").returncode == 1
    assert run("explain", "not port 22 and 80").returncode == 0
    assert run("explain", "--strict", "--ignore", "PF112", "not port 22 and 80").returncode == 0
    assert run("explain", "--strict", "--code", "PF111", "not port 22 and 80").returncode == 0
    assert run("explain", "--strict", "--format", "json", "net 10.0.0.0").returncode == 1


def test_codes_are_chosen():
    both = "port 22 or 23 and tcp[13] = 2"
    assert "PF111" in text(both)
    assert "PF131" in text(both)
    only = text("--code", "pf111", both)
    assert "PF111" in only
    assert "PF131" not in only
    rest = text("--ignore", "PF111,PF131", both)
    assert "PF125" in rest
    assert "PF111" not in rest
    assert "PF131" not in rest


def test_a_code_that_does_not_exist():
    said = refused("explain", "--code", "PF11", "ip")
    assert "there is no warning PF11: did you mean PF101 or PF111 or PF112?" in said
    assert "there is no warning PF999" in refused("explain", "--ignore", "PF999", "ip")


def test_json():
    data = json.loads(text("--format", "json", "-y", "RAW", "tcp port 22"))
    assert data["link_type"]["name"] == "RAW"
    assert data["understood"] == "tcp port 22"
    assert [each["level"] for each in data["warnings"]] == ["note"]
    none = json.loads(text("--format", "json", "--ignore", "PF134", "-y", "RAW", "tcp port 22"))
    assert none["warnings"] == []


def test_options_that_would_do_nothing():
    said = refused("explain", "-O", "-j", "2", "ip")
    assert "-O, -j: only with -r" in said
    said = refused("explain", "-r", "x.pcap", "--timeout", "2", "--notes", "ip")
    assert "leave out --notes, --timeout" in said


def test_json_of_what_is_no_text():
    done = run("explain", "--format", "json", "host \udcff")
    assert done.returncode == 2
    assert json.loads(done.stdout.decode())["text"] == "host \udcff"


def test_a_bad_expression():
    assert "did you mean 'port' or 'proto'?" in refused("explain", "tcp prot 80")
    done = run("explain", "--format", "json", "tcp prot 80")
    assert (done.returncode, done.stderr) == (2, b"")
    assert json.loads(done.stdout)["error"]["span"] == [4, 8]


def test_what_no_packet_matches_is_explained():
    said = text("ip and arp")
    assert "warning PF106: 1:1: no packet matches: `ip` and `arp` cannot both hold" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-y", "NOSUCH"), "unknown data link type"),
        (("-s", "0"), "snaplen of 0 rejects all packets"),
        (("-m", "nonsense"), "is no netmask"),
        (("-F", "/nonexistent/file"), "cannot read the expression"),
    ],
)
def test_bad_options(options, message):
    words = () if options[0] == "-F" else ("ip",)
    assert message in refused("explain", *options, *words)


def test_a_file_with_comments(tmp_path):
    file = tmp_path / "filter"
    file.write_text("tcp port 80 # the web\nor udp\nand port 53 # DNS\n", encoding="utf-8")
    said = text("-F", file)
    assert "(tcp port 80 or udp) and port 53" in said
    assert all(line == line.rstrip() for line in said.splitlines())
    assert said == output("explain", "-n", "-F", "-", stdin=file.read_bytes()).decode()


def test_live_captures():
    assert "packets that this machine sent" in text("--live", "outbound")
    assert "not a live capture" in refused("explain", "outbound")


def test_a_terminal_has_colours(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[36mport 22" in run("explain", "not port 22 and 80").stdout.decode()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[36m" not in run("explain", "not port 22 and 80").stdout.decode()


def test_a_very_long_expression_is_shortened():
    said = text("host " + " or ".join(f"10.0.{each}.1" for each in range(250)))
    assert " characters more)" in said
    assert len(said.splitlines()) < 40


@pytest.mark.parametrize("command", ["explain", "draw"])
@pytest.mark.parametrize("words", [("-r", "-", "-r", "-", "tcp"), ("-r", "-", "-F", "-")])
def test_standard_input_is_read_once(command, words):
    done = run(command, *words)
    assert done.returncode == 2
    assert b"standard input can be read only once" in done.stderr
