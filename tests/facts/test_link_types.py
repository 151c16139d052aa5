"""The link types against libpcap, and the page that is made of them."""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path

import pytest
from oracles.libpcap import Refused, library_path

from pfcompile.facts.__main__ import link_types_page
from pfcompile.facts.link_types import (
    KNOWN_DLTS,
    LINK_TYPES,
    SYNONYMS,
    by_dlt,
    by_linktype,
    by_name,
    describe,
    dlt_of_linktype,
    linktype_of_dlt,
)

PAGE = Path(__file__).parents[2] / "docs" / "link-types.md"

TRIED_DLTS = range(-3, 400)

# Named since libpcap 1.11.
NEW_NAMES = {2, 3, 4, 5, 32, 304}
# Compiled for since libpcap 1.11.
NEW_DLTS = {304}
# Renamed in libpcap 1.11; 1.10.6 calls it:
RENAMED = {209: "IPMB_LINUX"}
# Described otherwise in libpcap 1.11; 1.10.6 says:
REDESCRIBED = {
    6: "Token ring",
    7: "BSD ARCNET",
    8: "SLIP",
    9: "PPP",
    10: "FDDI",
    12: "Raw IP",
    15: "BSD/OS SLIP",
    16: "BSD/OS PPP",
    50: "PPP over serial",
    51: "PPPoE",
    114: "Localtalk",
    129: "Linux ARCNET",
    209: "IPMB with Linux/Pigeon Point pseudo-header",
    242: "RFC 4391 IP-over-Infiniband",
    281: "Broadcom tag",
    282: "Broadcom tag (prepended)",
    284: "Marvell DSA",
    285: "Marvell EDSA",
    302: "edk2 mm request serialization protocol",
}


@pytest.fixture(scope="module")
def library(libpcap):
    loaded = ctypes.CDLL(str(library_path()))
    loaded.pcap_datalink_val_to_name.restype = ctypes.c_char_p
    loaded.pcap_datalink_val_to_description.restype = ctypes.c_char_p
    loaded.pcap_open_dead.restype = ctypes.c_void_p
    loaded.pcap_dump_open.restype = ctypes.c_void_p
    loaded.pcap_dump_open.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
    loaded.pcap_dump_close.argtypes = (ctypes.c_void_p,)
    loaded.pcap_open_offline.restype = ctypes.c_void_p
    loaded.pcap_datalink.argtypes = (ctypes.c_void_p,)
    loaded.pcap_close.argtypes = (ctypes.c_void_p,)
    return loaded


def test_every_column_is_unique_and_rows_are_in_order():
    for column in ("dlt", "linktype", "name"):
        values = [getattr(row, column) for row in LINK_TYPES]
        assert len(set(values)) == len(values) == 188, column
    assert [row.dlt for row in LINK_TYPES] == sorted(row.dlt for row in LINK_TYPES)


@pytest.mark.parametrize("row", LINK_TYPES, ids=lambda row: row.name)
def test_lookups_find_the_row(row):
    assert by_dlt(row.dlt) is row
    assert by_linktype(row.linktype) is row
    for name in (row.name, row.name.lower(), f"DLT_{row.name}", f"linktype_{row.name.lower()}"):
        assert by_name(name) is row
    assert describe(row.dlt) == f"DLT_{row.name} ({row.description})"
    assert dlt_of_linktype(row.linktype) == row.dlt
    assert linktype_of_dlt(row.dlt) == row.linktype


def test_other_names():
    for other, name in SYNONYMS.items():
        assert by_dlt(by_name(f"LINKTYPE_{other}").dlt).name == name
        assert all(row.name != other for row in LINK_TYPES)


@pytest.mark.parametrize("name", ["", "DLT_", "ETHERNE", "DLT_DLT_RAW", "DLT_LINKTYPE_RAW", "112"])
def test_what_is_no_name(name):
    assert by_name(name) is None


@pytest.mark.parametrize(("dlt", "text"), [(112, "DLT 112"), (-1, "DLT -1"), (999, "DLT 999")])
def test_nameless_numbers(dlt, text):
    assert describe(dlt) == text
    assert by_dlt(dlt) is None
    assert linktype_of_dlt(dlt) == dlt == dlt_of_linktype(dlt)


def test_names_and_descriptions_agree_with_libpcap(library):
    for dlt in TRIED_DLTS:
        row = by_dlt(dlt)
        name = library.pcap_datalink_val_to_name(dlt)
        if name is None:
            assert (row is not None) == (dlt in NEW_NAMES), dlt
            continue
        assert row is not None, dlt
        assert dlt not in NEW_NAMES
        assert name.decode() == RENAMED.get(dlt, row.name)
        description = library.pcap_datalink_val_to_description(dlt).decode()
        assert description == REDESCRIBED.get(dlt, row.description)
        assert library.pcap_datalink_name_to_val(name) == dlt == by_name(name.decode()).dlt


def test_known_numbers_are_those_that_libpcap_compiles_for(libpcap):
    for dlt in TRIED_DLTS:
        if dlt in KNOWN_DLTS - NEW_DLTS:
            assert libpcap.compile("", dlt), dlt
        else:
            with pytest.raises(Refused, match="unknown data link type"):
                libpcap.compile("", dlt)


def test_numbers_in_files_that_libpcap_writes(library, tmp_path):
    path = tmp_path / "written.pcap"
    for dlt in sorted(KNOWN_DLTS - NEW_DLTS):
        handle = library.pcap_open_dead(dlt, 65535)
        dumper = library.pcap_dump_open(handle, str(path).encode())
        assert dumper is not None, dlt
        library.pcap_dump_close(dumper)
        library.pcap_close(handle)
        (linktype,) = struct.unpack("=I", path.read_bytes()[20:24])
        assert linktype_of_dlt(dlt) == linktype


def test_numbers_in_files_that_libpcap_reads(library, tmp_path):
    path = tmp_path / "read.pcap"
    message = ctypes.create_string_buffer(256)
    for linktype in range(400):
        path.write_bytes(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, linktype))
        handle = library.pcap_open_offline(str(path).encode(), message)
        assert handle is not None, message.value
        assert dlt_of_linktype(linktype) == library.pcap_datalink(handle), linktype
        library.pcap_close(handle)


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == link_types_page(), (
        "run: python -m pfcompile.facts > docs/link-types.md"
    )
