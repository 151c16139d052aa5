"""Two network namespaces joined by a veth pair, which nothing can leave behind.

A namespace is made by a thread and lives as long as the file descriptor that this process holds:
no name in /run/netns, no process that would have to be ended. When the test run ends, however it
ends, the kernel closes the descriptors, and namespaces and interfaces are gone.

Code runs in a namespace in a thread that has joined it; the sockets and processes that it makes
stay there.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
import subprocess
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

P = ParamSpec("P")
T = TypeVar("T")

CLONE_NEWNET = 0x40000000
PR_CAPBSET_DROP = 24
CAP_NET_RAW = 13
LEFT, RIGHT = "left0", "right0"
LEFT_MAC, RIGHT_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
LEFT_IP, RIGHT_IP = "10.9.0.1", "10.9.0.2"

_libc = ctypes.CDLL(None, use_errno=True)


def _in_thread(action: Callable[[], T]) -> T:
    """Run `action` in a thread of its own, and hand on what it returns or raises."""
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            results.append(action())
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _call(function: str, *arguments: int) -> None:
    # os.unshare() and os.setns() came with Python 3.12.
    if getattr(_libc, function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), function)


class Namespace:
    """One network namespace, with its loopback interface up."""

    def __init__(self) -> None:
        def make() -> int:
            _call("unshare", CLONE_NEWNET)
            return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

        self.fd = _in_thread(make)

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` inside: what sockets and processes it makes are there."""

        def inside() -> T:
            _call("setns", self.fd, CLONE_NEWNET)
            return function(*args, **kwargs)

        return _in_thread(inside)

    def start(self, command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a process inside that is killed when this thread ends, even by `kill -9`.

        Without that a command that waits for a signal would stay, and the namespace with it. The
        kernel watches the thread that has started it, so that `call` would not do.
        """
        inside = ["nsenter", f"--net=/proc/{os.getpid()}/fd/{self.fd}"]
        return subprocess.Popen([*inside, "setpriv", "--pdeathsig", "KILL", *command], **options)

    def close(self) -> None:
        os.close(self.fd)


@dataclass(frozen=True)
class Pair:
    """Namespace `left` with interface left0, namespace `right` with right0, a cable between."""

    left: Namespace
    right: Namespace

    def down(self, *, remove: bool = False) -> None:
        """Switch left0 off, or take both ends away."""

        def change() -> None:
            from pyroute2 import IPRoute  # noqa: PLC0415 - an extra

            with IPRoute() as route:
                (index,) = route.link_lookup(ifname=LEFT)
                if remove:
                    route.link("del", index=index)
                else:
                    route.link("set", index=index, state="down")

        self.left.call(change)


def _cable(left: Namespace, right: Namespace) -> None:
    from pyroute2 import IPRoute  # noqa: PLC0415 - an extra

    def make() -> None:
        quiet()
        with IPRoute() as route:
            route.link(
                "add",
                ifname=LEFT,
                kind="veth",
                address=LEFT_MAC,
                peer={"ifname": RIGHT, "address": RIGHT_MAC, "net_ns_fd": right.fd},
            )

    def up(name: str, address: str, neighbour: str, neighbour_mac: str) -> None:
        quiet()
        with IPRoute() as route:
            (index,) = route.link_lookup(ifname=name)
            (loopback,) = route.link_lookup(ifname="lo")
            route.link("set", index=loopback, state="up")
            route.link("set", index=index, state="up")
            route.addr("add", index=index, address=address, prefixlen=24)
            # No ARP, so that only what a test sends is on the cable.
            route.neigh(
                "add", dst=neighbour, lladdr=neighbour_mac, ifindex=index, state="permanent"
            )

    left.call(make)
    left.call(up, LEFT, LEFT_IP, RIGHT_IP, RIGHT_MAC)
    right.call(up, RIGHT, RIGHT_IP, LEFT_IP, LEFT_MAC)


def quiet() -> None:
    """Switch IPv6, which sends packets of its own, off for interfaces to come."""
    with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
        for kind in ("all", "default"):
            path = f"/proc/sys/net/ipv6/conf/{kind}/disable_ipv6"
            with open(path, "w", encoding="ascii") as file:  # noqa: PTH123
                file.write("1")


def reason_to_skip() -> str | None:
    """Return why namespaces cannot be made here, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    try:
        import pyroute2  # noqa: F401, PLC0415 - an extra
    except ImportError:
        return "pyroute2 is not installed"
    try:
        Namespace().close()
    except OSError as error:
        return f"network namespaces cannot be made: {error}"
    return None


@contextlib.contextmanager
def pair() -> Iterator[Pair]:
    """Make a pair, or skip the test, saying why."""
    reason = reason_to_skip()
    if reason is not None:
        pytest.skip(reason)
    left, right = Namespace(), Namespace()
    try:
        _cable(left, right)
        yield Pair(left, right)
    finally:
        left.close()
        right.close()


def ethernet(payload: bytes, *, kind: int = 0x0800, vlan: int | None = None) -> bytes:
    """Return a frame from right0 to left0."""
    tag = b"" if vlan is None else struct.pack("!HH", 0x8100, vlan)
    macs = bytes.fromhex((LEFT_MAC + RIGHT_MAC).replace(":", ""))
    return macs + tag + struct.pack("!H", kind) + payload


def udp(port: int, payload: bytes, *, vlan: int | None = None) -> bytes:
    """Return a UDP datagram from right0 to left0 in a frame, checksums left out (0)."""
    datagram = struct.pack("!4H", 40000, port, 8 + len(payload), 0) + payload
    addresses = bytes(int(part) for part in f"{RIGHT_IP}.{LEFT_IP}".split("."))
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(datagram), 1, 0, 64, 17, 0) + addresses
    return ethernet(header + datagram, vlan=vlan)


@contextlib.contextmanager
def raw_sender(cable: Pair) -> Iterator[socket.socket]:
    """Open a socket that puts frames on the cable at right0."""
    with cable.right.call(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        cable.right.call(sock.bind, (RIGHT, 0))
        yield sock


@contextlib.contextmanager
def flood(sock: socket.socket, *frames: bytes) -> Iterator[None]:
    """Send `frames` over and over while the block runs."""
    running = threading.Event()
    running.set()

    def send() -> None:
        while running.is_set():
            for frame in frames:
                sock.send(frame)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        running.clear()
        thread.join()


def run_unprivileged(
    namespace: Namespace, command: list[str], **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a process in a namespace that lacks CAP_NET_RAW.

    Another user would lack it too, but might not be able to read this installation of Python. The
    capability is taken out of the bounding set of the thread, which the process inherits.
    """

    def inside() -> subprocess.CompletedProcess[str]:
        _call("prctl", PR_CAPBSET_DROP, CAP_NET_RAW, 0, 0, 0)
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=20, **options
        )

    return namespace.call(inside)
