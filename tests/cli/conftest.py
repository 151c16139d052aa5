"""Fixtures of tests of the command line."""

from __future__ import annotations

import pytest

from pfcompile.captures.blocks import parts

# Its assertions show what they compare, as those of the tests do.
pytest.register_assert_rewrite("tests.cli.splitting")


@pytest.fixture
def small_parts(monkeypatch):
    """Let threads cut small files, too."""
    monkeypatch.setattr(parts, "PART", 2048)
