"""What commands load: nothing that they do not need, since most of their time is loading."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CAPTURE = Path(__file__).parents[2] / "pcaps" / "ethernet.pcap"

LIBRARIES = {
    *("elftools", "llvmlite", "networkx", "numpy", "pyroute2", "rich", "scapy", "textual", "z3"),
    *("anyio", "pygraphviz", "starlette", "uvicorn"),
}
"""Each has a door in one package or two, and is loaded by what needs it."""

IN_PYTHON = {"asyncio", "difflib", "importlib.metadata", "ipaddress", "json", "socket", "tempfile"}
"""What of the standard library takes long, and is for names, addresses or mistakes."""

PARTS = {
    *("pfcompile.contradiction", "pfcompile.syntax.hints", "pfcompile.syntax.unfinished"),
    *("pfcompile.cbpf.asm", "pfcompile.cbpf.reading", "pfcompile.ir.text"),
    *("pfcompile.lower.fields", "pfcompile.lower.tunnels", "pfcompile.facts.services"),
    *("pfcompile.ebpf", "pfcompile.kernel", "pfcompile.jit.engine", "pfcompile.prove"),
}
"""Our own that most filters do without."""

COMMAND = "from pfcompile.cli import main\ntry: main()\nexcept SystemExit: pass\n"

DUMP = [COMMAND, "tcp port 443", "--dump"]
COUNT = [COMMAND, "filter", "-r", str(CAPTURE), "--count", "--engine", "interp", "tcp port 443"]


def loaded(code: str, *arguments: str) -> set[str]:
    """Return the modules that a fresh process has loaded at its end."""
    code = f"import sys\n{code}\nprint('loaded:', *sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, check=True, timeout=60
    )
    return set(done.stderr.decode().rpartition("loaded:")[2].split())


@pytest.mark.parametrize(
    "code", [["import pfcompile"], DUMP, COUNT], ids=["import", "dump", "count"]
)
def test_libraries_stay_out(code):
    assert not loaded(*code) & LIBRARIES


def test_importing_loads_what_errors_need():
    modules = {name for name in loaded("import pfcompile") if name.startswith("pfcompile")}
    assert modules == {"pfcompile", "pfcompile.errors"}


def test_names_are_loaded_when_they_are_asked_for():
    code = "import pfcompile\nassert 'compile' in dir(pfcompile)\npfcompile.compile('ip')"
    modules = loaded(code)
    assert "pfcompile.compiler" in modules
    assert not modules & (LIBRARIES | IN_PYTHON | PARTS | {"click", "pfcompile.captures"})


def test_compiling_loads_what_the_filter_needs():
    assert not loaded(*DUMP) & (IN_PYTHON | PARTS | {"pathlib", "ply.cpp", "pfcompile.captures"})


def test_filtering_loads_what_the_filter_needs():
    assert not loaded(*COUNT) & PARTS


def test_the_version_needs_no_compiler():
    modules = loaded(COMMAND, "--version")
    assert not {"importlib.metadata", "pfcompile.compiler", "ply"} & modules
