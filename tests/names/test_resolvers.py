"""The resolvers, with files of their own and against libpcap."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from oracles.libpcap import Refused

from pfcompile.names.answers import (
    Host,
    LookupRefused,
    Resolver,
    Service,
    interpret_service,
)
from pfcompile.names.resolvers import NoNames, StaticResolver, SystemResolver

RAW = 12

ODD_NAMES = [
    "",
    "\0",
    "a\0b",
    "a..b",
    "." * 300,
    "x" * 70,
    "y" * 70_000,
    "\udc80",
    "\ud800",
    "\u0444",
    "%s",
    "a b",
]


@pytest.fixture
def networks(tmp_path):
    path = tmp_path / "networks"
    path.write_text(
        "# networks\n"
        "loop 127 LoopAlias # the old way\n"
        "ten 10.1\n"
        "mixed 010.0x10.3.4 al\n"
        "zero 0\n"
        "long 1.2.3.4.5\n"
        "big 300.1\n"
        "octal 09.1\n"
        "letters x.y\n"
        "empty 10..1\n"
        "lonely\n"
        "\n"
        "twice 10.2\n"
        "twice 10.3\n"
        "full 192.0.2.255"
    )
    return path


@pytest.fixture
def ethers(tmp_path):
    path = tmp_path / "ethers"
    path.write_bytes(
        b"0:1:2:3:4:AB  Foo bar\n"
        b"# comment\n"
        b"00:11:22:33:44:55\tbaz # comment\n"
        b"00:11:22:33:44:66 baz\n"
        b"00:11:22:33:44 short\n"
        b"00-11-22-33-44-55 dashes\n"
        b"00:11:22:33:44:555 long\n"
        b"\xff\xfe:1 latin\n"
        b"ff:ff:ff:ff:ff:ff all\n"
    )
    return path


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("loop", 0x7F000000),
        ("LOOP", 0x7F000000),
        ("loopalias", 0x7F000000),
        ("ten", 0x0A010000),
        ("mixed", 0x08100304),
        ("al", 0x08100304),
        ("twice", 0x0A020000),
        ("full", 0xC00002FF),
        ("zero", None),
        ("long", None),
        ("big", None),
        ("octal", None),
        ("letters", None),
        ("empty", None),
        ("lonely", None),
        ("10.1", None),
        ("old", None),
        ("", None),
    ],
)
def test_networks(networks, name, number):
    assert SystemResolver(networks=networks).network(name) == number


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("Foo", 0x0001020304AB),
        ("foo", 0x0001020304AB),
        ("baz", 0x001122334455),
        ("all", 0xFFFFFFFFFFFF),
        ("bar", None),
        ("short", None),
        ("dashes", None),
        ("long", None),
        ("latin", None),
        ("comment", None),
        ("", None),
    ],
)
def test_ethers(ethers, name, address):
    assert SystemResolver(ethers=ethers).ethernet(name) == address


def test_files_that_cannot_be_read(tmp_path):
    for path in (tmp_path / "missing", tmp_path):
        resolver = SystemResolver(networks=path, ethers=path)
        assert resolver.network("loopback") is None
        assert resolver.ethernet("loopback") is None


def answers(*addresses):
    """Return a stand-in for getaddrinfo() that gives these, in this order."""

    def getaddrinfo(host, port, **options):
        assert isinstance(host, bytes)
        assert port is None
        assert options == {"type": socket.SOCK_STREAM, "proto": socket.IPPROTO_TCP}
        return [
            (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, 0))
            for family, address in addresses
        ]

    return getaddrinfo


def test_hosts_are_sorted_by_number(monkeypatch):
    found = answers(
        (socket.AF_INET6, "2001:db8::10"),
        (socket.AF_INET, "10.0.0.1"),
        (socket.AF_INET, "9.0.0.1"),
        (socket.AF_INET6, "fe80::1%lo"),
        (socket.AF_INET6, "2001:db8::9"),
        (socket.AF_INET, "10.0.0.1"),
    )
    monkeypatch.setattr(socket, "getaddrinfo", found)
    expected = Host.of(["9.0.0.1", "10.0.0.1", "2001:db8::9", "2001:db8::10", "fe80::1"])
    assert SystemResolver().host("www") == expected
    assert list(expected.ipv4) == sorted(expected.ipv4)
    assert (len(expected.ipv4), len(expected.ipv6)) == (2, 3)


def test_hosts_that_are_not_found(monkeypatch):
    def getaddrinfo(host, port, **options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert SystemResolver().host("www") is None
    monkeypatch.setattr(socket, "getaddrinfo", answers())
    assert SystemResolver().host("www") is None


def test_numeric_hosts_need_no_database():
    assert SystemResolver().host("192.0.2.7") == Host.of(["192.0.2.7"])
    assert SystemResolver().host("2001:db8::7") == Host.of(["2001:db8::7"])


def test_a_slow_look_up_is_made_known(monkeypatch):
    told = threading.Event()
    names = []

    def on_slow(name):
        names.append(name)
        told.set()

    def getaddrinfo(host, port, **options):
        assert told.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert SystemResolver(on_slow=on_slow, patience=0.01).host("slow") is None
    assert names == ["slow"]


def test_a_quick_look_up_is_not(monkeypatch):
    names = []
    monkeypatch.setattr(socket, "getaddrinfo", answers((socket.AF_INET, "192.0.2.1")))
    before = threading.active_count()
    assert SystemResolver(on_slow=names.append, patience=600).host("quick") is not None
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(10)
    assert names == []
    assert threading.active_count() <= before


def without(found):
    """Return a stand-in for a database of the system: what `found` has, else "not found"."""

    def look_up(*key):
        try:
            return found[key]
        except KeyError:
            raise OSError("service/proto not found") from None

    return look_up


def test_services_come_from_the_system_first(monkeypatch):
    entries = {("http", "tcp"): 8080, ("mine", "sctp"): 7, ("9", "tcp"): 10}
    monkeypatch.setattr(socket, "getservbyname", without(entries))
    resolver = SystemResolver()
    assert resolver.service("http") == Service(tcp=8080)
    assert resolver.service("mine") == Service(sctp=7)
    assert resolver.service("domain") == Service(tcp=53, udp=53)
    assert resolver.service("ng-control") == Service(sctp=38412)
    assert resolver.service("no-such") is None
    assert resolver.service("9") == Service(9, 9, 9)


def test_an_entry_is_never_mixed_with_ours(monkeypatch):
    monkeypatch.setattr(socket, "getservbyname", without({("domain", "udp"): 53}))
    assert SystemResolver().service("domain") == Service(udp=53)


def test_protocols_come_from_the_system_first(monkeypatch):
    monkeypatch.setattr(socket, "getprotobyname", without({("ospf",): 200, ("mptcp",): 262}))
    resolver = SystemResolver()
    assert resolver.protocol("ospf") == 200
    assert resolver.protocol("mptcp") == 262
    assert resolver.protocol("gre") == 47
    assert resolver.protocol("no-such") is None


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_odd_names_are_unknown_and_nothing_worse(name):
    resolver = SystemResolver()
    for look_up in (
        resolver.network,
        resolver.service,
        resolver.protocol,
        resolver.ethernet,
    ):
        assert look_up(name) is None


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_odd_hosts_are_unknown_and_nothing_worse(name, monkeypatch):
    # What reaches the system is only noted: a test asks no name server.
    asked = []

    def getaddrinfo(host, port, **options):
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert SystemResolver().host(name) is None
    assert all(isinstance(host, bytes) and host and b"\0" not in host for host in asked)


def test_no_names():
    resolver: Resolver = NoNames()
    assert resolver.service("http") == Service(tcp=80)
    assert resolver.service("80") == Service(80, 80, 80)
    assert resolver.protocol("ospf") == 89
    for look_up, kind in (
        (resolver.host, "host"),
        (resolver.network, "network"),
        (resolver.ethernet, "ethernet address"),
        (resolver.service, "service"),
        (resolver.protocol, "protocol"),
    ):
        with pytest.raises(LookupRefused, match=f"{kind} 'no-such' was not looked up"):
            look_up("no-such")


def test_no_names_asks_nobody(monkeypatch):
    for function in ("getaddrinfo", "getservbyname", "getprotobyname"):
        monkeypatch.delattr(socket, function)
    test_no_names()
    resolver = StaticResolver()
    assert resolver.service("domain") == Service(tcp=53, udp=53)
    assert resolver.host("www") is None


def test_static():
    resolver: Resolver = StaticResolver(
        hosts={"www": Host.of(["192.0.2.1"]), "nowhere": Host()},
        networks={"lan": 0x0A000000, "zero": 0},
        services={"http": Service(tcp=8080), "80": Service(tcp=1)},
        protocols={"gre": 99},
        ethers={"www": 0x020000000001},
    )
    assert resolver.host("www") == Host(ipv4=(0xC0000201,))
    assert resolver.network("lan") == 0x0A000000
    assert resolver.service("http") == Service(tcp=8080)
    assert resolver.service("ssh") == Service(tcp=22)
    assert resolver.service("80") == Service(80, 80, 80)
    assert resolver.protocol("gre") == 99
    assert resolver.protocol("ospf") == 89
    assert resolver.ethernet("www") == 0x020000000001
    unknown = [resolver.host("WWW"), resolver.host("nowhere"), resolver.network("zero")]
    unknown += [resolver.network("x"), resolver.service("x"), resolver.protocol("x")]
    assert [*unknown, resolver.ethernet("x")] == [None] * 7


def verdict(libpcap, text):
    """Return libpcap's program, or None where it refuses."""
    try:
        return libpcap.compile(text, RAW, optimize=False)
    except Refused:
        return None


