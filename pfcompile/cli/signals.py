"""The signals that commands obey while they run on: all do alike.

SIGINT and SIGTERM end it; SIGUSR1 has the counts said; SIGHUP has the expression's file read again,
or ends it where there is none.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    Handler: TypeAlias = Callable[[int, FrameType | None], None]

_ENDING: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def obeyed(end: Handler, ask: Handler, *, reads_again: bool) -> Iterator[None]:
    """Obey signals while the block runs.

    Args:
        end: Ends the command.
        ask: Is told of SIGUSR1, and of SIGHUP where there is a file.
        reads_again: Whether there is a file.
    """
    handlers: dict[int, Handler] = dict.fromkeys(_ENDING, end)
    handlers[signal.SIGUSR1] = ask
    if reads_again:
        handlers[signal.SIGHUP] = ask
    elif signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # it is not run by nohup
        handlers[signal.SIGHUP] = end
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
