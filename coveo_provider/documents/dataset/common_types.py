"""
One type per column for the batches of a dataset, which are made one after the other.

A column of whole numbers may turn out to hold fractions in a later batch, an empty one texts. Where no type holds
both without loss, the dataset is refused.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from coveo_provider.documents.values.arrow_types import is_binary, is_list, is_text
from coveo_provider.documents.values.plain_arrays import plain, plain_type, spelled_out
from coveo_provider.documents.values.python_values import short_floats
from coveo_provider.errors import DatasetError

_SHOWN = 60  # characters of a value that an error repeats


class CommonTypes:
    """The types of all batches so far."""

    def __init__(self) -> None:
        self._fields: dict[str, pa.Field] = {}
        self._first: dict[str, str] = {}  # of each column, its first value and where that stands

    @property
    def schema(self) -> pa.Schema:
        """The types that hold the values of all batches so far."""
        return pa.schema([field.with_type(_writable(field.type)) for field in self._fields.values()])

    def add(self, table: pa.Table, where: str) -> None:
        """
        Count in a batch.

        :param where: its rows, for the error
        :raises DatasetError: names a column whose values have no common type with those before
        """
        for position, field in enumerate(table.schema):
            field = pa.field(field.name, field.type)
            known = self._fields.get(field.name)
            if known is None:
                self._fields[field.name] = field
            elif known.type != field.type:
                self._fields[field.name] = self._merged(known, field, table.column(position), where)
            if field.name not in self._first and not pt.is_null(field.type):
                self._first[field.name] = _first_value(table.column(position), where)

    def fitted(self, table: pa.Table, where: str) -> pa.Table:
        """
        Return a batch with the columns and types of all batches.

        :param where: its rows, for the error
        :raises DatasetError: a value does not fit, such as a whole number that a fraction's type cannot hold
        """
        columns = []
        for field in self._fields.values():
            if field.name not in table.schema.names:
                columns.append(pa.nulls(table.num_rows, _writable(field.type)))
                continue
            column = table.column(field.name)
            try:
                if column.type != field.type:  # 0.1 of 32 bits is 0.1 of 64, not 0.10000000149011612
                    column = pa.chunked_array([short_floats(chunk) for chunk in column.chunks]).cast(
                        field.type
                    )
                columns.append(with_members(column))
            except pa.ArrowException as error:
                own = table.schema.field(field.name).type
                raise DatasetError(
                    f"{where}: column {field.name!r} holds {own} where other rows make it {field.type}, and not "
                    f"every value fits: {error}"
                ) from None
        return pa.table(columns, schema=self.schema)

    def _merged(self, known: pa.Field, field: pa.Field, column: pa.ChunkedArray, where: str) -> pa.Field:
        try:
            if _loses(known.type, field.type) or _loses(field.type, known.type):
                raise pa.ArrowTypeError
            merged = pa.unify_schemas([pa.schema([known]), pa.schema([field])], promote_options="permissive")
        except pa.ArrowException:
            raise DatasetError(
                f"column {field.name!r} holds {self._first.get(field.name, known.type)}, and "
                f"{_first_value(column, where)}: there is no common type. Make them of one kind in the "
                f"extract, or in the function given as transform, e.g. {_cure(field.name, known, field)}"
            ) from None
        return merged.field(0)


def portable(table: pa.Table) -> pa.Table:
    """
    Return a table of plain types.

    Before version 24, pyarrow cannot tell the size of views of texts and bytes. Before version 26, it does not read
    back the nulls that it wrote to Parquet among lists of a fixed length.
    """
    for position, each in enumerate(table.schema):
        dtype = plain_type(each.type)
        if dtype != each.type:
            column = pa.chunked_array([plain(chunk) for chunk in table.column(position).chunks], dtype)
            table = table.set_column(position, each.with_type(dtype), column)
    return table


def normalized(table: pa.Table) -> pa.Table:
    """
    Return a table whose types say what they hold, not how.

    They are plain, repeated texts are spelled out, and moments get the zone UTC, which is what the contract takes
    them for. A column without any value is of no type, as pandas makes one of floats of it.
    """
    columns = []
    for column in portable(table).columns:
        if pt.is_dictionary(column.type):
            column = pa.chunked_array([spelled_out(chunk) for chunk in column.chunks], column.type.value_type)
        if column.null_count == len(column):
            column = pa.chunked_array([pa.nulls(len(column))])
        if pt.is_timestamp(column.type) and column.type.tz != "UTC":
            column = column.cast(pa.timestamp(column.type.unit, "UTC"))
        columns.append(column)
    return pa.table(columns, names=table.column_names)


def _loses(one: pa.DataType, other: pa.DataType) -> bool:
    """Return whether Arrow has a common type, but one in which something is lost."""
    if is_list(one) and is_list(other):
        return _loses(one.value_type, other.value_type)
    if pt.is_map(one) and pt.is_map(other):
        return _loses(one.item_type, other.item_type)
    if pt.is_struct(one) and pt.is_struct(other):
        names = [field.name for field in one if other.get_field_index(field.name) >= 0]
        return any(_loses(one.field(name).type, other.field(name).type) for name in names)
    if pt.is_decimal(one):
        return bool(pt.is_floating(other))
    return is_text(one) and is_binary(other)


def _first_value(column: pa.ChunkedArray, where: str) -> str:
    """Return the first value of a column that is not missing, with its type and place, as errors show it."""
    present = pc.index(column.is_valid(), True).as_py()
    if present < 0:
        return f"{column.type} in {where}"
    try:
        text = repr(column[present].as_py())
    except (ValueError, OverflowError):  # none that Python can hold: the encoder refuses it by name
        return f"{column.type} in {where}"
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    row = f", row {present:,} of these" if len(column) > 1 else ""
    return f"{shown} ({column.type} in {where}{row})"


def _cure(name: str, one: pa.Field, other: pa.Field) -> str:
    """Return an expression that makes texts of two kinds of values."""
    nested = pt.is_nested(one.type) or pt.is_nested(other.type)
    return f"frame[{name!r}] = frame[{name!r}].map({'json.dumps' if nested else 'str'}, na_action='ignore')"


def _writable(dtype: pa.DataType) -> pa.DataType:
    """Return a type that Parquet has: it has none of objects without any key, and one of objects with any."""
    return pa.map_(pa.string(), pa.string()) if pt.is_struct(dtype) and not dtype.num_fields else dtype


def with_members(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column in a type that Parquet has."""
    dtype = _writable(column.type)
    if dtype == column.type:
        return column
    nothing = pa.array([], pa.string())
    maps = [
        pa.MapArray.from_arrays(
            pa.repeat(pa.scalar(0, pa.int32()), len(chunk) + 1), nothing, nothing, mask=chunk.is_null()
        )
        for chunk in column.chunks
    ]
    return pa.chunked_array(maps, dtype)