def check_port(libpcap, name):
    """Hold `port NAME` as we understand it to libpcap's understanding of it."""
    named = verdict(libpcap, f"port \\{name}")
    meaning = interpret_service(SystemResolver().service(name))
    if named is None:
        # Either nobody knows it, or only the table that is shipped does.
        for protocol in ("tcp", "udp"):
            with pytest.raises(OSError, match="not found"):
                socket.getservbyname(name, protocol)
        return False
    assert meaning is not None, name
    protocol = "" if meaning.protocol is None else f"{meaning.protocol} "
    assert named == verdict(libpcap, f"{protocol}port {meaning.port}"), name
    return True


def test_ports_mean_what_they_mean_to_libpcap(libpcap):
    path = Path("/etc/services")
    if not path.exists():
        pytest.skip("this system has no /etc/services to compare with")
    lines = (line.partition("#")[0].split() for line in path.read_text().splitlines())
    names = {name for words in lines if len(words) > 1 for name in (words[0], *words[2:])}
    assert sum(check_port(libpcap, name) for name in sorted(names)[:400]) > len(names) // 2


@pytest.mark.parametrize("word", ["80", "0080", "65535", "65536", "65616", "2147483648", "80x"])
def test_ports_in_digits_mean_what_they_mean_to_libpcap(libpcap, word):
    assert check_port(libpcap, word) == (word not in {"2147483648", "80x"})


