"""Work done in processes of their own, each with a limit of time and memory.

What compiles, proves or reads captures can take as long and as much memory as a hostile input makes
it. A thread cannot be ended; a process can.
"""

from __future__ import annotations

import os
import resource
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

import anyio
import anyio.to_process
from anyio import CapacityLimiter

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

Given = TypeVar("Given")
Answer = TypeVar("Answer")

AT_ONCE: Final = 3
"""How many requests are worked on at the same time; others wait."""

MEMORY: Final = 4 << 30
"""Bytes of address space that a worker may have; z3 and LLVM need a fraction of it."""

GRACE: Final = 0.5
"""Seconds that work goes on for after nobody waits for it any more: while somebody types, that is
so again and again, and it is mostly done sooner than another worker is started."""


class OutOfTimeError(Exception):
    """The work was not done in its time."""


class Workers:
    """What requests share: how many may be worked on at once."""

    def __init__(self) -> None:
        # A worker is started with -m, which puts the current folder first on the module path: a
        # file there that has a standard module's name would be run.
        os.environ["PYTHONSAFEPATH"] = "1"
        self._limiter: CapacityLimiter | None = None

    async def warm(self, work: Callable[[Given], Answer], given: Given) -> None:
        """Have one worker ready that has loaded what `work` needs, before anybody waits for it."""
        with suppress(Exception):  # who asks for it later is told
            await anyio.to_process.run_sync(_limited, work, given, cancellable=True)

    async def run(
        self,
        request: Request,
        seconds: float,
        work: Callable[[Given], Answer],
        given: Given,
    ) -> Answer | None:
        """Return what `work` makes of `given`, in a worker; None if nobody waits for it any more.

        Args:
            request: Who asks; soon after the browser lets go of it, the work ends.
            seconds: How long it may take, the wait for other requests left out.
            work: A function of a module.
            given: What it gets; like its answer, it must be possible to pickle.

        Raises:
            OutOfTimeError: It took longer.
            Exception: What `work` raises.
        """
        if self._limiter is None:
            self._limiter = CapacityLimiter(AT_ONCE)
        answer: Answer | None = None
        raised: Exception | None = None
        async with self._limiter, anyio.create_task_group() as group:

            async def end_when_gone() -> None:
                while (await request.receive())["type"] != "http.disconnect":
                    pass
                await anyio.sleep(GRACE)
                group.cancel_scope.cancel()

            group.start_soon(end_when_gone)
            try:
                with anyio.fail_after(seconds):
                    answer = await anyio.to_process.run_sync(
                        _limited, work, given, cancellable=True, limiter=CapacityLimiter(1)
                    )
            except TimeoutError:
                raised = OutOfTimeError(f"took longer than {seconds:g} seconds")
            except Exception as error:  # noqa: BLE001 - raised again, outside of the group
                raised = error
            group.cancel_scope.cancel()
        if raised is not None:
            raise raised
        return answer


def _limited(work: Callable[[Given], Answer], given: Given) -> Answer:
    """Do it with a limit of memory; Ctrl-C at a terminal is for the server to hear."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    return work(given)
