"""The command language: a line in, lines of text out.

Names are those of gdb and bpf_dbg; any beginning of a name that is of only one command will do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pfcompile.debugger import text
from pfcompile.debugger.arguments import at_least_one, choice, number_in, refuse_more, shortened
from pfcompile.debugger.mistakes import Mistake
from pfcompile.debugger.places import find_place, split_condition
from pfcompile.names.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pfcompile.debugger.session import Session
    from pfcompile.debugger.stops import Stop, View

_AROUND: Final = 5
"""Instructions shown before and behind the next one by `list`."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command.

    Attributes:
        usage: How it is written, its name first.
        help: What it does, in a line.
        do: Does it; what it is given is the rest of the line.
        aliases: Its other names.
        moves: Whether an empty line does it again.
        more: The rest of its help text.
    """

    usage: str
    help: str
    do: Callable[[Shell, str], Iterable[str]]
    aliases: tuple[str, ...] = ()
    moves: bool = False
    more: str = ""

    @property
    def name(self) -> str:
        """Its full name."""
        return self.usage.split()[0]


class Shell:
    """A session, and the commands that are given to it.

    Attributes:
        session: The session.
        last: Where the last deed has led.
        is_done: Whether it was told to quit.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.last: Stop = session.stop_here()
        self.is_done = False
        self._again = ""

    @property
    def view(self) -> View:
        """What there is to see."""
        return self.last.view

    def greeting(self) -> Iterator[str]:
        """Yield what is said at the start."""
        return text.stop_lines(self.last)

    def execute(self, line: str, *, repeats: bool = False) -> list[str]:
        """Do what a line says, and return what is to be said about it.

        Args:
            line: A command; nothing, or a comment that begins with `#`, does nothing.
            repeats: Whether an empty line does the last command again, if that was a move.

        Raises:
            Mistake: It is no command, or cannot be done; nothing has changed.
            FilterError: The expression is wrong for the link type of the packet that was wanted.
            CaptureError: The capture cannot be read any more.
        """
        line = line.strip()
        if not line and repeats:
            line = self._again
        if not line or line.startswith("#"):
            return []
        # gdb writes the format of `print` behind a slash; numbers are shown in both bases here.
        name, _, rest = re.sub(r"^(\w+)/\w+", r"\1", line).partition(" ")
        command = find(name)
        lines = list(command.do(self, rest.strip()))
        self._again = line if command.moves else ""
        return lines

    def moved(self, stop: Stop) -> Iterator[str]:
        """Take note of where a deed has led, and yield what is said about it."""
        self.last = stop
        return text.stop_lines(stop)


def find(name: str) -> Command:
    """Return the command of a name, or of the beginning of one.

    Raises:
        Mistake: There is none, or several begin so.
    """
    found = BY_NAME.get(name) or BY_NAME.get(name.lower())
    if found is not None:
        return found
    begun = [each for each in COMMANDS if each.name.startswith(name.lower())]
    if len(begun) == 1:
        return begun[0]
    if begun:
        raise Mistake(f"'{name}' could be {' or '.join(each.name for each in begun)}")
    close = nearest(name, [each.name for each in COMMANDS])
    if close:
        raise Mistake(f"unknown command '{name}'", f"did you mean {' or '.join(close)}?")
    raise Mistake(f"unknown command '{name}'", "`help` lists the commands")


def _step(shell: Shell, rest: str) -> Iterator[str]:
    return shell.moved(shell.session.step(at_least_one(rest, "step [N]")))


def _back(shell: Shell, rest: str) -> Iterator[str]:
    return shell.moved(shell.session.back(at_least_one(rest, "back [N]")))


def _start(shell: Shell, rest: str) -> Iterator[str]:
    refuse_more(rest, "start")
    return shell.moved(shell.session.select(shell.session.number))


def _continue(shell: Shell, rest: str) -> Iterator[str]:
    if rest and "all".startswith(rest):
        return shell.moved(shell.session.resume(None))
    return shell.moved(shell.session.resume(at_least_one(rest, "continue [N|all]")))


