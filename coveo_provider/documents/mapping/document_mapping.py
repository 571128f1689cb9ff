"""
:class:`DocumentMapping`: which column of a DataFrame feeds which key of a document.

A small declared table, checked against the frame once, before the first row is touched.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

from coveo_provider.documents.contract import DOCUMENT_ID, PARENT_ID, URI_EXPECTED, URI_PATTERN, shown
from coveo_provider.documents.mapping.permission_rules import PermissionColumns, PermissionLevels
from coveo_provider.errors import MappingError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Template:
    """
    A text with columns in it: ``Template("product://{sku}")``.

    ``{sku:uri}`` percent-encodes what a URI cannot hold, ``/`` left as it is. A row in which one of the
    columns is empty, or holds nothing but blanks, has no value.

    :param text: with ``{column}`` for each column, and ``{{`` for a brace
    """

    text: str

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

    def build(self, frame: pd.DataFrame) -> pd.Series[Any]:
        """Return one text per row."""
        import pandas as pd

        result: pd.Series[Any] = pd.Series("", index=frame.index, dtype="string")
        for text, column, encode in self.pieces():
            result = result + text
            if column is not None:
                values = frame[column].astype("string")
                values = values.mask(values.str.strip() == "")
                result = result + (
                    values.map(_percent, na_action="ignore").astype("string") if encode else values
                )
        return result


@dataclass(frozen=True)
class Constant:
    """The same value in every row: ``Constant("Product")``."""

    value: Any

    def columns(self) -> list[str]:
        """Return the columns it needs: none."""
        return []

    def build(self, frame: pd.DataFrame) -> pd.Series[Any]:
        """Return the value once per row."""
        import pandas as pd

        column: pd.Series[Any] = pd.Series([self.value] * len(frame), index=frame.index)
        return column


@dataclass(frozen=True)
class Split:
    """
    A text taken apart into a multi-value field: ``Split("tags", ";")``.

    Blanks around the values and empty values are dropped; a row whose column is empty has no value.

    :param column: the column to take apart
    :param separator: what stands between the values
    """

    column: str
    separator: str = ";"

    def columns(self) -> list[str]:
        """
        Return the columns it needs.

        :raises MappingError: the separator is empty
        """
        if not self.separator:
            raise MappingError(f"Split({self.column!r}): the separator is empty")
        return [self.column]

    def build(self, frame: pd.DataFrame) -> pd.Series[Any]:
        """
        Return one list of texts per row.

        :raises MappingError: a row holds a list or an object already
        """
        return frame[self.column].astype(object).map(self._parts, na_action="ignore").astype(object)

    def _parts(self, text: Any) -> list[str]:
        if isinstance(text, Iterable) and not isinstance(text, str):
            raise MappingError(f"Split({self.column!r}): a {type(text).__name__} stands there, expected text")
        return [part for part in (piece.strip() for piece in str(text).split(self.separator)) if part]


# Keys that hold an id, where 7.0 would be another one than 7.
_IDS = frozenset({DOCUMENT_ID.lower(), PARENT_ID.lower()})

_RULES = (Template, Constant, Split, PermissionColumns, PermissionLevels)

Rule: TypeAlias = (
    "str | Template | Constant | Split | PermissionColumns | PermissionLevels"
    " | Callable[[pd.DataFrame], pd.Series[Any]]"
)
"""A column's name, one of the classes above, or a function of the frame that returns a Series."""


@dataclass(frozen=True)
class DocumentMapping:
    """
    Declares how the columns of a DataFrame become the columns of a documents dataset.

    :param document_id: a template for ``documentId``; a number in it must not be a float, as
        ``product://7.0`` is not ``product://7``
    :param fields: key of the document to the rule that fills it
    :param keep: columns that go along under their own names: ``"*"`` for all not used above, or their names
    :param drop: columns that do not go along, with ``keep="*"``

    >>> mapping = DocumentMapping(
    ...     document_id="product://{sku}",
    ...     fields={
    ...         "ec_name": "name",
    ...         "objecttype": Constant("Product"),
    ...         "clickableuri": Template("https://shop.example.com/{sku:uri}"),
    ...         "ec_category": Split("categories", "|"),
    ...         "ec_price": lambda frame: frame["price"].round(2),
    ...     },
    ...     keep=("color",),
    ... )
    >>> documents = mapping.apply(frame)
    """

    document_id: str
    fields: Mapping[str, Rule] = field(default_factory=dict)
    keep: str | Iterable[str] = ()
    drop: str | Iterable[str] = ()

    def __post_init__(self) -> None:
        if self.keep != "*":
            object.__setattr__(self, "keep", _names(self.keep))
        object.__setattr__(self, "drop", _names(self.drop))

    def check(self, frame: pd.DataFrame) -> None:
        """
        Check the mapping against a frame's columns, before any row is read.

        :raises MappingError: names every missing column at once, and every key that two rules fill
        """
        present = list(frame.columns)
        nameless = [column for column in present if not isinstance(column, str)]
        if nameless:
            raise MappingError(f"the frame has column {nameless[0]!r}, which is not named by a text")
        missing = [
            f"{column!r} (for {key})" for column, key in self._needed().items() if column not in present
        ]
        if missing:
            names = ", ".join(
                name if name == name.strip() else repr(name) for name in present
            )  # blanks are seen
            raise MappingError(f"missing columns: {', '.join(missing)}; the frame has: {names}")
        if len(set(present)) != len(present):
            twice = sorted({column for column in present if present.count(column) > 1})
            raise MappingError(f"the frame has column {twice[0]!r} twice")
        self._refuse_equal_keys(frame)
        for key, rule in self._rules().items():
            if key.lower() in _IDS and isinstance(rule, Template):
                _refuse_floats(key, rule, frame)

    def apply(self, frame: pd.DataFrame) -> pd.DataFrame:
        """
        Return the documents of a frame: one row each, ``documentId`` first.

        :raises MappingError: a column is missing, a key is filled twice, an id is empty or not a URI
        """
        import pandas as pd

        self.check(frame)
        columns: dict[str, pd.Series[Any]] = {}
        for key, rule in self._rules().items():
            columns[key] = _build(key, rule, frame)
        for column in self._kept(frame):
            columns[column] = frame[column]
        self._check_ids(columns[DOCUMENT_ID], frame)
        documents: pd.DataFrame = pd.DataFrame(columns, index=frame.index)
        return documents

    def passes(self, column: str) -> bool:
        """Return whether a column's values may become a document's as they are, rather than parts of texts."""
        rules = list(self._rules().values())
        if any(not isinstance(rule, (str, *_RULES)) for rule in rules):  # a function sees all of the frame
            return True
        used = [rule for key, rule in self._rules().items() if column in _columns(key, rule)]
        kept = not used and column not in self.drop if self.keep == "*" else column in self.keep
        return kept or any(not isinstance(rule, (Template, Split)) for rule in used)

    def text_columns(self) -> list[str]:
        """Return the columns that become nothing but parts of texts, so that any type would do for them."""
        return [column for column in self.spelled() if not self.passes(column)]

    def spelled(self) -> list[str]:
        """Return the columns that become parts of texts, whatever else becomes of them."""
        rules = [rule for rule in self._rules().values() if isinstance(rule, (Template, Split))]
        return list(dict.fromkeys(column for rule in rules for column in rule.columns()))

    def _rules(self) -> dict[str, Rule]:
        return {DOCUMENT_ID: Template(self.document_id), **self.fields}

    def _needed(self) -> dict[str, str]:
        """Return the columns that have to be there, each with the key that needs it first."""
        needed: dict[str, str] = {}
        for key, rule in self._rules().items():
            for column in _columns(key, rule):
                needed.setdefault(column, key)
        for column in (*(self.keep if self.keep != "*" else ()), *self.drop):
            needed.setdefault(column, "keep or drop")
        return needed

    def _kept(self, frame: pd.DataFrame) -> list[str]:
        if self.keep != "*":
            return list(self.keep)
        renamed = {column for key, rule in self._rules().items() for column in _columns(key, rule)}
        gone = renamed | set(self.drop)
        return [column for column in frame.columns if column not in gone]

    def _refuse_equal_keys(self, frame: pd.DataFrame) -> None:
        spellings: dict[str, str] = {}
        keys = [DOCUMENT_ID, *self.fields, *self._kept(frame)]
        for key in keys:
            twin = spellings.setdefault(key.lower(), key)
            if keys.count(key) > 1 or twin != key:
                raise MappingError(
                    f"keys {twin!r} and {key!r} are filled by two rules; to the API they are the same key"
                )

    def _check_ids(self, ids: pd.Series[Any], frame: pd.DataFrame) -> None:
        empty = ids.isna()
        if empty.any():
            row = int(empty.to_numpy().argmax())
            used = ", ".join(repr(c) for c in Template(self.document_id).columns())
            raise MappingError(
                f"row {row:,}: documentId {self.document_id!r} cannot be made, as {used} is empty there"
            )
        good = ids.str.fullmatch(URI_PATTERN)
        if not good.all():
            row = int((~good).to_numpy().argmax())
            raise MappingError(f"row {row:,}: documentId {shown(ids.iloc[row])} is not {URI_EXPECTED}")


def _names(names: str | Iterable[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _refuse_floats(key: str, template: Template, frame: pd.DataFrame) -> None:
    import pandas as pd

    for column in template.columns():
        values = frame[column]
        categories = getattr(values.dtype, "categories", None)
        dtype = values.dtype if categories is None else categories.dtype
        inferred = pd.api.types.infer_dtype(values, skipna=True) if dtype.kind == "O" else ""
        floats = dtype.kind == "f" or inferred in {"floating", "mixed-integer-float"}
        if floats and values.notna().any():
            raise MappingError(
                f"column {column!r} holds floats, so {key} would read 7.0 where 7 is meant: cast it first, "
                f"e.g. frame[{column!r}].astype('Int64')"
            )


def _columns(key: str, rule: Rule) -> list[str]:
    if isinstance(rule, str):
        return [rule]
    if isinstance(rule, _RULES):
        return rule.columns()
    if callable(rule):
        return []
    raise MappingError(
        f"{key}: {rule!r} is no rule: expected a column's name, a Template, a Constant, a Split or a "
        "function of the frame"
    )


def _build(key: str, rule: Rule, frame: pd.DataFrame) -> pd.Series[Any]:
    import pandas as pd

    if isinstance(rule, str):
        return frame[rule]
    if isinstance(rule, _RULES):
        return rule.build(frame)
    series = rule(frame)
    if not isinstance(series, pd.Series):
        raise MappingError(f"{key}: the function returned {type(series).__name__}, expected a Series")
    if not series.index.equals(frame.index):
        raise MappingError(
            f"{key}: the function returned {len(series):,} rows for {len(frame):,}, or other ones: expected "
            "one value per row of the frame, on the frame's index"
        )
    return series


def _percent(text: str) -> str:
    return quote(text, safe="/")
