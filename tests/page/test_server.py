"""Who may ask the server, and what it answers to those who ask wrongly."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pfcompile.page.app import LONGEST_TEXT
from pfcompile.page.uploads import KEPT, LARGEST
from tests.cli.capturing import wait_until
from tests.cli.in_process import refused
from tests.page.serving import serving

PCAPS = Path(__file__).resolve().parents[2] / "pcaps"
QUESTION = json.dumps({"text": "ip", "link_type": "EN10MB", "savefile": False}).encode()


def analyse(server, **headers):
    return server.ask("POST", "/api/analysis", QUESTION, **headers)[0]


def test_the_token_is_needed_for_all_that_is_asked(server):
    assert analyse(server) == 200
    for wrong in (
        None,
        "",
        "Bearer",
        "Bearer x",
        f"Bearer {server.token}x",
        f"Basic {server.token}",
    ):
        assert analyse(server, Authorization=wrong) == 401
    for path in ("start", "meaning", "comparison", "captures", "packets", "why", "nothing"):
        status, _, body = server.ask("POST", f"/api/{path}", b"{}", Authorization=None)
        assert status == 401
        assert b"token" in body
    assert server.token not in server.ask("GET", "/")[2].decode()


def test_names_that_lead_here_by_a_trick_are_refused(server):
    for host in ("evil.example", f"evil.example:{server.port}", "127.0.0.1:1", "", None):
        assert analyse(server, Host=host) in {400, 421}
    assert analyse(server, Host=f"localhost:{server.port}") == 200


def test_other_sites_are_refused(server):
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        assert analyse(server, Origin=origin) == 403
        assert server.ask("GET", "/", Origin=origin)[0] == 403
    for site in ("cross-site", "same-site"):
        assert analyse(server, Sec_Fetch_Site=site) == 403
    assert analyse(server, Origin=server.origin, Sec_Fetch_Site="same-origin") == 200
    # A link to the page may stand anywhere.
    assert server.ask("GET", "/", Sec_Fetch_Site="cross-site", Authorization=None)[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/static/main.js", 200),
        ("GET", "/static/../app.py", 404),
        ("GET", "/static/%2e%2e/app.py", 404),
        ("GET", "/nothing", 404),
        ("GET", "/api/start", 200),
        ("POST", "/api/start", 405),
        ("GET", "/api/analysis", 405),
        ("GET", "/api/nothing", 404),
    ],
)
def test_every_answer_has_the_headers(server, method, path, status):
    found, headers, body = server.ask(method, path)
    assert found == status, body
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers
    assert "access-control-allow-origin" not in headers


def test_questions_that_are_none(server):
    for body in (b"", b"{", b"[]", b'{"text": 1}', b"\xff", b"[" * 100_000, QUESTION[:-1]):
        assert server.ask("POST", "/api/analysis", body)[0] == 400
    assert server.ask("POST", "/api/analysis", b" " * (LONGEST_TEXT + 1))[0] == 413
    # True is a number in Python, but not here.
    wrong = json.dumps({"capture": "x", "text": "", "link_type": "1", "savefile": 1}).encode()
    assert server.ask("POST", "/api/packets", wrong)[0] == 400


def test_what_is_no_unicode(server):
    text = "tcp \ud800 port"
    answer = server.asked("analysis", text=text, link_type="EN10MB", savefile=False)
    assert answer["remarks"][0]["kind"] == "error"
    for link_type in ("nothing", "", "\0", "9" * 30):
        found = server.asked("analysis", text="ip", link_type=link_type, savefile=False)
        assert "link type" in found["remarks"][0]["message"]


def test_captures_are_kept_for_a_while(server):
    data = (PCAPS / "ethernet.pcap").read_bytes()
    names = []
    for _ in range(KEPT + 1):
        status, _, body = server.ask("POST", "/api/captures", data)
        assert status == 200
        names.append(json.loads(body)["capture"])
    assert json.loads(body)["packets"] == 22
    question = {"text": "ip", "link_type": "EN10MB", "savefile": True}
    assert server.asked("packets", capture=names[-1], **question)["packets"] == 22
    gone = json.dumps({"capture": names[0], **question}).encode()
    assert server.ask("POST", "/api/packets", gone)[0] == 404
    for name in ("../../etc/passwd", "", "/etc/passwd"):
        wrong = json.dumps({"capture": name, **question}).encode()
        assert server.ask("POST", "/api/packets", wrong)[0] == 404


def test_a_capture_that_is_too_large(server):
    with socket.create_connection(("127.0.0.1", server.port)) as link:
        link.sendall(
            f"POST /api/captures HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
            f"Authorization: Bearer {server.token}\r\nContent-Length: {LARGEST * 2}\r\n"
            "\r\n".encode()
        )
        piece = bytes(1 << 20)
        try:
            for _ in range((LARGEST >> 20) + 1):
                link.sendall(piece)
        except OSError:
            pass  # it has seen enough
        assert b" 413 " in link.recv(100)


@pytest.fixture
def hears_hangups():
    """Have servers hear SIGHUP also where these tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hears_hangups")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_captures_go_with_the_server(number, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with serving() as server:
        assert server.ask("POST", "/api/captures", b"no capture")[0] == 200
        (folder,) = tmp_path.glob("pfcompile-*")
        assert folder.stat().st_mode & 0o077 == 0
        assert len(list(folder.iterdir())) == 1
        server.process.send_signal(number)
        assert server.process.wait(60) == 0
    assert not list(tmp_path.glob("pfcompile-*"))


@pytest.mark.usefixtures("hears_hangups")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_capture_that_is_still_read_goes_with_the_server(number, tmp_path):
    command = [sys.executable, "-m", "pfcompile", "serve", "--port", "0", "-r", "-", "ip"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    ) as process:
        wait_until(lambda: any(tmp_path.glob("pfcompile-*/*")))
        process.send_signal(number)
        assert process.wait(60) != 0
    assert not list(tmp_path.glob("pfcompile-*"))


def test_a_port_that_is_taken(server):
    said = refused("serve", "--port", server.port, status=1)
    assert f"cannot listen on port {server.port}" in said
    assert "--port" in said


def test_usage():
    for name in ("x.pcap", PCAPS):
        assert str(name) in refused("serve", "-r", name, "--port", 0, status=1)
    assert "is not in the range" in refused("serve", "--port", 65536)
    assert "link type" in refused("serve", "-y", "nothing", "ip")
    assert "no netmask" in refused("serve", "--port", 0, "-m", "nothing", "ip")
