"""What is attached in the system, by whatever process, and how to get hold of it.

A program of this project has a map that says what it is (`description`). From there a link leads to
where the program is attached, or the array that a socket's filter goes on in (`sockets`). The
number of that map is the attachment's number: it stays the same when the filter is replaced.
"""

from __future__ import annotations

import errno
import struct
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from pfcompile.errors import AttachmentError, InternalError, KernelError, ProgramError
from pfcompile.kernel.attach import counting, description
from pfcompile.kernel.attach.counting import COUNTERS_MAP
from pfcompile.kernel.attach.pins import pin_path, pinned
from pfcompile.kernel.attach.program import DESCRIPTION_MAP, Action, Plan
from pfcompile.kernel.attach.rows import ROW_OF
from pfcompile.kernel.attach.sessions import Attachment
from pfcompile.kernel.attach.sockets import SLOT_MAP, SocketHold
from pfcompile.kernel.bpf.descriptors import ObjectType
from pfcompile.kernel.bpf.links import Link, all_links
from pfcompile.kernel.bpf.maps import Map, all_maps
from pfcompile.kernel.bpf.programs import LoadedProgram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pfcompile.kernel.attach.counting import Counters
    from pfcompile.kernel.attach.description import Description
    from pfcompile.kernel.attach.places import Hold

_KEY: Final = bytes(4)
_ATTEMPTS: Final = 100
"""How often a program is looked for that is replaced over and over."""


@dataclass(frozen=True, slots=True)
class Found:
    """An attachment in the system.

    Attributes:
        id: Its number.
        description: What it says of itself.
        holder: The number of its link, or of the array that a socket's filter goes on in.
        is_socket: Which of both.
        is_attached: Whether packets meet it: not when its interface has gone.
        pin: Where it is pinned; None where a process holds it.
    """

    id: int
    description: Description
    holder: int
    is_socket: bool
    is_attached: bool
    pin: Path | None = None

    @property
    def name(self) -> str:
        """What it is called by: its pin's name, or its number."""
        return str(self.id) if self.pin is None else self.pin.name

    def counters(self) -> Counters:
        """Return what it has counted; raises KernelError when it has gone."""
        with Map.by_id(self.description.maps[COUNTERS_MAP]) as held:
            return counting.read(held)

    def open(self) -> Attachment:
        """Get hold of it; closing that leaves it as it is. Raises KernelError when it has gone."""
        told = self.description
        plan = Plan(
            ROW_OF[told.row],
            told.dlt,
            (),
            Action(told.action),
            told.reported_bytes,
            told.sets,
            counts_sources=told.counts_sources,
        )
        with ExitStack() as held:
            maps = {
                name: held.enter_context(Map.by_id(number)) for name, number in told.maps.items()
            }
            hold: Hold = (
                SocketHold(Map.by_id(self.holder)) if self.is_socket else _LinkOfOthers(self.holder)
            )
            held.callback(hold.close)
            return Attachment(plan, hold, maps, held.pop_all())
        raise InternalError("an exit stack never suppresses")

    def end(self) -> None:
        """Take it off, and its pin away; raises KernelError."""
        with _suppress_gone(), self.open() as attachment:
            attachment.detach()
        if self.pin is not None:
            self.pin.unlink(missing_ok=True)


class _LinkOfOthers:
    """A link that others hold: it is opened for each call, and goes with them.

    Held here as well, a filter would outlive its process for as long as somebody watches it. (The
    array of a socket's filter is held: see `attachments` for what closing it may do.)
    """

    def __init__(self, number: int) -> None:
        """Take its number; raises KernelError where it has gone."""
        self._number = number
        Link.by_id(number).close()

    def update(self, program: LoadedProgram) -> None:
        """Replace the program in one step; raises KernelError."""
        with Link.by_id(self._number) as link:
            link.update(program)

    def is_attached(self) -> bool:
        """Tell whether it is still there, and attached to something."""
        try:
            with Link.by_id(self._number) as link:
                return link.is_attached()
        except KernelError as error:
            if error.errno != errno.ENOENT:
                raise
        return False

    def pin(self, path: str | Path) -> Path:
        """Keep it, whatever becomes of those who hold it; raises KernelError."""
        with Link.by_id(self._number) as link:
            return link.pin(path)

    def detach(self) -> None:
        """Take the program off, whoever holds it; raises KernelError."""
        with Link.by_id(self._number) as link:
            link.detach()

    def close(self) -> None:
        """Do nothing: nothing is held."""


