"""
A fingerprint of a mapping or function: the same as long as it does the same, in any process.

Functions count by their code, their defaults, what they close over, and the values and functions of their own
module (and of others that belong to no installed package) that they name. Installed packages count by name only.
"""

from __future__ import annotations

import dataclasses
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator, Mapping, Set
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from hashlib import sha256
from pathlib import PurePath
from re import Pattern
from typing import Any
from uuid import UUID

_PLAIN = (type(None), bool, int, float, complex, str, bytes, date, time, timedelta, Decimal, UUID, PurePath)
_INSTALLED = tuple(
    {
        path
        for name in ("stdlib", "platstdlib", "purelib", "platlib")
        if (path := sysconfig.get_path(name)) is not None
    }
)
_PACKAGES = frozenset({"site-packages", "dist-packages"})  # of whichever environment, the user's own as well


def fingerprint(*subjects: object) -> str:
    """Return the fingerprint of mappings, functions and values, in hex."""
    digest = sha256()
    for token in _tokens(subjects, ()):
        digest.update(f"{len(token)}:{token}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _tokens(subject: object, above: tuple[int, ...]) -> Iterator[str]:
    """Return what makes a subject differ from others, as texts in a fixed order."""
    if isinstance(subject, Enum):
        yield f"{_name(type(subject))}.{subject.name}"
    elif isinstance(subject, _PLAIN):
        yield f"{type(subject).__name__} {subject!r}"
    elif id(subject) in above:
        yield "again"  # a function that calls itself, a list in itself
    else:
        yield from _compound(subject, (*above, id(subject)))


def _compound(subject: Any, above: tuple[int, ...]) -> Iterator[str]:
    for kinds, tokens in _COMPOUNDS:
        if isinstance(subject, kinds):
            yield from tokens(subject, above)
            return
    if hasattr(subject, "__wrapped__"):  # functools.lru_cache
        yield from _tokens(subject.__wrapped__, above)
    else:
        yield from _object(subject, above)


def _method(subject: types.MethodType, above: tuple[int, ...]) -> Iterator[str]:
    yield from _tokens((subject.__func__, subject.__self__), above)


def _partial(subject: partial[Any], above: tuple[int, ...]) -> Iterator[str]:
    yield from _tokens((subject.func, subject.args, subject.keywords), above)


def _module(subject: types.ModuleType, _: tuple[int, ...]) -> Iterator[str]:
    yield f"module {subject.__name__}"


def _pattern(subject: Pattern[Any], _: tuple[int, ...]) -> Iterator[str]:
    yield f"pattern {subject.pattern!r} {subject.flags}"


def _mapping(subject: Mapping[Any, Any], above: tuple[int, ...]) -> Iterator[str]:
    yield f"mapping {len(subject)}"
    for pair in sorted(list(_tokens((key, value), above)) for key, value in subject.items()):
        yield from pair


def _set(subject: Set[Any], above: tuple[int, ...]) -> Iterator[str]:
    yield f"set {len(subject)}"
    for member in sorted(list(_tokens(member, above)) for member in subject):
        yield from member


def _sequence(subject: list[Any] | tuple[Any, ...], above: tuple[int, ...]) -> Iterator[str]:
    yield f"sequence {len(subject)}"
    for member in subject:
        yield from _tokens(member, above)


def _object(subject: Any, above: tuple[int, ...]) -> Iterator[str]:
    """Return the class and the state of any other object; its address says nothing."""
    yield from _tokens(type(subject), above)
    yield str(getattr(subject, "__name__", ""))  # a built-in function, a ufunc
    if dataclasses.is_dataclass(subject):
        for field in dataclasses.fields(subject):
            yield field.name
            yield from _tokens(getattr(subject, field.name), above)
    elif not _is_installed(type(subject)) and hasattr(subject, "__dict__"):
        yield from _tokens(vars(subject), above)


def _class(subject: type, above: tuple[int, ...]) -> Iterator[str]:
    yield f"class {_name(subject)}"
    if not _is_installed(subject):
        for name, member in sorted(vars(subject).items()):
            function = getattr(member, "__func__", getattr(member, "fget", member))
            if isinstance(function, types.FunctionType):
                yield name
                yield from _tokens(function, above)


def _function(subject: types.FunctionType, above: tuple[int, ...]) -> Iterator[str]:
    if _is_installed(subject):
        yield f"function {_name(subject)}"
        return
    yield "function"
    yield from _tokens(subject.__code__, above)
    yield from _tokens((subject.__defaults__, subject.__kwdefaults__), above)
    for cell in subject.__closure__ or ():
        try:
            yield from _tokens(cell.cell_contents, above)
        except ValueError:  # not assigned yet
            yield "empty"
    for name in sorted(set(_named(subject.__code__))):
        if name in subject.__globals__:
            yield name
            yield from _tokens(subject.__globals__[name], above)


def _named(code: types.CodeType) -> Iterator[str]:
    """Return what a function and those inside it name; attributes are among them and do no harm."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _named(constant)


def _code(code: types.CodeType, above: tuple[int, ...]) -> Iterator[str]:
    yield f"code {code.co_code.hex()} {code.co_names} {code.co_varnames} {code.co_freevars}"
    yield from _tokens(code.co_consts, above)


_COMPOUNDS: tuple[tuple[Any, Callable[[Any, tuple[int, ...]], Iterator[str]]], ...] = (
    (types.FunctionType, _function),
    (types.CodeType, _code),
    (types.MethodType, _method),
    (partial, _partial),
    (types.ModuleType, _module),
    (type, _class),
    (Pattern, _pattern),
    (Mapping, _mapping),
    (Set, _set),
    ((list, tuple), _sequence),
)


def _is_installed(subject: Any) -> bool:
    """Return whether a class or function belongs to Python or an installed package, not to the user's own code."""
    code = getattr(subject, "__code__", None)
    if code is None:
        module = sys.modules.get(getattr(subject, "__module__", None) or "")
        file = getattr(module, "__file__", None)
        if file is None:  # built in, or typed at a prompt
            return getattr(subject, "__module__", None) != "__main__"
    else:
        file = code.co_filename
    return (
        str(file).startswith(_INSTALLED)
        or not _PACKAGES.isdisjoint(PurePath(file).parts)
        or _is_ours(subject)
    )


def _is_ours(subject: Any) -> bool:
    """Return whether this package made it; an editable installation lies outside of the installed ones."""
    return str(getattr(subject, "__module__", "")).partition(".")[0] == __name__.partition(".")[0]


def _name(subject: Any) -> str:
    return f"{subject.__module__}.{subject.__qualname__}"
