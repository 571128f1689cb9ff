"""
The text of a record → the record, with every digit and every key as they stand, or a refusal.

The one reader of JSON: an array and lines hand their records over here. A fast parser reads them. Where it cannot
be told by counting that nothing was lost (a number may have more digits than a float keeps, a key may stand twice),
Python's own reads the record again, number by number and key by key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import orjson

MAX_DEPTH = 500
MAX_DIGITS = 76
"""What Arrow's widest decimal holds."""

_LONGEST_NUMBER = 4_300  # characters; what Python reads as a whole number
_SHOWN = 40  # characters of a number or key that an error repeats
_QUOTE_IT = 'write it as a text, in quotes: "1.50"'

# For looking at a whole block at once: digits and dots, exponents and signs, and everything else.
_NUMBERS = np.full(256, ord(" "), np.uint8)
_NUMBERS[list(b"0123456789.")] = ord("0")
_NUMBERS[list(b"eE")] = ord("e")
_NUMBERS[list(b"+-")] = ord("-")
_LONG = b"0" * 16  # a float keeps any 15 digits
_FAR = (b"0e000", b"0e-000")  # and any exponent of two
_LONG_OR_FAR = re.compile(rb"[:,\[\s]-?([0-9][0-9.]{15,}(?:[eE][+-]?[0-9]+)?|[0-9.]+[eE][+-]?[0-9]{3,})")
_NAME = re.compile(rb'"[ \t\r\n]*:')
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


class BadRecord(Exception):
    """
    A record that is refused.

    :param position: which of those read together, from 0
    :param problem: what is wrong with it, to be said after its place
    """

    def __init__(self, position: int, problem: str) -> None:
        super().__init__(position, problem)
        self.position, self.problem = position, problem


def records_of(texts: Sequence[bytes]) -> tuple[list[dict[str, Any]], bool]:
    """
    Return the records in texts, and whether :func:`plain_records` reads the same.

    Whole numbers are ``int``. Other numbers are ``float`` where that writes the same number again, and ``Decimal``
    where it does not.

    :raises BadRecord: the first that is no JSON object, or not one that arrives as it stands
    """
    try:
        records = plain_records(texts)
    except ValueError:
        records = []
    if set(map(type, records)) == {dict} and _is_kept(b"\n".join(texts), texts, records):
        return records, True
    return [_record(position, text) for position, text in enumerate(texts)], False


def plain_records(texts: Sequence[bytes]) -> list[dict[str, Any]]:
    """
    Return the records in texts of which it is known that they lose nothing this way.

    :raises ValueError: one is no JSON
    """
    return [orjson.loads(text) for text in texts]


def _record(position: int, text: bytes) -> dict[str, Any]:
    """Return one record, read in whatever way it takes."""
    try:
        if _is_deep(text):
            raise _Refused(f"is nested more than {MAX_DEPTH} deep, which no document is; is it damaged?")
        try:
            record = orjson.loads(text)
        except ValueError as error:
            _refuse(text, error)
        if not isinstance(record, dict):
            raise _Refused(f"holds {_kind(record)}, expected an object with a record's keys")
        return record if _is_kept(text, [text], [record]) else _exact(text)
    except _Refused as refusal:
        raise BadRecord(position, str(refusal)) from None


class _Refused(Exception):
    """What is wrong with a record."""


def _is_kept(block: bytes, texts: Sequence[bytes], records: Sequence[dict[str, Any]]) -> bool:
    """Return whether it is certain that nothing of the texts was lost in the records."""
    flat = block.count(b"{") == len(records)
    if not (flat and b"[" not in block) and any(map(_is_deep, texts)):
        return False
    names = sum(map(len, records)) + (0 if flat else sum(map(_inner_names, records)))
    codes = np.frombuffer(block, np.uint8)
    return (
        names == _colons_after_strings(codes) or names == len(_NAME.findall(block))
    ) and _numbers_are_kept(block, codes)


