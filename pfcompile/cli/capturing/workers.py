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


def run(loops: Sequence[Loop], control: Control) -> None:
    """Run loops until all are over; raises the first error, once the others have ended as well."""
    errors: list[BaseException] = []

    def work(loop: Loop) -> None:
        try:
            loop.run()
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            errors.append(error)
        for other in loops:
            other.stop()

    threads = [threading.Thread(target=work, args=(loop,), daemon=True) for loop in loops]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            control.attend()
            thread.join(_TURN_SECONDS)
    if errors:
        raise errors[0]
