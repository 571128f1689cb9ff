"""Rules of a :class:`DocumentMapping` that make texts, lists of texts, or the same value everywhere."""

from __future__ import annotations

import string
from dataclasses import dataclass
from reprlib import repr as brief
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from coveo_provider.errors import MappingError

if TYPE_CHECKING:
    import pyarrow as pa

    from coveo_provider.documents.mapping.rows import Rows


@dataclass(frozen=True)
class Template:
    """
    A text with columns in it: ``Template("product://{sku}")``.

    ``{sku:uri}`` percent-encodes what a URI cannot hold, ``/`` left as it is. A row in which one of the
    columns is empty, or holds nothing but blanks, has no value.

    A value stands there as in the JSON that is sent for it, a text without quotes: ``true``, ``1.10`` for a
    decimal, ``2026-01-31T00:00:00Z``. A whole number among fractions is ``38``. Lists, objects and bytes
    are refused.

    :param text: with ``{column}`` for each column, and ``{{`` for a brace
    """

    text: str

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise MappingError(f"Template expects a text such as 'product://{{sku}}', not {brief(self.text)}")

    def pieces(self) -> list[tuple[str, str | None, bool]]:
        """
        Return the template as (text, column or ``None``, percent-encode?) in order.

        :raises MappingError: it cannot be read
        """
        try:
            parsed = list(string.Formatter().parse(self.text))
        except ValueError as error:
            raise MappingError(f"template {self.text!r} cannot be read: {error}") from None
        pieces = []
        for text, column, spec, conversion in parsed:
            if column == "" or conversion or (spec and spec != "uri"):
                raise MappingError(
                    f"template {self.text!r} cannot be read: expected {{column}} or {{column:uri}}, and "
                    "{{ for a brace"
                )
            pieces.append((text, column, spec == "uri"))
        return pieces

    def columns(self) -> list[str]:
        """Return the columns it needs."""
        return [column for _, column, _ in self.pieces() if column is not None]

    def build(self, rows: Rows) -> pa.Array:
        """
        Return one text per row.

        :raises MappingError: names the row of a value that no text stands for
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        parts = [pa.repeat(pa.scalar("", pa.large_string()), len(rows))]
        for text, column, encode in self.pieces():
            parts.append(pa.scalar(text, pa.large_string()))
            if column is not None:
                values = rows.texts(column, f"template {self.text!r}: column {column!r}")
                blank = pc.equal(pc.binary_length(pc.utf8_trim_whitespace(values)), 0)
                values = pc.if_else(blank, pa.scalar(None, pa.large_string()), values)
                parts.append(_percent(values) if encode else values)
        return pc.binary_join_element_wise(*parts, pa.scalar("", pa.large_string()))


@dataclass(frozen=True)
class Constant:
    """
    The same value in every row: ``Constant("Product")``.

    :param value: a text, a number, a truth, a list or an object; not null
    """

    value: Any

    def columns(self) -> list[str]:
        """Return the columns it needs: none."""
        return []

    def build(self, rows: Rows) -> pa.Array:
        """
        Return the value once per row.

        :raises MappingError: it is none that a column can hold
        """
        import numpy as np
        import pandas as pd

        from coveo_provider.documents.dataset.frames import arrow_of
        from coveo_provider.documents.values.faults import FAULTS, reason_of

        try:
            one = arrow_of(pd.Series([self.value], dtype=object))
        except FAULTS as error:
            raise MappingError(f"Constant({brief(self.value)}) cannot be sent: {reason_of(error)}") from None
        return one.take(np.zeros(len(rows), np.int64))


@dataclass(frozen=True)
class Split:
    """
    A text taken apart into a multi-value field: ``Split("tags", ";")``.

    Blanks around the values and empty values are dropped; a row in which nothing is left has no value. What is no
    text is taken apart as it would stand in a :class:`Template`.

    :param column: the column to take apart
    :param separator: what stands between the values
    """

    column: str
    separator: str = ";"

    def __post_init__(self) -> None:
        if not isinstance(self.column, str) or not isinstance(self.separator, str) or not self.separator:
            raise MappingError(
                "Split expects a column's name and a separator of one character or more, not "
                f"{brief(self.column)} and {brief(self.separator)}"
            )

    def columns(self) -> list[str]:
        """Return the column it needs."""
        return [self.column]

    def build(self, rows: Rows) -> pa.Array:
        """
        Return one list of texts per row.

        :raises MappingError: a row holds a list or an object already
        """
        import pyarrow.compute as pc

        from coveo_provider.documents.mapping.rows import named_parts, regrouped

        texts = rows.texts(self.column, f"Split({self.column!r})")
        return regrouped(*named_parts(pc.split_pattern(texts, self.separator)), len(rows), empty=False)


def _percent(values: pa.Array) -> pa.Array:
    """Return texts with what a URI cannot hold percent-encoded; most have nothing of it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    touched = pc.fill_null(pc.match_substring_regex(values, r"[^A-Za-z0-9_.\-~/]"), False)
    different = values.filter(touched).dictionary_encode()
    encoded = [quote(text, safe="/") for text in different.dictionary.to_pylist()]
    texts = pa.array(encoded, pa.large_string()).take(different.indices)
    return pc.replace_with_mask(values, touched, texts)
