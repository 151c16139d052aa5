"""Dataclasses whose methods are written when they are first called.

`dataclasses.dataclass` writes and compiles half a dozen methods for a class while its module is
loaded, which takes 0.3 ms. A filter's way goes through modules with a hundred such classes, and
makes objects of one in three. Here a class gets its slots at once, and `__init__`, `__eq__` and
`__hash__` at their first call.

Such a class behaves as one of the standard library's, for which type checkers and the functions of
`dataclasses` take it; tests compare the two. Only what is used here is there: no inheritance, and
no order.
"""

from __future__ import annotations

from functools import cache, partial
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from dataclasses import dataclass, field, replace
else:

    def dataclass(
        cls: type | None = None,
        /,
        *,
        frozen: bool = False,
        slots: bool = False,
        eq: bool = True,
        weakref_slot: bool = False,
    ) -> Any:
        """Return a class with its fields' methods; see `dataclasses.dataclass`."""
        options = _Options(frozen=frozen, slots=slots, eq=eq, weakref_slot=weakref_slot)
        return partial(_made, options) if cls is None else _made(options, cls)

    def field(**said: Any) -> Any:
        """Say more of a field than its type; see `dataclasses.field`.

        Fields that are given by keyword only come last.
        """
        return _Field(**said)

    def replace(instance: Any, /, **changes: Any) -> Any:
        """Return a copy with other values of some fields; see `dataclasses.replace`."""
        fields = instance.__lazy_fields__
        kept = {name: getattr(instance, name) for name in fields if fields[name].init}
        return type(instance)(**{**kept, **changes})


__all__ = ["dataclass", "field", "replace"]

_NO_DEFAULT: Final = ...


class _Options:
    """What is said of a class."""

    def __init__(self, *, frozen: bool, slots: bool, eq: bool, weakref_slot: bool) -> None:
        self.frozen = frozen
        self.slots = slots
        self.eq = eq
        self.weakref_slot = weakref_slot


class _Field:
    """What is said of a field, in the words of `field`."""

    __slots__ = ("compare", "default", "default_factory", "init", "kw_only", "repr")

    def __init__(
        self,
        default: Any = _NO_DEFAULT,
        default_factory: Callable[[], Any] | None = None,
        init: bool = True,
        repr: bool = True,  # noqa: A002 - the standard library's word
        compare: bool = True,
        kw_only: bool = False,
    ) -> None:
        self.default = default
        self.default_factory = default_factory
        self.init = init
        self.repr = repr
        self.compare = compare
        self.kw_only = kw_only


