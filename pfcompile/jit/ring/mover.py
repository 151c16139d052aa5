"""A ring's packets moved into a file by native code alone, block after block."""

from __future__ import annotations

import ctypes
import select
import time
from typing import TYPE_CHECKING, Final

from pfcompile.jit.ring.moving import WORDS, module
from pfcompile.jit.scan.machine import Code, function_address
from pfcompile.kernel.blocks import CHUNK, Limits, Moved
from pfcompile.kernel.ring import Block

if TYPE_CHECKING:
    from pfcompile.jit.ring.copier import NativeCopier
    from pfcompile.kernel.blocks import Wait
    from pfcompile.kernel.ring import Blocks

_FUNCTION: Final = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _PollFd(ctypes.Structure):
    """struct pollfd (poll(2))."""

    _fields_ = (
        ("fd", ctypes.c_int),
        ("events", ctypes.c_short),
        ("revents", ctypes.c_short),
    )


class NativeMover:
    """Moves whole blocks; a `kernel.blocks.Mover`.

    It is for one thread at a time; while it works and waits, other threads run.
    """

    def __init__(
        self,
        copier: NativeCopier,
        blocks: Blocks,
        *,
        cached: bool = True,
    ) -> None:
        """Compile, or take what was compiled before.

        Args:
            copier: Makes the records; it has no filter.
            blocks: The ring's.
            cached: Whether compiled code may be taken from the user's cache, and is kept there.

        Raises:
            ImportError: There is no llvmlite; and what else it raises where it cannot serve.
        """
        assert not copier.judges
        self._copier = copier
        self._blocks = blocks
        self._code = Code(module(), "move", cached=cached)
        self._function = _FUNCTION(self._code.address)
        self._state = (ctypes.c_uint64 * len(WORDS))()
        self._polled = (_PollFd * 2)()
        self._set(ring=blocks.address, blocks=blocks.number, **{"block.bytes": blocks.size})
        self._set(**{"copier.state": copier.loop.words, "out.first": copier.loop.out})
        self._set(copier=copier.loop.function, polled=ctypes.addressof(self._polled))
        self._set(write=function_address("write"), poll=function_address("poll"))
        self._set(clock=function_address("clock_gettime"))

    def move(self, number: int, output: int, wait: Wait) -> Moved:
        """Move blocks as they come; see `kernel.blocks.Mover`."""
        for entry, watched in zip(self._polled, (self._blocks.descriptor, wait.wake), strict=True):
            entry.fd, entry.events, entry.revents = watched, select.POLLIN, 0
        until = time.monotonic_ns() + wait.milliseconds * 1_000_000
        self._set(next=number, until=until, descriptor=output)
        self._set(written=0, length=0, sent=0, rest=0)
        loop = self._copier.loop
        loop.limit(Limits(room=CHUNK))
        self._function(ctypes.addressof(self._state))
        after, rest = self._get("next"), None
        records = loop.records(self._get("length"))
        if self._get("rest"):
            rest = Block(after, loop.get("at") - self._blocks.address, loop.get("left"))
        return Moved(
            after, loop.get("taken"), self._get("written"), records, self._get("sent"), rest
        )

    def _set(self, **words: int) -> None:
        for word, number in words.items():
            self._state[WORDS.index(word)] = number

    def _get(self, word: str) -> int:
        return int(self._state[WORDS.index(word)])
