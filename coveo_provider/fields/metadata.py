"""The metadata of a load: its keys, the fields that these need, and values that do not fit the fields there are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from coveo_provider.api.types import Field
from coveo_provider.documents.contract import DOCUMENT_ID, DOCUMENT_KEYS, Section, counted, shown
from coveo_provider.documents.dataset.tables import Part
from coveo_provider.documents.encoding.columns import plan_documents
from coveo_provider.documents.encoding.partial_updates import plan_partial_updates
from coveo_provider.documents.encoding.rows import Rows
from coveo_provider.documents.records import Kind
from coveo_provider.documents.values.arrow_types import is_list
from coveo_provider.documents.values.json_values import json_text
from coveo_provider.documents.values.plain_arrays import plain, plain_type, spelled_out
from coveo_provider.documents.values.python_values import python_values, without_zones
from coveo_provider.errors import DatasetError
from coveo_provider.fields.derive import Profile
from coveo_provider.fields.specs import FieldSpec, can_be_field
from coveo_provider.fields.values import BITS, EXPECTED, all_fit, fits, is_sent, is_whole_type, within

EXAMPLES = 3
"""Documents that are named for each key whose values do not fit."""

_VALUE_CHARACTERS = 60
_REMOVALS = frozenset({"arrayRemove", "dictionaryRemove"})

Load = Mapping[Section, Sequence["Part | Rows | StoredDocuments"]]
Value = tuple[Any, str, Any]
"""Of a document: its id, the key in lower case, the value."""


@dataclass(frozen=True)
class StoredDocuments:
    """
    A part of documents of which only the columns are known; it is opened when values have to be looked at.

    :param name: its URI
    :param open: opens it
    """

    name: str
    schema: pa.Schema
    open: Callable[[], AbstractContextManager[IO[bytes]]]

    def batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Return some columns of the rows, batch by batch."""
        with self.open() as file:
            yield from Part(file, self.name).batches(columns)


@dataclass
class Unfit:
    """
    Values of a key that its field does not take.

    :param key: as it is spelled in the load
    :param problem: what the field takes, in words
    :param count: how many documents have such a value
    :param examples: of some of these the id and the value
    """

    key: str
    problem: str
    count: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)

    def told(self) -> str:
        """Return it in words, with the examples."""
        named = ", ".join(f"{value} ({document})" for document, value in self.examples)
        return f"{self.key}: {counted(self.count, 'value')} of {self.problem}, such as {named}"


class Metadata:
    """
    The metadata of a load.

    :param load: parts or rows, by the array of a container they go to; deletions have none
    :raises DatasetError: a column has no place in a dataset of documents
    """

    def __init__(self, load: Load) -> None:
        self._sources: list[_Source] = []
        for section, sources in load.items():
            for source in sources:
                if section in {Section.ADD_OR_UPDATE, Section.ADD_OR_MERGE}:
                    self._sources.append(
                        _RowDocuments(source) if isinstance(source, Rows) else _Columns(source)
                    )
                elif section is Section.PARTIAL_UPDATE and not isinstance(source, StoredDocuments):
                    self._sources.append(_Changes(source))
        self.keys: dict[str, str] = {}
        for one in self._sources:
            for key in one.names():
                self.keys.setdefault(key.lower(), key)

    def filled(self, keys: Iterable[str]) -> list[str]:
        """
        Return the keys that have a value in some document: without one there is nothing that could be dropped.

        Only a file's columns may have none, such as one of numbers where all are missing.

        :param keys: as :attr:`keys` has them, or in lower case
        """
        wanted = [*keys]
        empty = {key.lower() for key in wanted}
        for source in self._sources:
            empty -= source.filled(empty) if empty else empty
        return [key for key in wanted if key.lower() not in empty]

    def specs(self, keys: Iterable[str]) -> list[FieldSpec]:
        """
        Return the fields that some keys need; those that can be no field's name, or have no value, are left out.

        :param keys: in lower case
        """
        profiles = {key: Profile() for key in keys if can_be_field(key)}
        for source in self._sources:
            source.profile(profiles)
        specs = (profile.spec(key) for key, profile in profiles.items())
        return [spec for spec in specs if spec is not None]

    def unfit(
        self, fields: Mapping[str, Field], mapped: Mapping[str, Sequence[Field]] | None = None
    ) -> list[Unfit]:
        """
        Return the keys with values that their field does not take.

        Of a file only those columns are read whose type leaves that open.

        :param fields: the organization's, by name
        :param mapped: the fields that mapping rules fill from keys, by key in lower case
        """
        found = self._unfit({key: fields[key] for key in self.keys if key in fields})
        for key, filled in (mapped or {}).items():
            for one in filled if key in self.keys else ():
                found += self._unfit({key: one})
        return found

    def _unfit(self, fields: Mapping[str, Field]) -> list[Unfit]:
        known = {key: one for key, one in fields.items() if one.type}
        found: dict[str, Unfit] = {}
        for source in self._sources:
            for identifier, key, value in source.suspects(known):
                if _takes(known[key], value):
                    continue
                one = found.setdefault(key, Unfit(self.keys[key], _expected(key, known[key], value)))
                one.count += 1
                if len(one.examples) < EXAMPLES:
                    one.examples.append((shown(identifier), _short(value)))
        return list(found.values())


