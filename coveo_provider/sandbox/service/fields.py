"""The fields of the organization: what they are, kept in the database."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

import orjson

from coveo_provider.sandbox.service.errors import ApiError, invalid_json, not_found

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coveo_provider.sandbox.service.database import Database

TYPES = ("LONG", "LONG_64", "DOUBLE", "DATE", "STRING", "VECTOR")
FLAGS = {
    "automaticFacetsCandidate": False,
    "includeInQuery": True,
    "includeInResults": True,
    "keyValue": False,
    "multilingual": False,
    "keepAccentsDisplayValueFacet": False,
    "keepDistinctDisplayValueFacet": False,
    "mergeWithLexicon": False,
    "smartDateFacet": False,
    "facet": False,
    "multiValueFacet": False,
    "hierarchicalFacet": False,
    "sort": False,
    "ranking": False,
    "stemming": False,
    "useCacheForNestedQuery": False,
    "useCacheForSort": False,
    "useCacheForNumericQuery": False,
    "useCacheForComputedFacet": False,
    "system": False,
}
# Fields that every organization has, of what items usually bring: (uncertain) no page lists them in full.
# `permanentid` is not among them: older organizations lack it, and clients make or replace it.
SYSTEM = {
    **dict.fromkeys(("author", "clickableuri", "filename", "filetype", "language", "objecttype"), "STRING"),
    **dict.fromkeys(("source", "sourcetype", "title", "uri"), "STRING"),
    **dict.fromkeys(("date", "indexeddate"), "DATE"),
    **dict.fromkeys(("rowid", "size"), "LONG_64"),
}
_TEXTS = ("name", "description", "label", "type", "multiValueFacetTokenizers", "dateFormat")
_LISTS = ("automaticFacetsCandidateTags", "projectIds")
_NEVER_OFF = ("facet", "sort")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,254}")
_SCHEMA = "CREATE TABLE IF NOT EXISTS fields (name TEXT PRIMARY KEY, model BLOB NOT NULL);"

Model = dict[str, Any]


class Fields:
    """
    All fields of the organization.

    Names are in lower case; one that is asked for in another case is that of the same field. Each method takes
    and gives the description's ``FieldModel``; what a model leaves out has the described default.
    """

    def __init__(self, database: Database) -> None:
        self._database, self._lock = database, threading.RLock()
        database.prepare(_SCHEMA)

    def all(self) -> list[Model]:
        """List those that were made, by name."""
        return [orjson.loads(row) for (row,) in self._database.rows("SELECT model FROM fields ORDER BY name")]

    def listed(self) -> list[Model]:
        """List all of them, those of every organization as well, by name."""
        return sorted([*_SYSTEM_MODELS.values(), *self.all()], key=lambda one: str(one["name"]))

    def by_name(self) -> dict[str, Model]:
        """Give all of them by name."""
        return {one["name"]: one for one in self.listed()}

    def get(self, name: str) -> Model:
        """Give one; 404 when there is none."""
        if name.lower() in _SYSTEM_MODELS:
            return dict(_SYSTEM_MODELS[name.lower()])
        rows = self._database.rows("SELECT model FROM fields WHERE name = ?", name.lower())
        if not rows:
            raise not_found(f"The field '{name}' does not exist.")
        return dict(orjson.loads(rows[0][0]))

    def create(self, models: list[Any]) -> list[Model]:
        """Make fields, all or none; 400 for a model that is wrong, 412 for a name that is taken."""
        with self._lock:
            made = [_read(one) for one in models]
            self._check_once(made)
            taken = {one["name"] for one in self.listed()}
            for one in made:
                if one["name"] in taken:
                    # No page gives the errorCode (probe: field-taken).
                    message = f"The field '{one['name']}' exists."
                    raise ApiError(412, "FIELD_ALREADY_EXISTS", message)
            self._write(made)
        return made

    def update(self, models: list[Any]) -> list[Model]:
        """Replace the models of fields, all or none; a field keeps its type."""
        with self._lock:
            made = [_read(one) for one in models]
            self._check_once(made)
            _refuse_system(one["name"] for one in made)
            for one in made:
                if one["type"] != (old := self.get(one["name"])["type"]):
                    raise invalid_json(
                        f"The field '{one['name']}' is of type {old}, which cannot be changed."
                    )
            self._write(made)
        return made

    def delete(self, names: list[str]) -> list[Model]:
        """Delete fields, all or none; 404 when one is not there."""
        with self._lock:
            _refuse_system(names)
            gone = [self.get(name) for name in names]
            self._database.write("DELETE FROM fields WHERE name = ?", [(one["name"],) for one in gone])
        return gone

    def _write(self, models: list[Model]) -> None:
        rows = [(one["name"], orjson.dumps(one)) for one in models]
        self._database.write("INSERT OR REPLACE INTO fields VALUES (?, ?)", rows)

    @staticmethod
    def _check_once(models: list[Model]) -> None:
        names = [one["name"] for one in models]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise invalid_json(f"The field '{twice[0]}' is given twice.")


def _read(model: Any) -> Model:
    """Check a model and fill in what it leaves out; null counts as left out, as clients send it."""
    if type(model) is not dict:
        raise invalid_json("A field is a JSON object.")
    given = {key: value for key, value in model.items() if value is not None}
    if odd := sorted(given.keys() - {*FLAGS, *_TEXTS, *_LISTS}):
        raise invalid_json(f"A field has no '{odd[0]}'.")
    for key, value in given.items():
        if key in FLAGS and type(value) is not bool:
            raise invalid_json(f"'{key}' is true or false.")
        if key in _TEXTS and type(value) is not str:
            raise invalid_json(f"'{key}' is a string.")
        if key in _LISTS and not (type(value) is list and all(type(one) is str for one in value)):
            raise invalid_json(f"'{key}' is an array of strings.")
    name = given.get("name", "")
    if not _NAME.fullmatch(name):
        raise invalid_json("'name' is required: a small letter, then small letters, digits and '_'.")
    if given.get("type") not in TYPES:
        raise invalid_json(f"'type' is required and is one of {', '.join(TYPES)}.")
    kept = dict.fromkeys(_NEVER_OFF, given["type"] != "STRING")
    for flag in _NEVER_OFF:
        if kept[flag] and given.get(flag) is False:
            # "Can't be set to false" (description of fields); what it answers is stated nowhere.
            raise invalid_json(f"'{flag}' cannot be false for a field of type {given['type']}.")
    return {**FLAGS, **kept, "description": "", **given, "name": name, "system": False}


_SYSTEM_MODELS = {
    name: {**_read({"name": name, "type": kind}), "system": True} for name, kind in SYSTEM.items()
}


def _refuse_system(names: Iterable[str]) -> None:
    """Refuse to change what the index needs itself; what it answers is stated nowhere."""
    if own := [name for name in names if name.lower() in _SYSTEM_MODELS]:
        raise invalid_json(f"The field '{own[0]}' is of the system and cannot be changed.")
