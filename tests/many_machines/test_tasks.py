"""What a worker makes of its task, and what it sends back."""

from __future__ import annotations

import pickle

import pytest

from pfcompile.distributed import filter as filter_distributed
from pfcompile.distributed import running, tasks
from pfcompile.distributed.captures import capture_of
from pfcompile.distributed.course import Course
from pfcompile.distributed.keeping import Folder, OneFile
from pfcompile.distributed.names import Remembering
from pfcompile.errors import CaptureError
from pfcompile.files import Engine
from tests.many_machines.agreement import ETHERNET

pytestmark = pytest.mark.filterwarnings("error")


def expression(text="tcp", engine=Engine.INTERP):
    return tasks.Expression(text, optimize=True, resolver=Remembering(), engine=engine)


def test_a_task_whose_run_is_over_stops(monkeypatch, out):
    monkeypatch.setattr(tasks, "_LOOKS", 0)
    task = tasks.Task(str(ETHERNET), "in.pcap", None, str(out / "gone"), None)
    outcome = tasks.do_task(expression(), task)
    assert outcome.error == "in.pcap: is no longer wanted"
    assert outcome.packets <= 1
    assert not list(out.iterdir())


@pytest.mark.parametrize("kind", [OneFile, Folder])
def test_a_piece_that_cannot_be_written(out, kind):
    task = tasks.Task(str(ETHERNET), "in.pcap", None, str(out / "gone"), None)
    outcome = tasks.do_task(expression(), task)
    assert outcome.unwritten == "cannot be written: No such file or directory"
    capture = capture_of(ETHERNET, 1 << 30)
    course = Course(capture)
    assert course.add(0, outcome) is None
    if kind is Folder:
        result = Folder(str(out), [capture], None).take(0, course, str(out))
        assert result.error == f"{out}/ethernet.pcap: {outcome.unwritten}"
    else:
        with pytest.raises(CaptureError, match=r"x\.pcap: cannot be written: No such file"):
            OneFile(str(out / "x.pcap"), [capture], None).take(0, course, str(out))


def test_whatever_goes_wrong_is_told(monkeypatch):
    def broken(*_arguments):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(tasks, "walk_source", broken)
    outcome = tasks.do_task(expression(), tasks.Task(str(ETHERNET), "in.pcap", None, None, None))
    assert outcome.error == "in.pcap: cannot be filtered: ZeroDivisionError('oh')"


def test_outcomes_can_be_sent():
    bad = tasks.do_task(expression("tcp prot"), tasks.Task(str(ETHERNET), "x", None, None, None))
    error = pickle.loads(pickle.dumps(bad)).refused  # noqa: S301
    assert str(error) == str(bad.refused)
    assert error.span == bad.refused.span


def test_missing_native_code_is_told_once(client, monkeypatch):
    outcome = tasks.Outcome(complaints=("no native code",))
    monkeypatch.setattr(running, "do_task", lambda *_: outcome)
    with pytest.warns(RuntimeWarning, match="no native code") as warned:
        filter_distributed([ETHERNET, ETHERNET], client=client)
    assert len(warned) == 1
