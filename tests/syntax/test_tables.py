"""The parser's tables belong to the grammar, and nothing lies in wait in the current folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from pfcompile.syntax import default_reductions, grammar, tables

PACKAGE = Path(tables.__file__).parents[2]

TRAP = "raise SystemExit('a file of the current folder was run')\n"

# Only pfcompile itself is looked for before the current folder.
PARSING = """
import sys
sys.path.insert(0, sys.argv[1])
from pfcompile.syntax.parser import parse_partly
print(type(parse_partly(sys.argv[2])).__name__)
"""


def test_the_shipped_tables_are_the_grammars():
    assert tables.TABLES.read_text() == tables.generate(), (
        "the grammar has changed: python -m pfcompile.syntax.tables"
    )


@pytest.mark.parametrize(
    "production",
    [
        "term : PROTOCOL",  # a second way to read a protocol's name
        "expression : expression expression",  # juxtaposition, either way round
        "arithmetic : arithmetic MINUS MINUS arithmetic",  # minus twice, or minus a negative
    ],
)
def test_an_ambiguous_grammar_raises(monkeypatch, production):
    ambiguous = ModuleType("ambiguous")
    vars(ambiguous).update(
        {name: thing for name, thing in vars(grammar).items() if not name.startswith("__")}
    )

    def p_another(p):
        p[0] = p[1]

    p_another.__doc__ = production
    ambiguous.p_another = p_another
    ambiguous.__file__ = grammar.__file__
    ambiguous.__package__ = grammar.__package__
    monkeypatch.setattr(tables, "grammar", ambiguous)
    with pytest.raises(tables.GrammarConflictError, match="conflict"):
        tables.generate()


def test_an_unused_token_raises(monkeypatch):
    monkeypatch.setattr(grammar, "tokens", (*grammar.tokens, "IDLE"))
    with pytest.raises(tables.GrammarConflictError, match="IDLE"):
        tables.generate()


@pytest.mark.parametrize("text", ["tcp port 80", "host 1.2.3.4 and ("])
def test_nothing_is_read_from_or_written_to_the_current_folder(tmp_path, text):
    names = ("parsetab.py", "parser.out", "lextab.py", "generated.py", "pfcompile.py")
    for name in names:
        (tmp_path / name).write_text(TRAP)
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            PARSING,
            str(PACKAGE),
            text,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert (run.stderr, run.returncode) == ("", 0)
    assert run.stdout.strip() == ("Unfinished" if text.endswith("(") else "Qualified")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    assert all((tmp_path / name).read_text() == TRAP for name in names)


def test_default_reductions_only_reduce():
    for state, action in default_reductions.consistent_states().items():
        assert set(default_reductions.ACTIONS[state].values()) == {action}
        assert action < 0
