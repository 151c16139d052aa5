"""A cluster of processes, for the tests of this folder."""

from __future__ import annotations

import contextlib

import distributed

from pfcompile.distributed import cluster as clusters

PATIENCE = 60
WORKERS = 2


@contextlib.contextmanager
def processes():
    """Give a client of a cluster of two processes."""
    with (
        distributed.LocalCluster(
            n_workers=WORKERS,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            silence_logs=clusters._SILENT,
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as opened,
    ):
        yield opened
