"""Makes typed values of answers, and refuses those that lack what they should hold."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from coveo_provider.api.answers import Answer, parse_json
from coveo_provider.api.endpoints import is_loopback, split_url
from coveo_provider.api.types import (
    MARK_DIGITS,
    Accepted,
    Field,
    FileContainer,
    IndexedIdentity,
    MappingRule,
    Source,
)
from coveo_provider.errors import ConfigurationError, UnexpectedAnswer

Verdicts: TypeAlias = "tuple[dict[tuple[str, str], bool], bool]"
"""Who may see an item, by name and provider in small letters; and whether somebody not logged in may."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"([!-~]([ -~]*[!-~])?)?")


def acknowledged(answer: Answer) -> None:
    """
    Take the success of a call without a model: the body says nothing, and no error either.

    :raises UnexpectedAnswer: it names an error
    """
    content = parse_json(answer.body)
    if isinstance(content, dict) and "errorCode" in content:
        raise UnexpectedAnswer(answer.route, "status and body that agree")


def acknowledged_at(answer: Answer) -> int:
    """
    Take the success of a call without a model, and return the server's time, in ms since the epoch.

    :raises UnexpectedAnswer: it names an error, or tells no time
    """
    acknowledged(answer)
    return answer.server_time_ms


def container(answer: Answer, push_url: str) -> FileContainer:
    """
    Return the file container of an answer.

    :param push_url: where the API itself is. Only an API on this machine may name an upload address in clear
    :raises UnexpectedAnswer: there is none
    :raises ConfigurationError: the content would travel in clear
    """
    fields = answer.fields("uploadUri", "fileId")
    # The documentation shows a `link:` in front of the address (docs/api-notes.md, "Streams").
    address: str = fields["uploadUri"].removeprefix("link:")
    parts = split_url(address)
    if parts is None:
        raise UnexpectedAnswer(answer.route, "an uploadUri that is a URL")
    if parts.scheme == "http":
        own = split_url(push_url)
        if own is None or not is_loopback(own.hostname or "") or not is_loopback(parts.hostname or ""):
            raise ConfigurationError(
                f"{answer.route}: the upload address is http://{parts.hostname}, so the documents would "
                "travel in clear. Nothing was uploaded. Check the connection's URL"
            )
    headers = fields.get("requiredHeaders")
    if headers is None:
        headers = {}
    if not isinstance(headers, dict) or not all(
        isinstance(value, str) and _HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value)
        for name, value in headers.items()
    ):
        raise UnexpectedAnswer(answer.route, "requiredHeaders that can be sent")
    return FileContainer(fields["fileId"], address, headers, answer.date_ms)


def accepted(answer: Answer) -> Accepted:
    """
    Return what the Stream API says of an operation it took in.

    :raises UnexpectedAnswer: there is no ``orderingId``
    """
    fields = answer.fields()
    text = str(fields.get("orderingId", ""))
    if not (text.isascii() and text.isdigit() and len(text) == MARK_DIGITS):
        raise UnexpectedAnswer(answer.route, "an orderingId")
    request_id = fields.get("requestId")
    return Accepted(int(text), request_id if isinstance(request_id, str) else "")


def approved(answer: Answer) -> bool:
    """
    Return whether the platform says yes.

    :raises UnexpectedAnswer: it says neither
    """
    said = answer.fields().get("approved")
    if not isinstance(said, bool):
        raise UnexpectedAnswer(answer.route, "approved: true or false")
    return said


def source(answer: Answer, source_id: str) -> Source:
    """
    Return what the platform says of a source.

    :raises UnexpectedAnswer: it says nothing of this source
    """
    model = answer.fields("id")
    if model["id"].casefold() != source_id.casefold():
        raise UnexpectedAnswer(answer.route, "the id of the source that was asked for")
    return _source(model, source_id)


def created_id(answer: Answer) -> str:
    """
    Return the id of what was created; older pages show nothing else of the answer.

    :raises UnexpectedAnswer: there is none
    """
    return str(answer.fields("id")["id"])


def source_page(answer: Answer) -> tuple[list[Source], int]:
    """
    Return the sources on a page of them, and how many pages there are.

    :raises UnexpectedAnswer: it is no such page
    """
    models, pages = _page(answer, "sourceModels", "id")
    return [_source(model, model["id"]) for model in models], pages


def _source(model: Mapping[str, Any], source_id: str) -> Source:
    information = _mapping(model.get("information"))
    count = information.get("numberOfDocuments")
    return Source(
        source_id=source_id,
        name=_text(model.get("name")),
        kind=_text(model.get("sourceType")),
        visibility=_text(model.get("sourceVisibility")),
        document_count=_count(count),
        push_enabled=model.get("pushEnabled") is True,
        stream_enabled=model.get("streamEnabled") is True,
        status=_text(_mapping(information.get("sourceStatus")).get("type")),
        managed_by=_managed_by(model),
        refreshed_at=_text(information.get("lastRefreshEndDate")),
        mappings=tuple(
            MappingRule(
                _text(one.get("fieldName")),
                tuple(map(str, _list(one.get("rules")))),
                "" if one.get("kind") == "COMMON" else _text(one.get("type")),
            )
            for one in map(_mapping, _list(model.get("mappings")))
            if one.get("fieldName")
        ),
    )


