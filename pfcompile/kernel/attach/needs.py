"""What a kernel must have for an attachment; asked when it has refused one.

What there is, is found by trying (`bpf.probes`), each once in a process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.errors import KernelError
from pfcompile.kernel.attach.rows import Kind
from pfcompile.kernel.bpf import probes

if TYPE_CHECKING:
    from pfcompile.kernel.attach.program import Plan
    from pfcompile.kernel.bpf.probes import FeatureState

_ALWAYS: Final = ("array", "percpu_array", "bpf_map_lookup_elem", "local_calls", "jumps32")
_OF_KIND: Final = {
    Kind.XDP: ("xdp", "xdp_link", "xdp_frags", "bpf_xdp_get_buff_len", "bpf_xdp_load_bytes"),
    Kind.TC: ("sched_cls", "tcx_link", "bpf_skb_load_bytes"),
    Kind.CGROUP: ("cgroup_skb", "cgroup_link", "bpf_skb_load_bytes"),
    Kind.SOCKET: ("socket_filter", "prog_array", "bpf_tail_call"),
}
_OF_REPORTS: Final = (
    "ringbuf", "bpf_ringbuf_reserve", "bpf_ringbuf_submit", "bpf_ringbuf_discard",
    "bpf_ktime_get_ns",
)  # fmt: skip
_OF_SETS: Final = ("hash", "lpm_trie")
_OF_SOURCES: Final = ("percpu_hash", "bpf_map_update_elem")
"""Names of features, `bpf.probes`."""


class TooOldError(KernelError):
    """This kernel lacks what an attachment needs.

    Attributes:
        features: What it lacks, and which version of Linux brought it.
    """

    def __init__(self, refusal: KernelError, features: tuple[FeatureState, ...]) -> None:
        self.features = features
        lacks = ", ".join(f"{each.name} (Linux {each.since})" for each in features)
        super().__init__(f"{refusal.message}; this kernel lacks {lacks}", refusal.errno)


def needed(plan: Plan) -> tuple[str, ...]:
    """Return the names of the features that an attachment needs."""
    return (
        *_ALWAYS,
        *_OF_KIND[plan.row.kind],
        *(_OF_REPORTS if plan.reported_bytes else ()),
        *(_OF_SETS if plan.rules else ()),
        *(_OF_SOURCES if plan.counts_sources else ()),
    )


def explained(refusal: KernelError, plan: Plan) -> KernelError:
    """Return what to raise for a refusal: itself, or with what this kernel lacks."""
    states = map(probes.feature, needed(plan))
    lacking = tuple(state for state in states if state.available is False)
    return TooOldError(refusal, lacking) if lacking else refusal
