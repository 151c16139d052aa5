"""What is computed before a filter begins: where variable headers end.

On 802.11 and pflog captures only the packet tells where its headers begin. That is worked out once,
into variables, and only where the filter uses it.

Sources: radiotap.org; the PPI, AVS and Prism header types at tcpdump.org; IEEE 802.11, 9.2.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.facts.link_layouts import LengthField
from pfcompile.ir.arithmetic import WORD
from pfcompile.ir.values import Value, Variable, add, const, variable
from pfcompile.lower.formula import (
    TRUE,
    Assign,
    Formula,
    byte,
    equal,
    every,
    has_bits,
    masked,
    opposite,
    sized,
    some,
    word,
)
from pfcompile.lower.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from pfcompile.facts.link_layouts import LinkLayout, MaskedField

_WLAN_HEADER: Final = 24
_QOS_CONTROL: Final = 2
_DATA_BIT, _CONTROL_BIT, _QOS_BIT = 0x08, 0x04, 0x80

# Radiotap: the first word of presence flags, read big-endian. The flags field stands behind the
# 64-bit timestamp where there is one.
_PRESENT_TSFT: Final = 0x01000000
_PRESENT_FLAGS: Final = 0x02000000
_PRESENT_MORE: Final = 0x00000080
_FLAG_PADDED: Final = 0x20


class Preamble:
    """The variables of one filter's variable headers.

    Attributes:
        frame: The headers at the beginning of the filter.
    """

    def __init__(self, layout: LinkLayout, variables: list[Variable]) -> None:
        self._layout = layout
        self._header: Variable | None = None
        self._payload: Variable | None = None
        header: Value
        payload: Value
        if isinstance(layout.header, LengthField):
            header = self._header = variable(len(variables))
            variables.append(self._header)
        else:
            header = const(layout.header)
        if layout.is_wlan or isinstance(layout.payload, LengthField):
            payload = self._payload = variable(len(variables))
            variables.append(self._payload)
        else:
            assert isinstance(layout.payload, int)
            payload = const(layout.payload)
        self.frame = Frame(
            layout=layout,
            header=header,
            type_field=const(layout.type_field),
            payload=payload,
            network=layout.network,
            network_no_snap=layout.network_no_snap,
        )

    def computation(self, used: AbstractSet[Variable]) -> Formula:
        """Return what sets the variables in `used`; it is always true."""
        steps = []
        if self._header is not None and used & {self._header, self._payload}:
            assert isinstance(self._layout.header, LengthField)
            steps.append(_set_length(self._header, self._layout.header))
        if self._payload is not None and self._payload in used:
            if self._layout.is_wlan:
                steps.append(self._set_wlan_payload(self._payload))
            else:
                assert isinstance(self._layout.payload, LengthField)
                steps.append(_set_length(self._payload, self._layout.payload))
        return every(*steps)

    def _set_wlan_payload(self, payload: Variable) -> Formula:
        """Return the computation of where an 802.11 frame's payload begins.

        As in libpcap, the fourth address and the HT control field are not counted.
        """
        control = byte(self.frame.header)
        longer = Assign(payload, add(payload, const(_QOS_CONTROL)))
        steps = [
            has_bits(control, _DATA_BIT),
            opposite(has_bits(control, _CONTROL_BIT)),
            some(every(has_bits(control, _QOS_BIT), longer), TRUE),
        ]
        if self._layout.radiotap_padding:
            steps.append(_pad(payload))
        start = Assign(payload, add(self.frame.header, const(_WLAN_HEADER)))
        return every(start, some(every(*steps), TRUE))


def _pad(payload: Variable) -> Formula:
    """Return the rounding up of `payload` to a multiple of 4 where a radiotap flag says so."""
    present = word(const(4))

    def padded(offset: int) -> Formula:
        return has_bits(byte(const(offset)), _FLAG_PADDED)

    timestamped = has_bits(present, _PRESENT_TSFT)
    flagged = every(
        has_bits(present, _PRESENT_FLAGS),
        opposite(has_bits(present, _PRESENT_MORE)),
        some(every(timestamped, padded(16)), every(opposite(timestamped), padded(8))),
    )
    rounded = masked(add(payload, const(3)), ~3 & WORD)
    return some(every(flagged, Assign(payload, rounded)), TRUE)


def field_test(field: MaskedField) -> Formula:
    """Return the test of a field that stands at a fixed place, as a link type's row has it."""
    mask = WORD if field.mask is None else field.mask
    test = equal(sized(field.size, const(0), field.offset), field.value, mask)
    return opposite(test) if field.negated else test


def _set_length(target: Variable, field: LengthField) -> Formula:
    """Return the computation of a header's length."""
    from pfcompile.ir.lengths import told_length  # noqa: PLC0415 - few link types have such

    value = told_length(field)
    if field.only_if is None:
        return Assign(target, value)
    here = every(field_test(field.only_if), Assign(target, value))
    return some(here, Assign(target, const(field.otherwise)))