def test_networks_mean_what_they_mean_to_libpcap(libpcap):
    known = 0
    for name in ("loopback", "LOOPBACK", "link-local", "default", "no-such-network"):
        number = SystemResolver().network(name)
        named = verdict(libpcap, f"net {name}")
        assert (named is None) == (number is None), name
        if number is not None:
            known += 1
            dotted = socket.inet_ntoa(number.to_bytes(4, "big"))
            assert named == verdict(libpcap, f"net {dotted}/32"), name
    if not known:
        pytest.skip("this system has no networks to compare with")


# Run where /etc/services, /etc/networks and /etc/hosts are files of this test's own.
_IN_OTHER_ETC = """
import sys
sys.path[:0] = {paths!r}
from oracles.libpcap import Libpcap, Refused
from pfcompile.names.answers import interpret_service
from pfcompile.names.resolvers import SystemResolver
resolver = SystemResolver()
with Libpcap() as libpcap:
    def compiled(text):
        try:
            return libpcap.compile(text, 12, optimize=False)
        except Refused:
            return None
    for name in "differ sctponly onlyudp three Upper upper ali onlytcp".split():
        named, meaning = compiled("port " + name), interpret_service(resolver.service(name))
        spelled = meaning and compiled(f"{{meaning.protocol or ''}} port {{meaning.port}}")
        assert named == spelled, name
        print(name, *(meaning or ["unknown"]))
    for name in "loop LOOPALIAS mixed zero twice".split():
        named, number = compiled("net " + name), resolver.network(name)
        dotted = number and ".".join(map(str, number.to_bytes(4, "big"))) + "/32"
        assert named == (number and compiled("net " + dotted)), name
        print(name, dotted)
    host = resolver.host("many")
    texts = [".".join(map(str, one.to_bytes(4, "big"))) for one in host.ipv4]
    tested = [one.k for one in libpcap.compile("ip dst host many", 12, optimize=False)]
    assert set(host.ipv4) <= set(tested)
    print("many", *texts, *(hex(one) for one in host.ipv6))
"""


def test_with_databases_of_our_own(libpcap, tmp_path, networks):
    files = {
        "services": "differ 100/tcp\ndiffer 200/udp\nsctponly 300/sctp\nonlyudp 400/udp\n"
        "three 500/tcp\nthree 500/udp\nthree 501/sctp\nUpper 600/tcp ali\nonlytcp 700/tcp\n",
        "networks": networks.read_text(),
        "hosts": "10.0.0.2 many\n9.0.0.1 many\n2001:db8::1 many\n10.0.0.1 many\n",
    }
    if not all(Path("/etc", name).exists() for name in files):
        pytest.skip("a file of /etc to put another in place of is missing")
    steps = ["set -e"]
    for name, text in files.items():
        tmp_path.joinpath(name).write_text(text)
        steps.append(f"mount --bind '{tmp_path / name}' /etc/{name}")
    root = Path(__file__).resolve().parents[2]
    program = tmp_path / "inside.py"
    program.write_text(_IN_OTHER_ETC.format(paths=[str(root), str(root / "tests")]))
    try:
        possible = subprocess.run(
            ["unshare", "--mount", "sh", "-c", "; ".join(steps)], capture_output=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("there is no unshare(1)")
    if possible.returncode:
        pytest.skip("needs root: " + possible.stderr.decode().strip())
    script = "; ".join([*steps, f"exec '{sys.executable}' '{program}'"])
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "differ 100 tcp",
        "sctponly unknown",
        "onlyudp 400 udp",
        "three 500 None",
        "Upper 600 tcp",
        "upper unknown",
        "ali 600 tcp",
        "onlytcp 700 tcp",
        "loop 127.0.0.0/32",
        "LOOPALIAS 127.0.0.0/32",
        "mixed 8.16.3.4/32",
        "zero None",
        "twice 10.2.0.0/32",
        "many 9.0.0.1 10.0.0.1 10.0.0.2 0x20010db8000000000000000000000001",
    ]
