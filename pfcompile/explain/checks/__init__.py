"""What is looked for: a function each, from a subject to warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.explain.checks import (
    arithmetic,
    elsewhere,
    flags,
    link_types,
    lists,
    moving,
    negation,
    reach,
    reading,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pfcompile.explain.explanation import FilterWarning
    from pfcompile.explain.subject import Subject

__all__ = ["CHECKS"]

CHECKS: Final[tuple[Callable[[Subject], Iterator[FilterWarning]], ...]] = (
    reading.left_to_right,
    reading.list_behind_and,
    reading.number_as_host,
    reading.port_of_another_protocol,
    reading.before_the_parenthesis,
    negation.first_only,
    negation.both_at_once,
    negation.unlike_either,
    arithmetic.to_the_end,
    arithmetic.no_protocol_asked,
    arithmetic.no_sign,
    arithmetic.outside_the_header,
    arithmetic.unlike_in_one_protocol,
    flags.no_other_flag,
    flags.any_flag,
    reach.ipv4_only,
    reach.icmp6_alone,
    reach.ports_behind_extensions,
    reach.fragments,
    reach.denied_and_unseen,
    reach.chain_elsewhere,
    moving.offsets_move,
    moving.labels_stay,
    link_types.word_of_another,
    link_types.odd_layouts,
    link_types.not_looked_into,
    words.broadcast_of_any_network,
    words.bound_included,
    words.name_is_prefix,
    words.is_ethernet_address,
    words.access_points,
    words.changes_nothing,
    words.several_addresses,
    words.octal,
    words.short_address,
    words.one_address_network,
    lists.covered_by_others,
    elsewhere.refused_by_tcpdump,
    elsewhere.optimised_wrongly,
    elsewhere.looked_for_elsewhere,
)
"""All but those that need proofs, which are in `proofs`."""
