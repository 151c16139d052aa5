"""Native code that outlives its process: used again, and only where it can be trusted."""

from __future__ import annotations

import ctypes
import os
import random
import re
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import pfcompile
from pfcompile.captures.blocks.scans import Rows, Wanted
from pfcompile.captures.formats.layouts import PcapLayout, PcapngLayout
from pfcompile.jit.scan import Scanner, cache, machine
from pfcompile.jit.scan.machine import Code
from tests.captures.capture_building import pcap
from tests.captures.random_captures import random_pcap, random_pcapng
from tests.generator.packets import packets_for
from tests.generator.seed import SEED, rerun
from tests.jit.scanning import Filter, agree
from tests.jit.test_scan import file_of

RERUN = rerun("tests/jit/test_scan_cache.py")
USUAL = Path(__file__).parents[1] / "filters" / "usual.txt"
LAYOUT = PcapLayout("<", "captured first", 16, 262_144, 1_000_000)
ROOT = os.geteuid() == 0

ANSWER = "define i32 @answer() {\n  ret i32 42\n}\n"
"""A module with one function."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The cache folder, which is not there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pfcompile"


@pytest.fixture
def cached(folder):
    """A file of the cache with the code of `ANSWER`, its name, and what gives the answer of it."""
    assert answer() == 42
    (path,) = folder.iterdir()
    return path


def answer() -> int:
    """Compile `ANSWER` or take it from the cache; run it."""
    code = Code(ANSWER, "answer", cached=True)
    return ctypes.CFUNCTYPE(ctypes.c_int32)(code.address)()


class CompiledError(Exception):
    """LLVM was asked."""


def refuse(*_arguments):
    """Stand in for LLVM."""
    raise CompiledError


@pytest.fixture
def no_llvm(monkeypatch):
    """Let compiling be an error."""
    monkeypatch.setattr(machine, "_object_of", refuse)


def is_used() -> bool:
    """Return whether the code of `ANSWER` comes from the cache."""
    try:
        return answer() == 42
    except CompiledError:
        return False


def test_code_is_found_again(cached, no_llvm):
    assert is_used()
    assert cached.stat().st_mode & 0o777 == 0o600
    assert cached.parent.stat().st_mode & 0o777 == 0o700


def test_code_is_never_writable(cached, no_llvm):
    """It is mapped to be executed, and not to be written."""
    code = Code(ANSWER, "answer", cached=True)
    maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    found = []
    for place, access, *_ in maps:
        first, last = (int(each, 16) for each in place.split("-"))
        if first <= code.address < last:
            found.append(access)
    assert found == ["r-xp"]


def test_every_damaged_byte(cached, no_llvm):
    """In the magic number, the digest and the code; what is between is never looked at."""
    good = cached.read_bytes()
    used = []
    places = [*range(cache._HEAD_BYTES + 9), *range(cache.PAGESIZE - 9, len(good))]
    for place in places:
        cached.write_bytes(good[:place] + bytes([good[place] ^ 0x10]) + good[place + 1 :])
        if is_used():
            used.append(place)
    assert used == [each for each in places if cache._HEAD_BYTES <= each < cache.PAGESIZE]
    cached.write_bytes(good)
    assert is_used()


def test_other_lengths(cached, no_llvm):
    good = cached.read_bytes()
    for size in (0, 1, cache._HEAD_BYTES, cache.PAGESIZE - 1, cache.PAGESIZE, len(good) - 1):
        cached.write_bytes(good[:size])
        assert not is_used(), size
    for more in (b"\0", bytes(cache.PAGESIZE), good):
        cached.write_bytes(good + more)
        assert not is_used()


@pytest.mark.parametrize("mode", [0o660, 0o606, 0o620, 0o602, 0o666, 0o777])
def test_files_that_others_can_write(cached, no_llvm, mode):
    cached.chmod(mode)
    assert not is_used()
    cached.chmod(0o644)
    assert is_used()


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o720, 0o702, 0o1777, 0o2770])
def test_folders_that_others_can_write(cached, monkeypatch, mode):
    """Nothing is taken from them, and nothing stored."""
    cached.parent.chmod(mode)
    before = cached.stat()
    compiled = []
    real = machine._object_of
    monkeypatch.setattr(machine, "_object_of", lambda *a: compiled.append(a) or real(*a))
    assert answer() == 42
    assert compiled
    assert cached.stat() == before
    assert list(cached.parent.iterdir()) == [cached]


@pytest.mark.skipif(not ROOT, reason="needs root")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_belongs_to_others(cached, no_llvm, what):
    path = cached if what == "file" else cached.parent
    os.chown(path, 12345, 12345)
    assert not is_used()
    os.chown(path, 0, 12345)
    assert is_used(), "the group does not matter where it may not write"


def test_links(cached, no_llvm, tmp_path):
    """A file of the user's own is not used through a symbolic link, nor in a linked folder."""
    real = tmp_path / "real"
    cached.rename(real)
    cached.symlink_to(real)
    assert not is_used()
    cached.unlink()
    real.rename(cached)
    assert is_used()
    folder = cached.parent
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    assert not is_used()


