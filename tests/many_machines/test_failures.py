"""Processes that die, schedulers that go, callers that stop: each ends well or is told."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import dask
import distributed
import pytest

from pfcompile.distributed import cluster as clusters
from pfcompile.distributed import filter as filter_distributed
from pfcompile.distributed import running
from pfcompile.errors import MissingExtraError, PfcompileError
from tests.many_machines.agreement import ETHERNET, one_process
from tests.many_machines.clusters import PATIENCE, WORKERS, processes

pytestmark = pytest.mark.filterwarnings("error")


class Killer(threading.Thread):
    """Kills a process that is writing a piece, half-way; keeps what it knows of that."""

    def __init__(self, pids, place):
        super().__init__()
        self.pids = pids
        self.place = place
        self.done = 0
        self.done_then = None
        self.killed = None
        self.half = None
        self.pieces = []
        self.over = threading.Event()

    def progress(self, progress):
        self.done = progress.tasks_done
        if progress.tasks_done == progress.tasks:
            self.pieces = [each.name for each in self.place.glob(".pfcompile-*/*")]

    def run(self):
        while not self.over.is_set():
            for pid in self.pids if self.done >= 2 else ():
                piece = self.piece_of(pid)
                if piece is not None and piece.stat().st_size > 0:
                    os.kill(pid, signal.SIGKILL)
                    self.killed, self.half, self.done_then = pid, piece.name, self.done
                    return
            time.sleep(0.002)

    def piece_of(self, pid):
        found = (each for each in files_of(pid) if each.parent.name.startswith(".pfcompile-"))
        return next(found, None)


def files_of(pid: int) -> list[Path]:
    """Return the files that a process has open."""
    found = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(each.readlink())
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the files of a process")
@pytest.mark.parametrize("kind", ["file", "folder", "parts"])
def test_a_worker_that_is_killed(client, large, out, kind):
    text = "ether[0] & 1 != 0"
    pids = set(client.run(os.getpid).values())
    assert len(pids) == WORKERS
    sources = large
    options = {}
    if kind == "parts":
        sources = [out.parent / "one.pcap"]
        with sources[0].open("wb") as stream:
            for number, each in enumerate(large[:6]):
                stream.write(each.read_bytes()[24 if number else 0 :])
        options["part_bytes"] = sources[0].stat().st_size // 8
    killer = Killer(pids, out)
    killer.start()
    try:
        result = filter_distributed(
            sources,
            text,
            f"{out}/" if kind == "folder" else out / "x.pcap",
            client=client,
            engine="interp",
            progress=killer.progress,
            **options,
        )
    finally:
        killer.over.set()
        killer.join()
    assert killer.killed is not None, "nobody was killed"
    assert killer.done_then < 8 - 1, "there was nothing left to do"
    client.wait_for_workers(WORKERS, timeout=PATIENCE)
    assert killer.killed not in client.run(os.getpid).values()
    # The piece of the one who was killed is there, and yet there is a whole one for each task.
    assert killer.half in killer.pieces
    if kind != "folder":  # whose pieces go at once
        assert len(killer.pieces) > 8
    assert result.errors == ()
    assert result.packets == (6 if kind == "parts" else 8) * 40_000
    wanted = out.parent / "wanted"
    if kind == "folder":
        assert {each.name for each in out.iterdir()} == {each.name for each in large}
        for each in large[:2]:
            one_process([each], wanted, text)
            for other in large[int(each.stem) :: 2]:
                assert (out / other.name).read_bytes() == wanted.read_bytes()
    else:
        one_process(sources, wanted, text)
        assert (out / "x.pcap").read_bytes() == wanted.read_bytes()


def test_a_capture_that_kills_every_worker(out):
    pipe = out / "pipe"
    os.mkfifo(pipe)
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}), processes() as client:
        pids = set(client.run(os.getpid).values())

        def kill():
            with pipe.open("wb"):  # waits for who reads
                for pid in pids:
                    if pipe in files_of(pid):
                        os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        result = filter_distributed([ETHERNET, pipe], "tcp", out / "x.pcap", client=client)
        killer.join()
    assert [each.packets for each in result.files] == [22, 0]
    assert result.files[1].error == f"{pipe}: cannot be filtered: each worker that tried has died"
    one_process([ETHERNET], out / "wanted", "tcp")
    assert (out / "x.pcap").read_bytes() == (out / "wanted").read_bytes()


def test_no_scheduler_answers(monkeypatch, out):
    monkeypatch.setattr(clusters, "PATIENCE", 0.2)
    with pytest.raises(PfcompileError, match=r"no dask scheduler answers at 127\.0\.0\.1:1: "):
        filter_distributed([ETHERNET], "tcp", f"{out}/new/", address="127.0.0.1:1")
    with pytest.raises(PfcompileError, match="no dask scheduler answers at nonsense://x"):
        filter_distributed([ETHERNET], "tcp", address="nonsense://x")
    assert not list(out.iterdir())


def test_tasks_that_somebody_cancels(client, large, out):
    def cancel(progress):
        if progress.tasks_done == 1:
            client.cancel([distributed.Future(each, client=client) for each in client.futures])

    with pytest.raises(PfcompileError, match="the scheduler has gone, or has been told to stop"):
        filter_distributed(
            large, "tcp", out / "x.pcap", client=client, engine="interp", progress=cancel
        )
    assert not list(out.iterdir())


def test_a_scheduler_that_goes(large, out):
    code = "from distributed.cli.dask_%s import main; main()"
    port = free_port()
    place = f"127.0.0.1:{port}"
    scheduler = [sys.executable, "-c", code % "scheduler", f"--port={port}", "--no-dashboard"]
    scheduler.append("--dashboard-address=127.0.0.1:0")
    worker = [sys.executable, "-c", code % "worker", place, "--no-nanny", "--nthreads=1"]
    options = {"stderr": subprocess.DEVNULL, "cwd": out.parent}
    with (
        ended(subprocess.Popen(scheduler, **options)) as going,
        ended(subprocess.Popen(worker, **options)),
        pytest.raises(PfcompileError, match="the scheduler has gone"),
    ):
        filter_distributed(
            large,
            "tcp",
            out / "x.pcap",
            address=place,
            engine="interp",
            progress=lambda done: going.kill() if done.tasks_done == 1 else None,
            complain=lambda _: None,  # there may be no worker yet
        )
    assert not list(out.iterdir())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def ended(process):
    """End a process with the block."""
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_worker_without_pfcompile(client, monkeypatch):
    def gone():
        raise ImportError("No module named 'pfcompile'")

    monkeypatch.setattr(running, "installed", gone)
    with pytest.raises(PfcompileError, match=r"worker at tcp://\S+ lacks what it needs: No module"):
        filter_distributed([ETHERNET], client=client)
    monkeypatch.setattr(running, "installed", lambda: "0.0.1")
    with pytest.raises(PfcompileError, match=r"has pfcompile 0.0.1, and not "):
        filter_distributed([ETHERNET], client=client)


def test_workers_that_cannot_be_given_tasks(client, monkeypatch):
    def broken(*_arguments):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(running, "do_task", broken)
    with pytest.raises(
        PfcompileError, match=r"need what is installed here.*RuntimeError: two lines"
    ):
        filter_distributed([ETHERNET], client=client)


def test_there_are_no_workers_yet(out):
    with (
        distributed.LocalCluster(
            n_workers=0, dashboard_address="127.0.0.1:0", silence_logs=clusters._SILENT
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        said = []

        def complain(reason):
            said.append(reason)
            cluster.scale(1)

        result = filter_distributed([ETHERNET], "tcp", client=client, complain=complain)
    assert said == ["the scheduler has no workers yet, and waits for one"]
    assert result.matched == 5


def test_the_extra_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pfcompile\[dask\]'"):
        filter_distributed([ETHERNET], "tcp")


def test_a_cluster_of_our_own_is_closed(out):
    before = set(children())
    result = filter_distributed([ETHERNET], "tcp", out / "x.pcap")
    assert result.matched == 5
    assert set(children()) <= before


def children():
    """Yield the processes that a cluster starts from this one."""
    for each in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((each / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"spawn_main" in (each / "cmdline").read_bytes():
                yield each.name


def test_a_client_stays_open(client):
    filter_distributed([ETHERNET], "tcp", client=client)
    assert client.status == "running"
    end = time.monotonic() + PATIENCE
    while client.futures:
        assert time.monotonic() < end, "the scheduler keeps what nobody needs"
        time.sleep(0.01)


def test_an_error_of_the_caller_ends_all(client, large, out):
    def stop(progress):
        if progress.tasks_done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        filter_distributed(large, "", out / "x.pcap", client=client, engine="interp", progress=stop)
    assert not list(out.iterdir())
    end = time.monotonic() + PATIENCE
    while any(client.processing().values()):
        assert time.monotonic() < end, "the tasks go on"
        time.sleep(0.01)
