"""Captures filtered by several processes come to what one process makes of them."""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import pty
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import dask
import distributed
import pytest

import pfcompile
from pfcompile.captures.reader import read_records
from pfcompile.captures.writer import Format
from pfcompile.distributed import cluster as clusters
from pfcompile.distributed import filter as filter_distributed
from pfcompile.distributed import running, tasks
from pfcompile.distributed.captures import capture_of
from pfcompile.distributed.course import Course
from pfcompile.distributed.keeping import Folder, OneFile
from pfcompile.distributed.names import Remembering
from pfcompile.distributed.outputs import names_in_folder
from pfcompile.distributed.parts import Walked, cut, walk_part
from pfcompile.errors import CaptureError, FilterError, MissingExtraError, PfcompileError
from pfcompile.files import Engine
from pfcompile.names.answers import Host
from pfcompile.names.resolvers import NoNames, StaticResolver, SystemResolver
from tests.captures.capture_building import damage, interface, pcap, section
from tests.captures.random_captures import random_pcap, random_pcapng
from tests.cli import in_process
from tests.generator.seed import SEED, rerun

PCAPS = Path(__file__).parents[1] / "pcaps"
ETHERNET = PCAPS / "ethernet.pcap"
COMMAND = [sys.executable, "-m", "pfcompile", "filter", "--dask", "local"]
RERUN = rerun("tests/test_distributed.py")
PATIENCE = 60
WORKERS = 2

pytestmark = pytest.mark.filterwarnings("error")

both_engines = pytest.mark.parametrize("engine", ["native", "interp"])


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


@pytest.fixture(scope="module")
def client(_own_cache):
    with processes() as opened:
        yield opened


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path):
    """No test leaves a folder of pieces behind."""
    yield
    assert not [each for each in tmp_path.rglob("*") if ".pfcompile-" in each.name]


@pytest.fixture
def out(tmp_path):
    made = tmp_path / "out"
    made.mkdir()
    return made


def one_process(sources, output, text, *options) -> str:
    """Filter in this process; return what it says."""
    inputs = itertools.chain.from_iterable(("-r", str(each)) for each in sources)
    return in_process.run("filter", *inputs, "-w", output, *options, text).stderr.decode()


def agree(client, sources, text, name, out, **options):
    """Filter with both; return the result, which must be the one process's."""
    wanted = out / f"wanted-{name}"
    got = out / name
    command = ["--engine", options.get("engine", "auto")]
    if "write_format" in options:
        command += ["--write-format", options["write_format"]]
    *errors, summary = one_process(sources, wanted, text, *command).splitlines()
    result = filter_distributed(sources, text, got, client=client, **options)
    assert [f"pfcompile: {each}" for each in result.errors] == errors, RERUN
    numbers = [int(each) for each in re.findall(r"\d+", summary)[:4]]
    sums = [result.packets, result.bytes, result.matched, result.matched_bytes]
    assert sums == numbers, RERUN
    assert got.exists() == wanted.exists()
    if got.exists():
        assert got.read_bytes() == wanted.read_bytes(), RERUN
    return result


@both_engines
def test_captures_of_all_kinds_become_one_file(client, out, engine):
    result = agree(client, [PCAPS], "udp or icmp6", "all.pcapng", out, engine=engine)
    assert {each.output for each in result.files} == {str(out / "all.pcapng")}
    assert [Path(each.path).name for each in result.files if each.error] == ["cut-short.pcap"]


@pytest.mark.parametrize("name", ["one.pcap", "one.pcapng", "one"])
@pytest.mark.parametrize("part_bytes", [1 << 30, 150])
def test_pcap_files_of_all_layouts_become_one_file(client, out, name, part_bytes):
    sources = [*sorted(PCAPS.glob("ethernet*.pcap")), PCAPS / "archive" / "ethernet.pcap.gz"]
    assert agree(client, sources, "tcp", name, out, part_bytes=part_bytes).matched == 30


def test_a_format_is_asked_for(client, out):
    agree(client, [ETHERNET], "tcp", "x.pcap", out, write_format="pcapng", part_bytes=300)
    agree(client, [PCAPS / "mixed.pcapng"], "ip", "x", out, write_format=Format.PCAPNG.value)