def test_what_is_no_file(cached, no_llvm):
    """Not even waited for."""
    cached.unlink()
    cached.mkdir()
    assert not is_used()
    cached.rmdir()
    os.mkfifo(cached)
    assert not is_used()
    cached.unlink()
    assert not is_used()


@pytest.mark.parametrize("bad", ["damaged", "link", "empty"])
def test_what_cannot_be_used_is_replaced(cached, tmp_path, bad):
    if bad == "link":
        cached.unlink()
        cached.symlink_to(tmp_path / "missing")
    else:
        cached.write_bytes(b"" if bad == "empty" else cached.read_bytes()[:-1])
    assert cache.load(cached.name) is None
    assert answer() == 42
    assert cache.load(cached.name) is not None
    assert not (tmp_path / "missing").exists()
    assert list(cached.parent.iterdir()) == [cached]


def test_a_system_that_lets_no_file_be_executed(cached, no_llvm, monkeypatch):
    """As where the cache lies on what is mounted `noexec`."""

    def refuse(*_arguments):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(cache, "Mapped", refuse)
    assert not is_used()


def test_keys(monkeypatch):
    parts = ("text", "name", "version", "settings")
    key = cache.key_of(*parts)
    assert re.fullmatch("[0-9a-f]{64}", key)
    others = {cache.key_of(*parts[:n], parts[n] + "x", *parts[n + 1 :]) for n in range(4)}
    others |= {cache.key_of("textn", "ame", *parts[2:]), cache.key_of("text", "name", "version")}
    others.add(cache.key_of("", "textname", "version", "settings"))
    for processor in ("model:1\nflags: sse", "model:1\nflags: sse avx", "model:2\nflags: sse"):
        monkeypatch.setattr(cache, "_processor", lambda processor=processor: processor)
        others.add(cache.key_of(*parts))
    assert len(others - {key}) == 10
    monkeypatch.setattr(cache, "_processor", lambda: "")
    assert cache.key_of(*parts) is None


def test_nothing_is_cached_where_the_processor_is_not_known(folder, monkeypatch):
    monkeypatch.setattr(cache, "_processor", lambda: "")
    assert answer() == 42
    assert not folder.exists()


def test_the_processor_tells_its_instructions():
    told = cache._processor()
    assert re.search("^(flags|Features|isa):", told, re.MULTILINE)
    assert "MHz" not in told, "what changes from one look to the next would never be found again"


def test_everything_counts(folder):
    """Another program, layout, or thing taken down of packets is another file."""
    programs = [pfcompile.compile(text).instructions for text in ("tcp", "udp", "tcp or udp")]
    layouts = [
        LAYOUT,
        PcapLayout(">", *LAYOUT_REST),
        PcapLayout("<", "wire first", *LAYOUT_REST[1:]),
    ]
    wanted = [Wanted(), Wanted(copies=True), Wanted(times=True), Wanted(limit=True)]
    made = set()
    for program in programs:
        made.add((program, layouts[0], wanted[0]))
    made |= {(programs[0], each, wanted[0]) for each in layouts}
    made |= {(programs[0], layouts[0], each) for each in wanted}
    for program, layout, each in made:
        Scanner([[program]], layout, each, cached=True)
        Scanner([[program]], layout, each, cached=True)
    assert len(list(folder.iterdir())) == len(made) == 8
    Scanner([[programs[0]]], LAYOUT, Wanted(rows=Rows.ALL))  # not asked for
    assert len(list(folder.iterdir())) == 8


LAYOUT_REST = ("captured first", 16, 262_144, 1_000_000)

