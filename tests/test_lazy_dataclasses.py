"""Our dataclasses beside the standard library's: one text, executed with each."""

import dataclasses
import inspect
import pickle
import sys
import weakref

import pytest

from pfcompile import lazy_dataclasses

CLASSES = '''
from __future__ import annotations

@dataclass(frozen=True, slots=True)
class Node:
    """Three fields, one of which does not count."""

    name: str
    number: int = 3
    place: object = field(default=(), compare=False)

    def doubled(self) -> int:
        return 2 * self.number

@dataclass(frozen=True, slots=True)
class Single:
    value: object

@dataclass(frozen=True, slots=True)
class Nothing:
    pass

@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Interned:
    value: int

@dataclass(slots=True)
class Changing:
    words: list[str] = field(default_factory=list)
    _count: int = 0

@dataclass(frozen=True)
class Open:
    """No slots, so that there is a place for more."""

    a: int
    b: tuple[int, ...] = ()
    c: int | None = field(default=None, kw_only=True)

@dataclass(slots=True)
class Partly:
    """Fields that are not given, or not shown."""

    word: str
    made: list[int] = field(default_factory=list, init=False)
    fixed: int = field(default=7, init=False)
    later: int = field(init=False)
    hidden: int = field(default=1, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.later = len(self.word)

@dataclass
class Plain:
    number: int = 3
    fixed: int = field(default=7, init=False)

@dataclass(frozen=True, slots=True)
class Checked:
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("upside down")

    def __repr__(self) -> str:
        return f"{self.low}-{self.high}"
'''

WAYS_TO_MAKE = [
    ("Node", ("a",), {}),
    ("Node", ("a", 3), {"place": 5}),
    ("Node", (), {"number": 4, "name": "b"}),
    ("Node", (), {}),
    ("Node", ("a", 1, 2, 3), {}),
    ("Node", ("a",), {"unknown": 1}),
    ("Node", ("a",), {"name": "b"}),
    ("Single", (None,), {}),
    ("Single", ((1, 2),), {}),
    ("Nothing", (), {}),
    ("Nothing", (1,), {}),
    ("Interned", (1,), {}),
    ("Changing", (), {}),
    ("Changing", (["a"], 2), {}),
    ("Open", (1,), {}),
    ("Open", (1, (2,)), {"c": 3}),
    ("Open", (1, (2,), 3), {}),
    ("Partly", ("a",), {}),
    ("Partly", ("a", 2), {}),
    ("Partly", ("a",), {"fixed": 2}),
    ("Plain", (), {}),
    ("Plain", (4,), {}),
    ("Checked", (1, 2), {}),
    ("Checked", (2, 1), {}),
]


class Library:
    """The classes above, made with one of the two libraries."""

    def __init__(self, library):
        self.library = library
        self.names = {"__name__": __name__, "dataclass": library.dataclass, "field": library.field}
        exec(CLASSES, self.names)  # noqa: S102 - the same text twice is the point

    def outcome(self, call):
        """Return what a call gives, as text, or its error."""
        try:
            return repr(call())
        except Exception as error:  # noqa: BLE001 - whichever it is, both must have it
            return type(error), str(error)

    def made(self):
        return [
            self.names[name](*values, **named)
            for name, values, named in WAYS_TO_MAKE
            if isinstance(self.outcome(lambda: self.names[name](*values, **named)), str)  # noqa: B023
        ]


OURS, THEIRS = Library(lazy_dataclasses), Library(dataclasses)


def both(ask):
    """Return both answers to a question about a library's classes."""
    return ask(OURS), ask(THEIRS)


@pytest.mark.parametrize(("name", "values", "named"), WAYS_TO_MAKE)
def test_objects_are_made_alike(name, values, named):
    ours, theirs = both(lambda one: one.outcome(lambda: one.names[name](*values, **named)))
    assert ours == theirs


def test_equality_is_the_same():
    ours, theirs = both(lambda one: [[a == b for b in one.made()] for a in one.made()])
    assert ours == theirs
    ours, theirs = both(lambda one: [(a == 1, a != a) for a in one.made()])  # noqa: PLR0124
    assert ours == theirs


def test_hashes_are_the_same():
    ours, theirs = both(lambda one: [one.outcome(lambda: hash(a)) for a in one.made()])  # noqa: B023
    assert [a for a in ours if isinstance(a, tuple)] == [a for a in theirs if isinstance(a, tuple)]
    for a, b in zip(OURS.made(), OURS.made(), strict=True):
        if a == b and type(a).__hash__ is not None:
            assert hash(a) == hash(b)


@pytest.mark.parametrize("name", ["Node", "Changing", "Open", "Plain"])
def test_assignments_are_refused_alike(name):
    def ask(one):
        made = next(each for each in one.made() if type(each).__name__ == name)
        field = dataclasses.fields(made)[0].name
        return [
            one.outcome(lambda: setattr(made, field, ["b"])),
            one.outcome(lambda: setattr(made, "unknown", 1)),
            one.outcome(lambda: delattr(made, field)),
            one.outcome(lambda: made),
        ]

    ours, theirs = both(ask)
    assert ours[0] == theirs[0]
    assert [type(each) for each in ours] == [type(each) for each in theirs]


def test_match_statements_see_the_same():
    names = sorted({name for name, _, _ in WAYS_TO_MAKE})
    ours, theirs = both(lambda one: [one.names[name].__match_args__ for name in names])
    assert ours == theirs
    ours, theirs = both(
        lambda one: [
            (hasattr(each, "__dict__"), hasattr(each, "__weakref__")) for each in one.made()
        ]
    )
    assert ours == theirs
    weakref.ref(OURS.names["Interned"](1))


def test_the_standard_library_takes_them_for_its_own():
    def ask(one):
        return [
            (
                dataclasses.is_dataclass(made),
                dataclasses.asdict(made),
                [(f.name, f.type, f.compare, f.kw_only) for f in dataclasses.fields(made)],
                [
                    (each.name, each.kind)
                    for each in inspect.signature(type(made)).parameters.values()
                ],
            )
            for made in one.made()
        ]

    ours, theirs = both(ask)
    assert ours == theirs
    assert dataclasses.replace(OURS.names["Node"]("a"), number=4) == OURS.names["Node"]("a", 4)


def test_copies_with_changes_are_the_same():
    def ask(one):
        node, opened = one.names["Node"]("a"), one.names["Open"](1, c=2)
        replace = one.library.replace
        partly = one.names["Partly"]("a", 2)
        return [
            replace(node, number=4),
            replace(opened, b=(1,)),
            replace(opened, c=None),
            (replace(partly, word="ab"), replace(partly, word="ab").hidden),
        ]

    ours, theirs = both(ask)
    assert repr(ours) == repr(theirs)


def test_they_can_be_pickled(monkeypatch):
    for name in ("Node", "Open", "Changing"):
        cls = OURS.names[name]
        monkeypatch.setattr(sys.modules[__name__], name, cls, raising=False)
        made = next(each for each in OURS.made() if type(each) is cls)
        assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301 - it is ours


def test_methods_are_written_when_they_are_first_called():
    cls = Library(lazy_dataclasses).names["Node"]
    assert not inspect.isfunction(vars(cls)["__init__"])
    cls("a")
    assert inspect.isfunction(vars(cls)["__init__"])
    assert not inspect.isfunction(vars(cls)["__hash__"])
    hash(cls("a"))
    assert inspect.isfunction(vars(cls)["__hash__"])
    assert vars(cls)["__hash__"].__qualname__ == "Node.__hash__"
