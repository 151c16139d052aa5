"""Sets of addresses outside the program: what is in them, and what changes meanwhile."""

from __future__ import annotations

import random
from ipaddress import ip_address, ip_network

import pytest

import pfcompile
from pfcompile.errors import AddressError, KernelError, ProgramError
from pfcompile.kernel.attach import (
    Action,
    Cgroup,
    Direction,
    Prefixes,
    SetRule,
    Side,
    Tc,
    WantedSet,
    Xdp,
    attach,
    attachments,
)
from pfcompile.kernel.attach.prefixes import parse, text_of
from pfcompile.kernel.bpf.links import Link, XdpMode
from pfcompile.kernel.bpf.programs import LoadedProgram
from tests.generator.seed import SEED, rerun
from tests.kernel.attaching import cgroup_folder, eventually
from tests.kernel.namespaces import LEFT, ethernet
from tests.kernel.test_attach import NEVER, SURELY, TO_ITSELF, run_in

PLACES = [Xdp(LEFT, XdpMode.NATIVE), Xdp(LEFT, XdpMode.GENERIC), Tc(LEFT)]
XDP_DROP = 1


def in_kernel(test):
    """Mark a test that attaches filters."""
    for mark in (pytest.mark.bpf, pytest.mark.netns, pytest.mark.usefixtures("with_bpf")):
        test = mark(test)
    return test


def compiled(text, dlt=1):
    return pfcompile.compile(text, link_type=dlt)


def on(cable, *arguments, **more):
    return cable.left.call(attach, *arguments, **more)


def wanted(*texts, name="hosts", side=Side.ANY, is_exception=False, room=None):
    return WantedSet(SetRule(name, side, is_exception), Prefixes.of(texts), room)


def packet(source, destination, tags=()):
    """Return a frame with an IP header and nothing behind it."""
    source, destination = ip_address(source), ip_address(destination)
    if source.version == 4:
        kind, header = 0x0800, b"\x45\0\0\x14" + bytes(8)
    else:
        kind, header = 0x86DD, b"\x60" + bytes(7)
    payload = header + source.packed + destination.packed
    for tag in tags:
        payload, kind = b"\0\x07" + kind.to_bytes(2, "big") + payload, tag
    return ethernet(payload, kind=kind)


@pytest.mark.parametrize("text", ["10.0.0.0/8", "1.2.3.4", "::/0", "2001:db8::1", "0.0.0.0/0"])
def test_prefixes_are_read_and_shown(text):
    assert text_of(*parse(text)) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10.0.0.1/8", "bits set behind the first 8"),
        ("10.0.0.0/33", "a number from 0 to 32"),
        ("2001:db8::/129", "a number from 0 to 128"),
        ("10.0.0.0/", "a number from 0"),
        ("10.0.0.0/-1", "a number from 0"),
        ("10.0.0.0/+8", "a number from 0"),
        ("10.0.0.0/\N{SUPERSCRIPT TWO}", "a number from 0"),
        ("10.0.0", "no address or network"),
        ("", "no address or network"),
        ("example.com", "no address or network"),
        ("fe80::1%eth0", "no address or network"),
        ("10.0.0.1\0", "no address or network"),
    ],
)
def test_what_is_no_prefix(text, said):
    with pytest.raises(AddressError, match=said):
        parse(text)


def test_a_whole_prefix_is_a_host():
    assert parse("1.2.3.4/32") == parse("1.2.3.4")
    assert parse("::1/128") == parse("::1")


def test_files(tmp_path):
    file = tmp_path / "hosts"
    file.write_text("# who\n10.0.0.0/8\n\n  192.0.2.1  # one\n2001:db8::/32\r\n::1\n10.0.0.0/8\n")
    read = Prefixes.read(file)
    assert [read.count(*place) for place in read.keys] == [1, 1, 2, 1]
    assert len(read) == 5
    file.write_text("10.0.0.0/8\nnonsense\n")
    with pytest.raises(AddressError, match=r"hosts, line 2: 'nonsense' is no address"):
        Prefixes.read(file)
    file.write_bytes(b"\xef\xbb\xbf10.0.0.1\r\n")
    assert Prefixes.read(file).count("hosts", 4) == 1
    file.write_bytes(b"")
    assert len(Prefixes.read(file)) == 0
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(AddressError, match=r"cannot read addresses from .*: it is no text"):
        Prefixes.read(file)
    with pytest.raises(AddressError, match=r"nowhere: No such file or directory$"):
        Prefixes.read(tmp_path / "nowhere")


