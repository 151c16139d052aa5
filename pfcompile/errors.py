"""What can go wrong, as one short tree.

::

    PfcompileError
    ├── FilterError        the expression: bad syntax, unknown name, impossible request
    ├── ProgramError       a classic BPF or eBPF program that is not valid, or too long for its use
    ├── CaptureError       a capture file that is damaged or cannot be read or written
    ├── AddressError       a list of addresses and networks that is wrong
    ├── AttachmentError    an attached filter, or a set of addresses, that is not there
    ├── KernelError        the kernel refused; carries errno and its meaning
    ├── MissingExtraError  an optional dependency is not installed
    └── InternalError      our own mistake, never the user's
"""

from __future__ import annotations

import errno as errno_names
import os
from typing import NamedTuple


class Span(NamedTuple):
    """A half-open range of characters in the text of an expression."""

    start: int
    end: int

    def to(self, other: Span) -> Span:
        """Return the smallest span that covers both."""
        return Span(min(self.start, other.start), max(self.end, other.end))


class PfcompileError(Exception):
    """Anything that pfcompile raises on purpose."""


class FilterError(PfcompileError):
    """An expression that cannot be compiled.

    Attributes:
        message: What is wrong, in one line; begins with libpcap's words where it has a message.
        text: The whole expression.
        span: Where in `text`, or None when it is about all of it.
        hint: What to do instead, or None.
    """

    def __init__(
        self, message: str, text: str = "", span: Span | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.text = text
        self.span = span
        self.hint = hint

    def __str__(self) -> str:
        """Draw the error with the line it is about and a caret under the culprit."""
        if self.span is None:
            return self.message if self.hint is None else f"{self.message}\n    hint: {self.hint}"
        return draw(self.message, self.text, self.span, self.hint)


class ProgramError(PfcompileError):
    """A program that is not valid, or not fit for the use that was asked for."""


class CaptureError(PfcompileError):
    """A capture that cannot be read or written.

    Attributes:
        message: What is wrong.
        path: The file, as the user named it ("-" is standard input or output).
        offset: Byte offset of the damage from the start of the file, or None.
    """

    def __init__(self, message: str, path: str, offset: int | None = None) -> None:
        self.message = message
        self.path = path
        self.offset = offset
        place = path if offset is None else f"{path}: byte {offset}"
        super().__init__(f"{place}: {message}")


class KernelError(PfcompileError):
    """The kernel refused what was asked.

    Attributes:
        message: What was asked and what can be done.
        errno: The error number, as errno(3) names it.
    """

    def __init__(self, message: str, errno: int) -> None:
        self.message = message
        self.errno = errno
        name = errno_names.errorcode.get(errno, str(errno))
        super().__init__(f"{message}: {os.strerror(errno)} ({name})")


class AddressError(PfcompileError):
    """A text that is no address or network, or a file of them that cannot be read."""


class AttachmentError(PfcompileError):
    """No attached filter is called so, or several are; or it is not what was asked for."""


class MissingExtraError(PfcompileError):
    """An optional dependency is needed and not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {package}, which is not installed: pip install 'pfcompile[{extra}]'"
        )


class InternalError(PfcompileError):
    """A mistake in pfcompile itself."""


_WINDOW = 100
"""Characters of a line that are drawn; of a longer one, those around the culprit."""


def draw(message: str, text: str, span: Span, hint: str | None = None) -> str:
    """Return `message` with its place in `text` drawn below it.

    Columns and lines count from 1; a span at the end of the text gets one caret behind it.
    """
    start = min(span.start, len(text))
    line_start = text.rfind("\n", 0, start) + 1
    line_end = text.find("\n", start)
    line = text[line_start : line_end if line_end >= 0 else len(text)]
    line_number = text.count("\n", 0, start) + 1
    column = start - line_start
    carets = max(1, min(span.end, line_start + len(line)) - start)
    line, indented, carets = _window(line, column, carets)
    # A tab before the culprit stays a tab, so that the caret stands under it on any terminal;
    # other control characters would move the cursor, and are shown as blanks.
    indent = "".join("\t" if c == "\t" else " " for c in line[:indented])
    shown = "".join(c if c == "\t" or c.isprintable() else " " for c in line)
    drawn = [
        f"{line_number}:{column + 1}: {message}",
        f"    {shown}",
        f"    {indent}{'^' * carets}",
    ]
    if hint is not None:
        drawn.append(f"    hint: {hint}")
    return "\n".join(drawn)


def _window(line: str, column: int, carets: int) -> tuple[str, int, int]:
    """Return the part of a line to draw, and the column and length of what is marked in it."""
    if len(line) <= _WINDOW:
        return line, column, carets
    first = max(0, min(column - _WINDOW // 4, len(line) - _WINDOW))
    last = first + _WINDOW
    before, after = "..." if first else "", "..." if last < len(line) else ""
    indented = column - first + len(before)
    return before + line[first:last] + after, indented, min(carets, last - column)
