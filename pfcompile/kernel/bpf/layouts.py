"""What bpf(2) is asked with and answers: the members of `union bpf_attr`, and the three infos.

Every gap is a field of its own, so that the layouts are the same on machines that align 64-bit
numbers to 4 bytes. The kernel takes shorter ones than it knows, and longer ones whose end is 0.

Source: linux/bpf.h, `union bpf_attr`, `struct bpf_map_info`, `struct bpf_prog_info`, `struct
bpf_link_info`.
"""

from __future__ import annotations

from ctypes import Structure, c_char, c_uint8, c_uint32, c_uint64
from typing import Final

OBJECT_NAME_BYTES: Final = 16
"""BPF_OBJ_NAME_LEN: bytes of a name with the closing zero."""
TAG_BYTES: Final = 8
"""BPF_TAG_SIZE."""


class MapCreate(Structure):
    """BPF_MAP_CREATE."""

    _fields_ = (
        ("map_type", c_uint32),
        ("key_size", c_uint32),
        ("value_size", c_uint32),
        ("max_entries", c_uint32),
        ("map_flags", c_uint32),
        ("inner_map_fd", c_uint32),
        ("numa_node", c_uint32),
        ("map_name", c_char * OBJECT_NAME_BYTES),
    )


class MapElement(Structure):
    """BPF_MAP_*_ELEM and BPF_MAP_GET_NEXT_KEY, whose next key is the `value`."""

    _fields_ = (
        ("map_fd", c_uint32),
        ("gap", c_uint32),
        ("key", c_uint64),
        ("value", c_uint64),
        ("flags", c_uint64),
    )


class MapOnly(Structure):
    """BPF_MAP_FREEZE."""

    _fields_ = (("map_fd", c_uint32),)


class MapBatch(Structure):
    """BPF_MAP_*_BATCH."""

    _fields_ = (
        ("in_batch", c_uint64),
        ("out_batch", c_uint64),
        ("keys", c_uint64),
        ("values", c_uint64),
        ("count", c_uint32),
        ("map_fd", c_uint32),
        ("elem_flags", c_uint64),
        ("flags", c_uint64),
    )


class ProgLoad(Structure):
    """BPF_PROG_LOAD."""

    _fields_ = (
        ("prog_type", c_uint32),
        ("insn_cnt", c_uint32),
        ("insns", c_uint64),
        ("license", c_uint64),
        ("log_level", c_uint32),
        ("log_size", c_uint32),
        ("log_buf", c_uint64),
        ("kern_version", c_uint32),
        ("prog_flags", c_uint32),
        ("prog_name", c_char * OBJECT_NAME_BYTES),
        ("prog_ifindex", c_uint32),
        ("expected_attach_type", c_uint32),
    )


class RunOnPacket(Structure):
    """BPF_PROG_TEST_RUN."""

    _fields_ = (
        ("prog_fd", c_uint32),
        ("retval", c_uint32),
        ("data_size_in", c_uint32),
        ("data_size_out", c_uint32),
        ("data_in", c_uint64),
        ("data_out", c_uint64),
        ("repeat", c_uint32),
        ("duration", c_uint32),
        ("ctx_size_in", c_uint32),
        ("ctx_size_out", c_uint32),
        ("ctx_in", c_uint64),
        ("ctx_out", c_uint64),
        ("flags", c_uint32),
        ("cpu", c_uint32),
        ("batch_size", c_uint32),
        ("gap", c_uint32),
    )


class Pin(Structure):
    """BPF_OBJ_PIN and BPF_OBJ_GET."""

    _fields_ = (("pathname", c_uint64), ("bpf_fd", c_uint32), ("file_flags", c_uint32))


class Id(Structure):
    """BPF_*_GET_FD_BY_ID, and BPF_*_GET_NEXT_ID, which answers in `next_id`."""

    _fields_ = (("id", c_uint32), ("next_id", c_uint32), ("open_flags", c_uint32))