def program_of(session):
    """Return the program of an attachment, to be run on packets of our own."""
    number = session.description().maps["pf_description"]
    (found,) = [each for each in attachments() if each.id == number]
    with Link.by_id(found.holder) as link:
        return LoadedProgram.by_id(link.info().program_id)


def random_address(random_, version):
    if version == 4:
        return ip_address(f"10.0.{random_.randrange(4)}.{random_.randrange(8)}")
    words = [random_.choice((0, 1, 0x8000, 0xFFFF)) for _ in range(3)]
    return ip_address(f"2001:db8:{words[0]:x}::{words[1]:x}:{words[2]:x}")


def random_prefixes(random_):
    found = []
    for _ in range(random_.choice((0, 3, 12))):
        address = random_address(random_, random_.choice((4, 6)))
        bits = address.max_prefixlen
        length = random_.choice((bits, bits, bits - 1, bits - 3, bits - 9, 0))
        found.append(ip_network((address, length), strict=False))
    return found


def holds(rule, prefixes, source, destination):
    sides = {Side.ANY: (source, destination), Side.SOURCE: (source,)}
    addresses = sides.get(rule.side, (destination,))
    is_in = any(a in p for a in addresses for p in prefixes if a.version == p.version)
    return is_in != rule.is_exception


@in_kernel
@pytest.mark.parametrize("number", range(6))
def test_as_python_says(cable, number):
    """Random sets and packets; the standard library says what is in which."""
    print(rerun("tests/kernel/test_attach_sets.py"))
    random_ = random.Random(f"{SEED} sets {number}")
    rules = [
        SetRule(f"set{n}", random_.choice(list(Side)), random_.random() < 0.4) for n in range(2)
    ]
    prefixes = [random_prefixes(random_) for _ in rules]
    sets = [
        WantedSet(rule, Prefixes.of(map(str, each)))
        for rule, each in zip(rules, prefixes, strict=True)
    ]
    with (
        on(cable, Xdp(LEFT), compiled("not port 1"), Action.DROP, sets=sets) as session,
        program_of(session) as program,
    ):
        for rule, each in zip(rules, prefixes, strict=True):
            assert {ip_network(text) for text in session.sets[rule.name]} == set(each)
        for _ in range(300):
            version = random_.choice((4, 6))
            pair_ = random_address(random_, version), random_address(random_, version)
            tags = random_.choices((0x8100, 0x88A8, 0x9100), k=random_.randrange(3))
            frame = packet(*pair_, tags)
            expected = all(
                holds(rule, each, *pair_) for rule, each in zip(rules, prefixes, strict=True)
            )
            got = program.test_run(frame).verdict == XDP_DROP
            assert got == expected, (rules, prefixes, pair_, tags)
        only_exceptions = all(rule.is_exception for rule in rules)
        others = [
            ethernet(bytes(50), kind=0x0806),
            packet("10.0.0.1", "10.0.0.1", (0x8100,) * 3),
            packet("10.0.0.1", "10.0.0.1")[:33],
            packet("::1", "::1")[:53],
            ethernet(b"", kind=0x8100),
        ]
        for frame in others:
            assert (program.test_run(frame).verdict == XDP_DROP) == only_exceptions


