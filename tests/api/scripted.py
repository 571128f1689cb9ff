"""A server that answers exactly what a test tells it to, for what the sandbox cannot say."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

DATE = "Thu, 01 Jan 2026 00:00:00 GMT"
DATE_MS = 1_767_225_600_000

Reply: TypeAlias = "bytes | Callable[[socket.socket], None]"


@dataclass(frozen=True)
class Got:
    """A request as it came over the wire."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


def http(status: int, body: bytes | str = b"", *, date: str | None = DATE, **headers: str) -> bytes:
    """An answer as bytes; ``Retry_After="1"`` becomes the header ``Retry-After``."""
    content = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Scripted"]
    if date is not None:
        lines.append(f"Date: {date}")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named.setdefault("Content-Length", str(len(content)))
    lines += [f"{name}: {value}" for name, value in named.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + content


def reset(connection: socket.socket) -> None:
    """Cut the connection with a RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def hang(connection: socket.socket) -> None:
    """Say nothing until the other side gives up."""
    with contextlib.suppress(OSError):
        while connection.recv(1 << 16):
            pass


def then(first: bytes, action: Callable[[socket.socket], None]) -> Callable[[socket.socket], None]:
    """Send ``first``, then do something else to the connection."""

    def reply(connection: socket.socket) -> None:
        connection.sendall(first)
        action(connection)

    return reply


class Scripted:
    """
    Listens on 127.0.0.1 and gives one planned reply to each request, the last one again and again.

    :param context: speak TLS with this
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        self.got: list[Got] = []
        self.connections = 0
        self._paused = False
        self._replies: list[Reply] = []
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def reply(self, *replies: Reply) -> None:
        """Plan the replies to come."""
        self._replies = list(replies)

    def pause(self) -> None:
        """Accept connections from now on, and read nothing from them."""
        self._paused = True

    def wait_closed(self) -> bool:
        """Whether the other side closes all its connections."""
        for thread in self._threads:
            thread.join(5)
        return not any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Stop listening."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept, which would take one more
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                if self._paused:
                    continue
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            self._open.append(connection)
            with connection.makefile("rb") as stream:
                while got := _read(stream):
                    self.got.append(got)
                    reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
                    if callable(reply):
                        stream.close()
                        reply(connection)
                        connection.close()
                        return
                    connection.sendall(reply)


def _read(stream: Any) -> Got | None:
    line = stream.readline().decode("latin-1").split()
    if not line:
        return None
    headers = {}
    while text := stream.readline().decode("latin-1").strip():
        name, _, value = text.partition(":")
        headers[name] = value.strip()
    body = stream.read(int(headers.get("Content-Length", 0)))
    return Got(line[0], line[1], headers, body)