def test_no_expression_takes_every_packet(client, out):
    result = agree(client, [ETHERNET, PCAPS / "empty.pcap"], "", "x.pcap", out)
    assert result.matched == result.packets == 22


def test_nothing_matches(client, out):
    result = agree(client, [ETHERNET], "port 1", "x.pcap", out)
    assert (result.matched, result.files[0].output) == (0, str(out / "x.pcap"))
    assert (out / "x.pcap").stat().st_size == 24


@both_engines
@pytest.mark.parametrize("number", range(4))
def test_random_captures_in_parts(client, out, engine, number):
    rng = random.Random(f"{SEED} {engine} {number}")
    sources = []
    for each in range(3):
        made = random_pcap(rng, 120) if rng.random() < 0.7 else random_pcapng(rng, 120)
        sources.append(out / f"in-{each}")
        sources[-1].write_bytes(damage(made, rng) if rng.random() < 0.3 else made)
    options = {"engine": engine, "part_bytes": rng.choice([900, 3000, 9000])}
    agree(client, sources, "ip[0] & 3 != 0", "x.pcapng", out, **options)


def capture_of_captures(rng: random.Random, count: int) -> bytes:
    """Return a capture whose packets are longer than parts, and captures themselves."""
    inner = pcap([(each, 0, rng.randbytes(60), 60) for each in range(300)])[24:]
    packets = [rng.randbytes(1) + inner[each % 7 :] for each in range(count)]
    return pcap([(number, 0, each, len(each)) for number, each in enumerate(packets)])


@both_engines
def test_packets_that_hold_captures_mislead_nobody(client, out, engine):
    source = out / "in.pcap"
    source.write_bytes(capture_of_captures(random.Random(SEED), 12))
    with source.open("rb") as stream:
        true = {each.offset for each in read_records(stream, "in")}
    guessed = set()
    for part in cut(str(source), source.stat().st_size, 20_000)[1:]:
        walked = Walked()
        for _ in walk_part(str(source), part, None, walked):
            pass
        guessed.add(walked.begun)
    assert len(guessed - true) >= 8, "not misled"
    result = agree(
        client, [source], "ether[0] & 1 == 0", "x.pcap", out, engine=engine, part_bytes=20_000
    )
    assert result.packets == 12
    assert 0 < result.matched < 12


def test_a_packet_longer_than_several_parts(client, out):
    source = out / "in.pcap"
    packets = [(each, 0, bytes(size), size) for each, size in enumerate([60, 9000, 60, 20_000, 60])]
    source.write_bytes(pcap(packets))
    assert agree(client, [source], "greater 100", "x.pcap", out, part_bytes=1000).matched == 2


def test_damage_ends_a_file_where_it_is(client, out):
    content = bytearray(ETHERNET.read_bytes())
    place = 24
    for _ in range(9):
        place += 16 + struct.unpack_from("<I", content, place + 8)[0]
    struct.pack_into("<I", content, place + 8, 0x7FFFFFFF)
    source = out / "in.pcap"
    source.write_bytes(content)
    result = agree(client, [source, ETHERNET], "", "x.pcap", out, part_bytes=200)
    assert [each.packets for each in result.files] == [9, 22]
    assert f"byte {place}" in result.files[0].error


def test_counts_need_no_output(client, out):
    seen = []
    result = filter_distributed([PCAPS], "tcp port 443", client=client, progress=seen.append)
    assert result.matched == sum(each.matched for each in result.files) > 0
    assert {each.output for each in result.files} == {None}
    size = sum(each.stat().st_size for each in PCAPS.rglob("*.pcap*") if each.is_file())
    assert seen[0] == (0, len(result.files), 0, size)
    assert seen[-1] == (len(result.files), len(result.files), size, size)
    assert not list(out.iterdir())


def test_counts_of_parts(client):
    result = filter_distributed(ETHERNET, "tcp", client=client, part_bytes=100)
    assert (result.packets, result.bytes, result.matched) == (22, 1506, 5)


def test_a_folder_has_a_file_for_each_capture(client, out):
    result = filter_distributed([PCAPS], "tcp", f"{out}/a/b/", client=client, part_bytes=500)
    made = {str(each.relative_to(out / "a" / "b")) for each in out.rglob("*") if each.is_file()}
    assert made == {
        str(Path(each.path).relative_to(PCAPS)).removesuffix(".gz").removesuffix(".xz")
        for each in result.files
    }
    for each in result.files:
        wanted = out / "wanted"
        wanted.unlink(missing_ok=True)
        own = "pcapng" if ".pcapng" in each.path else "pcap"
        one_process([each.path], wanted, "tcp", "--write-format", own)
        assert Path(each.output).read_bytes() == wanted.read_bytes(), each


