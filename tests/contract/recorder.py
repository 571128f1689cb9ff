"""A proxy on loopback that notes what crosses the socket, as it was sent, and changes nothing."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Exchange:
    """
    One request and its answer.

    :param target: path and query, as sent
    """

    method: str
    target: str
    headers: Headers
    body: bytes
    status: int
    answer_headers: Headers
    answer: bytes

    @property
    def path(self) -> str:
        """The path as sent, percent-encoded."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> list[tuple[str, str]]:
        """The query, decoded."""
        return parse_qsl(self.target.partition("?")[2], keep_blank_values=True, strict_parsing=False)

    @property
    def uploads(self) -> bool:
        """Whether it goes to the storage instead of the API."""
        return self.path.startswith("/_s3/")

    def __str__(self) -> str:
        return f"{self.method} {self.path} → {self.status}"


class Recorder(ThreadingHTTPServer):
    """
    Listens on a port of its own and passes everything on to ``upstream``, an ``http://`` address.

    :ivar url: where it listens
    """

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream)
        self._lock = threading.Lock()
        self._exchanges: list[Exchange] = []
        super().__init__(("127.0.0.1", 0), _Passing)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def exchanges(self) -> list[Exchange]:
        """What was noted so far, in the order of the answers."""
        with self._lock:
            return list(self._exchanges)

    def note(self, exchange: Exchange) -> None:
        """Add an exchange."""
        with self._lock:
            self._exchanges.append(exchange)

    def clear(self) -> None:
        """Forget what was noted."""
        with self._lock:
            self._exchanges.clear()


@contextmanager
def recording(upstream: str) -> Iterator[Recorder]:
    """Run a recorder while the block lasts."""
    with Recorder(upstream) as recorder:
        thread = threading.Thread(target=recorder.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield recorder
        recorder.shutdown()
        thread.join(10)


class _Passing(BaseHTTPRequestHandler):
    server: Recorder
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._pass
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing."""

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = tuple((name, str(value)) for name, value in self.headers.items())
        onward = http.client.HTTPConnection(str(self.server.upstream.netloc), timeout=60)
        try:
            onward.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers:
                onward.putheader(name, value)
            onward.endheaders(body or None)
            answer = onward.getresponse()
            content = answer.read()
        except (http.client.HTTPException, OSError):  # cut by the sandbox: cut here as well
            self.close_connection = True
            return
        finally:
            onward.close()
        answered = tuple(answer.getheaders())
        self.server.note(Exchange(self.command, self.path, headers, body, answer.status, answered, content))
        self.send_response_only(answer.status, answer.reason)
        for name, value in answered:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