class _Later:
    """A member of a class that is made when it is first asked for, and takes this one's place."""

    __slots__ = ("_make", "_name", "_owner")

    def __init__(self, make: Callable[[type], Any]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._owner = owner
        self._name = name

    def __get__(self, instance: object, owner: type) -> Any:
        setattr(self._owner, self._name, self._make(self._owner))
        return getattr(owner if instance is None else instance, self._name)


def _made(options: _Options, cls: type) -> type:
    """Return `cls` made anew, as slots need it, with the members that are its own first."""
    own = dict(vars(cls))
    fields: dict[str, _Field] = {}
    for name in cls.__annotations__:
        given = own.pop(name, _NO_DEFAULT)
        known = fields[name] = given if isinstance(given, _Field) else _Field(given)
        if not options.slots and known.default is not _NO_DEFAULT:
            own[name] = known.default
    del own["__dict__"], own["__weakref__"]
    members: dict[str, Any] = {
        "__qualname__": cls.__qualname__,
        "__lazy_fields__": fields,
        "__match_args__": tuple(
            name for name, known in fields.items() if known.init and not known.kw_only
        ),
        "__dataclass_fields__": _Later(partial(_standard_fields, fields)),
        "__init__": _Later(partial(_write_init, fields, options)),
        "__repr__": _repr,
    }
    if options.slots:
        members["__slots__"] = (*fields, *(("__weakref__",) if options.weakref_slot else ()))
    if options.frozen:
        members |= {"__setattr__": _refuse_setting, "__delattr__": _refuse_deleting}
    if options.frozen and options.slots:
        members |= {"__getstate__": _state, "__setstate__": _set_state}
    if options.eq:
        members["__eq__"] = _Later(partial(_write_eq, fields))
        members["__hash__"] = _Later(partial(_write_hash, fields)) if options.frozen else None
    return type(cls)(cls.__name__, cls.__bases__, members | own)


def _write_init(fields: Mapping[str, _Field], options: _Options, cls: type) -> Any:
    names: dict[str, Any] = {"not_given": _NO_DEFAULT}
    parameters = ["self"]
    lines = [" pass"]
    defaults: dict[str, Any] = {}
    for number, (name, known) in enumerate(fields.items()):
        parameter = f"field_{number}"
        value = parameter if known.init else f"default_{number}"
        if known.default_factory is not None:
            names[f"make_{number}"] = known.default_factory
            value = f"make_{number}()"
            if known.init:
                value += f" if {parameter} is not_given else {parameter}"
        elif not known.init and known.default is _NO_DEFAULT:
            continue  # `__post_init__` sets it
        names[f"set_{number}"] = getattr(cls, name).__set__ if options.slots else _setter(name)
        names[f"default_{number}"] = known.default
        lines.append(f" set_{number}(self, {value})")
        if known.init:
            if known.kw_only and "*" not in parameters:
                parameters.append("*")
            parameters.append(parameter)
            if known.default is not _NO_DEFAULT or known.default_factory is not None:
                defaults[name] = known.default
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()")
    text = f"({', '.join(parameters)}):\n" + "\n".join(lines)
    written = _written(cls, "__init__", text, fields, names)
    written.__defaults__ = tuple(defaults[name] for name in defaults if not fields[name].kw_only)
    written.__kwdefaults__ = {name: defaults[name] for name in defaults if fields[name].kw_only}
    return written


def _setter(name: str) -> Callable[[object, Any], None]:
    return lambda instance, value: object.__setattr__(instance, name, value)


def _write_eq(fields: Mapping[str, _Field], cls: type) -> Any:
    text = f"""(self, other):
 return (
  ({_compared(fields, "self")}) == ({_compared(fields, "other")})
  if other.__class__ is self.__class__ else NotImplemented
 )"""
    return _written(cls, "__eq__", text, fields, {})


def _write_hash(fields: Mapping[str, _Field], cls: type) -> Any:
    text = f"(self):\n return hash(({_compared(fields, 'self')}))"
    return _written(cls, "__hash__", text, fields, {})


def _compared(fields: Mapping[str, _Field], instance: str) -> str:
    counted = [number for number, known in enumerate(fields.values()) if known.compare]
    return "".join(f"{instance}.field_{number}, " for number in counted)


def _written(
    cls: type, name: str, text: str, fields: Mapping[str, _Field], names: dict[str, Any]
) -> FunctionType:
    """Return a method of `cls`.

    Args:
        cls: The class.
        name: The method's name.
        text: What it is from its parameters on; it calls the fields field_0, field_1 and so on.
        fields: Their names.
        names: What else it uses.
    """
    code = _compiled(text)
    called = {f"field_{number}": field for number, field in enumerate(fields)}
    renamed = code.replace(
        co_name=name,
        co_qualname=f"{cls.__qualname__}.{name}",
        co_varnames=tuple(called.get(each, each) for each in code.co_varnames),
        co_names=tuple(called.get(each, each) for each in code.co_names),
    )
    return FunctionType(renamed, {"__name__": cls.__module__, **names})


@cache
def _compiled(text: str) -> CodeType:
    """Return a function's code, which classes of the same shape share but for the names in it."""
    names: dict[str, Any] = {}
    exec(f"def method{text}", names)  # noqa: S102 - as the standard library does
    code: CodeType = names["method"].__code__
    return code


def _standard_fields(fields: Mapping[str, _Field], cls: type) -> Any:
    """Return what the standard library keeps in a class, so that it takes ours for one of its."""
    import dataclasses  # noqa: PLC0415 - loads `inspect`, which loads much

    members = {"__annotations__": cls.__annotations__}
    for name, known in fields.items():
        members[name] = dataclasses.field(
            default=dataclasses.MISSING if known.default is _NO_DEFAULT else known.default,
            default_factory=known.default_factory or dataclasses.MISSING,
            init=known.init,
            repr=known.repr,
            compare=known.compare,
            kw_only=known.kw_only,
        )
    return vars(dataclasses.dataclass(type(cls.__name__, (), members)))["__dataclass_fields__"]


# Methods that are the same for all classes.


def _repr(self: Any) -> str:
    shown = [name for name, known in self.__lazy_fields__.items() if known.repr]
    values = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
    return f"{self.__class__.__qualname__}({values})"


def _refuse_setting(_self: Any, name: str, _value: object) -> NoReturn:
    from dataclasses import FrozenInstanceError  # noqa: PLC0415 - see _standard_fields

    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_deleting(_self: Any, name: str) -> NoReturn:
    from dataclasses import FrozenInstanceError  # noqa: PLC0415 - see _standard_fields

    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, name) for name in self.__lazy_fields__]


def _set_state(self: Any, state: list[Any]) -> None:
    for name, value in zip(self.__lazy_fields__, state, strict=True):
        object.__setattr__(self, name, value)