NOT_ALONE = {
    "a constant": "@c = private constant [4 x i32] [i32 1, i32 2, i32 3, i32 42]\n"
    "define i32 @answer() {\n  %i = load volatile i32, ptr getelementptr "
    "([4 x i32], ptr @c, i64 0, i64 3)\n  ret i32 %i\n}\n",
    "a variable": "@v = internal global i32 42\ndefine i32 @answer() {\n"
    "  %i = load volatile i32, ptr @v\n  ret i32 %i\n}\n",
    "a call": "declare i32 @getpid()\ndefine i32 @answer() {\n  %p = call i32 @getpid()\n"
    "  %z = sub i32 %p, %p\n  %i = add i32 %z, 42\n  ret i32 %i\n}\n",
    "another function": "define internal i32 @other(i32 %a) noinline {\n  %b = add i32 %a, 1\n"
    "  ret i32 %b\n}\ndefine i32 @answer() {\n  %i = call i32 @other(i32 41)\n  ret i32 %i\n}\n",
    "another function in front": "define i32 @other(i32 %a) noinline {\n  ret i32 %a\n}\n"
    "define i32 @answer() {\n  ret i32 42\n}\n",
    "a floating-point constant": "define i32 @answer() {\n  %p = alloca double\n"
    "  store volatile double 41.5, ptr %p\n  %a = load volatile double, ptr %p\n"
    "  %b = fadd double %a, 0.5\n  %i = fptosi double %b to i32\n  ret i32 %i\n}\n",
    "its own address": "define i32 @answer() {\n"
    "  %a = ptrtoint ptr @answer to i64\n  %b = icmp ne i64 %a, 0\n"
    "  %i = select i1 %b, i32 42, i32 0\n  ret i32 %i\n}\n",
}


@pytest.mark.parametrize("what", NOT_ALONE)
def test_code_that_needs_something_else_is_not_cached(folder, what):
    """It is compiled and runs; what is kept of it, if anything, must run alone."""
    for _ in range(2):
        code = Code(NOT_ALONE[what], "answer", cached=True)
        assert ctypes.CFUNCTYPE(ctypes.c_int32)(code.address)() == 42
    kept = folder.exists() and list(folder.iterdir())
    assert not kept or what == "its own address"


def test_every_usual_filter_can_be_cached(folder):
    """With everything that a scan can take down, and with several link types and filters."""
    rng = random.Random(f"cache-{SEED}")
    lines = map(str.strip, USUAL.read_text().splitlines())
    texts = rng.sample([line for line in lines if line and not line.startswith("#")], 40)
    texts += [" or ".join(f"host 10.{n % 256}.2.{n * 7 % 256}" for n in range(300))]
    texts += ["port " + " or ".join(map(str, range(1000, 3000, 7)))]
    layouts = [LAYOUT, PcapLayout(">", *LAYOUT_REST), PcapngLayout("<", 2), PcapngLayout(">", 9)]
    for number, text in enumerate(texts):
        program = pfcompile.compile(text, netmask=0xFFFFFF00).instructions
        layout = layouts[number % 4]
        wanted = Wanted(
            copies=number % 2 == 0,
            times=number % 3 == 0,
            rows=list(Rows)[number % 5 % 3],
            limit=number % 7 == 0,
        )
        programs = [[program] * (1 + number % 3)] * getattr(layout, "filters", 1)
        Scanner(programs, layout, wanted, cached=True)
        assert len(list(folder.iterdir())) == number + 1, text


def test_cached_code_does_what_it_did(folder, monkeypatch):
    """For every form of control flow: first what was compiled is compared, then what was kept."""
    monkeypatch.setattr("tests.jit.scanning.Scanner", lambda *each: Scanner(*each, cached=True))
    texts = ["tcp port 443", "ether[ether[0] & 15] > 7"]
    texts += [" or ".join(f"host 10.1.2.{n}" for n in range(99))]
    texts += [" or ".join(f"ether[{n}] = {n * 7 % 256}" for n in range(99))]
    outcomes: list[list] = [[], []]
    for number, each in enumerate(outcomes):
        rng = random.Random(f"cache-runs-{SEED}")
        if number:
            monkeypatch.setattr(machine, "_object_of", refuse)
        for text in texts:
            program = pfcompile.compile(text).instructions
            contents = [file_of(each.data for each in packets_for(program, rng, 60))]
            contents += [random_pcap(rng, 60), random_pcapng(rng, 60)]
            both = Filter(program)
            each += [agree(both, content, f"{text}\n{RERUN}") for content in contents]
    assert outcomes[0] == outcomes[1]


def test_only_so_many_are_kept(folder, monkeypatch):
    """Those that were made last; what is no file stays, and is in nobody's way."""
    monkeypatch.setattr(cache, "MOST_FILES", 5)
    keys = [f"{n:064x}" for n in range(12)]
    for number, key in enumerate(keys):
        cache.store(key, b"code")
        os.utime(folder / key, (number, number))
    # One more than that for a moment: what is stored is looked at last of all.
    assert {each.name for each in folder.iterdir()} <= set(keys[-6:])
    assert len(list(folder.iterdir())) == 5
    (folder / "a folder").mkdir()
    os.utime(folder / "a folder", (1, 1))
    for number in range(20, 30):
        cache.store(f"{number:064x}", b"code")
    assert len(list(folder.iterdir())) <= 6
    assert cache.load(f"{29:064x}") is not None


