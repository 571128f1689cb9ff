"""
:class:`DocumentMapping`: which column of a DataFrame feeds which key of a document.

A small declared table, checked against the frame once, before the first row is touched. Its rules work on columns
of Arrow; pandas is needed for functions of the user only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from reprlib import repr as brief
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from coveo_provider.documents.contract import DOCUMENT_ID, PARENT_ID, URI_EXPECTED, URI_PATTERN, shown
from coveo_provider.documents.mapping.mapping_files import text_of, values_of
from coveo_provider.documents.mapping.mapping_rules import arguments_of
from coveo_provider.documents.mapping.permission_rules import PermissionColumns, PermissionLevels
from coveo_provider.documents.mapping.text_rules import Constant, Split, Template
from coveo_provider.errors import DatasetError, MappingError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from coveo_provider.documents.mapping.rows import Rows

# Keys that hold an id, where 7.0 would be another one than 7.
_IDS = frozenset({DOCUMENT_ID.lower(), PARENT_ID.lower()})

_RULES = (Template, Constant, Split, PermissionColumns, PermissionLevels)

Rule: TypeAlias = (
    "str | Template | Constant | Split | PermissionColumns | PermissionLevels"
    " | Callable[[pd.DataFrame], pd.Series[Any]]"
)
"""A column's name, one of the classes above, or a function of the frame that returns a Series."""


