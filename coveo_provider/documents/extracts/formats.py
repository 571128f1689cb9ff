"""
The formats an extract may be written in: one class each, which is all that a further format takes.

Each knows its suffixes, holds its own options, and reads its files. Imports nothing heavy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from reprlib import repr as brief
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from coveo_provider.documents.extracts.csv_options import AUTO, ColumnTypes
from coveo_provider.documents.extracts.source_files import EXCEL, GZ, SourceFile
from coveo_provider.errors import ConfigurationError, DatasetError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Pieces: TypeAlias = "Iterator[tuple[SourceFile, pa.Table | pd.DataFrame]]"
"""The rows of files, in order; a DataFrame where the format has no types of its own."""


@dataclass(frozen=True)
class Format(ABC):
    """A format, with its options as fields."""

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    packed: ClassVar[bool] = True
    """Whether its files may be packed with gzip."""
    arguments: ClassVar[Mapping[str, str]] = {}
    """The name of each option as users give it."""

    @abstractmethod
    def read(self, files: Sequence[SourceFile], batch_rows: int) -> Pieces:
        """
        Return the rows of all files, in pieces of so many rows at most.

        :raises DatasetError: names the file and the row, line or column at fault
        """

    def check(self) -> None:  # noqa: B027  most formats have no options
        """
        Check the options by themselves.

        :raises ConfigurationError: one is wrong
        """

    def options(self) -> list[str]:
        """Return the options that are not left to their defaults, as users name them."""
        return [
            self.arguments[one.name]
            for one in fields(self)
            if one.name in self.arguments and getattr(self, one.name) != one.default
        ]


@dataclass(frozen=True)
class Parquet(Format):
    """Apache Parquet."""

    name: ClassVar[str] = "parquet"
    suffixes: ClassVar[tuple[str, ...]] = (".parquet",)
    packed: ClassVar[bool] = False

    def read(self, files: Sequence[SourceFile], batch_rows: int) -> Pieces:
        """Return the rows as they stand."""
        from coveo_provider.documents.extracts.cutting import cut
        from coveo_provider.documents.extracts.parquet_files import tables

        return cut(tables(files), batch_rows)


@dataclass(frozen=True)
class Csv(Format):
    """
    Comma-separated values.

    :param dtypes: types of columns, as pandas names them, instead of finding out
    :param separator: between values; a comma, or a tab in ``.tsv``, when ``None``
    :param encoding: UTF-8 when ``None``
    :param quote: what encloses values, and is doubled in them; ``None`` when nothing does. ``auto`` is ``"``, but
        between tabs quotes are text, and a value that stands wholly in them is refused until this says which
    :param escape: what takes the meaning of the quote, separator, line end or escape after it
    :param types: types of columns from an earlier load, and of this one
    """

    name: ClassVar[str] = "csv"
    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".tsv")
    arguments: ClassVar[Mapping[str, str]] = {
        "dtypes": "dtypes",
        "separator": "csv_separator",
        "encoding": "csv_encoding",
        "quote": "csv_quote",
        "escape": "csv_escape",
    }

    dtypes: Mapping[str, Any] | None = None
    separator: str | None = None
    encoding: str | None = None
    quote: str | None = AUTO
    escape: str | None = None
    types: ColumnTypes | None = None

    def check(self) -> None:
        """Check types, separator, quote, escape and encoding."""
        if self.dtypes is not None and not isinstance(self.dtypes, Mapping):
            raise ConfigurationError(
                f"dtypes must be a mapping of columns to dtypes, {{'sku': 'string'}}, not {brief(self.dtypes)}"
            )
        separator = self.separator
        if separator is not None and (
            not isinstance(separator, str) or len(separator.encode()) != 1 or separator in '"\r\n'
        ):
            raise ConfigurationError(
                f"csv_separator must be one character such as ';', not {separator!r}; quotes and line ends cannot "
                "separate"
            )
        quote = None if self.quote == AUTO else self.quote
        for argument, mark in (("csv_quote", quote), ("csv_escape", self.escape)):
            if mark is not None and (
                not isinstance(mark, str)
                or len(mark.encode()) != 1
                or mark in "\r\n\0"
                or mark in (separator or ",\t")
            ):
                raise ConfigurationError(
                    f"{argument} must be None or one character other than the separator and line ends, not {mark!r}"
                )
        if self.escape is not None and self.escape == ('"' if self.quote == AUTO else self.quote):
            raise ConfigurationError(
                "csv_escape is the quote itself: a quote that is doubled in a value needs no csv_escape"
            )
        if self.encoding is not None:
            try:
                "".encode(self.encoding)
            except (LookupError, TypeError):
                raise ConfigurationError(f"csv_encoding {self.encoding!r} is unknown to Python") from None

    def read(self, files: Sequence[SourceFile], batch_rows: int) -> Pieces:
        """Return the rows in types that lose nothing."""
        from coveo_provider.documents.dataset.partition_columns import with_partitions
        from coveo_provider.documents.extracts.csv_files import CsvFiles
        from coveo_provider.documents.extracts.cutting import cut

        csv_files = CsvFiles(
            files,
            separator=self.separator,
            quote=self.quote,
            escape=self.escape,
            encoding=self.encoding,
            dtypes=self.dtypes,
            types=self.types,
        )
        tables = (
            (file, with_partitions(table, file.partitions, file.name)) for file, table in csv_files.tables()
        )
        return cut(tables, batch_rows)


@dataclass(frozen=True)
class Ndjson(Format):
    """One JSON object a line."""

    name: ClassVar[str] = "ndjson"
    suffixes: ClassVar[tuple[str, ...]] = (".ndjson", ".jsonl")

    def read(self, files: Sequence[SourceFile], batch_rows: int) -> Pieces:
        """Return the rows; each key of any object is a column."""
        from coveo_provider.documents.extracts.json_files import JsonFiles

        return JsonFiles(files, lines=True, batch_rows=batch_rows).batches()


@dataclass(frozen=True)
class Json(Format):
    """
    JSON: an array of objects.

    :param records: where the array stands in a file, as ``data.products``; the file is the array when ``None``
    """

    name: ClassVar[str] = "json"
    suffixes: ClassVar[tuple[str, ...]] = (".json",)
    arguments: ClassVar[Mapping[str, str]] = {"records": "json_records"}

    records: str | None = None

    def read(self, files: Sequence[SourceFile], batch_rows: int) -> Pieces:
        """Return the rows; each key of any object is a column."""
        from coveo_provider.documents.extracts.json_files import JsonFiles

        return JsonFiles(files, lines=False, records=self.records, batch_rows=batch_rows).batches()


FORMATS: Mapping[str, type[Format]] = {one.name: one for one in (Parquet, Csv, Ndjson, Json)}
"""Every format there is, by name."""


_EXCEL_SUFFIXES = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods")


RAW_SUFFIXES = (
    *(suffix for one in FORMATS.values() if one.packed for suffix in one.suffixes),
    GZ,
    *_EXCEL_SUFFIXES,
)
"""How the names of files end that are no part of a dataset."""


def format_of(files: Sequence[SourceFile]) -> type[Format]:
    """
    Return the format of all files, by the suffixes of their names.

    :raises DatasetError: a suffix says nothing, or the files are of several formats
    """
    formats = {_by_suffix(file.name): file.name for file in files}
    if len(formats) > 1:
        named = " and ".join(f"{one.name} ({name})" for one, name in list(formats.items())[:2])
        raise DatasetError(
            f"the source holds files of several formats: {named}. Name the files of one format"
        )
    return next(iter(formats))


def _by_suffix(name: str) -> type[Format]:
    text = name.lower()
    for one in FORMATS.values():
        if (text.removesuffix(GZ) if one.packed else text).endswith(one.suffixes):
            return one
    known = ", ".join(suffix for one in FORMATS.values() for suffix in one.suffixes)
    raise DatasetError(
        f"{name}: the name does not say what it holds: expected {known}, text also with {GZ}. "
        + (EXCEL if text.endswith(_EXCEL_SUFFIXES) else "Give file_format")
    )
