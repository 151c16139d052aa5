"""Loops that share the packets of their interfaces, each in a thread and with a file of its own.

Most of a loop's time is native code and system calls, which other threads do not wait for. Of one
flow all packets go to one worker, in order (PACKET_FANOUT_HASH).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

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

    Raises:
        KeyboardInterrupt: Soon, and even while a loop still waits for somebody to read.
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
    ends = [threading.Event() for _ in loops]
    for loop, over in zip(loops, ends, strict=True):
        threading.Thread(target=work, args=(loop, over), daemon=True).start()
    try:
        for over in ends:
            while not over.is_set():
                control.attend()
                over.wait(_TURN_SECONDS)
    except KeyboardInterrupt:
        for loop in loops:
            loop.break_off()
        for over in ends:
            over.wait(_PATIENCE_SECONDS)
        raise
    except Exception:  # such as that nobody reads what is said
        for loop in loops:
            loop.stop()
        for over in ends:
            over.wait()
        raise
    if errors:
        raise errors[0]
