"""A request as handlers see it and an answer as they may give it; the socket stays in ``server``."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, NoReturn, Protocol
from urllib.parse import parse_qsl, unquote_to_bytes

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
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")
_MOST_TRAILERS = 100
_COPY_BYTES = 1 << 20


class BadRequestError(Exception):
    """The request cannot be understood as HTTP; the connection ends with a 400."""


def names_this_machine(host: str) -> bool:
    """Say whether a Host header names this machine by ``localhost`` or a loopback address, and nothing else."""
    found = _HOST.fullmatch(host)
    name = found[1].strip("[]").lower() if found else ""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class Source(Protocol):
    """Where a body is read from."""

    def read(self, size: int, /) -> bytes:
        """Give up to ``size`` bytes, none at the end."""


@dataclass
class Body:
    """
    A request's body, not read yet.

    :param length: declared length in bytes; None when none was declared
    :param chunked: it comes in chunks (``Transfer-Encoding: chunked``)
    """

    source: Source
    length: int | None
    chunked: bool
    read_bytes: int = 0
    _chunk_left: int = 0
    _ended: bool = False

    @property
    def present(self) -> bool:
        """Whether there is a body at all."""
        return self.chunked or bool(self.length)

    def read(self, size: int) -> bytes:
        """Give up to ``size`` bytes, none at the end; ConnectionError when the sender stops short."""
        if self._ended:
            return b""
        if self.chunked:
            return self._read_chunked(size)
        left = (self.length or 0) - self.read_bytes
        data = self.source.read(min(size, left)) if left > 0 else b""
        if left > 0 and not data:
            self._ended = True
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

    def copy_to(self, file: IO[bytes]) -> int:
        """Write the body to a file; give the number of bytes."""
        while data := self.read(_COPY_BYTES):
            file.write(data)
        return self.read_bytes

    def drain(self, limit: int) -> bool:
        """Read and drop what is left, so that the answer is seen; False when it is too much or breaks off."""
        if (self.length or 0) - self.read_bytes > limit:
            return False
        try:
            dropped = 0
            while data := self.read(_COPY_BYTES):
                dropped += len(data)
                if dropped > limit:
                    return False
        except (BadRequestError, ConnectionError):
            return False
        return True

    def _read_chunked(self, size: int) -> bytes:
        if self._chunk_left == 0:
            size_text = self._line().split(b";")[0].strip()
            if not _CHUNK_SIZE.fullmatch(size_text):  # int() takes 0x2, +2 and 0_2 too
                self._refuse("bad chunk length")
            self._chunk_left = int(size_text, 16)
            if self._chunk_left == 0:
                trailers = 0
                while self._line().strip():
                    trailers += 1
                    if trailers > _MOST_TRAILERS:
                        self._refuse("too many trailers")
                self._ended = True
                return b""
        data = self.source.read(min(size, self._chunk_left))
        if not data:
            raise ConnectionAbortedError("the body ended within a chunk")
        self._chunk_left -= len(data)
        self.read_bytes += len(data)
        if self._chunk_left == 0 and self._line().strip():
            self._refuse("a chunk is longer than it says")
        return data

    def _refuse(self, problem: str) -> NoReturn:
        self._ended = True
        raise BadRequestError(problem)

    def _line(self) -> bytes:
        line = bytearray()
        while not line.endswith(b"\n"):
            byte = self.source.read(1)
            if not byte:
                raise ConnectionAbortedError("the body ended within a chunk header")
            line += byte
            if len(line) > 4096:
                self._refuse("a chunk header is too long")
        return bytes(line)


@dataclass
class Request:
    """
    One request.

    :param path: as sent, without the query
    :param parts: decoded path segments
    :param values: what the route's placeholders matched
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

    @classmethod
    def of(cls, method: str, target: str, headers: Mapping[str, str], body: Body, request_id: str) -> Request:
        """
        Take a request line apart.

        :raises BadRequestError: when path or query are not percent-encoded UTF-8
        """
        if re.match(r"https?://", target):
            target = "/" + target.split("/", 3)[3] if target.count("/") > 2 else "/"
        path, _, query = target.partition("?")
        if not path.startswith("/") or "#" in target:
            raise BadRequestError("the request target is not a path")
        try:
            parts = tuple(unquote_to_bytes(part).decode("utf-8") for part in path[1:].split("/"))
            pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=100)
        except ValueError:
            raise BadRequestError("the request target is not percent-encoded UTF-8") from None
        if len(parts) > 1 and not parts[-1]:
            parts = parts[:-1]
        return cls(method, path, parts, dict(reversed(pairs)), headers, body, request_id)

    def json(self, limit: int) -> Any:
        """
        Read a JSON body of at most ``limit`` bytes; nothing counts as ``{}`` (push-api.md 1: clients differ).

        :raises ApiError: 400 ``INVALID_JSON``, 413
        """
        text = self.body.read_all(limit)
        if not text.strip():
            return {}
        try:
            value = jsontext.parse(text)
        except jsontext.BadJsonError as error:
            raise invalid_json(f"The body is not valid JSON: {error}") from None
        if type(value) is not dict:
            raise invalid_json("The body is not a JSON object.")
        return value

    def check_json_type(self) -> None:
        """
        Refuse a body of another type (limits-and-errors.md 3: 415 ``UNSUPPORTED_MEDIA_TYPE``).

        The pages ask for the header on every call; a call without a body passes without it, because an empty
        body "or nothing" is taken from real clients (push-api.md 1).
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
        """Give an orderingId, exactly 13 digits (push-api.md 7), or None when it was left out."""
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


def check_ordering_id(name: str, value: str) -> int:
    """Read an orderingId; 412 ``INVALID_PARAMETER`` unless it is a number of 13 digits."""
    if not _ORDERING_ID.fullmatch(value) or value[0] == "0":
        raise invalid_parameter(name, f"'{value}' is not a number of 13 digits (milliseconds since 1970).")
    return int(value)


@dataclass(frozen=True)
class Reply:
    """An answer to write: status, body and its type, further headers."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