def _select(shell: Shell, rest: str) -> Iterator[str]:
    if not rest:
        raise Mistake("which packet?", "usage: select N")
    return shell.moved(shell.session.select(number_in(rest, "select N")))


_WANTED: Final[Mapping[str, bool]] = {"match": True, "no-match": False}


def _keeps(rest: str, usage: str) -> bool | None:
    return _WANTED[choice(rest, _WANTED, usage)] if rest else None


def _next(shell: Shell, rest: str) -> Iterator[str]:
    keeps = _keeps(rest, "next-packet [match|no-match]")
    return shell.moved(shell.session.next_packet(keeps=keeps))


def _previous(shell: Shell, rest: str) -> Iterator[str]:
    keeps = _keeps(rest, "previous-packet [match|no-match]")
    return shell.moved(shell.session.previous_packet(keeps=keeps))


def _break(shell: Shell, rest: str) -> Iterator[str]:
    session = shell.session
    place, separator, condition = split_condition(rest)
    expression = session.parse(condition) if separator else None
    if not place and not separator:
        place = str(shell.view.position)
    where, what = (None, "") if not place else find_place(session, place)
    if separator:
        what = f"{what} if {condition}".strip()
    added = session.add_breakpoint(what, where, expression)
    yield from text.breakpoint_lines(shell.view, [added])


def _watch(shell: Shell, rest: str) -> Iterator[str]:
    if not rest:
        raise Mistake("watch what?", "usage: watch EXPR")
    expression = shell.session.parse(rest)
    added = shell.session.add_breakpoint(f"watch {rest}", watched=expression)
    yield from text.breakpoint_lines(shell.view, [added])


def _delete(shell: Shell, rest: str) -> Iterator[str]:
    session = shell.session
    if rest:
        gone = [session.delete_breakpoint(number_in(rest, "delete [N]"))]
    else:
        gone = [session.delete_breakpoint(number) for number in list(session.breakpoints)]
    for each in gone:
        yield f"deleted {each.number}: {each.what}"


def _print(shell: Shell, rest: str) -> Iterator[str]:
    if not rest:
        raise Mistake("print what?", "usage: print EXPR, such as print A & 0xf")
    yield text.value_line(rest, shell.session.evaluate(rest))


def _list(shell: Shell, rest: str) -> Iterator[str]:
    middle = number_in(rest, "list [N]", shell.view.position)
    lines = list(text.program_lines(shell.view, shell.session.breakpoints.values()))
    positions = [at for at, line in enumerate(shell.view.code.lines) if line is not None]
    shown = [line for at, line in zip(positions, lines, strict=True) if abs(at - middle) <= _AROUND]
    if not shown:
        raise Mistake(f"there is no instruction {middle}", f"instructions: 0 to {positions[-1]}")
    yield from shown


def _info(shell: Shell, rest: str) -> Iterable[str]:
    word, _, more = rest.partition(" ")
    word = _TOPIC_ALIASES.get(word, word)
    topic = choice(word, _TOPICS, f"info {'|'.join(_TOPICS)}")
    if topic != "packet":
        refuse_more(more, f"info {topic}")
    return _TOPICS[topic](shell, more.strip())


def _info_packet(shell: Shell, rest: str) -> Iterator[str]:
    words = rest.split()
    if len(words) > 2:
        raise Mistake(f"'{shortened(rest)}' is too much", "usage: info packet [OFFSET [COUNT]]")
    numbers = [number_in(word, "info packet [OFFSET [COUNT]]") for word in words]
    length = len(shell.view.packet)
    if numbers and numbers[0] >= max(length, 1):
        raise Mistake(f"the packet has {length} bytes, and so no byte {numbers[0]}")
    yield text.packet_line(shell.view)
    yield from text.packet_lines(shell.view, *numbers)


_TOPICS: Final[Mapping[str, Callable[[Shell, str], Iterable[str]]]] = {
    "registers": lambda shell, _: text.register_lines(shell.view, shell.last.before),
    "packet": _info_packet,
    "program": lambda shell, _: text.program_lines(shell.view, shell.session.breakpoints.values()),
    "breaks": lambda shell, _: text.breakpoint_lines(
        shell.view, list(shell.session.breakpoints.values())
    ),
    "maps": lambda shell, _: text.map_lines(shell.view),
    "stack": lambda shell, _: text.stack_lines(shell.view),
}

