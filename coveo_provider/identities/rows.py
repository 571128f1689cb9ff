"""The rows of datasets of identities, with all names and types checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.types as pt

from coveo_provider.documents.contract import shown
from coveo_provider.documents.permissions.arrays import type_names
from coveo_provider.documents.permissions.spelling import IdentityType
from coveo_provider.documents.values.json_values import dump
from coveo_provider.documents.values.nested_lists import (
    elements,
    field,
    field_texts,
    json_strings,
    strings,
)
from coveo_provider.errors import DatasetError
from coveo_provider.identities.columns import LISTS, IdentityKind, plan
from coveo_provider.identities.models import GROUPS, UNLISTED, no_members

Refuse: TypeAlias = Callable[[int, str], NoReturn]


@dataclass(frozen=True)
class Named:
    """
    Identities, one a row.

    :param names: as they are written
    :param types: ``USER``, ``GROUP``, ``VIRTUAL_GROUP`` or ``UNKNOWN``
    :param infos: ``additionalInfo`` as JSON, null where there is none
    :param providers: of aliases
    """

    names: pl.Series
    types: pl.Series
    infos: pl.Series | None = None
    providers: pl.Series | None = None


@dataclass(frozen=True)
class Related:
    """
    The identities in a list, for all rows in one run.

    :param lengths: int64: how many each row has
    :param present: whether the row has a list at all
    """

    lengths: npt.NDArray[np.int64]
    present: npt.NDArray[np.bool_]
    named: Named


@dataclass(frozen=True)
class IdentityRows:
    """The identities of a batch, and their lists by key."""

    identities: Named
    lists: dict[str, Related]


class IdentityReader:
    """
    Reads the batches of one part of a dataset of identities.

    :param schema: the part's schema, checked here
    :param where: the part's name, for errors
    :raises DatasetError: names every column that is missing, unknown, doubled or of the wrong type
    """

    def __init__(self, schema: pa.Schema, kind: IdentityKind, where: str) -> None:
        self.kind, self.where = kind, where
        self._columns = plan(schema, kind, where)

    @property
    def key_columns(self) -> list[str]:
        """The columns that tell identities apart, by their names in the part."""
        return [self._columns["name"], self._columns["type"]]

    def read(self, batch: pa.RecordBatch, first_row: int = 0) -> IdentityRows:
        """
        Return the identities of a batch.

        :param first_row: the number of its first row in the part, for errors
        :raises DatasetError: names the first identity at fault
        """

        def refuse(row: int, problem: str) -> NoReturn:
            name = batch.column(self._columns["name"])[row].as_py()
            raise DatasetError(f"{self.where}: identity {shown(name)} in row {first_row + row:,}: {problem}")

        try:
            struct = pa.StructArray.from_arrays(
                [batch.column(column) for column in self._columns.values()], list(self._columns)
            )
            identities = _named(struct, np.arange(len(batch)), refuse)
            lists = {
                key: _related(batch.column(self._columns[key]), key, refuse)
                for key in LISTS[self.kind]
                if key in self._columns
            }
        except pa.ArrowException as error:
            raise DatasetError(f"{self.where}: cannot be read: {error}") from None
        if self.kind is IdentityKind.MEMBERS:
            self._refuse_unlisted(identities, lists.get("members"), refuse)
            self._refuse_members_of_none(identities, lists.get("members"), refuse)
        return IdentityRows(identities, lists)

    def keys(self, batch: pa.RecordBatch, case_sensitive: bool, first_row: int = 0) -> npt.NDArray[np.uint64]:
        """
        Return a hash of each identity: of its name and type.

        :param first_row: the number of its first row in the part, for errors
        :raises DatasetError: a name or a type is missing or is none
        """

        def refuse(row: int, problem: str) -> NoReturn:
            raise DatasetError(f"{self.where}: identity in row {first_row + row:,}: {problem}")

        named = _named(
            pa.StructArray.from_arrays([batch.column(name) for name in self.key_columns], ["name", "type"]),
            np.arange(len(batch)),
            refuse,
        )
        return key_hashes(named, case_sensitive)

    @staticmethod
    def _refuse_unlisted(identities: Named, members: Related | None, refuse: Refuse) -> None:
        """Refuse a group without a list of members: a push replaces what is stored, so it would lose them."""
        groups = (identities.types == IdentityType.GROUP.name).to_numpy()
        bare = groups if members is None else groups & ~members.present
        if bare.any():
            refuse(int(np.flatnonzero(bare)[0]), UNLISTED)

    @staticmethod
    def _refuse_members_of_none(identities: Named, members: Related | None, refuse: Refuse) -> None:
        """Refuse members of what is no group, as the service does (docs 78)."""
        if members is None:
            return
        groups = identities.types.is_in([kind.name for kind in GROUPS]).to_numpy()
        wrong = np.flatnonzero((members.lengths > 0) & ~groups)
        if wrong.size:
            refuse(int(wrong[0]), no_members(identities.types[int(wrong[0])]))


def key_hashes(named: Named, case_sensitive: bool) -> npt.NDArray[np.uint64]:
    """Return a hash of each identity: of its name, in any case unless told otherwise, and its type."""
    names = named.names if case_sensitive else named.names.str.to_lowercase()
    frame = pl.DataFrame({"type": named.types, "name": names})
    return frame.select(pl.concat_str("type", pl.lit(" "), "name")).to_series().hash().to_numpy()


def _related(array: pa.Array, key: str, refuse: Refuse) -> Related:
    present = array.is_valid().to_numpy(zero_copy_only=False)
    lengths, flat = elements(array)
    rows = np.repeat(np.arange(len(array)), lengths)
    if flat.null_count:
        first = int(np.flatnonzero(flat.is_null().to_numpy(zero_copy_only=False))[0])
        refuse(int(rows[first]), f"{key} hold null, and who is meant is not known")
    if pt.is_null(flat.type):
        empty = pl.Series([], dtype=pl.String)
        return Related(lengths, present, Named(empty, empty))
    named = _named(flat, rows, lambda row, problem: refuse(row, f"{key}: {problem}"))
    return _distinct(Related(lengths, present, named), rows)


def _distinct(related: Related, rows: npt.NDArray[np.int64]) -> Related:
    """Return lists in which each identity stands once, the first of equal ones."""
    named = related.named
    columns = [pl.Series("row", rows), named.names.alias("name"), named.types.alias("type")]
    if named.providers is not None:
        columns.append(named.providers.alias("provider"))
    first = pl.DataFrame(columns).select(pl.struct(pl.all()).is_first_distinct()).to_series()
    if first.all():
        return related
    kept = first.to_numpy()
    lengths = np.bincount(rows[kept], minlength=len(related.lengths)).astype(np.int64)
    return Related(
        lengths,
        related.present,
        Named(
            named.names.filter(first),
            named.types.filter(first),
            None if named.infos is None else named.infos.filter(first),
            None if named.providers is None else named.providers.filter(first),
        ),
    )


def _named(struct: pa.Array, rows: npt.NDArray[np.int64], refuse: Refuse) -> Named:
    """Return structs with ``name`` and ``type`` checked; ``rows`` are the rows they stand in."""
    names = field_texts(struct, "name")
    blank = (names.is_null() | (names.str.strip_chars() == "")).fill_null(True)
    if blank.any():
        first = int(blank.arg_true()[0])
        refuse(int(rows[first]), f"name is {names[first]!r}, expected the name of a user or a group")
    written = field_texts(struct, "type")
    types = type_names(written, lambda kind: kind.name)
    if types.null_count():
        first = int(types.is_null().arg_true()[0])
        refuse(
            int(rows[first]),
            f"type of {names[first]!r} is {written[first]!r}, expected USER, GROUP, VIRTUAL_GROUP or UNKNOWN",
        )
    infos = field(struct, "additionalInfo")
    providers = field(struct, "provider")
    return Named(
        names,
        types,
        None if infos is None else _infos(infos, rows, refuse),
        None if providers is None else strings(providers).replace("", None),
    )


def _infos(array: pa.Array, rows: npt.NDArray[np.int64], refuse: Refuse) -> pl.Series:
    """Return ``additionalInfo`` as JSON; null where it is empty."""
    if pt.is_struct(array.type):
        return _struct_infos(array)
    texts: list[str | None] = []
    known: dict[Any, str | None] = {}
    for position, value in enumerate(array.to_pylist()):
        key = tuple(value) if isinstance(value, list) else value
        if key not in known:
            try:
                known[key] = _info(value)
            except ValueError as error:
                refuse(int(rows[position]), f"additionalInfo {error}")
        texts.append(known[key])
    return pl.Series(texts, dtype=pl.String)


def _info(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = json.loads(value, object_pairs_hook=list)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"is no JSON ({error})") from None
        if value is None:
            return None
        if not isinstance(value, list) or any(not isinstance(pair, tuple) for pair in value):
            raise ValueError("is no JSON object")
    pairs = [(key, text) for key, text in value if text is not None]
    if any(not isinstance(text, str) for _, text in pairs):
        raise ValueError("holds something that is no text")
    if len(dict(pairs)) != len(pairs):
        raise ValueError("has a key twice")
    try:
        return dump(dict(pairs)).decode() if pairs else None
    except TypeError as error:
        raise ValueError(f"cannot be JSON: {error}") from None


def _struct_infos(array: pa.Array) -> pl.Series:
    members = []
    for position, each in enumerate(array.type):
        if not pt.is_null(each.type):
            texts = json_strings(strings(array.field(position)))
            members.append(pl.lit(f",{dump(each.name).decode()}:") + pl.lit(texts))
    if not members:
        return pl.Series([None] * len(array), dtype=pl.String)
    joined = pl.concat_str(members, ignore_nulls=True).str.strip_prefix(",")
    valid = pl.lit(pl.Series(array.is_valid().to_numpy(zero_copy_only=False)))
    return pl.select(pl.when((joined != "") & valid).then("{" + joined + "}")).to_series()
