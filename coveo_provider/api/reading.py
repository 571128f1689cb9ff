"""Makes typed values of answers, and refuses those that lack what they should hold."""

from __future__ import annotations

import re

from coveo_provider.api.answers import Answer, parse_json
from coveo_provider.api.endpoints import is_loopback, split_url
from coveo_provider.api.types import MARK_DIGITS, Accepted, FileContainer, Source
from coveo_provider.errors import ConfigurationError, UnexpectedAnswer

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


def source(answer: Answer, source_id: str) -> Source:
    """
    Return what the platform says of a source.

    :raises UnexpectedAnswer: it says nothing of this source
    """
    model = answer.fields("id")
    if model["id"].casefold() != source_id.casefold():
        raise UnexpectedAnswer(answer.route, "the id of the source that was asked for")
    information = model.get("information")
    count = information.get("numberOfDocuments") if isinstance(information, dict) else None
    return Source(
        source_id=source_id,
        name=_text(model.get("name")),
        kind=_text(model.get("sourceType")),
        visibility=_text(model.get("sourceVisibility")),
        document_count=_count(count),
        push_enabled=model.get("pushEnabled") is True,
        stream_enabled=model.get("streamEnabled") is True,
    )


def total_entries(answer: Answer) -> int:
    """
    Return how many entries a paged listing has.

    :raises UnexpectedAnswer: it does not say
    """
    count = _count(answer.fields().get("totalEntries"))
    if count is None:
        raise UnexpectedAnswer(answer.route, "totalEntries")
    return count


def field_page(answer: Answer) -> tuple[list[str], int]:
    """
    Return the names on a page of fields, and how many pages there are.

    :raises UnexpectedAnswer: it is no such page
    """
    page = answer.fields()
    items, pages = page.get("items"), _count(page.get("totalPages"))
    if pages is None:
        raise UnexpectedAnswer(answer.route, "totalPages")
    if not isinstance(items, list) or not all(
        isinstance(one, dict) and isinstance(one.get("name"), str) for one in items
    ):
        raise UnexpectedAnswer(answer.route, "items with names")
    return [one["name"] for one in items], pages


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return None
    return value
