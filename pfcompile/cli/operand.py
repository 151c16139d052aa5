"""What a word of `pfcompile prove` stands for: an expression, a program, or a file that holds one.

`-` and `@FILE` are programs to be read. Anything else that the grammar takes is an expression, even
where a file has that name, so that what a command means does not hang on the folder it is run in.
What cannot be an expression is a file of that name, if there is one, or else a program itself, as
`pfcompile --format iptables` prints it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pfcompile.cbpf import savefile
from pfcompile.cbpf.reading import parse_program
from pfcompile.errors import FilterError, ProgramError
from pfcompile.facts.link_types import dlt_of_linktype
from pfcompile.syntax.parser import Unfinished, parse_partly

if TYPE_CHECKING:
    from pfcompile.cbpf.isa import Instruction

STANDARD_INPUT: Final = "-"
FILE_MARK: Final = "@"


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression, still to be compiled.

    Attributes:
        text: What was written.
        dlt: The link type that it is known to be for: none.
    """

    text: str
    dlt: None = None


@dataclass(frozen=True, slots=True)
class Given:
    """A program that was given as such.

    Attributes:
        instructions: The program, not checked.
        dlt: The link type that it is for, which only a savefile says.
    """

    instructions: tuple[Instruction, ...]
    dlt: int | None = None


def file_of(word: str) -> str | None:
    """Return the file that a word names, "-" for standard input, or None where it is no file."""
    if word == STANDARD_INPUT:
        return STANDARD_INPUT
    if word.startswith(FILE_MARK):
        return word.removeprefix(FILE_MARK)
    return word if _is_wrong(word) is not None and _is_file(word) else None


def read_operand(word: str) -> Expression | Given:
    """Return what a word stands for.

    Raises:
        ProgramError: A file cannot be read, or holds no program.
        FilterError: The word is neither an expression nor a program, nor is there such a file.
    """
    file = file_of(word)
    if file is not None:
        return _read_file(file)
    wrong = _is_wrong(word)
    if wrong is None:
        return Expression(word)
    try:
        return Given(parse_program(word))
    except ProgramError:
        raise wrong from None


def _is_wrong(word: str) -> FilterError | None:
    """Return what keeps a word from being an expression, or None."""
    try:
        tree = parse_partly(word)
    except FilterError as error:
        return error
    except RecursionError:
        return FilterError("expression is nested too deeply", word)
    return tree.error if isinstance(tree, Unfinished) else None


def _is_file(word: str) -> bool:
    try:
        return Path(word).is_file()
    except (OSError, ValueError):  # too long for a name, or a null byte in it
        return False


def _read_file(file: str) -> Given:
    shown = "standard input" if file == STANDARD_INPUT else file
    try:
        data = sys.stdin.buffer.read() if file == STANDARD_INPUT else Path(file).read_bytes()
    except OSError as error:
        raise ProgramError(f"{shown}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ProgramError(f"{shown}: cannot be read: {error}") from error
    try:
        if data.startswith(savefile.MAGIC):
            contents = savefile.read(data)
            return Given(contents.instructions, dlt_of_linktype(contents.link_type))
        return Given(parse_program(data))
    except ProgramError as error:
        raise ProgramError(f"{shown}: {error}") from error
