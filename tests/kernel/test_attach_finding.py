"""Attachments that stay, are found again, replaced and taken off by others."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading

import pytest

import pfcompile
from pfcompile.errors import AttachmentError, KernelError, ProgramError
from pfcompile.kernel.attach import (
    Action,
    Cgroup,
    Prefixes,
    Report,
    SetRule,
    Socket,
    Tc,
    WantedSet,
    Xdp,
    attach,
    attachments,
    find_attachment,
    open_attachment,
)
from pfcompile.kernel.attach.pins import pin_path, pinned
from pfcompile.kernel.bpf.links import XdpMode
from tests.kernel.attaching import (
    cgroup_folder,
    comes,
    drained,
    eventually,
    name_of_run,
    receiver,
)
from tests.kernel.namespaces import LEFT, LEFT_IP
from tests.kernel.test_attach import EXPRESSION, OTHER, PORT, ROOT, mixed

pytestmark = [pytest.mark.bpf, pytest.mark.netns, pytest.mark.usefixtures("with_bpf")]
PLACES = [Xdp(LEFT, XdpMode.GENERIC), Xdp(LEFT, XdpMode.NATIVE), Tc(LEFT)]


@pytest.fixture
def name():
    """Give a name for a pin, and see to it that nothing of that name is left."""
    made = name_of_run("test")
    yield made
    with contextlib.suppress(AttachmentError):
        find_attachment(made).end()
    assert not pin_path(made).exists()


def compiled(text, dlt=1):
    return pfcompile.compile(text, link_type=dlt)


def on(cable, *arguments, **more):
    return cable.left.call(attach, *arguments, **more)


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_pinned_it_stays(cable, sender, name, place):
    sets = [WantedSet(SetRule("hosts"), Prefixes.of(["10.9.0.0/24"]))]
    with receiver(cable, PORT, OTHER) as (matching, rest):
        program = compiled(EXPRESSION)
        with on(cable, place, program, Action.DROP, sets=sets, sources=5) as session:
            path = session.pin(name)
            assert path in pinned()
        sent = mixed(sender, 20)
        assert comes(rest, sent[OTHER])
        assert drained(matching) == []
        found = find_attachment(name)
        assert (found.pin, found.is_attached, found.is_socket) == (path, True, False)
        assert find_attachment(str(found.id)) == found
        assert found.counters()[:3:2] == (40, 20)
        told = found.description
        assert (told.place, told.action, told.expression) == (str(place), "drop", EXPRESSION)
        with open_attachment(name) as again:
            assert [row.packets for row in again.sources()] == [20]
            again.replace(compiled(f"udp dst port {OTHER}"), Action.PASS)
            sent = mixed(sender, 10)
            assert comes(rest, sent[OTHER])
            again.sets["hosts"].discard("10.9.0.0/24")
            mixed(sender, 10)
            assert eventually(lambda: again.counters().seen_packets == 80)
            assert again.counters().matched_packets == 30
        assert drained(matching) == []
        assert drained(rest) == []
        found.end()
        assert not path.exists()
        sent = mixed(sender, 10)
        assert comes(matching, sent[PORT])
        assert comes(rest, sent[OTHER])
        with pytest.raises(AttachmentError, match=f"no attached filter is called '{name}'"):
            find_attachment(name)
        found.end()


def test_what_another_process_holds_is_found_and_replaced(cable, sender):
    code = (
        "import sys, pfcompile\n"
        "from pfcompile.kernel.attach import Action, Xdp, attach\n"
        f"place = Xdp({LEFT!r})\n"
        f"held = attach(place, pfcompile.compile({EXPRESSION!r}), Action.DROP)\n"
        "print(held.description().maps['pf_description'], flush=True)\n"
        "sys.stdin.readline()\n"
        "print(held.is_attached(), held.counters().seen_packets, flush=True)\n"
        "sys.stdin.readline()\n"
    )
    process = cable.left.start(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        number = process.stdout.readline().strip()
        found = find_attachment(number)
        assert found.pin is None
        assert found.name == number
        assert found.description.process == process.pid
        with receiver(cable, PORT, OTHER) as (matching, rest):
            with found.open() as session:
                session.replace(compiled(f"udp dst port {OTHER}"))
                sent = mixed(sender, 10)
                assert comes(matching, sent[PORT])
                assert drained(rest) == []
            sent = mixed(sender, 10)
            assert comes(matching, sent[PORT])
            find_attachment(number).end()
            sent = mixed(sender, 10)
            assert comes(rest, sent[OTHER])
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "False 40\n"
    finally:
        process.kill()
        process.communicate()


def test_a_socket_and_a_cgroup_are_found(cable, name):
    with receiver(cable, PORT) as (sock,), cgroup_folder() as folder:
        for place in (Socket(sock), Cgroup(str(folder))):
            with attach(place, compiled("udp[8] = 0x78", 12), Action.DROP) as session:
                session.pin(name)
            found = find_attachment(name)
            assert found.description.place == str(place)
            assert found.is_socket == isinstance(place, Socket)
            with found.open() as again:
                again.replace(compiled("udp[8] = 0x79", 12))
                assert again.is_attached()
            find_attachment(name).end()
            with pytest.raises(AttachmentError):
                find_attachment(name)


def test_a_socket_filter_that_is_pinned_stays(cable, sender, name):
    with receiver(cable, PORT) as (sock,):
        with attach(Socket(sock), compiled("udp[8] = 0x78", 12), Action.DROP) as session:
            session.pin(name)
        for text in (b"x", b"y"):
            sender.sendto(text, (LEFT_IP, PORT))
        assert comes(sock, [b"y"])
        find_attachment(name).end()
        sender.sendto(b"x", (LEFT_IP, PORT))
        assert comes(sock, [b"x"])


def test_pins_of_what_has_gone(cable, name):
    with on(cable, Tc(LEFT), compiled("ip")) as session:
        session.pin(name)
    cable.down(remove=True)
    assert eventually(lambda: not find_attachment(name).is_attached)
    found = find_attachment(name)
    with found.open() as session, pytest.raises(KernelError, match="is gone"):
        session.replace(compiled("ip"))
    found.end()
    assert not pin_path(name).exists()


def test_names_that_are_taken_or_cannot_be(cable, name):
    with on(cable, Xdp(LEFT), compiled("ip")) as session:
        session.pin(name)
        with pytest.raises(KernelError, match=r"something is pinned there.*EEXIST"):
            session.pin(name)
        for wrong in ("a.b", "a/b", "", "17"):
            with pytest.raises(ProgramError, match="cannot name a pin"):
                session.pin(wrong)
    find_attachment(name).end()


def test_who_looks_on_does_not_keep_it(cable, sender):
    with receiver(cable, PORT) as (sock,):
        session = on(cable, Tc(LEFT), compiled(EXPRESSION), Action.DROP)
        with find_attachment(str(session.description().maps["pf_description"])).open() as watched:
            assert watched.is_attached()
            session.close()
            assert eventually(lambda: not watched.is_attached())
            sender.sendto(b"x", (LEFT_IP, PORT))
            assert comes(sock, [b"x"])
            with pytest.raises(KernelError, match="ENOENT"):
                watched.replace(compiled("ip"))


def test_a_socket_filter_whose_name_is_taken_goes(cable, sender, name):
    with receiver(cable, PORT) as (sock,), on(cable, Tc(LEFT), compiled("ip")) as session:
        session.pin(name)
        for _ in range(2):  # nothing of the first one is left in the second one's way
            place = Socket(sock)
            with (
                pytest.raises(KernelError, match=r"something is pinned there.*EEXIST"),
                attach(place, compiled("udp[8] = 0x78", place.dlt), Action.DROP) as held,
            ):
                held.pin(name)
        sender.sendto(b"x", (LEFT_IP, PORT))
        assert comes(sock, [b"x"])
    find_attachment(name).end()


def test_reports_of_what_is_pinned_are_read_by_another(cable, sender, name):
    with on(cable, Xdp(LEFT), compiled(EXPRESSION), report=Report(60)) as session:
        session.pin(name)
    mixed(sender, 5)
    with open_attachment(name) as session, session.reports() as reports:
        assert eventually(lambda: session.counters().reported == 5)
        assert [len(packet.data) for packet in reports.read(1)] == [46, 47, 48, 49, 50]


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_replacing_from_outside_loses_no_packet(cable, sender, name, place):
    """A running sender: no packet of other traffic is lost, none that both drop comes through."""
    with receiver(cable, PORT, OTHER, room=1 << 26) as (matching, rest):
        with on(cable, place, compiled(EXPRESSION), Action.DROP) as session:
            session.pin(name)
        stop = threading.Event()
        sent, got = [], []

        def send():
            while not stop.is_set():
                sent.extend(mixed(sender, 10)[OTHER])
                got.extend(drained(rest))

        thread = threading.Thread(target=send)
        thread.start()
        replaced = 0
        while replaced < 20 or len(sent) < 1000:
            with open_attachment(name) as session:
                session.replace(compiled(f"{EXPRESSION} or tcp port {replaced % 7 + 1}"))
            replaced += 1
        stop.set()
        thread.join()
        assert eventually(lambda: got.extend(drained(rest)) or len(got) >= len(sent))
        assert got == sent
        assert drained(matching) == []
        counted = find_attachment(name).counters()
        assert (counted.seen_packets, counted.matched_packets) == (2 * len(sent), len(sent))


def test_everything_is_listed(cable, name):
    with on(cable, Xdp(LEFT), compiled("ip")) as one, on(cable, Tc(LEFT), compiled("ip6")):
        one.pin(name)
        places = [each.description.place for each in attachments()]
        assert f"xdp on {LEFT}" in places
        assert f"tc on {LEFT}, ingress" in places
        numbers = [each.id for each in attachments()]
        assert numbers == sorted(numbers)


def test_it_is_found_while_it_is_replaced(cable):
    with on(cable, Tc(LEFT), compiled("ip")) as session:
        name = str(session.description().maps["pf_description"])
        stop = threading.Event()

        def replace():
            number = 0
            while not stop.is_set():
                number += 1
                session.replace(compiled(f"udp port {number % 100}"))

        thread = threading.Thread(target=replace)
        thread.start()
        try:
            for _ in range(100):
                assert find_attachment(name).is_attached
        finally:
            stop.set()
            thread.join()
