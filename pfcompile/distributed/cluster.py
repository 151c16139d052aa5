"""Schedulers of dask: one that runs somewhere, or one of our own with processes on this machine."""

from __future__ import annotations

import logging
import signal
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any, Final

from pfcompile.errors import MissingExtraError, PfcompileError

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE: Final = 10
"""Seconds that a scheduler has to answer."""

_SILENT: Final = logging.CRITICAL + 1


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


def _local_cluster(distributed: Any, tasks: int) -> Any:
    """Return processes of this machine, one a processor, and a scheduler here."""
    from dask.system import CPU_COUNT  # noqa: PLC0415 - loads much

    # Interrupts are for this process, which then ends the others. A blocked signal stays so in all
    # threads and processes that are started from here, also later ones by threads started now.
    resource_tracker.ensure_running()  # it would unblock
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return distributed.LocalCluster(
            n_workers=min(tasks, CPU_COUNT),
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            memory_limit=0,  # tasks take little, and a small machine's limit would be too near
            silence_logs=_SILENT,
        )
    except (OSError, RuntimeError) as error:
        raise PfcompileError(f"no processes can be started: {error}") from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


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
