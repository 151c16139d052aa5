"""Print the link types as a page in Markdown: `python -m pfcompile.facts > docs/link-types.md`."""

from __future__ import annotations

import sys

from pfcompile.facts.link_types import LINK_TYPES, NUMBERED_DLTS, SYNONYMS

_HEAD = f"""\
# Link types

What a packet can begin with. `-y NAME` and `link_type="NAME"` take the names below in any case,
as they are or with `DLT_` or `LINKTYPE_` before them. The DLT is the number that a filter is
compiled for; LINKTYPE is the number that a capture file stores.

Numbers from {NUMBERED_DLTS.start} to {NUMBERED_DLTS.stop - 1} that are not listed have no name; \
filters compile for them all the same.

Some types have another name in the LINKTYPE_ list, or had one in the past, which is understood
too: \
{", ".join(f"{other} for {name}" for other, name in SYNONYMS.items())}.

<!-- Made by `python -m pfcompile.facts`; a test compares the two. -->

| DLT | LINKTYPE | Name | Description |
|---:|---:|---|---|
"""


def link_types_page() -> str:
    """Return the whole page, ending in a newline."""
    rows = (
        f"| {row.dlt} | {row.linktype} | {row.name} | {row.description} |\n" for row in LINK_TYPES
    )
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    sys.stdout.write(link_types_page())
