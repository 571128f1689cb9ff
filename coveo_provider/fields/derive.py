"""A dataset's columns, or the values of rows, become the fields that take them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from coveo_provider.documents.values.arrow_types import is_list
from coveo_provider.documents.values.plain_arrays import plain_type
from coveo_provider.fields.specs import FieldSpec
from coveo_provider.fields.values import is_whole, is_whole_type, python_value, within

_NUMBERS = frozenset({"whole", "decimal"})


class Profile:
    """
    What the values of one key are, over all documents.

    Whole numbers become ``LONG``, ``LONG_64`` where one needs more than 32 bits, and ``STRING`` beyond 64; other
    numbers ``DOUBLE``, and ``STRING`` where whole ones among them would lose digits in it; moments and dates
    ``DATE``; everything else, and a mixture, ``STRING``. A list of anything is a multi-value ``STRING``, as the
    service has no other; an object a dictionary of the type of its values.
    """

    def __init__(self) -> None:
        self._kinds: set[str] = set()
        self._list = self._object = False
        self._low = self._high = 0

    def add_type(self, dtype: pa.DataType) -> None:
        """Take a column's type; of whole numbers :meth:`add_numbers` has to tell how large they are."""
        dtype = plain_type(dtype)
        if pt.is_dictionary(dtype):
            self.add_type(dtype.value_type)
        elif is_list(dtype):
            self._list = True
            self.add_type(dtype.value_type)
        elif pt.is_struct(dtype):
            self._object = True
            for each in dtype:
                self.add_type(each.type)
        elif pt.is_map(dtype):
            self._object = True
            self.add_type(dtype.item_type)
        elif not pt.is_null(dtype):
            self._kinds.add(_kind_of_type(dtype))

    def add_value(self, value: Any) -> None:
        """Take a value of Python, numpy or pandas."""
        value = python_value(value)
        if isinstance(value, Mapping):
            self._object |= bool(value)
            for one in value.values():
                self.add_value(one)
        elif isinstance(value, (list, tuple)):
            self._list |= bool(value)
            for one in value:
                self.add_value(one)
        elif value is not None:
            kind = _kind_of_value(value)
            self._kinds.add(kind)
            if kind == "whole":
                self.add_numbers([int(value)])

    def add_numbers(self, numbers: Iterable[int]) -> None:
        """Take whole numbers: those that lie furthest out are enough."""
        for number in numbers:
            self._low, self._high = min(self._low, number), max(self._high, number)

    def spec(self, name: str) -> FieldSpec | None:
        """Return the field; ``None`` when there is no value at all."""
        if not self._kinds:
            return None
        if self._list and not self._object:
            return FieldSpec(name, "STRING", multi_value=True)
        return FieldSpec(name, self._type(), dictionary=True if self._object else None)

    def _type(self) -> str:
        if self._list:
            return "STRING"
        if self._kinds == {"whole"}:
            for kind in ("LONG", "LONG_64"):
                if within(self._low, kind) and within(self._high, kind):
                    return kind
            return "STRING"
        if self._kinds <= _NUMBERS:
            exact = within(self._low, "DOUBLE") and within(self._high, "DOUBLE")
            return "DOUBLE" if exact else "STRING"
        return "DATE" if self._kinds == {"moment"} else "STRING"


def _kind_of_type(dtype: pa.DataType) -> str:
    if is_whole_type(dtype):
        return "whole"
    if pt.is_floating(dtype) or pt.is_decimal(dtype):
        return "decimal"
    return "moment" if pt.is_timestamp(dtype) or pt.is_date(dtype) else "text"


def _kind_of_value(value: Any) -> str:
    if is_whole(value):
        return "whole"
    if isinstance(value, (float, Decimal)):
        return "decimal"
    return "moment" if isinstance(value, date) else "text"