def _managed_by(model: Mapping[str, Any]) -> str:
    """
    Return the product that fills a source, and that pushes of others would disturb; empty for none.

    How the model tells of it is stated nowhere: the keys of its description are looked at, and the owner's name.
    """
    owner = _text(model.get("owner")).casefold()
    if model.get("sourceType") == "SITECORE" or "sitecore" in owner:
        return "Coveo for Sitecore"
    modules = ("crawlingModuleId", "pendingCrawlingModuleId")
    if any(map(model.get, modules)) or model.get("onPremisesEnabled") is True or "crawling" in owner:
        return "the Crawling Module"
    return ""


def total_entries(answer: Answer) -> int:
    """
    Return how many entries a paged listing has.

    :raises UnexpectedAnswer: it does not say
    """
    count = _count(answer.fields().get("totalEntries"))
    if count is None:
        raise UnexpectedAnswer(answer.route, "totalEntries")
    return count


def field_page(answer: Answer) -> tuple[list[Field], int]:
    """
    Return the fields on a page of them, and how many pages there are.

    :raises UnexpectedAnswer: it is no such page
    """
    models, pages = _page(answer, "items", "name")
    return list(map(_field, models)), pages


def refused_fields(answer: Answer, names: Sequence[str]) -> dict[str, str]:
    """
    Return why each field of a batch was refused, by its name; those that were taken are left out.

    :param names: of the batch; one that the answer leaves out was not taken, as far as anybody knows
    :raises UnexpectedAnswer: it tells of none
    """
    content = answer.fields()
    entries = content.get("batchOperationResourcesStatus")
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise UnexpectedAnswer(answer.route, "batchOperationResourcesStatus")
    told = {_text(_mapping(one.get("resourceModel")).get("name")).lower() for one in entries}
    untold = [one for one in names if one not in told] if len(entries) < len(names) else []
    refused = dict.fromkeys(untold, "the answer tells nothing of it")
    for one in entries:
        if one.get("successful") is not True and one.get("operationResult") != "SUCCESS":
            why = " ".join(_text(one.get("errorDetails")).split())
            refused[_text(_mapping(one.get("resourceModel")).get("name")).lower()] = (
                "".join(each if each.isprintable() else " " for each in why)[:300] or "no reason is given"
            )
    return refused


def _field(model: Mapping[str, Any]) -> Field:
    return Field(
        name=model["name"].lower(),
        type=_text(model.get("type")),
        multi_value=model.get("multiValueFacet") is True,
        facet=model.get("facet") is True,
        sort=model.get("sort") is True,
        dictionary=model.get("keyValue") is True,
        system=model.get("system") is True,
        model=model,
    )


def permission_levels(answer: Answer) -> list[dict[str, Any]]:
    """
    Return the permissions of an item, as levels in the form in which they are pushed.

    :raises UnexpectedAnswer: they are no levels of sets of permissions
    """
    return [
        {
            "name": _text(level.get("name")),
            "permissionSets": [
                {
                    "allowAnonymous": each.get("anonymousAllowed") is True,
                    "allowedPermissions": _entries(answer, each, allowed=True),
                    "deniedPermissions": _entries(answer, each, allowed=False),
                }
                for each in _objects(answer, level, "permissionSets")
            ],
        }
        for level in _objects(answer, answer.fields(), "permissionLevels")
    ]


def _entries(answer: Answer, each: Mapping[str, Any], *, allowed: bool) -> list[dict[str, str]]:
    return [
        {name: _text(one.get(name)) for name in ("identity", "identityType", "securityProvider")}
        for one in _objects(answer, each, "permissions")
        if (one.get("allowed") is True) is allowed
    ]


def verdict_page(answer: Answer) -> tuple[Verdicts, int]:
    """
    Return who may see an item, of a page of them, and how many pages there are.

    :raises UnexpectedAnswer: it is no such page
    """
    page = answer.fields()
    found = {
        (_text(one.get("identity")).casefold(), _text(one.get("securityProvider")).casefold()): (
            one.get("allowed") is True
        )
        for one in _objects(answer, page, "items")
    }
    return (found, page.get("anonymousAllowed") is True), _pages(answer, page)


def identity_page(answer: Answer) -> tuple[list[IndexedIdentity], int]:
    """
    Return the identities on a page of them that have a name, and how many pages there are.

    :raises UnexpectedAnswer: it is no such page
    """
    page = answer.fields()
    found = [
        IndexedIdentity(_text(one.get("name")), _text(one.get("type")), _text(one.get("provider")))
        for one in _objects(answer, page, "items")
        if _text(one.get("name"))
    ]
    return found, _pages(answer, page)


def _page(answer: Answer, key: str, name: str) -> tuple[list[dict[str, Any]], int]:
    """Return the models of a page, each of which has a name, and how many pages there are."""
    page = answer.fields()
    models, pages = page.get(key), _pages(answer, page)
    if not isinstance(models, list) or not all(
        isinstance(one, dict) and isinstance(one.get(name), str) and one[name] for one in models
    ):
        raise UnexpectedAnswer(answer.route, f"{key}, each with its {name}")
    return models, pages


def _pages(answer: Answer, page: Mapping[str, Any]) -> int:
    pages = _count(page.get("totalPages"))
    if pages is None:
        raise UnexpectedAnswer(answer.route, "totalPages")
    return pages


def _objects(answer: Answer, holder: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = holder.get(name)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise UnexpectedAnswer(answer.route, name)
    return found


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return None
    return value
