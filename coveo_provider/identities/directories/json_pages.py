"""
What SCIM 2.0 (RFC 7644) and Microsoft Graph answer, kept in files → entries.

A file holds one page (``{"Resources": […]}``, ``{"value": […]}``), an array of pages or of resources, or one of
either a line (NDJSON). A page that says that more follow, where these are not in the files, is refused.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from coveo_provider.documents.extracts.json_stream import Pieces, RecordArray, lines
from coveo_provider.documents.extracts.source_files import GZ, SourceFile
from coveo_provider.errors import DatasetError
from coveo_provider.identities.directories.entries import Attributes, Entry, EntryKind, GroupReference, refuse

SCIM_DEFAULTS = Attributes(name="userName", group_name="displayName", emails=("emails",))
ENTRA_DEFAULTS = Attributes(name="userPrincipalName", group_name="displayName", emails=("mail",))

_LINES = (".ndjson", ".jsonl")
_EXPANDED = 20
"""Members that Microsoft Graph gives with ``$expand``, and no more."""

_NEXT = "@odata.nextlink"

Body = dict[str, Any]
"""A resource or page, with its keys in lower case."""


class Pages(ABC):
    """
    Reads the pages of one kind of service.

    :param attributes: which keys identities are made of
    """

    key: str
    """Under which a page has its resources, in lower case."""

    def __init__(self, attributes: Attributes) -> None:
        self._attributes = attributes

    def entries(self, files: Iterable[SourceFile]) -> Iterator[Entry]:
        """
        Return users and groups, in bounded memory.

        :raises DatasetError: names file and record of what is damaged or incomplete
        """
        for file in files:
            yield from self._of_file(file)
        self.finish()

    def _of_file(self, file: SourceFile) -> Iterator[Entry]:
        with file.text() as stream:
            beginning = stream.read(4_096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
            stream.seek(0)
            if file.name.lower().removesuffix(GZ).endswith(_LINES):
                empty = True
                for where, body in _bodies(lines(stream, file.name), f"{file.name}, line"):
                    empty = False
                    yield from self._of_body(where, body)
                if empty:
                    refuse(
                        file.name,
                        "is empty: not even a page without resources stands there. Did the export fail?",
                    )
            elif beginning == b"{":
                array = RecordArray(stream, file.name, self.spelled)
                kinds: Counter[EntryKind] = Counter()
                try:
                    for where, body in _bodies(array.pieces(), f"{file.name}, record"):
                        entry = self.entry(where, body, _lowered(array.beside))
                        kinds[entry.kind] += 1
                        yield entry
                except DatasetError:
                    if array.found:
                        raise
                    refuse(
                        file.name,
                        f"holds one object without {self.spelled}, expected a page with it, an array of "
                        "pages or "
                        "resources, or a file .ndjson of one a line",
                    )
                self.check_page(file.name, _lowered(array.beside), kinds)
            else:
                array = RecordArray(stream, file.name)
                for where, body in _bodies(array.pieces(), f"{file.name}, record"):
                    yield from self._of_body(where, body)

    def _of_body(self, where: str, body: Body) -> Iterator[Entry]:
        """Return what a page holds, or the one resource that it is."""
        resources = body.pop(self.key, None)
        if resources is None and _is_page(body):
            resources = []
        if resources is None:
            yield self.entry(where, body, {})
            return
        if not isinstance(resources, list):
            refuse(where, f"{self.spelled} is {str(resources)[:60]!r}, expected a list")
        kinds: Counter[EntryKind] = Counter()
        for number, resource in enumerate(resources):
            place = f"{where}, {self.spelled}[{number}]"
            if not isinstance(resource, dict):
                refuse(place, f"is {str(resource)[:60]!r}, expected an object")
            entry = self.entry(place, _lowered(resource), body)
            kinds[entry.kind] += 1
            yield entry
        self.check_page(where, body, kinds)

    @property
    @abstractmethod
    def spelled(self) -> str:
        """The key as the service spells it."""

    @abstractmethod
    def entry(self, where: str, body: Body, page: Body) -> Entry:
        """Return a resource as an entry; ``page`` is what its page says besides."""

    @abstractmethod
    def check_page(self, where: str, page: Body, kinds: Counter[EntryKind]) -> None:
        """Refuse a page after which another one should have come."""

    def finish(self) -> None:  # noqa: B027  a page may tell by itself
        """Refuse pages that are too few."""

    def _reference(self, where: str, key: str, group: Any, key_name: str, shown_as: str) -> GroupReference:
        body = _lowered(group) if isinstance(group, dict) else {key_name: group}
        identifier = body.get(key_name)
        if not isinstance(identifier, str) or not identifier:
            refuse(where, f"{key} holds {str(group)[:60]!r}, expected an object with {key_name}")
        wanted = self._attributes.group_name.lower()
        name = identifier if wanted == "id" else body.get(shown_as) if wanted == "displayname" else None
        return GroupReference(_key(identifier), name if isinstance(name, str) and name.strip() else None)

    def _members(self, where: str, body: Body, key_name: str) -> tuple[str, ...]:
        members = _list(where, body, "members")
        return tuple(self._reference(where, "members", one, key_name, "").key for one in members)


class ScimPages(Pages):
    """Pages of SCIM 2.0: ``ListResponse`` with ``Resources``."""

    key = "resources"
    spelled = "Resources"

    def __init__(self, attributes: Attributes) -> None:
        super().__init__(attributes)
        self._found: Counter[EntryKind] = Counter()
        self._total: dict[EntryKind, int] = {}

    def entry(self, where: str, body: Body, page: Body) -> Entry:
        """Return a ``User`` or a ``Group``."""
        identifier = body.get("id")
        if not isinstance(identifier, str) or not identifier:
            refuse(where, "has no id, expected a User or a Group of SCIM 2.0")
        kind = _scim_kind(where, body)
        self._found[kind] += 1
        return Entry(
            where=where,
            kind=kind,
            label=str(body.get("username") or body.get("displayname") or identifier),
            keys=(_key(identifier),),
            name=_text(
                body, self._attributes.name if kind is EntryKind.USER else self._attributes.group_name
            ),
            emails=next(
                (found for each in self._attributes.emails if (found := _scim_emails(where, body, each))), ()
            ),
            disabled=None if (active := _flag(where, body, "active")) is None else not active,
            members=self._members(where, body, "value") if kind is EntryKind.GROUP else (),
            groups=tuple(
                self._reference(where, "groups", one, "value", "display")
                for one in _list(where, body, "groups")
                if kind is EntryKind.USER
            ),
        )

    def check_page(self, where: str, page: Body, kinds: Counter[EntryKind]) -> None:
        """Note how many resources the service has."""
        told = _text(page, "totalResults")
        if told is None:
            return
        if not told.isdecimal():
            refuse(where, f"totalResults is {told!r}, expected a number")
        total = int(told)
        if not kinds and total:
            refuse(where, f"is a page without resources of {total:,}: it is not the one that was meant")
        if len(kinds) == 1:
            [kind] = kinds
            self._total[kind] = max(total, self._total.get(kind, 0))
        elif sum(kinds.values()) < total:
            refuse(where, f"has {sum(kinds.values()):,} of {total:,} resources; export all pages")

    def finish(self) -> None:
        """Refuse pages that are fewer than ``totalResults`` says."""
        for kind, total in self._total.items():
            if self._found[kind] < total:
                refuse(
                    "source",
                    f"the pages hold {self._found[kind]:,} of {total:,} {kind.name.lower()}s (totalResults): "
                    "a page is "
                    "missing, and who is on it would lose all access. Export all pages (startIndex, count)",
                )


class EntraPages(Pages):
    """Pages of Microsoft Graph: ``value`` with users and groups of Entra ID."""

    key = "value"
    spelled = "value"

    def entry(self, where: str, body: Body, page: Body) -> Entry:
        """Return a user, a group, or something else, such as a device."""
        identifier = body.get("id")
        if not isinstance(identifier, str) or not identifier:
            refuse(where, "has no id, expected a user or a group of Microsoft Graph; add id to $select")
        context = str(page.get("@odata.context", "")).lower()
        if "@removed" in body or any(key.endswith("@delta") for key in body):
            _refuse_delta(where)
        kind = _entra_kind(where, body, context)
        for key in ("members", "memberOf"):
            if f"transitive{key}".lower() in body and key.lower() not in body:
                refuse(
                    where,
                    f"{identifier} has its {key} as transitive ones only, which are not read; export {key}",
                )
        for key in ("members", "memberof", "transitivemembers", "transitivememberof"):
            if f"{key}{_NEXT}" in body:
                _refuse_next(where, f"the {key} of {identifier}")
            if f"{key}(" in context and len(body.get(key) or ()) >= _EXPANDED:
                refuse(
                    where,
                    f"{key} of {identifier} end at {_EXPANDED}, as $expand={key} gives no more: who is "
                    "missing would "
                    "lose access. Export them by /groups/{id}/members, all pages",
                )
        name = self._attributes.name if kind is EntryKind.USER else self._attributes.group_name
        return Entry(
            where=where,
            kind=kind,
            label=str(body.get("userprincipalname") or body.get("displayname") or identifier),
            keys=(_key(identifier),),
            name=_text(body, name),
            emails=next(
                ((found,) for each in self._attributes.emails if (found := _text(body, each)) is not None), ()
            ),
            disabled=None if (enabled := _flag(where, body, "accountenabled")) is None else not enabled,
            members=self._members(where, body, "id") if kind is EntryKind.GROUP else (),
            groups=tuple(
                self._reference(where, "memberOf", one, "id", "displayname")
                for one in _list(where, body, "memberof")
                if not isinstance(one, dict) or one.get("@odata.type", _GROUP_TYPE) == _GROUP_TYPE
            ),
        )

    def check_page(self, where: str, page: Body, kinds: Counter[EntryKind]) -> None:
        """Refuse a page with a link to the next, and one of changes."""
        if page.get(_NEXT):
            _refuse_next(where, "the list")
        if page.get("@odata.deltalink") or "/$delta" in str(page.get("@odata.context", "")).lower():
            _refuse_delta(where)


_GROUP_TYPE = "#microsoft.graph.group"


def _refuse_next(where: str, what: str) -> None:
    refuse(
        where,
        f"{what} goes on at its @odata.nextLink: a page is missing, and who is on it would lose all access. "
        "Fetch all "
        'pages, and write what they hold without the links: {"value": […]} with all, or one resource a line',
    )


def _refuse_delta(where: str) -> None:
    refuse(
        where,
        "holds what changed (a delta query), and all who did not change would lose access. Export all users and "
        "groups, without delta",
    )


def _entra_kind(where: str, body: Body, context: str) -> EntryKind:
    if body.get("deleteddatetime") is not None:
        return EntryKind.OTHER
    if kind := body.get("@odata.type"):
        return {"#microsoft.graph.user": EntryKind.USER, _GROUP_TYPE: EntryKind.GROUP}.get(
            kind, EntryKind.OTHER
        )
    if "#users" in context or {"userprincipalname", "accountenabled"} & body.keys():
        return EntryKind.USER
    if "#groups" in context or {"members", "grouptypes", "securityenabled", "mailenabled"} & body.keys():
        return EntryKind.GROUP
    return refuse(
        where,
        'is a user or a group, which it does not say; add "@odata.type": "#microsoft.graph.user" or ".group"',
    )


def _scim_kind(where: str, body: Body) -> EntryKind:
    meta = body.get("meta")
    named = [str(one).rpartition(":")[2] for one in body.get("schemas") or ()]
    named.append(str(_lowered(meta).get("resourcetype", "")) if isinstance(meta, dict) else "")
    for kind in (EntryKind.USER, EntryKind.GROUP):
        if any(one.lower() == kind.name.lower() for one in named):
            return kind
    if "username" in body:
        return EntryKind.USER
    if "members" in body:
        return EntryKind.GROUP
    return refuse(where, "is a User or a Group, which neither schemas nor meta.resourceType says")


def _scim_emails(where: str, body: Body, attribute: str) -> tuple[str, ...]:
    """Return the primary address, else that of work, else the first."""
    if attribute.lower() != "emails":
        found = _text(body, attribute)
        return () if found is None else (found,)
    emails = [_lowered(one) for one in _list(where, body, "emails") if isinstance(one, dict)]
    emails = [one for one in emails if isinstance(one.get("value"), str) and one["value"].strip()]
    chosen = [one for one in emails if one.get("primary") in {True, "true", "True"}]
    chosen += [one for one in emails if str(one.get("type", "")).lower() == "work"]
    return tuple(str(one["value"]).strip() for one in [*chosen, *emails][:1])


def _bodies(pieces: Pieces, where: str) -> Iterator[tuple[str, Body]]:
    for numbers, texts in pieces:
        for number, text in zip(numbers, texts, strict=True):
            place = f"{where} {number:,}"
            try:
                body = orjson.loads(text)
            except ValueError as error:
                refuse(place, f"is no JSON: {error}")
            if not isinstance(body, dict):
                refuse(place, f"is {str(body)[:60]!r}, expected an object")
            yield place, _lowered(body)


def _is_page(body: Body) -> bool:
    """Return whether an object is a page that holds nothing."""
    return "totalresults" in body or ("@odata.context" in body and "id" not in body)


def _lowered(body: Mapping[str, Any]) -> Body:
    return {key.lower(): value for key, value in body.items()}


def _key(identifier: str) -> str:
    return f"id:{identifier}"


def _text(body: Body, attribute: str) -> str | None:
    value = body.get(attribute.lower())
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    return value.strip() or None if isinstance(value, str) else None


def _list(where: str, body: Body, key: str) -> list[Any]:
    value = body.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        refuse(where, f"{key} is {str(value)[:60]!r}, expected a list")
    return value


def _flag(where: str, body: Body, key: str) -> bool | None:
    value = body.get(key)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    return refuse(where, f"{key} is {value!r}, expected true or false")