@pytest.mark.parametrize("given", ["", "relative/folder", "./x"])
def test_where_the_folder_is(tmp_path, monkeypatch, given):
    """$XDG_CACHE_HOME has to be absolute; else it is as if there were none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", given)
    assert answer() == 42
    assert len(list((tmp_path / "home" / ".cache" / "pfcompile").iterdir())) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["home"]
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache._folder() == tmp_path / "home" / ".cache" / "pfcompile"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache._folder() == tmp_path / "x" / "pfcompile"


def test_homes_that_cannot_be_used(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    (tmp_path / "file").touch()
    for home in ("/proc/none", "/dev/null", str(tmp_path / "file"), "/sys/\x7f"):
        monkeypatch.setenv("HOME", home)
        assert answer() == 42

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    assert answer() == 42
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(ROOT, reason="root may write everywhere")
def test_a_home_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tmp_path.chmod(0o555)
    assert answer() == 42
    tmp_path.chmod(0o755)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(folder, monkeypatch):
    """Nothing is left of what could not be stored."""

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert answer() == 42
    assert list(folder.iterdir()) == []


SCRIPT = textwrap.dedent(
    """
    import hashlib, sys
    from pathlib import Path
    from pfcompile.files import filter_file
    sys.stdin.readline()
    for source in sys.argv[2:]:
        stats = filter_file(source, sys.argv[1], "link[0] & 1 != 0", engine="native")
        print(stats.matched, hashlib.sha256(Path(sys.argv[1]).read_bytes()).hexdigest())
    print("llvmlite.binding" in sys.modules)
    """
)


def start(folder: Path, name: str, *sources: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, folder / name, *sources],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache")},
    )


@pytest.fixture
def captures(tmp_path):
    rng = random.Random(f"cache-files-{SEED}")
    contents = {"a.pcap": random_pcap(rng, 300), "b.pcapng": random_pcapng(rng, 300)}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return [tmp_path / name for name in contents]


def test_a_second_process_needs_no_llvm(tmp_path, captures):
    told = []
    for _ in range(2):
        with start(tmp_path, "out", *captures) as process:
            told.append(process.communicate("\n", timeout=60)[0].split("\n"))
            assert process.returncode == 0
    assert told[0][:2] == told[1][:2]
    assert "0 " not in {line[:2] for line in told[0]}
    assert [lines[2] for lines in told] == ["True", "False"]


def test_processes_at_the_same_time(tmp_path, captures):
    """They store the same files at the same moment, and all come to the same."""
    expected = None
    for _ in range(2):
        for each in (tmp_path / "cache").glob("*/*"):
            each.unlink()
        processes = [start(tmp_path, f"out{number}", *captures) for number in range(4)]
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
        for process in processes:
            with process:
                told = process.communicate(timeout=60)[0].split("\n")[:2]
                assert process.returncode == 0
            expected = expected or told
            assert told == expected
        kept = list((tmp_path / "cache" / "pfcompile").iterdir())
        assert all(re.fullmatch("[0-9a-f]{64}", each.name) for each in kept)
        assert all(stat.S_IMODE(each.stat().st_mode) == 0o600 for each in kept)


def test_threads_that_run_it_when_the_process_ends(tmp_path):
    """The code must stay where it is as long as anybody runs it."""
    source = tmp_path / "endless.pcap"
    with source.open("wb") as stream:
        stream.write(pcap([]))
        stream.truncate(1 << 40)  # of packets without bytes, and nothing of it is on the disk
    script = textwrap.dedent(
        """
        import os, sys, threading, time
        from pathlib import Path
        from pfcompile.files import filter_file
        def work():
            filter_file(sys.argv[1], "/dev/null", "len > 5", engine="native")
        for _ in range(2):
            threading.Thread(target=work, daemon=True).start()
        while not list(Path(os.environ["XDG_CACHE_HOME"]).glob("*/*")):
            time.sleep(0.1)
        time.sleep(0.3)
        print("llvmlite.binding" in sys.modules)
        """
    )
    for expected in ("True", "False", "False", "False"):
        done = subprocess.run(
            [sys.executable, "-c", script, source],
            env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stdout.strip()) == (0, expected), done.stderr
