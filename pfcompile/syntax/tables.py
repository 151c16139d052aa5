"""Make the parser's tables, which are kept in `parsetab.py` beside this module.

After a change of `grammar.py`, `python -m pfcompile.syntax.tables` writes them anew.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from ply import yacc

from pfcompile.syntax import grammar

TABLES: Final = Path(__file__).with_name("parsetab.py")


class GrammarConflictError(Exception):
    """The grammar is ambiguous; the text says where."""


class _Strict:
    """A log for PLY that takes every complaint for an error."""

    def warning(self, message: str, *args: object) -> None:
        raise GrammarConflictError(message % args)

    error = critical = warning

    def info(self, message: str, *args: object) -> None:
        """Take no notice: PLY reports the tables' method here."""

    debug = info


def generate() -> str:
    """Return the text of the tables; raises GrammarConflictError for an ambiguous grammar."""
    with tempfile.TemporaryDirectory() as folder:
        yacc.yacc(
            module=grammar,
            tabmodule="generated",  # a name that does not exist: PLY would read tables that do
            outputdir=folder,
            debug=True,  # else PLY does not report conflicts
            debuglog=yacc.NullLogger(),
            write_tables=True,
            errorlog=_Strict(),
        )
        text = Path(folder, "generated.py").read_text()
    # PLY writes each production's place in the file; only the module's name is the same anywhere.
    text = text.replace(str(Path(grammar.__file__).parent) + "/", "")
    return text.replace("# generated.py", "# parsetab.py\n# mypy: ignore-errors")


if __name__ == "__main__":
    TABLES.write_text(generate())