def test_a_folder_that_there_is(client, out):
    (out / "ethernet.pcap").write_bytes(b"older")
    (out / "ethernet.pcap").chmod(0o640)
    (out / "ipv4.pcap").mkdir()
    result = filter_distributed([ETHERNET, PCAPS / "ipv4.pcap"], "tcp", out, client=client)
    assert result.files[0].error is None
    assert (out / "ethernet.pcap").read_bytes().startswith(ETHERNET.read_bytes()[:24])
    assert (out / "ethernet.pcap").stat().st_mode & 0o777 == 0o640
    assert "cannot be written" in result.files[1].error
    assert result.files[1].output is None


def test_a_folder_in_another_format(client, out):
    result = filter_distributed(
        [ETHERNET, PCAPS / "mixed.pcapng"], "", out, client=client, write_format="pcap"
    )
    assert result.files[0].output == str(out / "ethernet.pcap")
    assert "one link type" in result.files[1].error
    assert [each.name for each in out.iterdir()] == ["ethernet.pcap"]


def test_what_cannot_be_read_leaves_the_rest(client, out):
    nothing, text = out / "nothing", out / "text"
    nothing.mkdir()
    text.write_text("no capture at all")
    sources = [out / "missing", nothing, ETHERNET, text]
    result = agree_on_errors(client, sources, out / "x.pcap")
    assert [each.packets for each in result.files] == [0, 22, 0]
    assert len(result.unreadable) == 1
    assert "no capture in this folder" in result.unreadable[0]
    assert [each.output for each in result.files] == [None, str(out / "x.pcap"), None]


def agree_on_errors(client, sources, output):
    """Filter with both, and compare what went wrong in any order: folders are looked at first."""
    said = one_process(sources, output.with_name("wanted"), "").splitlines()[:-1]
    result = filter_distributed(sources, "", output, client=client)
    assert sorted(f"pfcompile: {each}" for each in result.errors) == sorted(said)
    assert output.read_bytes() == output.with_name("wanted").read_bytes()
    return result


def test_nothing_can_be_read(client, out):
    older = out / "x.pcap"
    older.write_bytes(b"older")
    result = filter_distributed([out / "missing"], "tcp", older, client=client)
    assert len(result.errors) == 1
    assert older.read_bytes() == b"older"
    assert filter_distributed([out], "tcp", older, client=client).files == ()


def test_a_bad_expression_is_told_before_anything_is_written(monkeypatch, out):
    monkeypatch.setattr(clusters, "connected", None)
    (out / "x.pcap").write_bytes(b"older")
    for each in ("x.pcap", "new.pcap", "folder/"):
        with pytest.raises(FilterError, match="does not fit here"):
            filter_distributed([out / "missing", ETHERNET], "tcp prot 80", f"{out}/{each}")
    assert [each.name for each in out.iterdir()] == ["x.pcap"]
    assert (out / "x.pcap").read_bytes() == b"older"


def test_an_expression_that_is_bad_for_a_later_link_type(client, out):
    older = out / "x.pcapng"
    older.write_bytes(b"older")
    with pytest.raises(FilterError, match=r"'ether' |link") as caught:
        filter_distributed(
            [ETHERNET, PCAPS / "raw.pcap"], "ether src 1:2:3:4:5:6", older, client=client
        )
    assert caught.value.text == "ether src 1:2:3:4:5:6"
    assert older.read_bytes() == b"older"


def test_an_interface_without_packets_is_asked_only_where_there_is_no_other(client, out):
    empty = out / "in.pcapng"
    empty.write_bytes(section() + interface(linktype=101))
    text = "ether src 1:2:3:4:5:6"
    agree(client, [empty, ETHERNET], text, "x.pcapng", out)
    with pytest.raises(FilterError):
        filter_distributed([empty], text, client=client)


