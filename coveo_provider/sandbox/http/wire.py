"""HTTP's own forms: the request line, a body in chunks, names of this machine, an answer to write."""

from __future__ import annotations

import email.errors
import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import parse_qsl, unquote_to_bytes

from coveo_provider.sandbox.calls.request import Body, Reader, Request
from coveo_provider.sandbox.service.errors import ApiError

if TYPE_CHECKING:
    from email.message import Message

_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")
_ONCE = ("Content-Length", "Transfer-Encoding", "Host", "Authorization", "Content-Type")
# The headers are read without the body behind them, whose defects (as of multipart/form-data) are none here.
_HEADER_DEFECTS = (
    email.errors.FirstHeaderLineIsContinuationDefect,
    email.errors.HeaderDefect,
    email.errors.MalformedHeaderDefect,
    email.errors.MisplacedEnvelopeHeaderDefect,
    email.errors.MissingHeaderBodySeparatorDefect,
)
_MOST_TRAILERS = 100
_DRAIN_STEP = 1 << 20


class BadRequestError(Exception):
    """The request cannot be understood as HTTP; the connection ends with a 400."""


@dataclass(frozen=True)
class Reply:
    """An answer to write: status, body and its type, further headers."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


def names_this_machine(host: str) -> bool:
    """Say whether a Host header names this machine by ``localhost`` or a loopback address, and nothing else."""
    match = _HOST.fullmatch(host)
    name = match[1].strip("[]").lower() if match else ""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def check_own(request: Request) -> None:
    """
    Refuse a request to what needs no key, unless it is for this machine and, from a browser, of our own page.

    :raises ApiError: 403 ``ACCESS_DENIED``
    """
    host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
    if not names_this_machine(host) or origin not in (None, f"http://{host}", f"https://{host}"):
        raise ApiError(403, "ACCESS_DENIED", "The sandbox's controls answer this machine only.")


def is_for_this_machine(target: str, headers: Message) -> bool:
    """Say whether a request is for this machine, by its Host and, where it has one, the target's own."""
    hosts = headers.get_all("Host", [])
    if named := re.match(r"https?://([^/?]*)", target):
        hosts.append(named[1])
    return all(map(names_this_machine, hosts))


def read_request(method: str, target: str, headers: Message, reader: Reader, request_id: str) -> Request:
    """
    Take a request line and the headers apart; the body stays unread.

    :raises BadRequestError: when path or query are not percent-encoded UTF-8, or the headers do not tell where
        the body ends
    """
    body = _body(headers, reader)
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
    names: Any = headers  # an email message, whose names compare without case
    return Request(method, path, parts, dict(reversed(pairs)), names, body, request_id, pairs=pairs)


def _body(headers: Message, reader: Reader) -> Body:
    if any(isinstance(one, _HEADER_DEFECTS) for one in headers.defects):
        raise BadRequestError("a header line is malformed")
    for name in _ONCE:
        if len(headers.get_all(name, [])) > 1:
            raise BadRequestError(f"{name} appears twice")
    length = headers.get("Content-Length")
    coding = headers.get("Transfer-Encoding")
    if coding is not None:
        if coding.strip().lower() != "chunked" or length is not None:
            raise BadRequestError("this Transfer-Encoding is not understood")
        return Body(Chunks(reader), None, chunked=True)
    if length is not None and not (length.isascii() and length.isdigit() and len(length) < 16):
        raise BadRequestError("Content-Length is not a number")
    return Body(reader, int(length) if length else None, chunked=False)


def drain(body: Body, limit: int) -> bool:
    """Read and drop what is left of a body, so that the answer is seen; False when it is too much or breaks off."""
    if (body.length or 0) - body.read_bytes > limit:
        return False
    try:
        dropped = 0
        while data := body.read(_DRAIN_STEP):
            dropped += len(data)
            if dropped > limit:
                return False
    except (BadRequestError, ConnectionError):
        return False
    return True


class Chunks:
    """
    The content of a body in chunks (``Transfer-Encoding: chunked``).

    :param reader: gives the bytes as sent
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._left = 0
        self._ended = False

    def read(self, size: int, /) -> bytes:
        """Give up to ``size`` bytes, none at the end; ConnectionError when the sender stops short."""
        if self._ended or (not self._left and not self._next_chunk()):
            return b""
        data = self._reader.read(min(size, self._left))
        if not data:
            self._ended = True
            raise ConnectionAbortedError("the body ended within a chunk")
        self._left -= len(data)
        if self._left == 0 and self._line().strip():
            self._refuse("a chunk is longer than it says")
        return data

    def _next_chunk(self) -> bool:
        """Read a chunk's header; False after the last one."""
        size_text = self._line().split(b";")[0].strip()
        if not _CHUNK_SIZE.fullmatch(size_text):  # int() takes 0x2, +2 and 0_2 too
            self._refuse("bad chunk length")
        self._left = int(size_text, 16)
        if self._left:
            return True
        self._ended = True
        trailers = 0
        while self._line().strip():
            trailers += 1
            if trailers > _MOST_TRAILERS:
                self._refuse("too many trailers")
        return False

    def _refuse(self, problem: str) -> NoReturn:
        self._ended = True
        raise BadRequestError(problem)

    def _line(self) -> bytes:
        line = bytearray()
        while not line.endswith(b"\n"):
            byte = self._reader.read(1)
            if not byte:
                self._ended = True
                raise ConnectionAbortedError("the body ended within a chunk header")
            line += byte
            if len(line) > 4096:
                self._refuse("a chunk header is too long")
        return bytes(line)
