"""Reasons and actions in the records of OpenBSD's packet filter.

Sources: pf(4) and net/pfvar.h of OpenBSD; pcap-filter(7) for the words. The numbers above these
mean different things on each system, and names for them exist only there, so none are listed: a
filter can give their number.
"""

from __future__ import annotations

from typing import Final

from pfcompile.facts.rows import Number, by_name

REASONS: Final = (
    Number(0, ("match",), "A rule matched"),
    Number(1, ("bad-offset",), "Bad offset for pulling up the header"),
    Number(2, ("fragment",), "Dropped the fragments that followed"),
    Number(3, ("short",), "Packet too short"),
    Number(4, ("normalize",), "Dropped by the normalizer"),
    Number(5, ("memory",), "Out of memory"),
    Number(6, ("bad-timestamp",), "Bad TCP timestamp, RFC 7323"),
    Number(7, ("congestion",), "Input queue congested"),
    Number(8, ("ip-option",), "Bad IP options"),
    Number(9, ("proto-cksum",), "Bad checksum of the transport"),
    Number(10, ("state-mismatch",), "No fit with the connection's state"),
    Number(11, ("state-insert",), "State could not be inserted"),
    Number(12, ("state-limit",), "Limit of states reached"),
    Number(13, ("src-limit",), "Limit of the source reached"),
    Number(14, ("synproxy",), "Handled by the SYN proxy"),
)

ACTIONS: Final = (
    Number(0, ("pass", "accept"), "Let through"),
    Number(1, ("drop", "block"), "Dropped"),
    Number(2, ("scrub",), "Normalized"),
    Number(3, ("noscrub",), "Exempt from scrub"),
    Number(4, ("nat",), "Source translated"),
    Number(5, ("nonat",), "Exempt from nat"),
    Number(6, ("binat",), "Translated both ways"),
    Number(7, ("nobinat",), "Exempt from binat"),
    Number(8, ("rdr",), "Redirected"),
    Number(9, ("nordr",), "Exempt from rdr"),
    Number(10, ("synproxy-drop",), "Dropped, answered by the SYN proxy"),
)

_REASONS = by_name(REASONS)
_ACTIONS = by_name(ACTIONS)


def pf_reason(name: str) -> int | None:
    """Return the number of the reason called `name`, in any case, or None."""
    return _REASONS.get(name.lower())


def pf_action(name: str) -> int | None:
    """Return the number of the action called `name`, in any case, or None."""
    return _ACTIONS.get(name.lower())


MAX_NAME: Final = 15
"""Longest interface or rule set name; their fields have 16 bytes with a NUL at the end."""
