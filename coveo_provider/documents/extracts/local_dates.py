"""Texts that look like dates in a local order, which a date field of Coveo does not read: ``31/12/2026``."""

from __future__ import annotations

import polars as pl
import pyarrow as pa

from coveo_provider.documents.values.arrow_types import is_text

_DAY = "(?:0?[1-9]|[12][0-9]|3[01])"
_LOCAL = (
    f"^{_DAY}(?:/{_DAY}/(?:[0-9]{{4}}|[0-9]{{2}})|\\.{_DAY}\\.[0-9]{{4}}|-{_DAY}-[0-9]{{4}})(?:[ T,].*)?$"
)


class LocalDates:
    """The columns of a dataset that hold nothing but such dates, as far as it was looked at."""

    def __init__(self) -> None:
        self._examples: dict[str, str] = {}
        self._others: set[str] = set()

    def look(self, table: pa.Table) -> None:
        """Look at further rows; a column that held anything else is not looked at again."""
        for name, column in zip(table.column_names, table.columns, strict=True):
            if name in self._others or not is_text(column.type):
                continue
            texts = pl.Series(column, dtype=pl.String)
            texts = texts.filter(texts.is_not_null() & (texts != ""))
            if not len(texts):
                continue
            if texts.str.contains(_LOCAL).all():
                self._examples.setdefault(name, texts[0])
            else:
                self._others.add(name)
                self._examples.pop(name, None)

    def warnings(self) -> list[str]:
        """Return one sentence for each such column."""
        return [
            f"Column {name!r} holds dates in a local order, such as {example[:40]!r}, which are sent as texts. A "
            "date field of Coveo reads ISO 8601: if it is to go into one, make moments of it, e.g. "
            f"pd.to_datetime(frame[{name!r}], format='%d/%m/%Y')"
            for name, example in self._examples.items()
        ]
