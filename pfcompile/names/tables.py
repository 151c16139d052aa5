"""The text files of a Unix system that the C library has no Python door to.

Both readers take one name and go through the file from its start; the first line that has the name
wins. Case does not count in either, as in the GNU C library. Lines that are damaged are passed
over, and a file that is missing or cannot be read holds no names.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_OCTET: Final = 255
_OCTETS: Final = 4
_MAC: Final = re.compile(r"[0-9a-f]{1,2}(:[0-9a-f]{1,2}){5}", re.IGNORECASE)


def find_network(path: Path | str, name: str) -> int | None:
    """Return the number of a network in a file such as /etc/networks, 0 to 2^32-1, or None.

    A line is a name, a number of one to four parts with dots, and further names. Parts that are
    missing at the end are zero: `loopback 127` is 0x7f000000. Parts may be octal or hexadecimal,
    as in C.

    Source: networks(5), inet_network(3), getnetbyname(3).
    """
    for official, number, *aliases in _lines(path):
        value = _network_number(number)
        if value is not None and _is_one_of(name, [official, *aliases]):
            return value
    return None


def find_ethernet(path: Path | str, name: str) -> int | None:
    """Return the Ethernet address of a host in a file such as /etc/ethers, 48 bits, or None.

    A line is six parts of one or two hexadecimal digits with colons, and a name.

    Source: ethers(5), ether_hostton(3).
    """
    for address, host, *_ in _lines(path):
        if _MAC.fullmatch(address) and _is_one_of(name, [host]):
            return int.from_bytes(bytes(int(part, 16) for part in address.split(":")), "big")
    return None


def _lines(path: Path | str) -> Iterator[list[str]]:
    """Yield the words of each line that has at least two, without comments."""
    try:
        text = Path(path).read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        return
    for line in text.split("\n"):
        words = line.partition("#")[0].split()
        if len(words) > 1:
            yield words


def _is_one_of(name: str, names: list[str]) -> bool:
    """Say whether `name` is among `names`, whatever the case of its letters."""
    return name.lower() in (other.lower() for other in names)


def _network_number(text: str) -> int | None:
    """Return the value of `text` with zero for the parts that are missing at its end, or None."""
    parts = [_part(part) for part in text.split(".")]
    octets = [part for part in parts if part is not None]
    if len(octets) != len(parts) or len(parts) > _OCTETS:
        return None
    return int.from_bytes(bytes(octets).ljust(_OCTETS, b"\0"), "big")


def _part(text: str) -> int | None:
    """Return the value of a part, 0 to 255, octal behind 0 and hexadecimal behind 0x, or None."""
    if re.fullmatch(r"0[xX][0-9a-fA-F]+", text):
        base = 16
    elif re.fullmatch(r"0[0-7]*", text):
        base = 8
    elif re.fullmatch(r"[1-9][0-9]{0,2}", text):
        base = 10
    else:
        return None
    value = int(text, base)
    return value if value <= _OCTET else None
