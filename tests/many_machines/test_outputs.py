"""Where what matches goes; and what cannot be read, written or meant."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from pfcompile.captures.writer import Format
from pfcompile.distributed import cluster as clusters
from pfcompile.distributed import filter as filter_distributed
from pfcompile.distributed.outputs import names_in_folder
from pfcompile.errors import CaptureError, FilterError
from tests.many_machines.agreement import ETHERNET, PCAPS, one_process

pytestmark = pytest.mark.filterwarnings("error")


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
