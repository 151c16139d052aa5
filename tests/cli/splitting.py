"""What tests of `pfcompile split` share: ways to run it, and what it must come to."""

from __future__ import annotations

from pathlib import Path

from tests.cli import in_process
from tests.generator.seed import rerun

PCAPS = Path(__file__).parents[2] / "pcaps"
ETHERNET = PCAPS / "ethernet.pcap"
MIXED = PCAPS / "mixed.pcapng"
RERUN = rerun("tests/cli/test_split.py")

WAYS = (
    ("--engine", "interp"),
    ("--engine", "native"),
    ("--engine", "native", "-j", "2"),
    ("--engine", "native", "--mmap"),
    ("--engine", "native", "--mmap", "-j", "2"),
    ("--engine", "interp", "-j", "2"),
)
TEXTS = ("tcp", "udp or icmp", "", "tcp port 443", "arp or ip6", "greater 62")
"""Some overlap, and one is for all packets."""


def split(*arguments, stdin=b""):
    return in_process.run("split", *arguments, stdin=stdin)


def refused(*arguments, status=2):
    return in_process.refused("split", *arguments, status=status)


def written(folder, arguments, texts, ending=".pcap", stdin=b""):
    """Split; return the outcome and the contents of the outputs, None where there is none."""
    outputs = [folder / f"out{number}{ending}" for number in range(len(texts))]
    for each in outputs:
        each.unlink(missing_ok=True)
    given = [part for text, out in zip(texts, outputs, strict=True) for part in (text, "-w", out)]
    done = split(*arguments, *given, stdin=stdin)
    return done, [each.read_bytes() if each.exists() else None for each in outputs]


def filtered(folder, arguments, texts, ending=".pcap", stdin=b""):
    """Return the same by one `pfcompile filter -w` after the other."""
    contents, statuses = [], []
    for text in texts:
        out = folder / f"alone{ending}"
        out.unlink(missing_ok=True)
        done = in_process.run("filter", *arguments, "-w", out, text, stdin=stdin)
        statuses.append(done.returncode)
        contents.append(out.read_bytes() if out.exists() else None)
    return statuses, contents


def same_as_alone(folder, arguments, texts=TEXTS, ending=".pcap", stdin=b"", status=0):
    """Require that each way of splitting gives what filtering one by one gives."""
    statuses, wanted = filtered(folder, [*arguments, *WAYS[0]], texts, ending, stdin)
    assert set(statuses) == {status}
    for way in WAYS:
        done, found = written(folder, [*arguments, *way], texts, ending, stdin)
        assert done.returncode == status, (done, way, RERUN)
        assert found == wanted, (way, RERUN)
    return wanted
