"""
JSON in the one form that all its spellings share: what a document says, however it was written.

Keys are sorted, and numbers have no more digits than they need, as a column of whole numbers becomes one of
fractions when a fraction joins it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import lru_cache

import msgspec
import polars as pl

from coveo_provider.documents.values.json_values import dump

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array = msgspec.json.Decoder(list[msgspec.Raw])
_NUMBER = frozenset(b"-0123456789")
_ODD_NUMBER = r"[eE]|^-0(?:\.0)?$"
_ODD_ELEMENT = r"[eE]|-0(?:\.0)?[,\]]"


def canonical(text: bytes) -> bytes:
    """Return a JSON value in its canonical form."""
    first = text[0]
    if first in _NUMBER:
        return _canonical_number(text) if b"." in text or b"e" in text or b"E" in text else text
    if first == ord("{"):
        return canonical_object(text)
    if first == ord("["):
        return b"[" + b",".join([canonical(bytes(value)) for value in _array.decode(text)]) + b"]"
    return text


def canonical_object(text: bytes, *, without: Iterable[str] = ()) -> bytes:
    """
    Return a JSON object in its canonical form.

    :param without: keys to leave out
    """
    fields = _object.decode(text)
    for key in without:
        fields.pop(key, None)
    return b"{" + b",".join([_key(key) + canonical(bytes(fields[key])) for key in sorted(fields)]) + b"}"


def canonical_texts(texts: pl.Series) -> pl.Series:
    """Return JSON texts of any kind in their canonical form; each that is repeated is looked at once."""
    forms = {text: canonical(text.encode()).decode() for text in texts.drop_nulls().unique()}
    return pl.Series([None if text is None else forms[text] for text in texts], dtype=pl.String)


def canonical_numbers(texts: pl.Series) -> pl.Series:
    """Return numbers of which each is written as shortly as can be, but for ``.0``, in their canonical form."""
    return _shortened(texts, _ODD_NUMBER, lambda text: text.str.strip_suffix(".0"))


def canonical_lists(texts: pl.Series) -> pl.Series:
    """Return lists of such numbers in their canonical form."""
    return _shortened(texts, _ODD_ELEMENT, lambda text: text.str.replace_all(r"\.0([,\]])", "$1"))


def canonical_decimals(texts: pl.Series) -> pl.Series:
    """Return decimals, of which all have as many digits behind the point, in their canonical form."""
    if not texts.str.contains(".", literal=True).any():
        return texts
    return texts.str.strip_chars_end("0").str.strip_suffix(".")


def _shortened(texts: pl.Series, odd: str, shorten: Callable[[pl.Series], pl.Series]) -> pl.Series:
    few = texts.str.contains(odd)
    return canonical_texts(texts) if few.any() else shorten(texts)


def _canonical_number(text: bytes) -> bytes:
    digits = format(Decimal(text.decode()), "f")
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    return b"0" if digits == "-0" else digits.encode()


@lru_cache(maxsize=10_000)
def _key(key: str) -> bytes:
    return dump(key) + b":"
