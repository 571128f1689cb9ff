"""
How far a table was read: the greatest value of a column that each change of a row raises.

It is the greatest value that was *seen*, never a clock's. A clock only tells which values are no evidence: one in
the future, such as 9999-12-31, would hide every later change. It does not count, and each run reads its row.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from math import ceil
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from coveo_provider.documents.contract import counted
from coveo_provider.documents.dataset.manifest import WatermarkEntry, WatermarkKind
from coveo_provider.documents.values.arrow_types import is_text
from coveo_provider.errors import ConfigurationError, DatasetError

Value: TypeAlias = "datetime | date | int | Decimal | str"
Overlap: TypeAlias = "timedelta | int | float | Decimal"

_ISO = re.compile(r"(\d{4}-\d\d-\d\d)(?:([ T])(\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(Z|\+00:00)?)?")
_EXPECTED = "expected moments, dates, whole numbers, decimals, or texts of ISO 8601 in UTC or without a zone"
_NUMBERS = ("int", "decimal")


class Watermark:
    """
    The greatest value of a column in the rows that were read.

    :param column: its name
    :param overlap: how far before that the next run reads again: a time, or a number where the column is of numbers
    :param now: from when on a moment is no evidence, with a time zone
    :param former: that of the rows that are not read again; ``None`` when all are
    """

    def __init__(
        self, column: str, overlap: Overlap, now: datetime, former: WatermarkEntry | None = None
    ) -> None:
        self.column, self._overlap, self._now = column, overlap, now
        self._kind: WatermarkKind | None = former.kind if former else None
        self._former: Value | None = _value_of(former) if former else None
        self._greatest: Value | None = None
        self._shape = _shape(former.value) if former and former.kind == "text" else None
        self._missing = self._rows = self._later = 0
        self._first_missing = ""

    def look(self, values: pa.ChunkedArray, where: str) -> None:
        """
        Take further rows into account.

        :param where: which rows these are, for errors
        :raises DatasetError: the values are of a kind that cannot tell what changed
        :raises ConfigurationError: the overlap is none of their kind
        """
        self._rows += len(values)
        if values.null_count:
            self._first_missing = self._first_missing or where
            self._missing += values.null_count
            values = values.drop_null()
        if not len(values):
            return
        self._refuse_other_kind(values, where)
        if pt.is_timestamp(values.type):  # as Python has them; less is safe
            values = values.cast(pa.timestamp("us", values.type.tz), safe=False)
        if self._kind == "text":
            self._refuse_other_shape(values, where)
        bound = self._bound()
        if bound is not None:
            self._later += int(pc.sum(pc.greater(values, pa.scalar(bound, values.type))).as_py() or 0)
        if bound is not None:
            values = values.filter(pc.less_equal(values, pa.scalar(bound, values.type)))
        if len(values):
            self._greatest = _greater(self._greatest, pc.max(values).as_py())

    @property
    def went_back(self) -> bool:
        """Whether no row has the greatest value of before, or a greater one."""
        return self._former is not None and (self._greatest is None or self._greatest < self._former)  # type: ignore[operator]

    def refuse_missing(self) -> None:
        """
        Refuse rows without a value: no later run would see that they changed.

        :raises DatasetError: counts them
        """
        if self._missing:
            raise DatasetError(
                f"watermark: {self.column!r} is NULL in {counted(self._missing, 'row')} of {self._rows:,}, the "
                f"first of them in {self._first_missing}: whether these change could not be seen. Give them a "
                f"value in the query, such as COALESCE({self.column}, created_at) AS {self.column}"
            )

    def warning(self) -> str:
        """Return what to say of values in the future; empty when there are none."""
        if not self._later:
            return ""
        return (
            f"watermark: {self.column!r} is in the future in {counted(self._later, 'row')}. "
            "Such values do not count, or they would hide later changes: until then each run reads these rows "
            "again. Moments without a time zone are taken as UTC"
        )

    def entry(self, query: str, columns: tuple[str, ...] = ()) -> WatermarkEntry | None:
        """
        Return what the manifest says of it; ``None`` when there is no value that counts.

        :param query: fingerprint of the query
        :param columns: of the query, as the manifest tells them
        """
        if self._greatest is None or self._kind is None:
            return None
        value = self._greatest
        text = value.isoformat() if isinstance(value, date) else str(value)
        return WatermarkEntry(self.column, self._kind, text, query, columns)

    def _refuse_other_kind(self, values: pa.ChunkedArray, where: str) -> None:
        kind = _kind_of(values.type)
        if kind is None:
            raise DatasetError(
                f"watermark: column {self.column!r} holds {values.type} in {where}, of which no greatest value "
                f"tells what changed: {_EXPECTED}. Cast it in the query"
            )
        if {kind, self._kind} == set(_NUMBERS):
            self._kind = kind = "decimal"
        if self._kind not in (None, kind):
            raise DatasetError(
                f"watermark: column {self.column!r} holds values of kind {kind} in {where}, and of kind "
                f"{self._kind} before. Cast it in the query"
            )
        self._kind = kind
        check_overlap(self._overlap, kind)

    def _refuse_other_shape(self, values: pa.ChunkedArray, where: str) -> None:
        first = values[0].as_py()
        self._shape = self._shape or _shape(first)
        pattern = self._shape.pattern if self._shape else "^$"
        odd = pc.index(pc.match_substring_regex(values, f"^(?:{pattern})$"), False).as_py()
        if self._shape is None or odd >= 0:
            shown = values[max(odd, 0)].as_py()[:40]
            raise DatasetError(
                f"watermark: column {self.column!r} holds the text {shown!r} in {where}, row {max(odd, 0):,} of "
                f"these. Texts sort by time only if all are ISO 8601 of one shape"
                f"{f', here that of {first[:40]!r}' if odd > 0 else ''}, in UTC or without a zone. Make moments of "
                "them in the query"
            )

    def _bound(self) -> Value | None:
        """Return the present as a value of the column; ``None`` where that says nothing."""
        now = self._now.astimezone(timezone.utc)
        if self._kind == "timestamptz":
            return now
        if self._kind == "timestamp":
            return now.replace(tzinfo=None)
        if self._kind == "date":
            return now.date()
        if self._kind == "text" and self._shape is not None:
            return _spelled(now, self._shape)
        return None


def since(entry: WatermarkEntry, overlap: Overlap) -> Value:
    """
    Return the value from which on rows are read again.

    :param entry: how far the last verified load had read
    :raises ConfigurationError: the overlap is none of the column's kind
    """
    check_overlap(overlap, entry.kind)
    value = _value_of(entry)
    if entry.kind in _NUMBERS:
        less = overlap if isinstance(overlap, int) else Decimal(str(overlap))
        return value - (ceil(less) if entry.kind == "int" else less)  # type: ignore[operator]
    assert isinstance(overlap, timedelta)  # noqa: S101  checked above
    try:
        if isinstance(value, datetime):
            return value - overlap
        if isinstance(value, date):
            return (datetime.combine(value, time()) - overlap).date()
        shape = _shape(str(value))
        assert shape is not None  # noqa: S101  checked when it was written
        return _spelled(_moment(str(value)) - overlap, shape)
    except OverflowError:
        raise ConfigurationError(f"watermark_overlap: {overlap} before {value} is no date any more") from None


def check_overlap(overlap: Overlap, kind: str) -> None:
    """
    Check an overlap against the kind of a column.

    :raises ConfigurationError: it is none of that kind
    """
    if kind in _NUMBERS and isinstance(overlap, timedelta):
        raise ConfigurationError(
            "watermark_overlap: the column of the watermark holds numbers, of which a time cannot be taken away. "
            "Give a number: how far behind the greatest one a change may still be committed, such as "
            "watermark_overlap=1000; 0 if changes are committed in the order of their numbers"
        )
    if kind not in _NUMBERS and not isinstance(overlap, timedelta):
        raise ConfigurationError(
            f"watermark_overlap must be a timedelta, as the column of the watermark holds times, not {overlap!r}"
        )


def _kind_of(dtype: pa.DataType) -> WatermarkKind | None:
    if pt.is_timestamp(dtype):
        return "timestamp" if dtype.tz is None else "timestamptz"
    if pt.is_date(dtype):
        return "date"
    if pt.is_integer(dtype):
        return "int"
    if pt.is_decimal(dtype):
        return "decimal"
    return "text" if is_text(dtype) else None


def _value_of(entry: WatermarkEntry) -> Value:
    read: dict[str, Any] = {
        "timestamp": datetime.fromisoformat,
        "timestamptz": datetime.fromisoformat,
        "date": date.fromisoformat,
        "int": int,
        "decimal": Decimal,
        "text": str,
    }
    value: Value = read[entry.kind](entry.value)
    return value


class _Shape:
    """How a moment is written: its pattern, and what makes one."""

    def __init__(self, separator: str, digits: int, zone: str, *, day_only: bool) -> None:
        self.separator, self.digits, self.zone, self.day_only = separator, digits, zone, day_only

    @property
    def pattern(self) -> str:
        day = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
        if self.day_only:
            return day
        fraction = f"[.][0-9]{{{self.digits}}}" if self.digits else ""
        return f"{day}{self.separator}[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}{fraction}{re.escape(self.zone)}"


def _shape(text: str) -> _Shape | None:
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    return _Shape(match[2] or "", len(match[4] or ""), match[5] or "", day_only=match[3] is None)


def _moment(text: str) -> datetime:
    match = _ISO.fullmatch(text)
    assert match is not None  # noqa: S101  it has a shape
    moment = datetime.fromisoformat(f"{match[1]} {match[3] or '00:00:00'}")
    return moment.replace(microsecond=int((match[4] or "0").ljust(6, "0")))


def _spelled(moment: datetime, shape: _Shape) -> str:
    if shape.day_only:
        return moment.date().isoformat()
    fraction = f".{moment.microsecond:06d}"[: shape.digits + 1] if shape.digits else ""
    return f"{moment:%Y-%m-%d}{shape.separator}{moment:%H:%M:%S}{fraction}{shape.zone}"


def _greater(one: Any, other: Any) -> Any:
    return other if one is None or other > one else one