_TOPIC_ALIASES: Final = {"breakpoints": "breaks", "regs": "registers"}


def _help(_shell: Shell, rest: str) -> Iterator[str]:
    if rest:
        command = find(rest.split(maxsplit=1)[0])
        yield f"{command.usage}: {command.help}"
        if command.aliases:
            yield f"also: {', '.join(command.aliases)}"
        yield from command.more.splitlines()
        return
    width = max(len(_names(each)) for each in COMMANDS)
    for each in COMMANDS:
        yield f"{_names(each):<{width}}  {each.help}"


def _names(command: Command) -> str:
    return ", ".join((command.usage, *command.aliases))


def _quit(shell: Shell, rest: str) -> Iterable[str]:
    refuse_more(rest, "quit")
    shell.is_done = True
    return ()


_ABOUT_EXPRESSIONS: Final = """\
EXPR and COND are about registers (A, X; r0 to r10, and w0 to w10 for their low halves), pc, packet
(its number), steps, len (on the wire) and caplen. M[0] is scratch memory, pkt[12:2] two bytes of
the packet from byte 12 on, in network order, mem[r10-8:8] memory of an eBPF program. Numbers are
decimal, 0x, 0b or IPv4 addresses. Operators are those of C, but & binds tighter than ==.
"""

COMMANDS: Final = (
    Command("step [N]", "run the next N instructions", _step, ("s", "si", "stepi"), moves=True),
    Command(
        "back [N]",
        "go back N instructions",
        _back,
        ("reverse-step", "rs"),
        moves=True,
        more="Not to before the packet's first one; for that there is previous-packet.\n",
    ),
    Command(
        "continue [N|all]",
        "run to a breakpoint or the verdict, then on the next packet",
        _continue,
        ("c", "run", "r"),
        moves=True,
        more="With N it goes on for N verdicts, with `all` to the end of the capture.\n",
    ),
    Command("start", "go back to the packet's first instruction", _start),
    Command(
        "next-packet [match|no-match]",
        "go to the next packet, or to one that matches or does not",
        _next,
        ("n", "np"),
        moves=True,
        more="Breakpoints on the way do not stop it.\n",
    ),
    Command(
        "previous-packet [match|no-match]",
        "the same, backwards",
        _previous,
        ("pp",),
        moves=True,
    ),
    Command("select N", "go to packet N", _select),
    Command(
        "break N|TERM|if COND",
        "stop at an instruction, a term, or where a condition holds",
        _break,
        ("b",),
        more="A condition alone stops where it begins to hold; with a place, it must hold there.\n"
        "break 7, break port 443, break if A == 0x800, break 7 if X > 20\n"
        "Without anything it is for the instruction that comes next.\n" + _ABOUT_EXPRESSIONS,
    ),
    Command(
        "watch EXPR",
        "stop when the value of EXPR changes",
        _watch,
        more=_ABOUT_EXPRESSIONS,
    ),
    Command("delete [N]", "delete breakpoint N, or all", _delete, ("d",)),
    Command(
        "info TOPIC",
        f"show {', '.join(_TOPICS)}",
        _info,
        ("i",),
        more="info registers: a * is at those that changed since the last stop.\n"
        "info packet [OFFSET [COUNT]]: the last instruction's bytes are in brackets.\n",
    ),
    Command("list [N]", "show the program around instruction N", _list, ("l",)),
    Command("print EXPR", "show the value of EXPR", _print, ("p",), more=_ABOUT_EXPRESSIONS),
    Command("help [COMMAND]", "show this, or more about a command", _help, ("h", "?")),
    Command("quit", "end", _quit, ("q", "exit")),
)

BY_NAME: Final[Mapping[str, Command]] = {
    name: command for command in COMMANDS for name in (command.name, *command.aliases)
}
"""The commands by all their names."""
