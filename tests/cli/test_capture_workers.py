"""Workers of a capture, with loops that stand for the real ones."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, cast

import pytest

from pfcompile.cli.capturing import workers
from pfcompile.errors import CaptureError, PfcompileError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pfcompile.cli.capturing.control import Control
    from pfcompile.cli.capturing.loop import Loop


class Stand:
    """A loop that runs until it is told to end, or fails at once."""

    def __init__(self, error: Exception | None = None) -> None:
        self.ended = threading.Event()
        self.was_run = self.was_broken_off = False
        self._error = error

    def run(self) -> None:
        self.was_run = True
        if self._error is not None:
            raise self._error
        assert self.ended.wait(60)

    def stop(self) -> None:
        self.ended.set()

    def break_off(self) -> None:
        self.was_broken_off = True
        self.ended.set()


class Attendant:
    """Has nothing to do, or raises."""

    def __init__(self, error: BaseException | None = None) -> None:
        self._error = error

    def attend(self) -> None:
        if self._error is not None:
            raise self._error


def run(stands: Sequence[Stand], attendant: Attendant | None = None) -> None:
    workers.run(cast("list[Loop]", stands), cast("Control", attendant or Attendant()))


def test_one_that_fails_ends_the_others() -> None:
    stands = [Stand(), Stand(CaptureError("cannot be written", "out")), Stand()]
    with pytest.raises(CaptureError, match="cannot be written"):
        run(stands)
    assert all(each.ended.is_set() for each in stands)
    assert not any(each.was_broken_off for each in stands)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), BrokenPipeError()])
def test_what_is_raised_here_breaks_them_off(error: BaseException) -> None:
    stands = [Stand(), Stand()]
    with pytest.raises(type(error)):
        run(stands, Attendant(error))
    assert all(each.was_broken_off for each in stands)


def test_the_error_of_one_is_told_rather_than_an_interrupt() -> None:
    stands = [Stand(CaptureError("cannot be written", "out"))]

    class Late(Attendant):
        def attend(self) -> None:
            assert stands[0].ended.wait(60)
            raise KeyboardInterrupt

    with pytest.raises(CaptureError, match="cannot be written"):
        run(stands, Late())


def test_workers_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    started = threading.Thread.start
    stands = [Stand() for _ in range(3)]
    count = 0

    def start(thread: threading.Thread) -> None:
        nonlocal count
        count += 1
        if count > 2:
            raise RuntimeError("can't start new thread")
        started(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(PfcompileError, match="no more than 2 of 3 workers can be started"):
        run(stands)
    assert [each.was_run for each in stands] == [True, True, False]
    assert all(each.was_broken_off for each in stands)
