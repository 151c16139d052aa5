"""Schedulers of dask: one that runs somewhere, or one of our own with processes on this machine."""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any, Final

from pfcompile.errors import MissingExtraError, PfcompileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

PATIENCE: Final = 10
"""Seconds that a scheduler has to answer."""

_SILENT: Final = logging.CRITICAL + 1

_FROM_TERMINAL: Final = {signal.SIGINT, signal.SIGHUP}
_ENDING: Final = (*_FROM_TERMINAL, signal.SIGTERM)
"""Signals that end a command."""


@contextmanager
def connected(address: str | None, client: Any, tasks: int) -> Iterator[Any]:
    """Give a client of a scheduler; what was opened for it is closed in the end.

    Args:
        address: The scheduler's; None, where there is no client either, for processes here.
        client: A `distributed.Client`, given back; or None.
        tasks: More processes than tasks are of no use.

    Raises:
        MissingExtraError: distributed is not installed.
        PfcompileError: The scheduler cannot be reached.
    """
    if client is not None:
        yield client
        return
    try:
        import distributed  # noqa: PLC0415 - loads much
    except ImportError as error:
        raise MissingExtraError("distributed", "dask", "filtering on many machines") from error
    with _silent():
        if address is None:
            with (
                _local_cluster(distributed, tasks) as cluster,
                distributed.Client(cluster, set_as_default=False) as opened,
            ):
                yield opened
            return
        try:
            opened = distributed.Client(address, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError, ImportError) as error:
            raise PfcompileError(f"no dask scheduler answers at {address}: {error}") from error
        with opened:
            yield opened


@contextmanager
def _local_cluster(distributed: Any, tasks: int) -> Iterator[Any]:
    """Give processes of this machine, one a processor, and a scheduler here."""
    from dask.system import CPU_COUNT  # noqa: PLC0415 - loads much

    with ExitStack() as opened:
        with _signals_held():
            try:
                cluster = distributed.LocalCluster(
                    n_workers=min(tasks, CPU_COUNT),
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address="127.0.0.1:0",  # None would be a port that may be taken
                    scheduler_kwargs={"dashboard": False},
                    memory_limit=0,  # tasks take little; a small machine's limit would be too near
                    silence_logs=_SILENT,
                )
            except (OSError, RuntimeError) as error:
                raise PfcompileError(f"no processes can be started: {error}") from error
            opened.enter_context(cluster)
        yield cluster


@contextmanager
def _signals_held() -> Iterator[None]:
    """Put signals that end a command off to the end of the block; they are for this process alone.

    What is started in the block never sees interrupts and hang-ups, which a terminal sends to all
    processes: this one ends the others. A blocked signal stays so in threads and processes that
    are started meanwhile, and in those that such threads start later.
    """
    held: list[tuple[int, FrameType | None]] = []
    handlers = {each: signal.getsignal(each) for each in _ENDING}
    is_main = threading.current_thread() is threading.main_thread()
    changed = [each for each, handler in handlers.items() if is_main and callable(handler)]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _FROM_TERMINAL)
    try:
        for each in changed:
            signal.signal(each, lambda number, frame: held.append((number, frame)))
        resource_tracker.ensure_running()  # this unblocks interrupts
        signal.pthread_sigmask(signal.SIG_BLOCK, _FROM_TERMINAL)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for each in changed:
            signal.signal(each, handlers[each])
    for number, frame in held[-1:]:
        handler = handlers[signal.Signals(number)]
        assert callable(handler)
        handler(number, frame)


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what distributed writes on standard error away: what matters is said in our words."""
    handlers = logging.getLogger("distributed").handlers
    levels = [(each, each.level) for each in handlers]
    for each in handlers:
        each.setLevel(_SILENT)
    try:
        yield
    finally:
        for each, level in levels:
            each.setLevel(level)