def without_field(keys: Iterable[str], fields: Iterable[str], mapped: Iterable[str] = ()) -> list[str]:
    """
    Return the keys of metadata that the service drops: those for which there is no field of their name (docs 115).

    :param keys: of documents, those that are no metadata among them
    :param fields: the organization's, in lower case
    :param mapped: keys that a mapping rule of the source reads, in lower case
    """
    kept = {*fields, *mapped, *DOCUMENT_KEYS}
    return [key for key in keys if key.lower() not in kept]


def _takes(known: Field, value: Any) -> bool:
    if not is_sent(value):
        return True
    if isinstance(value, Mapping) and not known.dictionary:
        return False
    return fits(known.type, value)


def _expected(key: str, known: Field, value: Any) -> str:
    filled = "" if known.name == key else f", {known.name}, that a mapping rule fills from it"
    if isinstance(value, Mapping) and not known.dictionary:
        return f"objects, and its field{filled} is no dictionary field"
    expected = EXPECTED.get(known.type, "")
    takes = f", which takes {expected}" if expected else ""
    return f"a field of type {known.type}{filled}{takes}"


def _short(value: Any) -> str:
    try:
        text = json_text(value) or ""
    except (TypeError, ValueError):
        text = str(value)
    printable = "".join(one if one.isprintable() else " " for one in text[: 2 * _VALUE_CHARACTERS])
    return printable if len(printable) <= _VALUE_CHARACTERS else f"{printable[:_VALUE_CHARACTERS]}…"


class _Source(Protocol):
    def names(self) -> list[str]: ...

    def filled(self, keys: Iterable[str]) -> set[str]: ...

    def profile(self, profiles: Mapping[str, Profile]) -> None: ...

    def suspects(self, fields: Mapping[str, Field]) -> Iterator[Value]: ...


class _Columns:
    """Documents in a file: what a column's type tells is not read."""

    def __init__(self, part: Part | StoredDocuments) -> None:
        self._part = part
        columns = plan_documents(part.schema, part.name)
        self._id = next(one.name for one in columns if one.key == DOCUMENT_ID)
        self._names = {
            one.key.lower(): one.name
            for one in columns
            if one.key.lower() not in DOCUMENT_KEYS and one.kind is not Kind.ABSENT
        }

    def names(self) -> list[str]:
        return list(self._names.values())

    def filled(self, keys: Iterable[str]) -> set[str]:
        found: set[str] = set()
        empty = {key: self._names[key] for key in keys if key in self._names}
        while empty:
            batches = self._part.batches([*empty.values()])
            seen = next(filter(None, (_filled_in(batch, empty) for batch in batches)), set())
            if not seen:
                break
            found |= seen
            empty = {key: name for key, name in empty.items() if key not in seen}  # and read no more of it
        return found

    def profile(self, profiles: Mapping[str, Profile]) -> None:
        large = {}
        for key in self.filled(profiles):
            name = self._names[key]
            dtype = self._part.schema.field(name).type
            profiles[key].add_type(dtype)
            if not all_fit("LONG", dtype) and _has_whole(dtype):
                large[key] = name
        for batch in self._part.batches(list(large.values())) if large else ():
            for key, name in large.items():
                profiles[key].add_numbers(_bounds(batch.column(name)))

    def suspects(self, fields: Mapping[str, Field]) -> Iterator[Value]:
        wanted = {
            key: name
            for key, name in self._names.items()
            if key in fields and _is_suspect(fields[key], self._part.schema.field(name).type)
        }
        for batch in self._part.batches([self._id, *wanted.values()]) if wanted else ():
            ids = batch.column(self._id)
            for key, name in wanted.items():
                for row, value in self._values(batch.column(name), fields[key], name):
                    yield ids[row].as_py(), key, value

    def _values(self, column: pa.Array, known: Field, name: str) -> Iterator[tuple[int, Any]]:
        if (
            known.type in BITS
            and _is_whole(column.type)
            and all(within(one, known.type) for one in _bounds(column))
        ):
            return
        try:
            values = python_values(without_zones(spelled_out(plain(column))))
        except ValueError as error:
            raise DatasetError(f"{self._part.name}: column {name!r} {error}") from None
        yield from enumerate(values)


