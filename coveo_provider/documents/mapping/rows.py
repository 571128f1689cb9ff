"""The rows that a mapping is applied to, column by column as Arrow has them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from coveo_provider.documents.dataset.tables import to_table
from coveo_provider.documents.values.faults import FAULTS, first_fault, reason_of
from coveo_provider.documents.values.nested_lists import elements, starts
from coveo_provider.documents.values.spelling import spelled, spelled_value
from coveo_provider.errors import DatasetError, MappingError

if TYPE_CHECKING:
    import pandas as pd


class Rows:
    """
    A DataFrame or a table, whose columns rules read one by one.

    :param source: the rows
    :param like: what columns of these names were before they came to pandas
    """

    def __init__(
        self, source: pd.DataFrame | pa.Table, like: Mapping[str, pa.DataType] | None = None
    ) -> None:
        self._source = source
        self._like = like or {}
        self._known: dict[str, pa.Array | list[Any]] = {}

    def __len__(self) -> int:
        return len(self._source)

    @property
    def names(self) -> list[Any]:
        """The names of the columns, in order."""
        source = self._source
        return list(source.column_names if isinstance(source, pa.Table) else source.columns)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """
        The rows as users' functions get them.

        :raises MappingError: a value of a table is none that pandas can hold
        """
        from coveo_provider.documents.dataset.frames import frame_of, types_of

        if not isinstance(self._source, pa.Table):
            return self._source
        self._like = types_of(self._source)
        try:
            return frame_of(self._source)
        except DatasetError as error:
            raise MappingError(
                f"{error}. A function of yours gets a DataFrame, which cannot hold that"
            ) from None

    def column(self, name: str) -> pa.Array | list[Any]:
        """Return a column; a list where its values have no common type in Arrow."""
        if name not in self._known:
            self._known[name] = self._column(name)
        return self._known[name]

    def _column(self, name: str) -> pa.Array | list[Any]:
        from coveo_provider.documents.dataset.frame_columns import column_of
        from coveo_provider.documents.dataset.frames import whole

        if isinstance(self._source, pa.Table):
            return whole(self._source.column(name))
        series = self._source[name]
        try:
            return whole(column_of(series, 0, self._like.get(name)))
        except FAULTS:
            return series.tolist()

    def kept(self, name: str, where: str) -> pa.ChunkedArray:
        """
        Return a column as it goes along.

        :raises DatasetError: its values have no common type
        """
        if isinstance(self._source, pa.Table):
            return self._source.column(name)
        column = self.column(name)
        if isinstance(column, pa.Array):
            return pa.chunked_array([column])
        return self.made(name, self._source[name], where)

    def made(self, key: str, series: pd.Series[Any], where: str) -> pa.ChunkedArray:
        """
        Return what a function made.

        :raises DatasetError: the values have no common type
        """
        import pandas as pd

        like = self._like.get(str(series.name))
        return to_table(
            pd.DataFrame({key: series}), where, like=None if like is None else {key: like}
        ).column(0)

    def texts(self, name: str, rule: str) -> pa.Array:
        """
        Return a column as texts, of ``large_string``; null where there is no value.

        :param rule: who asks, for the error
        :raises MappingError: names the row of a value that no text stands for, such as a list
        """
        column = self.column(name)
        try:
            return _texts(column)
        except FAULTS as error:
            row, reason = first_fault(column, _texts, error)
            raise MappingError(f"row {row:,}: {rule}: {reason_of(reason)}") from None


def _texts(column: pa.Array | list[Any]) -> pa.Array:
    if isinstance(column, pa.Array):
        return spelled(column)
    return pa.array([spelled_value(value) for value in column], pa.large_string())


def named_parts(lists: pa.Array) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """Return the texts in lists without blanks around them and without empty ones, each with its row."""
    lengths, flat = elements(lists)
    rows = np.repeat(np.arange(len(lists)), lengths)
    texts = pc.utf8_trim_whitespace(flat.cast(pa.large_string()))
    present = pc.greater(pc.binary_length(texts), 0)
    return rows[present.to_numpy(zero_copy_only=False)], texts.filter(present)


def regrouped(rows: npt.NDArray[np.int64], values: pa.Array, count: int, *, empty: bool) -> pa.ListArray:
    """
    Return one list per row.

    :param rows: the row of each value, ascending
    :param count: how many rows there are
    :param empty: whether a row without values has an empty list, or none
    """
    lengths = np.bincount(rows, minlength=count)
    mask = None if empty else pa.array(lengths == 0)
    return pa.ListArray.from_arrays(pa.array(starts(lengths), pa.int32()), values, mask=mask)
