"""Loops that share the packets of their interfaces, each in a thread and with a file of its own.

Most of a loop's time is native code and system calls, which other threads do not wait for. Of one
flow all packets go to one worker, in order (PACKET_FANOUT_HASH).
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from pfcompile.cli.common import STATUS_INTERRUPTED, leave
from pfcompile.errors import PfcompileError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.cli.capturing.control import Control
    from pfcompile.cli.capturing.loop import Loop

_TURN_SECONDS: Final = 0.05
"""A signal that comes is obeyed so soon."""

_PATIENCE_SECONDS: Final = 2.0
"""So long a loop may take for the records that it is writing, when all is broken off."""


def run(loops: Sequence[Loop], control: Control) -> None:
    """Run loops until all are over; raises the first error, once the others have ended as well.

    What is raised here breaks them off. Where one does not end then, since nobody reads what it
    writes, the process ends: nobody can take a ring away from it.
    """
    errors: list[BaseException] = []

    def work(loop: Loop, over: threading.Event) -> None:
        try:
            loop.run()
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            errors.append(error)
        for other in loops:
            other.stop()
        over.set()

    # Not the threads' join(): interrupted, it takes a thread for ended that is not.
    ends: list[threading.Event] = []
    try:
        for loop in loops:
            over = threading.Event()
            thread = threading.Thread(target=work, args=(loop, over), daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                message = f"no more than {len(ends)} of {len(loops)} workers can be started"
                raise PfcompileError(message) from error
            ends.append(over)
        for over in ends:
            while not over.is_set():
                control.attend()
                over.wait(_TURN_SECONDS)
    except BaseException:
        _break_off(loops, ends)
        if not errors:
            raise
    if errors:
        raise errors[0]


def _break_off(loops: Sequence[Loop], ends: Sequence[threading.Event]) -> None:
    """Let loops end soon; end the process where they do not."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    try:
        for loop in loops:
            loop.break_off()
        for over in ends:
            over.wait(max(0.0, deadline - time.monotonic()))
    finally:
        if not all(over.is_set() for over in ends):
            leave(STATUS_INTERRUPTED)