def attachments() -> tuple[Found, ...]:
    """Return all that is attached, in the order in which it was.

    Raises:
        KernelError: EPERM without CAP_SYS_ADMIN.
    """
    # Asked for once: to be looked at, each map is opened and closed. When a program array is closed
    # twice before the kernel has come to clearing it, one reference to it is never given back
    # (prog_array_map_clear() of Linux 6.18).
    maps = all_maps()
    described = {each.id for each in maps if each.name == DESCRIPTION_MAP}
    pins = _pins()
    found = []
    for link in all_links():
        number = _map_of(partial(_program_of, link.id), described)
        if number is not None:
            is_attached = link.interface != 0 and link.cgroup != 0
            found.append(_found(number, link.id, ObjectType.LINK, pins, is_attached=is_attached))
    for slot in maps:
        if slot.name == SLOT_MAP:
            number = _map_of(partial(_program_in, slot.id), described)
            if number is not None:
                found.append(_found(number, slot.id, ObjectType.MAP, pins, is_attached=True))
    return tuple(sorted(filter(None, found), key=lambda each: each.id))


def find_attachment(name: str) -> Found:
    """Return the attachment with a pin's name, or a number.

    Raises:
        AttachmentError: There is none; says what there is.
        KernelError: EPERM without CAP_SYS_ADMIN.
    """
    everything = attachments()
    for each in everything:
        if name in {each.name, str(each.id)}:
            return each
    names = ", ".join(each.name for each in everything)
    there = f"there are: {names}" if names else "nothing is attached"
    raise AttachmentError(f"no attached filter is called '{name}'; {there}")


def open_attachment(name: str) -> Attachment:
    """Get hold of an attachment by its pin's name or its number; closing that leaves it as it is.

    Raises:
        AttachmentError: There is none.
        KernelError: EPERM without CAP_SYS_ADMIN.
    """
    return find_attachment(name).open()


def remove_dead_pin(name: str) -> bool:
    """Take away a pin whose attachment has gone, and return whether there was one.

    Raises:
        ProgramError: Nothing can be called so.
        KernelError: EPERM.
    """
    path = pin_path(name)
    if not path.exists():
        return False
    path.unlink(missing_ok=True)
    return True


@contextmanager
def _suppress_gone() -> Iterator[None]:
    """Take it as done where what is to go has gone meanwhile."""
    try:
        yield
    except KernelError as error:
        if error.errno not in {errno.ENOENT, errno.ENOLINK}:
            raise


def _found(
    number: int,
    holder: int,
    kind: ObjectType,
    pins: dict[tuple[ObjectType, int], Path],
    *,
    is_attached: bool,
) -> Found | None:
    try:
        with Map.by_id(number) as held:
            told = description.read(held)
    except ProgramError:  # another version's
        return None
    except KernelError as error:
        if error.errno == errno.ENOENT:  # it went meanwhile
            return None
        raise
    pin = pins.get((kind, holder))
    return Found(number, told, holder, kind is ObjectType.MAP, is_attached, pin)


def _map_of(program: Callable[[], int | None], described: set[int]) -> int | None:
    """Return the number of the description that belongs to what is attached somewhere.

    Args:
        program: Tells the program's number; None where there is none any more.
        described: The numbers of all descriptions.
    """
    for _ in range(_ATTEMPTS):
        number = program()
        if number is None:
            return None
        try:
            with LoadedProgram.by_id(number) as held:
                return next(iter(described.intersection(held.info().map_ids)), None)
        except KernelError as error:
            if error.errno != errno.ENOENT:
                raise
        # It has gone since: replaced by another, or for good.
    return None


def _program_of(link: int) -> int | None:
    """Return the number of a link's program; None where the link has gone."""
    with suppress(KernelError), Link.by_id(link) as held:
        return held.info().program_id
    return None


def _pins() -> dict[tuple[ObjectType, int], Path]:
    """Return where links and arrays are pinned, by their numbers."""
    found: dict[tuple[ObjectType, int], Path] = {}
    for path in pinned():
        with suppress(KernelError):
            with Link.open(path) as link:
                found[ObjectType.LINK, link.info().id] = path
            continue
        with suppress(KernelError), Map.open(path) as slot:
            found[ObjectType.MAP, slot.shape.id] = path
    return found


def _program_in(slot: int) -> int | None:
    """Return the number of the program in a socket's array; None where it has gone."""
    with suppress(KernelError), Map.by_id(slot) as held:
        number = held.get(_KEY)
        return None if number is None else int(struct.unpack("=I", number)[0])
    return None