@dataclass(frozen=True, repr=False)
class DocumentMapping:
    """
    Declares how the columns of a DataFrame become the columns of a documents dataset.

    :param document_id: a template for ``documentId``; a number in it must not be a float, as two ids may be one
        float
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
        if not isinstance(self.document_id, str):
            raise MappingError(
                "document_id must be the text of a template, such as 'product://{sku}', not "
                f"{brief(self.document_id)}"
            )
        if not isinstance(self.fields, Mapping) or not all(isinstance(key, str) for key in self.fields):
            raise MappingError(
                "fields must be a mapping of keys to rules, such as {'ec_name': 'name'}, not "
                f"{brief(self.fields)}"
            )
        if self.keep != "*":
            object.__setattr__(self, "keep", _names("keep", self.keep, "'*', "))
        object.__setattr__(self, "drop", _names("drop", self.drop))

    def __repr__(self) -> str:
        """Return it without addresses in memory: Airflow keeps the text with a mapped task, and compares it."""
        fields = ", ".join(f"{key!r}: {_spelled(rule)}" for key, rule in self.fields.items())
        return (
            f"DocumentMapping(document_id={self.document_id!r}, fields={{{fields}}}, keep={self.keep!r}, "
            f"drop={self.drop!r})"
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DocumentMapping:
        """
        Return the mapping that plain values say, as a file of one has them; functions are for Python only.

        :param data: ``{"document_id": "product://{sku}", "fields": {"ec_name": "name"}}``
        :raises MappingError: a key is unknown, or its value is none that it takes
        """
        return cls(**arguments_of(data))

    @classmethod
    def from_file(cls, path: Any) -> DocumentMapping:
        """
        Return the mapping in a YAML or JSON file (``docs/mappings.md``).

        :param path: of a file of this machine, or an ``ObjectStoragePath``; YAML, unless it ends with ``.json``
        :raises MappingError: it cannot be read; names the file, the line and the key
        """
        text, where = text_of(path)
        data, lines = values_of(text, where)
        return cls(**arguments_of(data, where, lines))

    def check(self, frame: pd.DataFrame | pa.Table) -> None:
        """
        Check the mapping against a frame's columns, before any row is read.

        :raises MappingError: names every missing column at once, and every key that two rules fill
        """
        from coveo_provider.documents.mapping.rows import Rows

        self._check(Rows(frame))

    @overload
    def apply(self, frame: pd.DataFrame) -> pd.DataFrame: ...

    @overload
    def apply(self, frame: pa.Table) -> pa.Table: ...

    def apply(self, frame: pd.DataFrame | pa.Table) -> pd.DataFrame | pa.Table:
        """
        Return the documents of a frame: one row each, ``documentId`` first.

        :param frame: a DataFrame, or an Arrow table, which is faster and makes a table
        :raises MappingError: a column is missing, a key is filled twice, an id is empty or not a URI, a rule cannot
            take a value
        """
        import pyarrow as pa

        from coveo_provider.documents.mapping.rows import Rows

        rows = Rows(frame)
        return (
            self.table_of(rows, "the table") if isinstance(frame, pa.Table) else self._frame_of(rows, frame)
        )

    def table_of(self, rows: Rows, where: str) -> pa.Table:
        """
        Return the documents of rows as a table.

        :param where: which rows these are, for errors about values that have no common type
        :raises DataError: as :meth:`apply`
        """
        import pyarrow as pa

        columns = {}
        for key, made in self._built(rows).items():
            if isinstance(made, str):
                columns[key] = rows.kept(made, where)
            elif isinstance(made, pa.Array):
                columns[key] = pa.chunked_array([made])
            else:
                columns[key] = rows.made(key, made, where)
        return pa.table(columns)

    def _frame_of(self, rows: Rows, frame: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd
        import pyarrow as pa

        from coveo_provider.documents.dataset.frames import series_of

        columns: dict[str, pd.Series[Any]] = {}
        for key, made in self._built(rows).items():
            if isinstance(made, pa.Array):
                columns[key] = series_of(made).set_axis(frame.index)
            else:
                columns[key] = frame[made] if isinstance(made, str) else made
        documents: pd.DataFrame = pd.DataFrame(columns, index=frame.index)
        return documents

    def _built(self, rows: Rows) -> dict[str, str | pa.Array | pd.Series[Any]]:
        """Return what each key is filled with: a column as it is, by its name, or a new one."""
        self._check(rows)
        columns = {key: _build(key, rule, rows) for key, rule in self._rules().items()}
        self._check_ids(columns[DOCUMENT_ID])
        return {**columns, **{column: column for column in self._kept(rows.names)}}

    def _check(self, rows: Rows) -> None:
        present = rows.names
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
            rules = [rule for rule in self.fields.values() if isinstance(rule, str)]
            hint = (
                ". A rule that is a text names a column; a fixed text is Constant('…'), one with columns in it "
                "Template('…')"
                if any(rule not in present for rule in rules)
                else ""
            )
            raise MappingError(f"missing columns: {', '.join(missing)}; the frame has: {names}{hint}")
        if len(set(present)) != len(present):
            twice = sorted({column for column in present if present.count(column) > 1})
            raise MappingError(f"the frame has column {twice[0]!r} twice")
        self._refuse_equal_keys(present)
        for key, rule in self._rules().items():
            if key.lower() in _IDS and isinstance(rule, Template):
                _refuse_floats(key, rule, rows)

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

    def _kept(self, present: list[str]) -> list[str]:
        if self.keep != "*":
            return list(self.keep)
        renamed = {column for key, rule in self._rules().items() for column in _columns(key, rule)}
        gone = renamed | set(self.drop)
        return [column for column in present if column not in gone]

    def _refuse_equal_keys(self, present: list[str]) -> None:
        spellings: dict[str, str] = {}
        keys = [DOCUMENT_ID, *self.fields, *self._kept(present)]
        for key in keys:
            twin = spellings.setdefault(key.lower(), key)
            if keys.count(key) > 1 or twin != key:
                raise MappingError(
                    f"keys {twin!r} and {key!r} are filled by two rules; to the API they are the same key"
                )

    def _check_ids(self, ids: pa.Array) -> None:
        import pyarrow.compute as pc

        if ids.null_count:
            row = pc.index(ids.is_null(), True).as_py()
            used = ", ".join(repr(c) for c in Template(self.document_id).columns())
            raise MappingError(
                f"row {row:,}: documentId {self.document_id!r} cannot be made, as {used} is empty there"
            )
        row = pc.index(pc.match_substring_regex(ids, URI_PATTERN), False).as_py()
        if row >= 0:
            cure = (
                ""
                if Template(self.document_id).columns()
                else ". document_id is a template, in which columns stand in braces: 'product://{sku}'"
            )
            raise MappingError(
                f"row {row:,}: documentId {shown(ids[row].as_py())} is not {URI_EXPECTED}{cure}"
            )


def _spelled(rule: Any) -> str:
    name = getattr(rule, "__qualname__", None)
    return repr(rule) if name is None else f"<function {name}>"


def _names(argument: str, names: str | Iterable[str], others: str = "") -> tuple[str, ...]:
    if isinstance(names, str):
        return (names,)
    if not isinstance(names, Mapping) and isinstance(names, Iterable):
        columns = tuple(names)
        if all(isinstance(name, str) for name in columns):
            return columns
    raise MappingError(f"{argument} must be {others}a column's name, or a list of names, not {brief(names)}")


def _refuse_floats(key: str, template: Template, rows: Rows) -> None:
    """Refuse ids of floats: from some size on, two of them are one, and a fraction is none that is meant."""
    import pyarrow as pa
    import pyarrow.types as pt

    for column in template.columns():
        values = rows.column(column)
        if isinstance(values, pa.Array):
            dtype = values.type.value_type if pt.is_dictionary(values.type) else values.type
            floats = pt.is_floating(dtype) and values.null_count < len(values)
        else:
            floats = any(isinstance(value, float) and value == value for value in values)
        if floats:
            raise MappingError(
                f"column {column!r} holds floats, of which one may stand for several {key}s: read it as text, "
                f"for CSV by dtypes={{{column!r}: 'string'}}, or cast it first, e.g. "
                f"frame[{column!r}].astype('Int64')"
            )


def _columns(key: str, rule: Rule) -> list[str]:
    if isinstance(rule, str):
        return [rule]
    if isinstance(rule, _RULES):
        return rule.columns()
    if callable(rule) and not isinstance(rule, type):
        return []
    raise MappingError(
        f"{key}: {brief(rule)} is no rule: expected a column's name, a Template, a Constant, a Split or a "
        "function of the frame"
    )


def _build(key: str, rule: Rule, rows: Rows) -> Any:
    if isinstance(rule, str):
        return rule
    if isinstance(rule, _RULES):
        return _made_by(key, rule, rows)
    import pandas as pd

    from coveo_provider.documents.values.faults import noted

    frame = rows.frame
    with noted(f"{key}: the function given in the mapping failed"):
        series = rule(frame)
    if not isinstance(series, pd.Series):
        raise MappingError(f"{key}: the function returned {type(series).__name__}, expected a Series")
    if not series.index.equals(frame.index):
        raise MappingError(
            f"{key}: the function returned {len(series):,} rows for {len(frame):,}, or other ones: expected "
            "one value per row of the frame, on the frame's index"
        )
    return series


def _made_by(key: str, rule: Any, rows: Rows) -> pa.Array:
    from coveo_provider.documents.values.faults import FAULTS, problem_of

    try:
        return rule.build(rows)
    except MappingError:
        raise
    except DatasetError as error:
        raise MappingError(f"{key}: {error}") from None
    except FAULTS as error:
        raise MappingError(f"{key}: a column {problem_of(error)}") from error
