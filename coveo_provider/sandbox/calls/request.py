"""A request as the calls see it: what the path names, query, headers, and a body that is not read yet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol

from coveo_provider.sandbox.service import jsontext
from coveo_provider.sandbox.service.errors import (
    ApiError,
    invalid_json,
    invalid_parameter,
    missing_parameter,
    too_large,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_ORDERING_ID = re.compile(r"[0-9]{13}")
_WHOLE = re.compile(r"[0-9]{1,12}")
_COPY_BYTES = 1 << 20
_MOST_PAGES, _MOST_PER_PAGE, _PER_PAGE = 10**9, 1000, 100


class Reader(Protocol):
    """Where a body's bytes come from."""

    def read(self, size: int, /) -> bytes:
        """Give up to ``size`` bytes, none at the end."""


@dataclass
class Body:
    """
    A request's body, not read yet.

    :param reader: gives the bytes; those of a body in chunks without the chunks' headers
    :param length: declared length in bytes; None when none was declared
    :param chunked: it comes in chunks (``Transfer-Encoding: chunked``) and ends where ``reader`` does
    """

    reader: Reader
    length: int | None
    chunked: bool
    read_bytes: int = 0
    _ended: bool = False

    @property
    def present(self) -> bool:
        """Whether there is a body at all."""
        return self.chunked or bool(self.length)

    def read(self, size: int) -> bytes:
        """Give up to ``size`` bytes, none at the end; ConnectionError when the sender stops short."""
        if self._ended:
            return b""
        if not self.chunked:
            size = min(size, (self.length or 0) - self.read_bytes)
        data = self.reader.read(size) if size > 0 else b""
        if size > 0 and not data:
            self._ended = True
            if not self.chunked:
                raise ConnectionAbortedError("the body ended before its declared length")
        self.read_bytes += len(data)
        return data

    def read_all(self, limit: int) -> bytes:
        """Give the whole body; 413 when it has more than ``limit`` bytes."""
        if (self.length or 0) > limit:
            raise too_large(f"The request has {self.length} bytes; the limit is {limit}.")
        parts: list[bytes] = []
        size = 0
        while data := self.read(_COPY_BYTES):
            parts.append(data)
            size += len(data)
            if size > limit:
                raise too_large(f"The request has more than {limit} bytes.")
        return b"".join(parts)

    def read_inline(self, limit: int) -> bytes:
        """Give the whole body, which stays under ``limit`` bytes; 413 when it does not."""
        text = self.read_all(limit)
        if len(text) >= limit:
            raise too_large(f"The request has {len(text)} bytes and must stay under {limit}.")
        return text

    def copy_to(self, file: IO[bytes]) -> int:
        """Write the body to a file; give the number of bytes."""
        while data := self.read(_COPY_BYTES):
            file.write(data)
        return self.read_bytes