@in_kernel
@pytest.mark.parametrize("place", PLACES, ids=str)
def test_changes_hold_for_the_next_packet(cable, raw, place):
    with on(cable, place, compiled(""), Action.DROP, sets=[wanted()]) as session:
        hosts = session.sets["hosts"]
        count = 0

        def is_dropped(frame):
            nonlocal count
            before = session.counters().matched_packets
            raw.send(frame)
            count += 1
            assert eventually(lambda: session.counters().seen_packets == count)
            return session.counters().matched_packets == before + 1

        cases = [
            ("192.0.2.1", packet("192.0.2.1", "10.9.0.1")),
            ("192.0.2.0/24", packet("10.9.0.2", "192.0.2.77")),
            ("2001:db8::1", packet("2001:db8::1", "::1")),
            ("2001:db8::/32", packet("::1", "2001:db8::ffff")),
        ]
        for text, frame in cases:
            for _ in range(5):
                assert not is_dropped(frame)
                hosts.add(text)
                assert is_dropped(frame)
                assert text in hosts
                assert list(hosts) == [text]
                assert hosts.discard(text)
                assert not hosts.discard(text)
                assert text not in hosts
        hosts.add("192.0.2.0/24")
        hosts.add("192.0.2.0/25")
        session.replace(compiled("ip"))
        assert is_dropped(cases[1][1])
        assert hosts.discard("192.0.2.0/25")
        assert is_dropped(cases[1][1])
        assert "192.0.2.1" in hosts
        assert "192.0.0.0/16" not in hosts
        assert "192.0.2.128/25" in hosts
        assert hosts.difference_update(Prefixes.of(["192.0.2.0/24", "1.1.1.1"])) == 1
        assert not is_dropped(cases[1][1])
        assert len(hosts) == 0


@in_kernel
def test_a_cgroup_has_sets_too(cable):
    with cgroup_folder() as folder:
        place = Cgroup(str(folder), Direction.EGRESS)
        sets = [wanted("127.0.0.0/8")]
        with cable.left.call(attach, place, compiled("udp", 12), Action.DROP, sets=sets) as session:
            run_in(folder, TO_ITSELF, NEVER)
            assert session.counters().matched_packets == 7
            session.sets["hosts"].discard("127.0.0.0/8")
            assert run_in(folder, TO_ITSELF, SURELY) == "hello " * 6 + "hello"


@in_kernel
def test_many_prefixes_in_one_go(cable, raw):
    """The million is measured in benchmarks/attach.py."""
    prefixes = Prefixes()
    count = 50_000
    nets = bytearray()
    for number in range(count):
        nets += (24).to_bytes(4, "little") + (number << 8).to_bytes(4, "big")
    prefixes.keys["nets", 4].extend(nets)
    prefixes.keys["hosts", 4].extend(
        b"".join(n.to_bytes(4, "big") for n in range(1 << 31, (1 << 31) + count))
    )
    sets = [WantedSet(SetRule("many", Side.SOURCE), prefixes)]
    with on(cable, Xdp(LEFT), compiled(""), Action.DROP, sets=sets) as session:
        assert len(session.sets["many"]) == 2 * count
        for source in ("0.0.0.1", "0.195.79.255", "128.0.0.0", "128.0.195.79"):
            raw.send(packet(source, "10.9.0.1"))
        for source in ("0.195.80.0", "128.0.195.80", "127.255.255.255"):
            raw.send(packet(source, "10.9.0.1"))
        assert eventually(lambda: session.counters().seen_packets == 7)
        assert session.counters().matched_packets == 4
        assert session.sets["many"].difference_update(prefixes) == 2 * count
        assert len(session.sets["many"]) == 0


@in_kernel
def test_what_cannot_be(cable):
    with pytest.raises(ProgramError, match="two sets are called 'hosts'"):
        on(cable, Xdp(LEFT), compiled(""), sets=[wanted(), wanted()])
    with pytest.raises(KernelError, match=r"after 2 others.*full"):
        on(cable, Xdp(LEFT), compiled(""), sets=[wanted("1.1.1.1", "2.2.2.2", "3.3.3.3", room=2)])
    with on(cable, Xdp(LEFT), compiled(""), sets=[wanted("1.1.1.1", room=1)]) as session:
        with pytest.raises(KernelError, match="full"):
            session.sets["hosts"].add("2.2.2.2")
        session.sets["hosts"].add("1.1.1.1")
        with pytest.raises(AddressError):
            session.sets["hosts"].add("x")
