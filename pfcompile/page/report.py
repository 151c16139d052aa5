"""The page about one expression as one file, which needs no server and asks nobody for anything.

It has the page's own style and modules, put together: imports and the word `export` are taken out,
and the modules stand one after the other, those first that others need. The file's policy allows
these very texts, by their hashes, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pfcompile import __version__
from pfcompile.page.analysis import analyse
from pfcompile.page.asked import compiled
from pfcompile.page.comparison import compare
from pfcompile.page.course import course
from pfcompile.page.meaning import meaning
from pfcompile.page.packets import run_over
from pfcompile.page.work import encoded

if TYPE_CHECKING:
    from pfcompile.page.asked import Filter

STATIC: Final = Path(__file__).parent / "static"

FIRST_MODULE: Final = "report.js"

MOST_COURSES: Final = 200
"""How many packets have their way through the graph in a report."""

_IMPORT: Final = re.compile(r'^import \{ [^}]* \} from "\./([a-z-]+\.js)";\n', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=async |class |const |function )", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a report is about.

    Attributes:
        asked: The expression.
        capture: A capture whose packets are shown, or None.
        other: An expression that it is compared with, or None.
    """

    asked: Filter
    capture: str | None = None
    other: Filter | None = None


def report(subject: Subject) -> str:
    """Return a report as HTML.

    Raises:
        FilterError: An expression is wrong.
        CaptureError: The capture cannot be read.
        ValueError: There is no such link type.
    """
    asked, other = subject.asked, subject.other
    listing = str(compiled(asked).program.dump("tcpdump"))
    if other is not None:
        compiled(other)
    outcome = None if subject.capture is None else run_over(subject.capture, asked)
    listed = () if outcome is None else outcome.listed[:MOST_COURSES]
    data = {
        "version": __version__,
        "analysis": analyse(asked),
        "meaning": meaning(asked),
        "capture": subject.capture,
        "outcome": outcome,
        "courses": [
            course(str(subject.capture), asked, each.number, change_seconds=0) for each in listed
        ],
        "other": None if other is None else other.text,
        "comparison": None if other is None else compare(asked, other),
    }
    return _document(asked.text, listing, data)


def _document(text: str, listing: str, data: dict[str, Any]) -> str:
    style = (STATIC / "style.css").read_text(encoding="utf-8")
    theme = (STATIC / "theme.js").read_text(encoding="utf-8")
    script = bundled(FIRST_MODULE)
    policy = (
        f"default-src 'none'; script-src {_hash(theme)} {_hash(script)}; style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    )
    # In a script element only `<` can begin something else: its end, or a comment.
    embedded = encoded(data).decode().replace("<", "\\u003c")
    shown = html.escape(text)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{shown or "(blank)"} - pfcompile</title>
<style>{style}</style>
<script>{theme}</script>
</head>
<body>
<noscript>
<p class="notice">The drawing and the lists of this report need JavaScript; this is its program.</p>
<pre>{shown}

{html.escape(listing)}</pre>
</noscript>
<script type="application/json" id="data">{embedded}</script>
<script type="module">{script}</script>
</body>
</html>
"""


def bundled(first: str) -> str:
    """Return a module of the page with all that it imports, as one module."""
    texts: dict[str, str] = {}

    def add(name: str) -> None:
        if name in texts:
            return
        text = (STATIC / name).read_text(encoding="utf-8")
        for needed in _IMPORT.findall(text):
            add(needed)
        texts[name] = _EXPORT.sub("", _IMPORT.sub("", text))

    add(first)
    return "\n".join(texts.values())


def _hash(text: str) -> str:
    """Return the source expression for a script or style with this very text (CSP 3, 2.3.1)."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