def test_an_output_that_cannot_hold_the_packets(client, out):
    older = out / "x.pcap"
    older.write_bytes(b"older")
    with pytest.raises(CaptureError, match="one link type") as caught:
        filter_distributed([ETHERNET, PCAPS / "raw.pcap"], "", older, client=client)
    assert caught.value.path == str(older)
    assert older.read_bytes() == b"older"


@pytest.mark.parametrize(
    ("sources", "output", "message"),
    [
        (["in.pcap"], "in.pcap", "in.pcap: is a capture that is read"),
        (["in.pcap"], "link.pcap", "link.pcap: is a capture that is read"),
        (["in.pcap"], ".", "in.pcap: is a capture that is read"),
        (["in.pcap"], "-", "go to a file or a folder"),
        (["in.pcap"], "pipe", "it is no regular file"),
        (["in.pcap"], "missing/x.pcap", "there is no folder missing"),
        (["in.pcap"], "in.pcap/x.pcap", "there is no folder in.pcap"),
        (["in.pcap"], "in.pcap/", "cannot be written"),
        (["in.pcap"], "n" * 300, "cannot be written: File name too long"),
        (["-"], "x.pcap", "cannot be read by other processes"),
        (["in.pcap", "in.pcap"], "folder/", "would be written to in.pcap, and so would"),
    ],
)
def test_what_cannot_be_meant(client, out, monkeypatch, sources, output, message):
    monkeypatch.chdir(out)
    shutil.copy(ETHERNET, "in.pcap")
    os.link("in.pcap", "link.pcap")
    os.mkfifo("pipe")
    with pytest.raises(CaptureError, match=re.escape(message)):
        filter_distributed(sources, "tcp", output, client=client)
    assert Path("in.pcap").read_bytes() == ETHERNET.read_bytes()
    assert {each.name for each in out.iterdir()} == {"in.pcap", "link.pcap", "pipe"}


def test_a_stream_is_no_input(client):
    with ETHERNET.open("rb") as stream, pytest.raises(CaptureError, match="other processes"):
        filter_distributed([stream], client=client)


def test_arguments_that_exclude_each_other(client):
    with pytest.raises(ValueError, match="not both"):
        filter_distributed([ETHERNET], address="127.0.0.1:1", client=client)
    with pytest.raises(ValueError, match="at least one byte"):
        filter_distributed([ETHERNET], client=client, part_bytes=0)
    with pytest.raises(ValueError, match="fast"):
        filter_distributed([ETHERNET], client=client, engine="fast")
    with pytest.raises(ValueError, match="csv"):
        filter_distributed([ETHERNET], client=client, write_format="csv")


def test_an_output_by_a_link(client, out):
    (out / "target.pcap").write_bytes(b"older")
    (out / "x.pcap").symlink_to("target.pcap")
    filter_distributed([ETHERNET], "tcp", out / "x.pcap", client=client)
    assert (out / "x.pcap").is_symlink()
    assert (out / "target.pcap").stat().st_size > 24


def test_relative_names_are_good_everywhere(client, out, monkeypatch):
    shutil.copy(ETHERNET, out / "in.pcap")
    monkeypatch.chdir(out)
    (result,) = filter_distributed("in.pcap", "tcp", "x.pcap", client=client).files
    assert (result.path, result.output, result.error) == ("in.pcap", "x.pcap", None)
    (result,) = filter_distributed("missing.pcap", "tcp", client=client).files
    assert result.error.startswith("missing.pcap: cannot be opened")


@pytest.mark.parametrize(
    ("sources", "write_format", "names"),
    [
        (["/a/x.pcap", "/b/y.pcap.gz"], None, ["x.pcap", "y.pcap"]),
        (["/a/x.pcap", "/b/x.pcap"], None, ["a/x.pcap", "b/x.pcap"]),
        (["/a/b/x", "/a/c/x", "/a/z"], None, ["b/x", "c/x", "z"]),
        (["/a/x.pcap", "/a/y.cap"], Format.PCAPNG, ["x.pcapng", "y.cap"]),
        (["https://h/t/x.pcap", "/t/x.pcap"], None, ["h/t/x.pcap", "t/x.pcap"]),
        (["s3://h/../../x.pcap", "s3://i/.."], None, ["x.pcap", "i"]),
        ([], None, []),
    ],
)
def test_names_in_a_folder(sources, write_format, names):
    assert names_in_folder(sources, write_format) == names


