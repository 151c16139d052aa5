"""What is wrong with an expression, where the answer was to be JSON."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from pfcompile.cli import common
from pfcompile.errors import FilterError

if TYPE_CHECKING:
    from pfcompile.errors import PfcompileError


def fail(error: PfcompileError, format_name: str) -> NoReturn:
    """Print an error and end: a bad expression's as JSON where that is the format."""
    if format_name == "json" and isinstance(error, FilterError):
        from pfcompile.explain.as_json import error_as_data  # noqa: PLC0415 - rarely needed

        click.echo(json.dumps(error_as_data(error), indent=2))
        sys.exit(common.STATUS_USAGE)
    common.fail(error)
