"""Plain values, as a file has them → the arguments of a mapping; ``mapping.schema.json`` tells editors the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from reprlib import repr as brief
from typing import Any, NoReturn

from coveo_provider.documents.mapping.mapping_files import Lines
from coveo_provider.documents.mapping.permission_rules import PermissionColumns, PermissionLevels
from coveo_provider.documents.mapping.text_rules import Constant, Split, Template
from coveo_provider.errors import MappingError

_TOP = ("document_id", "fields", "keep", "drop", "$schema")
_COLUMNS = ("allowed_users", "allowed_groups", "denied_users", "denied_groups")
_SET = (*_COLUMNS, "allow_anonymous", "security_provider", "separator")

Path = tuple["str | int", ...]


def arguments_of(data: Any, where: str = "the mapping", lines: Lines | None = None) -> dict[str, Any]:
    """
    Return the arguments of the mapping that plain values say.

    :param data: ``{"document_id": …, "fields": {…}, "keep": …, "drop": …}``
    :param where: the file, for errors
    :param lines: the line of each value
    :raises MappingError: a key is unknown, a value is none that it takes; names the file, the line and the key
    """
    return _Reader(where, lines or {}).arguments(data)


class _Reader:
    def __init__(self, where: str, lines: Lines) -> None:
        self._where, self._lines = where, lines
        self._rules: dict[str, tuple[tuple[str, ...], Callable[[Mapping[str, Any], Path], Any]]] = {
            "template": ((), lambda rule, path: Template(self._text(rule, "template", path, empty=True))),
            "constant": ((), self._constant),
            "split": (("separator",), self._split),
            "permissions": ((), lambda rule, path: self._set(rule["permissions"], (*path, "permissions"))),
            "levels": ((), self._levels),
        }

    def arguments(self, data: Any) -> dict[str, Any]:
        data = self._object(data, (), _TOP)
        if "document_id" not in data:
            self._refuse((), "document_id is missing: a template such as product://{sku}")
        if "$schema" in data:
            self._text(data, "$schema", (), empty=True)
        fields = self._object(data.get("fields", {}), ("fields",), None)
        document_id = self._text(data, "document_id", ())
        self._checked(Template(document_id), ("document_id",))
        return {
            "document_id": document_id,
            "fields": {key: self._rule(rule, ("fields", key)) for key, rule in fields.items()},
            "keep": self._columns(data, "keep"),
            "drop": self._columns(data, "drop"),
        }

    def _rule(self, rule: Any, path: Path) -> Any:
        if not path[-1]:
            self._refuse(path, "a key is empty")
        if isinstance(rule, str) and rule:
            return rule
        if not isinstance(rule, Mapping):
            self._refuse(
                path,
                f"is {brief(rule)}, expected the name of a column, or one of {{{', '.join(self._rules)}}}; a "
                "fixed "
                "value is {constant: …}",
            )
        kinds = [kind for kind in self._rules if kind in rule]
        if len(kinds) > 1:
            self._refuse(path, f"has the rules {' and '.join(kinds)}, expected one")
        known = list(self._rules) if not kinds else [kinds[0], *self._rules[kinds[0]][0]]
        rule = self._object(rule, path, known)
        if not kinds:
            self._refuse(path, f"has no rule, expected one of {', '.join(self._rules)}")
        made = self._rules[kinds[0]][1](rule, path)
        return self._checked(made, path)

    def _checked(self, rule: Any, path: Path) -> Any:
        """Return a rule whose texts can be read."""
        try:
            rule.columns()
        except MappingError as error:
            self._refuse(path, str(error))
        return rule

    def _constant(self, rule: Mapping[str, Any], path: Path) -> Any:
        if rule["constant"] is None:
            self._refuse(
                (*path, "constant"), "is null; leave the key out, as a document without a value has none"
            )
        return Constant(rule["constant"])

    def _split(self, rule: Mapping[str, Any], path: Path) -> Any:
        separator = {"separator": self._text(rule, "separator", path)} if "separator" in rule else {}
        return Split(self._text(rule, "split", path), **separator)

    def _set(self, data: Any, path: Path) -> PermissionColumns:
        data = self._object(data, path, _SET)
        values: dict[str, Any] = {
            key: self._text(data, key, path) for key in data if key != "allow_anonymous"
        }
        if "allow_anonymous" in data:
            public = data["allow_anonymous"]
            values["allow_anonymous"] = (
                public if isinstance(public, bool) else self._text(data, "allow_anonymous", path)
            )
        made: PermissionColumns = self._checked(PermissionColumns(**values), path)
        return made

    def _levels(self, rule: Mapping[str, Any], path: Path) -> Any:
        inner = (*path, "levels")
        levels: dict[str, list[PermissionColumns]] = {}
        for name, sets in self._object(rule["levels"], inner, None).items():
            if not name:
                self._refuse(inner, "the name of a level is empty")
            several = sets if isinstance(sets, list) else [sets]
            levels[name] = [self._set(one, (*inner, name)) for one in several]
        return PermissionLevels(levels)

    def _columns(self, data: Mapping[str, Any], key: str) -> str | tuple[str, ...]:
        value = data.get(key, [])
        if isinstance(value, str) and value:
            return value
        if isinstance(value, list) and all(isinstance(one, str) and one for one in value):
            return tuple(value)
        return self._refuse((key,), f"is {brief(value)}, expected the name of a column, or a list of them")

    def _text(self, data: Mapping[str, Any], key: str, path: Path, *, empty: bool = False) -> str:
        value = data[key]
        if not isinstance(value, str) or not (value or empty):
            hint = "; put it in quotes" if isinstance(value, (bool, int, float)) else ""
            self._refuse((*path, key), f"is {brief(value)}, expected a text{hint}")
        return value

    def _object(self, data: Any, path: Path, known: Any) -> Mapping[str, Any]:
        if not isinstance(data, Mapping) or not all(isinstance(key, str) for key in data):
            what = "keys with values" if known is None else f"an object with {', '.join(known)}"
            self._refuse(path, f"is {brief(data)}, expected {what}")
        for key in data:
            if known is not None and key not in known:
                near = get_close_matches(key.lower(), list(known), n=1, cutoff=0.5)
                hint = f"Did you mean {near[0]}?" if near else f"Expected {', '.join(known)}"
                self._refuse((*path, key), f"is unknown. {hint}")
        return data

    def _refuse(self, path: Path, problem: str) -> NoReturn:
        line = next(
            (self._lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self._lines), 0
        )
        place = f"{self._where}, line {line}" if line else self._where
        name = ".".join(map(str, path))
        raise MappingError(f"{place}: {name + ' ' if name else ''}{problem}")
