"""The platform's calls on sources and fields: what a load asks about where it goes, and how that is made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

from coveo_provider.api import reading, routes
from coveo_provider.api.caller import Caller, paged
from coveo_provider.api.routes import Route
from coveo_provider.api.types import Field, MappingRule, Source, SourceKind, SourceVisibility
from coveo_provider.errors import ConfigurationError

FIELDS_A_CALL = 500
"""The most fields that are made at once, as Coveo's JavaScript client does; no page gives a limit."""

_FIELDS_A_PAGE = 1_000  # the most there may be
_SOURCES_A_PAGE = 100
_PAGES = 100
_FILTERED = 2  # characters of a name at least, or the filter is not applied


class SourceCalls(Caller):
    """Sources and fields, as the platform knows them."""

    def get_source(self, source_id: str, *, once: bool = False) -> Source:
        """
        Return what the platform knows of a source, its number of items among it.

        :param once: whether to ask once only, as for what a task can do without
        """
        route = routes.GET_SOURCE.at(source_id=source_id)
        return self._ask(route, lambda answer: reading.source(answer, source_id), once=once)

    def count_sources(self) -> int:
        """Return the number of sources the key can see: the cheapest proof of key and id."""
        return self._ask(routes.LIST_SOURCES, reading.total_entries, {"page": "0", "perPage": "1"})

    def list_sources(self) -> list[Source]:
        """Return all sources that the key can see."""
        return list(self._sources({}))

    def find_sources(self, name: str) -> list[Source]:
        """
        Return the sources of a name, in any case: no page says that a name stands once.

        :param name: all of it
        """
        query = {"filter": name} if len(name) >= _FILTERED else {}
        return [one for one in self._sources(query) if one.name.casefold() == name.casefold()]

    def _sources(self, query: Mapping[str, str]) -> Iterator[Source]:
        def page(number: int) -> tuple[list[Source], int]:
            asked = {"perPage": str(_SOURCES_A_PAGE), **query, "page": str(number)}
            return self._ask(routes.LIST_SOURCES, reading.source_page, asked)

        return chain.from_iterable(paged(page, _PAGES))

    def has_privilege(self, domain: str, level: str) -> bool:
        """
        Return whether the key has a privilege, as Coveo's command line asks it.

        In no published description (``docs/api-notes.md``, "Fields").

        :param domain: what it is for, such as ``SOURCE``
        :param level: ``VIEW``, ``EDIT`` or ``CREATE``
        """
        wanted = {"type": level, "targetDomain": domain, "targetId": "*", "owner": "PLATFORM"}
        body = _json({"organizationId": self.organization_id, "requestedPrivilege": wanted})
        return self._ask(routes.EVALUATE_PRIVILEGE, reading.approved, body=body)

    def create_source(self, name: str, kind: SourceKind, visibility: SourceVisibility) -> str:
        """
        Create a source that takes pushes, and return its id.

        It is never sent again: nothing says that a name may stand once only. After a lost answer look for it by
        :meth:`find_sources`.
        """
        model = {
            "sourceType": SourceKind(kind).value,
            "name": name,
            "sourceVisibility": SourceVisibility(visibility).value,
            "pushEnabled": True,  # of a Catalog source, too, as the Java client and the CLI send it
        }
        if kind is SourceKind.CATALOG:
            model["streamEnabled"] = True
        return self._ask(routes.CREATE_SOURCE, reading.created_id, body=_json(model))

    def add_mapping_rule(self, source_id: str, rule: MappingRule) -> None:
        """
        Add a rule for items of every type to a source; those that are there stay.

        It is never sent again, as it would stand there twice: after a lost answer :meth:`get_source` tells.
        """
        body = _json({"field": rule.field, "content": list(rule.content)})
        self._call(routes.ADD_MAPPING.at(source_id=source_id), body=body)

    def fields(self, *, once: bool = False) -> dict[str, Field]:
        """
        Return all fields of the organization by name, those of the system among them (docs 115).

        :param once: whether to ask once only, as for what a task can do without
        """

        def page(number: int) -> tuple[list[Field], int]:
            body = _json({"page": number, "perPage": _FIELDS_A_PAGE, "filters": {"origin": "ALL"}})
            return self._ask(routes.SEARCH_FIELDS, reading.field_page, body=body, once=once)

        return {one.name: one for one in chain.from_iterable(paged(page, _PAGES))}

    def field_names(self) -> set[str]:
        """Return the names of all fields of the organization, those of the system among them (docs 115)."""
        return set(self.fields())

    def create_fields(self, models: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """
        Create fields, and return why some were refused, by name: that they exist is such a reason.

        After a lost answer it is sent again, and what the first attempt made is told to exist.

        :param models: the API's ``FieldModel`` of each: ``name``, ``type`` and what is not to be the default
        """
        return self._each_field(routes.CREATE_FIELDS, models)

    def update_fields(self, models: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """
        Replace the models of fields, and return why some were refused, by name.

        :param models: all of the ``FieldModel`` of each: what is left out gets its default
        """
        return self._each_field(routes.UPDATE_FIELDS, models)

    def _each_field(self, route: Route, models: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        refused: dict[str, str] = {}
        for batch in _batches(models):
            read = partial(reading.refused_fields, names=[str(one.get("name")).lower() for one in batch])
            refused.update(self._ask(route, read, body=_json(batch)))
        return refused


def _batches(models: Sequence[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    for start in range(0, len(models), FIELDS_A_CALL):
        yield list(models[start : start + FIELDS_A_CALL])


def _json(value: Any) -> bytes:
    try:
        return json.dumps(value).encode()
    except (RecursionError, TypeError, ValueError) as error:
        raise ConfigurationError(f"what is to be made is no JSON: {str(error)[:200]}") from None
