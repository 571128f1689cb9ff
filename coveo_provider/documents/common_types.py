"""
One type per column for the batches of a dataset, which are made one after the other.

A column of whole numbers may turn out to hold fractions in a later batch, an empty one texts. Where no type holds
both without loss, the dataset is refused.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.types as pt

from coveo_provider.documents.columns import is_text
from coveo_provider.documents.nested_lists import of_any_length
from coveo_provider.errors import DatasetError


class CommonTypes:
    """The types of all batches so far."""

    def __init__(self) -> None:
        self._fields: dict[str, pa.Field] = {}
        self._first: dict[str, tuple[pa.DataType, str]] = {}

    @property
    def schema(self) -> pa.Schema:
        """The types that hold the values of all batches so far."""
        return pa.schema(list(self._fields.values()))

    def add(self, schema: pa.Schema, where: str) -> None:
        """
        Count in a batch.

        :param where: its rows, for the error
        :raises DatasetError: names a column whose values have no common type with those before
        """
        for field in schema:
            field = pa.field(field.name, field.type)
            known = self._fields.get(field.name)
            if known is None:
                self._fields[field.name] = field
            elif known.type != field.type:
                self._fields[field.name] = self._merged(known, field, where)
            if not pt.is_null(field.type):
                self._first.setdefault(field.name, (field.type, where))

    def fitted(self, table: pa.Table, where: str) -> pa.Table:
        """
        Return a batch with the columns and types of all batches.

        :param where: its rows, for the error
        :raises DatasetError: a value does not fit, such as a whole number that a fraction's type cannot hold
        """
        columns = []
        for field in self._fields.values():
            if field.name not in table.schema.names:
                columns.append(pa.nulls(table.num_rows, field.type))
                continue
            try:
                columns.append(table.column(field.name).cast(field.type))
            except pa.ArrowException as error:
                held = table.schema.field(field.name).type
                raise DatasetError(
                    f"{where}: column {field.name!r} holds {held} where other rows make it {field.type}, and not "
                    f"every value fits: {error}"
                ) from None
        return pa.table(columns, schema=self.schema)

    def _merged(self, known: pa.Field, field: pa.Field, where: str) -> pa.Field:
        try:
            if _loses(known.type, field.type) or _loses(field.type, known.type):
                raise pa.ArrowTypeError
            merged = pa.unify_schemas([pa.schema([known]), pa.schema([field])], promote_options="permissive")
        except pa.ArrowException:
            first, place = self._first.get(field.name, (known.type, "earlier rows"))
            raise DatasetError(
                f"column {field.name!r} holds {first} in {place}, and {field.type} in {where}: there is no common "
                "type. Convert it in the transform, e.g. frame["
                f"{field.name!r}].astype('string')"
            ) from None
        return merged.field(0)


def normalized(table: pa.Table) -> pa.Table:
    """
    Return a table whose types say what they hold, not how.

    Repeated texts are spelled out, lists have no fixed length, and moments get the zone UTC, which is what the
    contract takes them for. A column without any value is of no type, as pandas makes one of floats of it.
    """
    columns = []
    for column in of_any_length(table).columns:
        if column.null_count == len(column):
            column = pa.chunked_array([pa.nulls(len(column))])
        if pt.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pt.is_string_view(column.type):
            column = column.cast(pa.string())
        elif pt.is_timestamp(column.type) and column.type.tz != "UTC":
            column = column.cast(pa.timestamp(column.type.unit, "UTC"))
        columns.append(column)
    return pa.table(columns, names=table.column_names)


def _loses(one: pa.DataType, other: pa.DataType) -> bool:
    """Return whether Arrow has a common type, but one in which something is lost."""
    if pt.is_decimal(one):
        return bool(pt.is_floating(other))
    return is_text(one) and bool(pt.is_binary(other) or pt.is_large_binary(other))