class InfoByFd(Structure):
    """BPF_OBJ_GET_INFO_BY_FD."""

    _fields_ = (("bpf_fd", c_uint32), ("info_len", c_uint32), ("info", c_uint64))


class LinkCreate(Structure):
    """BPF_LINK_CREATE; the last three are those of tcx links."""

    _fields_ = (
        ("prog_fd", c_uint32),
        ("target", c_uint32),
        ("attach_type", c_uint32),
        ("flags", c_uint32),
        ("relative_fd", c_uint32),
        ("gap", c_uint32),
        ("expected_revision", c_uint64),
    )


class LinkUpdate(Structure):
    """BPF_LINK_UPDATE."""

    _fields_ = (
        ("link_fd", c_uint32),
        ("new_prog_fd", c_uint32),
        ("flags", c_uint32),
        ("old_prog_fd", c_uint32),
    )


class LinkOnly(Structure):
    """BPF_LINK_DETACH."""

    _fields_ = (("link_fd", c_uint32),)


class EnableStats(Structure):
    """BPF_ENABLE_STATS."""

    _fields_ = (("type", c_uint32),)


class MapInfoAnswer(Structure):
    """The begin of `struct bpf_map_info`."""

    _fields_ = (
        ("type", c_uint32),
        ("id", c_uint32),
        ("key_size", c_uint32),
        ("value_size", c_uint32),
        ("max_entries", c_uint32),
        ("map_flags", c_uint32),
        ("name", c_char * OBJECT_NAME_BYTES),
    )


class ProgInfoAnswer(Structure):
    """`struct bpf_prog_info` up to the counters of runs."""

    _fields_ = (
        ("type", c_uint32),
        ("id", c_uint32),
        ("tag", c_uint8 * TAG_BYTES),
        ("jited_prog_len", c_uint32),
        ("xlated_prog_len", c_uint32),
        ("jited_prog_insns", c_uint64),
        ("xlated_prog_insns", c_uint64),
        ("load_time", c_uint64),
        ("created_by_uid", c_uint32),
        ("nr_map_ids", c_uint32),
        ("map_ids", c_uint64),
        ("name", c_char * OBJECT_NAME_BYTES),
        ("ifindex", c_uint32),
        ("gpl_compatible", c_uint32),
        ("netns_dev", c_uint64),
        ("netns_ino", c_uint64),
        ("nr_jited_ksyms", c_uint32),
        ("nr_jited_func_lens", c_uint32),
        ("jited_ksyms", c_uint64),
        ("jited_func_lens", c_uint64),
        ("btf_id", c_uint32),
        ("func_info_rec_size", c_uint32),
        ("func_info", c_uint64),
        ("nr_func_info", c_uint32),
        ("nr_line_info", c_uint32),
        ("line_info", c_uint64),
        ("jited_line_info", c_uint64),
        ("nr_jited_line_info", c_uint32),
        ("line_info_rec_size", c_uint32),
        ("jited_line_info_rec_size", c_uint32),
        ("nr_prog_tags", c_uint32),
        ("prog_tags", c_uint64),
        ("run_time_ns", c_uint64),
        ("run_cnt", c_uint64),
    )


class LinkInfoAnswer(Structure):
    """The begin of `struct bpf_link_info`; what the last 16 bytes are depends on the type."""

    _fields_ = (
        ("type", c_uint32),
        ("id", c_uint32),
        ("prog_id", c_uint32),
        ("gap", c_uint32),
        ("more", c_uint32 * 4),
    )


class PerfEventAttr(Structure):
    """The first version of `struct perf_event_attr`, linux/perf_event.h: 64 bytes."""

    _fields_ = (
        ("type", c_uint32),
        ("size", c_uint32),
        ("config", c_uint64),
        ("sample_period", c_uint64),
        ("sample_type", c_uint64),
        ("read_format", c_uint64),
        ("flags", c_uint64),
        ("wakeup_events", c_uint32),
        ("bp_type", c_uint32),
        ("config1", c_uint64),
    )
