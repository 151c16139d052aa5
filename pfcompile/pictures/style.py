"""Colours of pictures, for light and for dark.

Each pair has a contrast of at least 4.5 to 1 where it is text (WCAG 2.2, 1.4.3), and 3 to 1 where
it is a line; `tests/pictures` holds them to it. Colour is never the only sign: ends have other
shapes, no sides are dashed, and terms stand in the box.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

Theme = dict[str, str]

LIGHT: Final[Theme] = {
    "paper": "#ffffff",
    "box": "#f6f8fa",
    "line": "#57606a",
    "text": "#1f2328",
    "detail": "#57606a",
    "accept": "#1a7f37",
    "reject": "#cf222e",
    "yes": "#1a7f37",
    "no": "#b35900",
    "heat": "#e5534b",
    "term0": "#0969da",
    "term1": "#8250df",
    "term2": "#bc4c00",
    "term3": "#0a7b83",
    "term4": "#bf3989",
    "term5": "#626a73",
    "term6": "#7d4e00",
    "term7": "#116329",
}

DARK: Final[Theme] = {
    "paper": "#0d1117",
    "box": "#161b22",
    "line": "#8b949e",
    "text": "#e6edf3",
    "detail": "#9aa4af",
    "accept": "#3fb950",
    "reject": "#ff7b72",
    "yes": "#3fb950",
    "no": "#f0a14e",
    "heat": "#f85149",
    "term0": "#58a6ff",
    "term1": "#bc8cff",
    "term2": "#f0883e",
    "term3": "#39c5cf",
    "term4": "#f778ba",
    "term5": "#b1bac4",
    "term6": "#d29922",
    "term7": "#7ee787",
}

HOT: Final = 0.3
"""How much of the colour of heat there is in the box that most packets came to."""

FONT: Final = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace"


def term_colour(theme: Theme, number: int) -> str:
    """Return the colour of a part of an expression."""
    return theme[f"term{number}"]


def css(theme: Theme | None) -> str:
    """Return the style sheet of a picture.

    Args:
        theme: The colours; None for light or dark as the reader's system has it, or as a page says
            with `data-theme` on an element around the picture.
    """
    if theme is not None:
        return _rules(theme)
    variables = {name: f"var(--pf-{name})" for name in LIGHT}
    return (
        f".pf {{ {_declared(LIGHT)} }}\n"
        f"@media (prefers-color-scheme: dark) {{ .pf {{ {_declared(DARK)} }} }}\n"
        f"[data-theme=light] .pf {{ {_declared(LIGHT)} }}\n"
        f"[data-theme=dark] .pf {{ {_declared(DARK)} }}\n" + _rules(variables)
    )


def _declared(theme: Theme) -> str:
    return " ".join(f"--pf-{name}: {colour};" for name, colour in theme.items())


def _rules(c: Mapping[str, str]) -> str:
    terms = "".join(f".pf .term{i} {{ fill: {c[f'term{i}']}; }}\n" for i in range(8))
    return (
        f".pf text {{ font-family: {FONT}; font-size: 12px; fill: {c['text']}; "
        "white-space: pre; }\n"
        f".pf .paper {{ fill: {c['paper']}; }}\n"
        f".pf .box rect.frame {{ fill: {c['box']}; stroke: {c['line']}; stroke-width: 1; }}\n"
        f".pf .box .hot {{ fill: {c['heat']}; }}\n"
        f".pf .accept rect.frame {{ stroke: {c['accept']}; stroke-width: 2; }}\n"
        f".pf .reject rect.frame {{ stroke: {c['reject']}; stroke-width: 2; }}\n"
        f".pf .accept text {{ fill: {c['accept']}; }}\n"
        f".pf .reject text {{ fill: {c['reject']}; }}\n"
        f".pf text.name {{ fill: {c['detail']}; font-size: 10px; }}\n"
        f".pf text.detail {{ fill: {c['detail']}; font-size: 11px; }}\n"
        f".pf text.asked {{ font-size: 11px; font-style: italic; }}\n"
        f".pf .way path {{ fill: none; stroke: {c['line']}; }}\n"
        f".pf .way path.head {{ fill: {c['line']}; stroke: none; }}\n"
        f".pf .yes path {{ stroke: {c['yes']}; }} .pf .yes path.head {{ fill: {c['yes']}; }}\n"
        f".pf .no path {{ stroke: {c['no']}; stroke-dasharray: 5 3; }}\n"
        f".pf .no path.head {{ fill: {c['no']}; stroke: none; }}\n"
        f".pf .way text {{ font-size: 10px; fill: {c['detail']}; }}\n"
        f".pf .yes text {{ fill: {c['yes']}; }} .pf .no text {{ fill: {c['no']}; }}\n"
        f".pf .title {{ font-size: 13px; font-weight: bold; }}\n"
        f".pf .way text, .pf .haloed {{ paint-order: stroke; stroke: {c['paper']}; "
        f"stroke-width: 3px; stroke-linejoin: round; }}\n" + terms
    )
