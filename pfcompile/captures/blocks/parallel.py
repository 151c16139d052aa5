"""Captures walked by several threads at once; what comes out is in the order of the input.

Each source becomes tasks: each part of a large uncompressed file is one (`parts`), everything else
as a whole. Threads do the tasks in their order (`tasks`), and whoever asks gets what they find, one
task after the other. How much waits to be asked for is bounded. Streams are left to whoever asks:
they are somebody else's, and no thread may go on reading them when this has ended.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, Final

from pfcompile.captures.blocks.native import manner_for
from pfcompile.captures.blocks.parts import (
    Begun,
    Ended,
    LargeFile,
    open_large,
    walk_exactly,
    walk_part,
)
from pfcompile.captures.blocks.scans import NO_LIMIT, Run
from pfcompile.captures.blocks.tasks import Crew, Task
from pfcompile.captures.blocks.walking import walk_source
from pfcompile.captures.sources.inputs import STANDARD_INPUT
from pfcompile.errors import PfcompileError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from typing import TypeAlias

    from pfcompile.captures.blocks.native import Manner
    from pfcompile.captures.blocks.scans import Counted, Scans, Tallied
    from pfcompile.captures.formats.records import Item
    from pfcompile.captures.sources.inputs import Source

    Items: TypeAlias = Iterator[Item | Run | Counted | Tallied]

_MAY_WAIT: Final = 8
"""Items of a task that may wait to be asked for: those of a part, where other blocks are few."""


def read_captures(
    sources: Iterable[Source],
    scans_for: Callable[[Source], Scans | None] | None,
    *,
    jobs: int,
    left: Callable[[], int],
    before_read: Callable[[int], None],
    mapped: bool = False,
) -> Generator[tuple[Source, Items], None, None]:
    """Yield each source with what it is made of; it is read while that is asked for.

    Args:
        sources: Paths, "-" for standard input, or binary streams.
        scans_for: Gives what filters a source in blocks; None for no source.
        jobs: How many threads scan.
        left: Tells how many matches of the first filter are wanted still.
        before_read: Called now and then with the number of bytes read so far, of all sources.
        mapped: Whether files are mapped into memory instead of read; see `Block.map`.
    """
    done = 0

    def tell(finished: int, count: int) -> None:
        nonlocal done
        done = finished + count
        before_read(done)

    if jobs > 1 and scans_for is not None and left() == NO_LIMIT:
        with closing(_Ahead(jobs, scans_for, mapped=mapped)) as ahead:
            for planned in ahead.walk(sources):
                yield planned.source, ahead.items(planned, partial(tell, done))
        return
    for source in sources:
        scans = None if scans_for is None else scans_for(source)
        manner = manner_for(scans, left(), mapped=mapped)
        yield source, walk_source(source, scans, manner, partial(tell, done))


@dataclass(slots=True)
class _Planned:
    """A source that is walked ahead.

    Attributes:
        source: The source.
        scans: What filters it.
        file: The file that it is cut into parts of; None where it is one task.
        tasks: What has not been asked for; none for a stream.
        read: How many bytes have been read, where it is one task.
    """

    source: Source
    scans: Scans | None = None
    file: LargeFile | None = None
    tasks: deque[Task] = field(default_factory=deque)
    read: int = 0


class _Ahead:
    """Sources that threads walk before they are asked for."""

    def __init__(
        self, jobs: int, scans_for: Callable[[Source], Scans | None], *, mapped: bool
    ) -> None:
        self._crew = Crew(jobs)
        self._scans_for = scans_for
        self._manner_for = partial(manner_for, limit=NO_LIMIT, mapped=mapped)
        self._planned: deque[_Planned] = deque()

    def walk(self, sources: Iterable[Source]) -> Iterator[_Planned]:
        """Yield each source when it is its turn."""
        waiting = iter(sources)
        while True:
            while self._crew.is_short and (source := next(waiting, None)) is not None:
                self._planned.append(self._plan(source))
            if not self._planned:
                return
            yield self._planned[0]
            self._drop(self._planned.popleft())

    def items(self, planned: _Planned, tell: Callable[[int], None]) -> Items:
        """Yield what a source is made of."""
        file, scans = planned.file, planned.scans
        if file is not None:
            yield from self._parts(planned, file, tell)
        elif planned.tasks:
            # Told before the wait, so that what was found before is handed on.
            yield from planned.tasks[0].items(lambda: tell(planned.read))
        else:
            yield from walk_source(planned.source, scans, self._manner_for(scans), tell)

    def _parts(self, planned: _Planned, file: LargeFile, tell: Callable[[int], None]) -> Items:
        """Yield what a file is made of that was cut into parts."""
        yield from file.head
        place = Ended(file.start, file.structure.section)
        for start in file.starts():
            tell(place.offset)
            if place.section != file.structure.section:
                # Nor will those behind be right, which were walked for another section.
                for task in planned.tasks:
                    task.cancel()
                for item in walk_exactly(file, place, None):
                    if not isinstance(item, Ended):
                        yield item
                return
            task = planned.tasks[0]
            for item in _part(file, start, task.items(self._crew.help), task, place):
                if isinstance(item, Ended):
                    place = item
                else:
                    yield item
            task.wait()
            planned.tasks.popleft()
            self._crew.task_over()
        tell(place.offset)

    def close(self) -> None:
        """Stop all; what nobody has asked for is not wanted."""
        for planned in self._planned:
            for task in planned.tasks:
                task.cancel()
        while self._planned:
            self._drop(self._planned.popleft())
        self._crew.close()

    def _plan(self, source: Source) -> _Planned:
        planned = _Planned(source)
        try:
            planned.scans = scans = self._scans_for(source)
            if scans is None or not isinstance(source, (str, PathLike)) or source == STANDARD_INPUT:
                return planned  # interpreting is no faster in threads; nor is reading a stream
            planned.file = open_large(source, scans, self._manner_for(scans))
        except PfcompileError as error:  # to be raised when it is this source's turn
            planned.tasks.append(
                self._crew.add(Task(partial(_fail, error), _MAY_WAIT, is_short=True))
            )
            return planned
        if planned.file is None:
            task = Task(partial(_walk_all, planned, self._manner_for(scans)), _MAY_WAIT)
            planned.tasks.append(self._crew.add(task))
        else:
            for start in planned.file.starts():
                items = partial(_detached, walk_part(planned.file, start))
                task = Task(items, _MAY_WAIT, is_short=planned.file.structure.header is not None)
                planned.tasks.append(self._crew.add(task))
        return planned

    def _drop(self, planned: _Planned) -> None:
        """Be done with a source, however much of it has been asked for."""
        for task in planned.tasks:
            task.cancel()
        for task in planned.tasks:
            if planned.file is not None:
                task.wait()  # since it reads from a file that is closed next
            self._crew.task_over()
        planned.tasks.clear()
        if planned.file is not None:
            os.close(planned.file.descriptor)


def _part(
    file: LargeFile, start: int, items: Iterator[Any], task: Task, place: Ended
) -> Iterator[Any]:
    """Yield what a part is made of; `place` is where the one before has ended."""
    begun = next(items)
    assert isinstance(begun, Begun)
    if begun.offset == place.offset:
        yield from items
    else:
        task.cancel()
        yield from walk_exactly(file, place, file.stop_of(start))


def _walk_all(planned: _Planned, manner: Manner) -> Items:
    """Walk a whole source."""

    def tell(count: int) -> None:
        planned.read = count

    return _detached(walk_source(planned.source, planned.scans, manner, tell))


def _fail(error: PfcompileError) -> Iterator[Any]:
    raise error
    yield  # what makes it a generator


def _detached(items: Iterator[Any]) -> Iterator[Any]:
    """Yield items that stay valid."""
    for item in items:
        yield item._replace(scan=item.scan.detached()) if isinstance(item, Run) else item