def _colons_after_strings(codes: npt.NDArray[np.uint8]) -> int:
    """Return how many colons may end a name: these, and some in strings."""
    before = codes[np.flatnonzero(codes == ord(":")) - 1]
    return int(np.count_nonzero((before == ord('"')) | (before <= ord(" "))))


def _inner_names(value: Any) -> int:
    """Return how many names the objects within a value have."""
    names = 0
    for member in value.values() if type(value) is dict else value:
        if type(member) is dict:
            names += len(member) + _inner_names(member)
        elif type(member) is list:
            names += _inner_names(member)
    return names


def _numbers_are_kept(text: bytes, codes: npt.NDArray[np.uint8]) -> bool:
    shape = _NUMBERS[codes].tobytes()
    if _LONG not in shape and not any(far in shape for far in _FAR):
        return True
    return all(_is_number_kept(match[1]) for match in _LONG_OR_FAR.finditer(text))


def _is_number_kept(digits: bytes) -> bool:
    if digits.isdigit():
        return len(digits) < 19 or (len(digits) == 19 and int(digits) < 2**63)
    text = digits.decode()
    try:
        return repr(float(text)) == text or isinstance(_number(text), float)
    except (_Refused, ValueError):  # the latter of what stands in a string
        return False


def _is_deep(text: bytes) -> bool:
    if text.count(b"{") + text.count(b"[") <= MAX_DEPTH:
        return False
    depth = 0
    for bracket in _STRING.sub(b"", text):
        depth += (bracket in b"{[") - (bracket in b"}]")
        if depth > MAX_DEPTH:
            return True
    return False


def _exact(text: bytes) -> Any:
    """
    Return what a text holds, with every digit.

    :raises ValueError: it is no JSON
    """
    try:
        return json.loads(
            text.decode(),
            parse_int=_whole,
            parse_float=_number,
            parse_constant=_refuse_constant,
            object_pairs_hook=_object,
        )
    except RecursionError:
        raise _Refused("is nested too deeply; is it damaged?") from None


def _whole(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        _refuse_number(digits)
    return int(digits)


def _number(digits: str) -> float | Decimal:
    if len(digits) > _LONGEST_NUMBER:
        _refuse_number(digits)
    number = float(digits)
    try:
        exact = Decimal(digits)
    except ArithmeticError:  # an exponent of 19 digits
        _refuse_number(digits)
    if Decimal(repr(number)) == exact:
        return number
    _, figures, exponent = exact.as_tuple()
    written = "".join(map(str, figures)).rstrip("0")
    exponent = int(exponent) + len(figures) - len(written)
    if max(len(written) + exponent, 0) + max(-exponent, 0) > MAX_DIGITS:
        _refuse_number(digits)
    return exact


def _refuse_number(digits: str) -> NoReturn:
    shown = digits if len(digits) <= _SHOWN else f"{digits[:_SHOWN]}…"
    raise _Refused(
        f"holds the number {shown}, of which neither a float nor {MAX_DIGITS} digits keep all; {_QUOTE_IT}"
    )


def _refuse_constant(name: str) -> NoReturn:
    raise _Refused(f"holds {name}, which is no JSON; write null, or leave the key out")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _Refused(
            f"has the key {twice[:_SHOWN]!r} twice in one object, and nothing says which one counts"
        )
    return found


def _refuse(text: bytes, error: ValueError) -> NoReturn:
    """Say what is wrong with a text that is no JSON."""
    try:
        found = _exact(text)
    except UnicodeDecodeError as wrong:
        raise _Refused(
            f"is not UTF-8, in which JSON is written (byte 0x{text[wrong.start]:02x}); convert the file, such as "
            "with iconv -f WINDOWS-1252 -t UTF-8"
        ) from None
    except ValueError:
        found = None
    if half := _SURROGATE.search(json.dumps(found, ensure_ascii=False, default=str)):
        raise _Refused(
            f"holds half a character (\\u{ord(half[0]):04x}), which no text can; mend it where the file is made"
        )
    reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
    raise _Refused(f"is not JSON: {reason[:200]}")


def _kind(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
