"""Pictures as PNG, by way of SVG: resvg draws it, without a system library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pfcompile.errors import MissingExtraError, PfcompileError
from pfcompile.pictures.style import LIGHT
from pfcompile.pictures.svg import svg

if TYPE_CHECKING:
    from pfcompile.pictures.model import Picture
    from pfcompile.pictures.style import Theme

_LARGEST: Final = 12_000
"""Pixels on the longer side; a larger picture is drawn smaller."""


def png(picture: Picture, theme: Theme = LIGHT, scale: float = 2.0) -> bytes:
    """Return a picture as a PNG file.

    Args:
        picture: What to draw.
        theme: Its colours: a PNG does not change with its reader's.
        scale: Pixels of the file for each pixel of the SVG, less for a very large picture.

    Raises:
        MissingExtraError: pygraphviz or resvg-py is not installed.
    """
    try:
        import resvg_py  # noqa: PLC0415 - an extra
    except ImportError as missing:
        raise MissingExtraError("resvg-py", "pictures", "a PNG") from missing
    document, longer = svg(picture, theme), 0.0
    for name in ("width", "height"):
        start = document.index(f'{name}="') + len(name) + 2
        longer = max(longer, float(document[start : document.index('"', start)]))
    zoom = min(scale, _LARGEST / longer)
    try:
        return resvg_py.svg_to_bytes(svg_string=document, zoom=zoom)
    except ValueError as error:
        raise PfcompileError(f"the picture cannot be drawn as PNG: {error}") from error
