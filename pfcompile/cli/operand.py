"""What a word of `pfcompile prove` stands for: an expression, a program, or a file that holds one.

`-` and `@FILE` are programs to be read. Anything else that the grammar takes is an expression, even
where a file has that name, so that what a command means does not hang on the folder it is run in.
What cannot be an expression is a file of that name, if there is one, or else a program itself, as
`pfcompile --format iptables` prints it.

A word is classified once, by `classify`, and what is to be read of it is read by `load`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from pfcompile.cbpf import savefile
from pfcompile.cbpf.check import check_structure
from pfcompile.cbpf.isa import Instruction
from pfcompile.cbpf.listing import SOCK_FILTER
from pfcompile.cbpf.reading import parse_program
from pfcompile.errors import FilterError, ProgramError
from pfcompile.facts.link_types import dlt_of_linktype
from pfcompile.syntax.parser import Unfinished, parse_partly

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
class File:
    """A file that holds a program.

    Attributes:
        name: Its name, or "-" for standard input.
    """

    name: str

    @property
    def shown(self) -> str:
        """What errors call it."""
        return "standard input" if self.name == STANDARD_INPUT else self.name


@dataclass(frozen=True, slots=True)
class Text:
    """What must be a program itself, since it is neither an expression nor a file's name.

    Attributes:
        text: What was written.
        wrong: What keeps it from being an expression.
    """

    text: str
    wrong: FilterError


@dataclass(frozen=True, slots=True)
class Given:
    """A program that was given as such.

    Attributes:
        instructions: The program, not checked.
        dlt: The link type that it is for, which only a savefile says.
    """

    instructions: tuple[Instruction, ...]
    dlt: int | None = None


Operand: TypeAlias = Expression | File | Text


def classify(word: str) -> Operand:
    """Return what a word stands for; nothing is read."""
    if word == STANDARD_INPUT:
        return File(STANDARD_INPUT)
    if word.startswith(FILE_MARK):
        return File(word.removeprefix(FILE_MARK))
    wrong = _is_wrong(word)
    if wrong is None:
        return Expression(word)
    return File(word) if _is_file(word) else Text(word, wrong)


def load(operand: Operand) -> Expression | Given:
    """Return the program that a file or a text is; an expression stays one.

    Raises:
        ProgramError: A file cannot be read, or holds no program.
        FilterError: A text is no program either.
    """
    match operand:
        case Expression():
            return operand
        case Text(text, wrong):
            try:
                return Given(parse_program(text))
            except ProgramError:
                raise wrong from None
        case File():
            try:
                return _given(_contents(operand))
            except ProgramError as error:
                raise ProgramError(f"{operand.shown}: {error}") from error


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


def _contents(file: File) -> bytes:
    try:
        if file.name == STANDARD_INPUT:
            return sys.stdin.buffer.read()
        return Path(file.name).read_bytes()
    except OSError as error:
        raise ProgramError(f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ProgramError(f"cannot be read: {error}") from error


def _given(data: bytes) -> Given:
    if data.startswith(savefile.MAGIC):
        contents = savefile.read(data)
        return Given(contents.instructions, dlt_of_linktype(contents.link_type))
    return Given(_from_raw(data) or parse_program(data))


def _from_raw(data: bytes) -> tuple[Instruction, ...] | None:
    """Return the program that an array of `struct sock_filter` is, as `--format raw` writes it.

    It has no mark of its own. But an operation's number has a byte of zeros, which no text has, and
    other bytes are hardly ever a valid program; None for all that is not.
    """
    if b"\0" not in data or len(data) % SOCK_FILTER.size:
        return None
    instructions = tuple(Instruction(*fields) for fields in SOCK_FILTER.iter_unpack(data))
    try:
        check_structure(instructions)
    except ProgramError:
        return None
    return instructions