def test_names_that_stay_the_same_are_refused():
    with pytest.raises(CaptureError, match=r"/a/x.pcap: would be .* and so would /a/x.pcap.gz"):
        names_in_folder(["/a/x.pcap", "/a/x.pcap.gz"], None)


# Processes and machines that fail.


@pytest.fixture
def large(tmp_path):
    """Return captures that keep the interpreter busy for a while, and what they are to become."""
    rng = random.Random(SEED)
    folder = tmp_path / "large"
    folder.mkdir()
    contents = [
        pcap([(each, 0, rng.randbytes(60), 60) for each in range(40_000)]) for _ in range(2)
    ]
    paths = [folder / f"{each:02}.pcap" for each in range(8)]
    for number, path in enumerate(paths):
        if number < 2:
            path.write_bytes(contents[number])
        else:
            os.link(paths[number % 2], path)
    return paths


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


# What a worker does.


def expression(text="tcp", engine=Engine.INTERP):
    return tasks.Expression(text, optimize=True, resolver=Remembering(), engine=engine)


def test_a_task_whose_run_is_over_stops(monkeypatch, out):
    monkeypatch.setattr(tasks, "_LOOKS", 0)
    task = tasks.Task(str(ETHERNET), "in.pcap", None, str(out / "gone"), None)
    outcome = tasks.do_task(expression(), task)
    assert outcome.error == "in.pcap: is no longer wanted"
    assert outcome.packets <= 1
    assert not list(out.iterdir())


@pytest.mark.parametrize("kind", [OneFile, Folder])
def test_a_piece_that_cannot_be_written(out, kind):
    task = tasks.Task(str(ETHERNET), "in.pcap", None, str(out / "gone"), None)
    outcome = tasks.do_task(expression(), task)
    assert outcome.unwritten == "cannot be written: No such file or directory"
    capture = capture_of(ETHERNET, 1 << 30)
    course = Course(capture)
    assert course.add(0, outcome) is None
    if kind is Folder:
        result = Folder(str(out), [capture], None).take(0, course, str(out))
        assert result.error == f"{out}/ethernet.pcap: {outcome.unwritten}"
    else:
        with pytest.raises(CaptureError, match=r"x\.pcap: cannot be written: No such file"):
            OneFile(str(out / "x.pcap"), [capture], None).take(0, course, str(out))


def test_whatever_goes_wrong_is_told(monkeypatch):
    def broken(*_arguments):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(tasks, "walk_source", broken)
    outcome = tasks.do_task(expression(), tasks.Task(str(ETHERNET), "in.pcap", None, None, None))
    assert outcome.error == "in.pcap: cannot be filtered: ZeroDivisionError('oh')"


def test_outcomes_can_be_sent():
    bad = tasks.do_task(expression("tcp prot"), tasks.Task(str(ETHERNET), "x", None, None, None))
    error = pickle.loads(pickle.dumps(bad)).refused  # noqa: S301
    assert str(error) == str(bad.refused)
    assert error.span == bad.refused.span


def test_missing_native_code_is_told_once(client, monkeypatch):
    outcome = tasks.Outcome(complaints=("no native code",))
    monkeypatch.setattr(running, "do_task", lambda *_: outcome)
    with pytest.warns(RuntimeWarning, match="no native code") as warned:
        filter_distributed([ETHERNET, ETHERNET], client=client)
    assert len(warned) == 1


# Names.


class Counting(StaticResolver):
    """Knows a host, and counts how often it is asked."""

    def __init__(self):
        super().__init__(hosts={"there": Host.of(["10.0.0.1"])})
        self.asked = 0

    def host(self, name):
        self.asked += 1
        return super().host(name)


def test_names_are_looked_up_here(client, out):
    resolver = Counting()
    sources = [ETHERNET, PCAPS / "ipv4.pcap"]
    result = filter_distributed(sources, "src host there", client=client, resolver=resolver)
    assert [each.matched for each in result.files] == [
        pfcompile.filter_file(each, out / "x", "src host 10.0.0.1").matched for each in sources
    ]
    assert resolver.asked == 1


