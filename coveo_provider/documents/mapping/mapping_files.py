"""
A mapping in a YAML or JSON file → plain values, with the line that each stands in.

YAML is read as version 1.2 has it, which editors check too: ``no`` and ``2026-01-31`` are texts. What would arrive
otherwise than it is written, such as ``1.10``, is refused. What the values have to be is in
``mapping.schema.json``, and checked by :mod:`~.mapping_rules`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from coveo_provider.documents.uris import local_path, other_spelling, shown_uri
from coveo_provider.errors import MappingError

if TYPE_CHECKING:
    import yaml

Lines: TypeAlias = "dict[tuple[str | int, ...], int]"
"""The line of each value, by the keys and numbers that lead to it."""

_LARGEST = 1 << 20
_MOST_VALUES = 100_000
_NUMBER = re.compile(
    r"[-+]?(\.\d+|\d[\d_]*(\.\d*)?)([eE][-+]?\d+)?|0[xob][\da-fA-F_]+|[-+]?\d+(:\d+)+(\.\d*)?"
)
_TAG = "tag:yaml.org,2002:"


def text_of(path: Any) -> tuple[bytes, str]:
    """
    Return the bytes of a file, and its name for errors.

    :param path: of a file of this machine, with or without ``file://``, or an ``ObjectStoragePath``
    :raises MappingError: it cannot be read
    """
    if isinstance(path, str):
        local = local_path(path)
        if local is None:
            raise MappingError(
                f"{shown_uri(path)} lies on no disk of this machine: give its ObjectStoragePath, or the URI as "
                "mapping of CoveoTransformOperator"
            )
        path = Path(local)
    name = shown_uri(str(path))
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST + 1), name
    except FileNotFoundError:
        raise MappingError(
            f"{name}: the file of the mapping is missing{other_spelling(name, _exists)}"
        ) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise MappingError(f"{name}: the file of the mapping cannot be read: {reason}") from None


def _exists(path: str) -> bool:
    return Path(path).exists()


def values_of(text: bytes, where: str) -> tuple[Any, Lines]:
    """
    Return what stands in a file, and in which line.

    :param where: its name, for errors; JSON when that ends with ``.json``
    :raises MappingError: it is neither, or a key stands twice, or a value would not arrive as it is written
    """
    if len(text) > _LARGEST:
        raise MappingError(f"{where}: is no mapping, as it has more than {_LARGEST:,} bytes")
    try:
        plain = text.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise MappingError(f"{where}: is no UTF-8") from None
    return (_json(plain, where), {}) if where.lower().endswith(".json") else _yaml(plain, where)


def _json(text: str, where: str) -> Any:
    def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in members:
            if key in found:
                raise MappingError(f"{where}: key {key!r} stands twice in one object")
            found[key] = value
        return found

    try:
        return json.loads(
            text,
            object_pairs_hook=pairs,
            parse_float=lambda number: _number(number, where),
            parse_constant=lambda name: _refuse(where, f"{name} is no JSON"),
        )
    except (json.JSONDecodeError, RecursionError) as error:
        raise MappingError(f"{where}: is no JSON: {error}") from None


def _yaml(text: str, where: str) -> tuple[Any, Lines]:
    import yaml

    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f", line {mark.line + 1}"
        problem = getattr(error, "problem", None) or str(error) or "it is nested too deep"
        raise MappingError(f"{where}{line}: is no YAML: {problem}") from None
    if node is None:
        raise MappingError(f"{where}: is empty")
    reader = _Nodes(where)
    return reader.value(node, (), ()), reader.lines


class _Nodes:
    """Turns the nodes of YAML into values."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._left = _MOST_VALUES
        self.lines: Lines = {}

    def value(self, node: yaml.Node, path: tuple[str | int, ...], above: tuple[int, ...]) -> Any:
        import yaml

        line = node.start_mark.line + 1
        where = f"{self._where}, line {line}"
        self.lines[path] = line
        self._left -= 1
        if self._left < 0 or len(above) > 50 or id(node) in above:  # an anchor within itself
            _refuse(where, "holds more values than any mapping has")
        if not node.tag.startswith(_TAG) or node.tag.removeprefix(_TAG).startswith("python"):
            _refuse(where, f"tag {node.tag} is not known; write plain values")
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node, where)
        if isinstance(node, yaml.SequenceNode):
            inner = (*above, id(node))
            return [self.value(one, (*path, number), inner) for number, one in enumerate(node.value)]
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = f"{self._where}, line {key_node.start_mark.line + 1}"
            key = _scalar(key_node, place) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                _refuse(place, f"key {getattr(key_node, 'value', '…')!r} is no text; put it in quotes")
            inside = (*path, key)
            if key in found:
                _refuse(place, f"key {key!r} stands twice, before in line {self.lines[inside]}")
            found[key] = self.value(value_node, inside, (*above, id(node)))
            self.lines[inside] = key_node.start_mark.line + 1
        return found


def _scalar(node: yaml.ScalarNode, where: str) -> Any:
    text = str(node.value)
    if node.style is not None or node.tag == f"{_TAG}str":
        return text
    if text in {"", "~", "null", "Null", "NULL"}:
        return None
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if _NUMBER.fullmatch(text):
        return _number(text, where)
    return text  # yes, no, on, off, dates, << and .inf: texts, as version 1.2 and editors have them


def _number(text: str, where: str) -> int | float:
    """Return a number that is spelled as it will arrive, and no other."""
    for kind in (int, float):
        try:
            number: int | float = kind(text)
        except ValueError:
            continue
        if str(number) == text:
            return number
    return _refuse(
        where, f"{text} would not arrive as it is written; put it in quotes, or write the number plainly"
    )


def _refuse(where: str, problem: str) -> NoReturn:
    raise MappingError(f"{where}: {problem}")
