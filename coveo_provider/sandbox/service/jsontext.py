"""
JSON read strictly, with every digit kept.

Three ways of reading, by need: :func:`parse` gives plain values and refuses a repeated key; :func:`members`
gives each value's own text, for rewriting an item without touching its numbers; :func:`sections` cuts a
container, which can be 256 MB, into the texts of its arrays' entries without building values.
"""

from __future__ import annotations

import codecs
import json
import mmap
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SPACE = b" \t\n\r"
_KEY = re.compile(rb'"(?:[^"\\]|\\.)*"')
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_WINDOW = 1 << 20

_object_of_texts = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array_of_texts = msgspec.json.Decoder(list[msgspec.Raw])


class BadJsonError(ValueError):
    """The text is not JSON, not UTF-8, nested beyond reason, or names a key twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise BadJsonError(f"the key {twice!r} appears twice")
    return value


def _no_constant(name: str) -> Any:
    raise BadJsonError(f"{name} is not JSON")


def _number(text: str) -> float | Decimal:
    """Read a decimal as a float when that loses nothing, else as a Decimal with all its digits."""
    value, exact = float(text), Decimal(text)
    return value if value == exact or Decimal(repr(value)) == exact else exact


_strict = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant)
_exact = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_number)


def parse(text: bytes) -> Any:
    """
    Read a JSON text of an item's size.

    :raises BadJsonError: for anything but one strict JSON value in UTF-8 without repeated keys
    """
    return _read(_strict, text)


def parse_exact(text: bytes) -> Any:
    """Read like :func:`parse`; a decimal that no float holds comes as a :class:`~decimal.Decimal`."""
    return _read(_exact, text)


def _read(decoder: json.JSONDecoder, text: bytes) -> Any:
    try:
        value = decoder.decode(text.decode("utf-8"))
        if _HALF.search(text):  # an escape may make half a character: no text, though the module takes it
            json.dumps(value, ensure_ascii=False, default=str).encode()
        return value
    except UnicodeEncodeError:
        raise BadJsonError("an escape makes half a character") from None
    except BadJsonError:
        raise
    except UnicodeDecodeError as error:
        raise BadJsonError(f"not UTF-8 at byte {error.start}") from None
    except (ValueError, ArithmeticError) as error:
        raise BadJsonError(str(error)) from None
    except RecursionError:
        raise BadJsonError("nested too deeply") from None


def members(text: bytes) -> dict[str, bytes]:
    """Give the members of a JSON object, each value as the text it had."""
    try:
        return {key: bytes(value) for key, value in _object_of_texts.decode(text).items()}
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise BadJsonError(str(error)) from None


def elements(text: bytes) -> list[bytes]:
    """Give the elements of a JSON array, each as the text it had."""
    try:
        return [bytes(value) for value in _array_of_texts.decode(text)]
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise BadJsonError(str(error)) from None


def join(values: Mapping[str, bytes]) -> bytes:
    """Build an object from :func:`members`."""
    return b"{" + b",".join(orjson.dumps(key) + b":" + value for key, value in values.items()) + b"}"


def dumps(value: Any) -> bytes:
    """Write a plain value."""
    return orjson.dumps(value)


def is_unicode(value: str) -> bool:
    """Say whether a string read from JSON is text: an escape can make half a character of it."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_utf8(buffer: mmap.mmap) -> None:
    """Refuse a container that is not UTF-8, a window at a time."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(buffer), _WINDOW):
            decoder.decode(buffer[start : start + _WINDOW])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise BadJsonError("the content is not UTF-8") from None


def sections(buffer: mmap.mmap) -> dict[str, list[msgspec.Raw]]:
    """
    Cut a container into its arrays (by key as written) and their entries, as views on the buffer.

    :raises BadJsonError: when the text is not one strict JSON object of arrays, or names a key twice
    """
    check_utf8(buffer)
    try:
        arrays = _object_of_texts.decode(buffer)
        _refuse_repeated(buffer, arrays)
        return {key: _array_of_texts.decode(value) for key, value in arrays.items()}
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise BadJsonError(str(error)) from None
    except RecursionError:
        raise BadJsonError("nested too deeply") from None


def container(descriptor: int, known: Sequence[str]) -> tuple[dict[str, list[msgspec.Raw]], list[str]]:
    """
    Read a container's arrays by the API's spelling of their keys, and the names of others that hold something.

    :param descriptor: an open file; the entries are views on a map of it, which lives as long as they do
    :raises BadJsonError: as :func:`sections`, and when it is empty or has none of the ``known`` keys
    """
    try:
        buffer = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    except ValueError:
        raise BadJsonError("the container is empty") from None
    spelled = {name.lower(): name for name in known}
    arrays: dict[str, list[msgspec.Raw]] = {}
    unread: list[str] = []
    for key, texts in sections(buffer).items():
        name = spelled.get(key.lower())
        if name is None:
            unread += [key] if texts else []  # real clients send empty arrays along (probe: empty-arrays)
        elif name in arrays:
            raise BadJsonError(f"the key {name!r} appears twice")
        else:
            arrays[name] = texts
    if unread and not arrays:
        raise BadJsonError(f"it has {', '.join(unread)} but none of {', '.join(known)}")
    return arrays, unread


def _refuse_repeated(buffer: mmap.mmap, arrays: dict[str, msgspec.Raw]) -> None:
    """A dict keeps the last of equal keys, which would lose a whole array in silence: walk them all."""

    def skip(at: int, also: bytes = b"") -> int:
        while at < len(buffer) and buffer[at : at + 1] in _SPACE + also:
            at += 1
        return at

    seen: set[str] = set()
    at = skip(0, b"{")
    while match := _KEY.match(buffer, at):
        key = orjson.loads(match.group())
        value = memoryview(arrays[key])
        at = skip(match.end(), b":")
        if key in seen or memoryview(buffer)[at : at + len(value)] != value:
            raise BadJsonError(f"the key {key!r} appears twice")
        seen.add(key)
        at = skip(at + len(value), b",")