class Paging(NamedTuple):
    """Which page of a list is asked for, and how long a page is."""

    number: int
    size: int

    @property
    def offset(self) -> int:
        """How many rows come before the page."""
        return self.number * self.size

    def answer(
        self, rows: Sequence[object], *, total: int | None = None, key: str = "items"
    ) -> dict[str, Any]:
        """
        Give the page's rows in the API's form.

        :param rows: all rows, or those of the page when ``total`` says how many there are in all
        """
        if total is None:
            total, rows = len(rows), rows[self.offset : self.offset + self.size]
        return {key: list(rows), "totalEntries": total, "totalPages": -(-total // self.size)}


@dataclass
class Request:
    """
    One request.

    :param path: as sent, without the query
    :param parts: decoded path segments
    :param values: what the route's placeholders matched
    :param pairs: the query in full, as a name may stand several times; ``query`` has the first of each
    :param headers: names compare without case
    """

    method: str
    path: str
    parts: tuple[str, ...]
    query: dict[str, str]
    headers: Mapping[str, str]
    body: Body
    request_id: str
    values: dict[str, str] = field(default_factory=dict)
    pairs: Sequence[tuple[str, str]] = ()

    def json(self, limit: int) -> dict[str, Any]:
        """
        Read a JSON object of at most ``limit`` bytes; nothing counts as ``{}``, as clients differ in it.

        :raises ApiError: 400 ``INVALID_JSON``, 413
        """
        text = self.body.read_all(limit)
        value = self._parse(text) if text.strip() else {}
        if type(value) is not dict:
            raise invalid_json("The body is not a JSON object.")
        return value

    def json_array(self, limit: int) -> list[Any]:
        """
        Read a JSON array of at most ``limit`` bytes.

        :raises ApiError: 400 ``INVALID_JSON``, 413
        """
        value = self._parse(self.body.read_all(limit))
        if type(value) is not list:
            raise invalid_json("The body is not a JSON array.")
        return value

    @staticmethod
    def _parse(text: bytes) -> Any:
        try:
            return jsontext.parse(text)
        except jsontext.BadJsonError as error:
            raise invalid_json(f"The body is not valid JSON: {error}") from None

    def check_json_type(self) -> None:
        """
        Refuse a body of another type: 415 ``UNSUPPORTED_MEDIA_TYPE`` (docs 95).

        The pages ask for the header on every call; a call without a body passes without it, as real clients
        send none (``docs/api-notes.md, "What other clients do"``).
        """
        kind = self.headers.get("Content-Type", "").split(";")[0].strip().lower()
        if self.body.present and kind != "application/json":
            raise ApiError(
                415, "UNSUPPORTED_MEDIA_TYPE", f"Content-Type must be application/json, not '{kind}'."
            )

    def required(self, name: str) -> str:
        """Give a query parameter; 412 ``MISSING_PARAMETER`` without it."""
        value = self.query.get(name)
        if not value:
            raise missing_parameter(name)
        return value

    def ordering_id(self, name: str = "orderingId") -> int | None:
        """Give an orderingId, exactly 13 digits (docs 147), or None when it was left out."""
        value = self.query.get(name)
        return None if value is None else check_ordering_id(name, value)

    def whole(self, name: str, default: int, most: int) -> int:
        """Give a whole number from 0 to ``most``."""
        value = self.query.get(name)
        if value is None:
            return default
        if not _WHOLE.fullmatch(value) or int(value) > most:
            raise invalid_parameter(name, f"'{value}' is not a whole number from 0 to {most}.")
        return int(value)

    def flag(self, name: str) -> bool:
        """Give a boolean, false when it was left out."""
        value = self.query.get(name, "false").lower()
        if value not in ("true", "false"):
            raise invalid_parameter(name, f"'{value}' is neither true nor false.")
        return value == "true"

    def moment_ms(self, name: str) -> int | None:
        """Give an ISO date-time in milliseconds since 1970, None when it was left out; without a zone it is UTC."""
        value = self.query.get(name)
        if value is None:
            return None
        try:
            moment = datetime.fromisoformat(value.replace("Z", "+00:00").replace(" ", "+"))
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=timezone.utc)
            return int(moment.timestamp() * 1000)
        except (ValueError, OverflowError):
            raise invalid_parameter(name, f"'{value}' is not an ISO date-time.") from None

    def paging(self, size: str = "perPage") -> Paging:
        """Give ``page`` and the parameter that says how long a page is, 100 when it was left out."""
        paging = Paging(self.whole("page", 0, _MOST_PAGES), self.whole(size, _PER_PAGE, _MOST_PER_PAGE))
        if not paging.size:
            raise invalid_parameter(size, "it is at least 1.")
        return paging


def check_ordering_id(name: str, value: str) -> int:
    """Read an orderingId; 412 ``INVALID_PARAMETER`` unless it is a number of 13 digits."""
    if not _ORDERING_ID.fullmatch(value) or value[0] == "0":
        raise invalid_parameter(name, f"'{value}' is not a number of 13 digits (milliseconds since 1970).")
    return int(value)
