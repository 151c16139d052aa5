"""Addresses and networks as text, and as the keys of maps.

A line holds an address or a network, `10.0.0.1`, `10.0.0.0/8`, `2001:db8::/32`; `#` begins a
comment. A million of them are read in a second or two.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from pfcompile.errors import AddressError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

_BITS: Final = {4: 32, 6: 128}
_SOCKET_FAMILY: Final = {4: AF_INET, 6: AF_INET6}
_ADDRESS_BYTES: Final = frozenset(bits // 8 for bits in _BITS.values())
_LENGTH: Final = struct.Struct("=I")
"""Before the address in a trie's key."""
_BEHIND: Final = {
    family: {
        str(count): (_LENGTH.pack(count), (1 << (bits - count)) - 1) for count in range(bits + 1)
    }
    for family, bits in _BITS.items()
}
"""By the text behind the '/', what is before the address in a key, and the bits that are not set;
none for a single address."""


class Key(NamedTuple):
    """An address or a network, as a key.

    Attributes:
        part: "hosts" or "nets": which of a set's maps has it.
        family: 4 or 6.
        key: Its bytes there.
    """

    part: str
    family: int
    key: bytes


def parse(text: str) -> Key:
    """Return the key of an address or a network.

    Raises:
        AddressError: It is neither, or has bits set behind the network's.
    """
    return Key(*_parsed(text))


def _parsed(text: str) -> tuple[str, int, bytes]:
    """Do what `parse` does, for millions of them."""
    address, slash, length = text.partition("/")
    family = 6 if ":" in address else 4
    try:
        packed = inet_pton(_SOCKET_FAMILY[family], address)
    except (OSError, ValueError):
        raise AddressError(f"'{text}' is no address or network, such as 10.0.0.0/8") from None
    if not slash:
        return "hosts", family, packed
    found = _BEHIND[family].get(length)
    if found is None:
        bits = _BITS[family]
        raise AddressError(f"'{text}': behind the '/' there has to be a number from 0 to {bits}")
    start, behind = found
    if int.from_bytes(packed, "big") & behind:
        raise AddressError(f"'{text}' has bits set behind the first {length}")
    return ("nets", family, start + packed) if behind else ("hosts", family, packed)


def net_key(address: bytes) -> bytes:
    """Return the key of a network that is one address."""
    return _LENGTH.pack(8 * len(address)) + address


def address_first(key: bytes) -> tuple[bytes, bytes]:
    """Return what a key is to be sorted by, whether it has a length before its address or not."""
    start = 0 if len(key) in _ADDRESS_BYTES else _LENGTH.size
    return key[start:], key[:start]


def text_of(part: str, family: int, key: bytes) -> str:
    """Return how people write what `parse` has read."""
    if part == "hosts":
        return inet_ntop(_SOCKET_FAMILY[family], key)
    (length,) = _LENGTH.unpack_from(key)
    return f"{inet_ntop(_SOCKET_FAMILY[family], key[_LENGTH.size :])}/{length}"


@dataclass(frozen=True, slots=True)
class Prefixes:
    """Addresses and networks.

    Attributes:
        keys: For each map, by part and family, its keys one behind the other.
    """

    keys: dict[tuple[str, int], bytearray] = field(
        default_factory=lambda: {
            (part, family): bytearray() for part in ("hosts", "nets") for family in (4, 6)
        }
    )

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Return those that texts name; raises AddressError."""
        made = cls()
        for text in texts:
            part, family, key = _parsed(text)
            made.keys[part, family].extend(key)
        return made

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Return those of a file.

        Raises:
            AddressError: It cannot be read, or a line is wrong; says which.
        """
        try:
            # Some editors begin a file with a byte order mark.
            lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
        except OSError as error:
            raise AddressError(f"cannot read addresses from {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise AddressError(f"cannot read addresses from {path}: it is no text") from error
        made = cls()
        for number, line in enumerate(lines, 1):
            text = line.partition("#")[0].strip()
            if text:
                try:
                    part, family, key = _parsed(text)
                except AddressError as error:
                    raise AddressError(f"{path}, line {number}: {error}") from None
                made.keys[part, family].extend(key)
        return made

    def count(self, part: str, family: int) -> int:
        """Return how many there are for one of the maps."""
        return len(self.keys[part, family]) // key_bytes(part, family)

    def __len__(self) -> int:
        return sum(self.count(part, family) for part, family in self.keys)


def key_bytes(part: str, family: int) -> int:
    """Return the bytes of a key of one of the maps."""
    return _BITS[family] // 8 + (_LENGTH.size if part == "nets" else 0)