class _RowDocuments:
    """Documents given inline."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def names(self) -> list[str]:
        return [
            key
            for key in self._rows.names()
            if key.lower() not in DOCUMENT_KEYS and is_sent(self._rows.column(key))
        ]

    def filled(self, keys: Iterable[str]) -> set[str]:
        return {*keys}.intersection(name.lower() for name in self.names())

    def profile(self, profiles: Mapping[str, Profile]) -> None:
        for _, key, value in self._values(profiles):
            profiles[key].add_value(value)

    def suspects(self, fields: Mapping[str, Field]) -> Iterator[Value]:
        return self._values(fields)

    def _values(self, wanted: Iterable[str]) -> Iterator[Value]:
        ids = self._rows.column(DOCUMENT_ID)
        for key in wanted:
            for identifier, value in zip(ids, self._rows.column(key), strict=True):
                yield identifier, key, value


class _Changes:
    """Partial updates, each of one field, in a file or given inline."""

    def __init__(self, source: Part | Rows) -> None:
        self._source = source

    def names(self) -> list[str]:
        return list(dict.fromkeys(name for _, _, name, _ in self._entries() if isinstance(name, str)))

    def filled(self, keys: Iterable[str]) -> set[str]:
        return {*keys}.intersection(name.lower() for name in self.names())

    def profile(self, profiles: Mapping[str, Profile]) -> None:
        for _, key, value in self._values(profiles):
            profiles[key].add_value(value)

    def suspects(self, fields: Mapping[str, Field]) -> Iterator[Value]:
        return self._values(fields)

    def _values(self, wanted: Iterable[str]) -> Iterator[Value]:
        keys = {*wanted}
        for identifier, operator, name, value in self._entries():
            if operator not in _REMOVALS and isinstance(name, str) and name.lower() in keys:
                yield identifier, name.lower(), value

    def _entries(self) -> Iterator[tuple[Any, Any, Any, Any]]:
        names: Iterable[str] = (DOCUMENT_ID, "operator", "field", "value")
        if isinstance(self._source, Rows):
            yield from zip(*map(self._source.column, names), strict=True)
            return
        columns = {one.key: one for one in plan_partial_updates(self._source.schema, self._source.name)}
        names = [columns[key].name for key in names]
        for batch in self._source.batches(names):
            *others, values = (batch.column(name) for name in names)
            found = python_values(without_zones(spelled_out(plain(values))))
            if columns["value"].kind is Kind.JSON_TEXT:
                found = [_parsed(text) for text in found]
            yield from zip(*(one.to_pylist() for one in others), found, strict=True)


def _parsed(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)  # orjson makes floats of what is beyond 64 bits
    except ValueError:
        return None  # refused where entries are checked


def _is_suspect(known: Field, dtype: pa.DataType) -> bool:
    return (_has_objects(dtype) and not known.dictionary) or not all_fit(known.type, dtype)


def _has_objects(dtype: pa.DataType) -> bool:
    dtype = plain_type(dtype)
    return bool(pt.is_struct(dtype) or pt.is_map(dtype))


def _is_whole(dtype: pa.DataType) -> bool:
    dtype = plain_type(dtype)
    return is_whole_type(dtype.value_type if pt.is_dictionary(dtype) else dtype)


def _has_whole(dtype: pa.DataType) -> bool:
    """Return whether values of a type are whole numbers, or are objects that may have some."""
    dtype = plain_type(dtype)
    if pt.is_struct(dtype):
        return any(_has_whole(each.type) for each in dtype)
    return _has_whole(dtype.item_type) if pt.is_map(dtype) else _is_whole(dtype)


def _bounds(column: pa.Array) -> list[int]:
    """Return the smallest and the largest of whole numbers, of those in objects, too; none where there are none."""
    column = spelled_out(plain(column))
    if pt.is_map(column.type):
        return _bounds(column.items)
    if pt.is_struct(column.type):
        return [number for each in column.flatten() for number in _bounds(each)]
    if not is_whole_type(column.type):
        return []
    return [int(one) for one in pc.min_max(column).as_py().values() if one is not None]


def _filled_in(batch: pa.RecordBatch, names: Mapping[str, str]) -> set[str]:
    return {key for key, name in names.items() if _has_value(batch.column(name))}


def _has_value(column: pa.Array) -> bool:
    """Return whether any value of a column is sent: null and NaN are not, nor what has nothing else in it."""
    column = spelled_out(plain(column))
    if pt.is_map(column.type):
        return _has_value(column.items)
    if pt.is_struct(column.type):
        return any(map(_has_value, column.flatten()))
    if is_list(column.type):
        return _has_value(column.flatten())
    if pt.is_floating(column.type):
        column = column.filter(pc.invert(pc.is_nan(column.cast(pa.float64()))))
    return bool(column.null_count < len(column))