def test_a_copy_knows_the_answers():
    resolver = Remembering(Counting())
    assert resolver.host("there") == Host.of(["10.0.0.1"])
    assert resolver.host("nowhere") is None
    assert resolver.network("nowhere") is None
    assert resolver.service("http").tcp == 80
    assert resolver.protocol("tcp") == 6
    assert resolver.ethernet("nobody") is None
    copy = pickle.loads(pickle.dumps(resolver))  # noqa: S301
    asked = copy._resolver.asked
    assert copy.host("there") == resolver.host("there")
    assert copy.host("nowhere") is None
    assert copy._resolver.asked == asked


def test_what_cannot_go_along_stays_here():
    slow = Remembering(SystemResolver(on_slow=print))
    assert isinstance(pickle.loads(pickle.dumps(slow))._resolver, SystemResolver)  # noqa: S301
    names = pickle.loads(pickle.dumps(Remembering(NoNames())))  # noqa: S301
    assert isinstance(names._resolver, NoNames)


# The command.


def command(*arguments, **options):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        check=False,
        timeout=PATIENCE,
        **options,
    )


def test_the_command_counts():
    done = command("-r", PCAPS, "--count", "tcp port 443")
    assert done.returncode == 1
    assert done.stdout == b"63 packets\n"
    first, second = done.stderr.decode().splitlines()
    assert first.endswith("cut-short.pcap: byte 1806: the last record is cut short: 75 of 76 bytes")
    assert second.startswith("359 packets read (23572 bytes), 63 matched (3736 bytes), ")


def test_the_command_writes(out):
    wanted = one_process([ETHERNET, PCAPS / "mixed.pcapng"], out / "wanted.pcapng", "tcp")
    done = command("-r", ETHERNET, "-r", PCAPS / "mixed.pcapng", "-w", out / "x.pcapng", "tcp")
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.decode().rpartition(",")[0] == wanted.rpartition(",")[0]
    assert (out / "x.pcapng").read_bytes() == (out / "wanted.pcapng").read_bytes()


def test_the_command_says_what_is_wrong(out):
    file = out / "filter"
    file.write_text("tcp prot 80 # no\n")
    said = in_process.refused("filter", "--dask", "local", "-r", ETHERNET, "--count", "-F", file)
    assert "pfcompile: 1:5: can't parse filter expression" in said
    names = ("-n", "host nowhere.invalid")
    said = in_process.refused("filter", "--dask", "local", "-r", ETHERNET, "--count", *names)
    assert "nowhere.invalid" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "--dask needs -w or --count"),
        ("-w -", "--dask writes to a file or a folder"),
        ("--count -r -", "--dask does not read standard input"),
        ("--count -c 3", "--dask does not go with -c"),
        ("--count -j 1", "--dask does not go with -j"),
        ("--stats", "--dask does not go with --stats"),
        ("--count -s 100", "--dask does not go with -s"),
        ("--count --write-format pcap", "--write-format needs -w"),
    ],
)
def test_options_that_do_not_go_together(options, message):
    said = in_process.refused("filter", "--dask", "local", "-r", ETHERNET, *options.split())
    assert message in said


def test_the_command_shows_a_person_how_far_it_is(large, out):
    leader, follower = pty.openpty()
    started = subprocess.Popen(
        [*COMMAND, "-r", large[0].parent, "-w", out / "x.pcap", "--engine", "interp"],
        stderr=follower,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(follower)
    shown = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while data := os.read(leader, 65536):
            shown += data
    os.close(leader)
    assert started.wait(PATIENCE) == 0
    assert re.search(rb"[1-7]/8 tasks", shown)
    assert b"320000 packets read" in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_leaves_nothing(large, out, number):
    older = out / "x.pcap"
    older.write_bytes(b"older")
    started = subprocess.Popen(
        [*COMMAND, "-r", large[0].parent, "-w", older, "--engine", "interp"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        end = time.monotonic() + PATIENCE
        while not list(out.glob(".pfcompile-*/*")):
            assert time.monotonic() < end, "no piece is written"
            time.sleep(0.005)
        os.killpg(started.pid, number)  # as a terminal does: to the workers, too
        said = started.communicate(timeout=PATIENCE)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()
    assert (started.returncode, *said) == (128 + number, b"", b"")
    assert [each.name for each in out.iterdir()] == ["x.pcap"]
    assert older.read_bytes() == b"older"


def test_dask_is_loaded_when_it_is_needed():
    code = (
        "import sys, pfcompile.distributed\n"
        "assert not {'dask', 'distributed', 'rich'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)
