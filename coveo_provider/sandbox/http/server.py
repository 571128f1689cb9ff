"""
The server: HTTP/1.1 with keep-alive, on loopback, one thread per connection.

Written on the standard library's server rather than werkzeug's, which ends the connection after every
answer, and because a fault needs the socket itself.
"""

from __future__ import annotations

import contextlib
import io
import select
import socket
import struct
import threading
import time
import uuid
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any, NoReturn

import orjson

from coveo_provider.sandbox.calls.request import Body, Request
from coveo_provider.sandbox.http.app import OWN, malformed, misdirected
from coveo_provider.sandbox.http.faults import Answer, Cut, Duplicate, ExpireUpload, Slow, Stall, Truncate
from coveo_provider.sandbox.http.wire import (
    BadRequestError,
    Reply,
    drain,
    is_for_this_machine,
    read_request,
)
from coveo_provider.sandbox.service.records import Call

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from coveo_provider.sandbox.http.app import App
    from coveo_provider.sandbox.http.faults import Action, Dates, Faults
    from coveo_provider.sandbox.service.state import State

_IDLE_SECONDS = 120.0
# A refused body is read to its end up to this size, so that its sender sees the answer instead of a broken
# pipe.
_DRAIN_BYTES = 300 * 1024 * 1024
_SECRET_PARAMETERS = ("access_token", "token", "apikey", "api_key")


class _AbandonedError(Exception):
    """The connection was cut on purpose."""


class Server(ThreadingMixIn, TCPServer):
    """
    Listens on 127.0.0.1 only.

    :param port: 0 for any free one
    :param dates: how wrong the answers' ``Date`` is
    :param tls: to answer by ``https``
    :raises OSError: when the port is taken
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self,
        port: int,
        state: State,
        app: App,
        faults: Faults,
        dates: Dates,
        on_call: Callable[[Call], None],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._tls = tls
        self.state, self.app, self.faults, self.dates, self.on_call = state, app, faults, dates, on_call
        self.stopping = threading.Event()
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Exchange)
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.02}, name="coveo-sandbox", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def stop(self) -> None:
        """Stop listening and end every connection."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        with self._lock:
            open_now = list(self._connections)
        for connection in open_now:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; the handshake of TLS is left to the connection's own thread."""
        connection, address = super().get_request()
        if self._tls is not None:
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def process_request(self, request: Any, client_address: Any) -> None:
        """Note the connection, so that :meth:`stop` can end it."""
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection."""
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: what reaches here is a connection that broke."""


class _Exchange(BaseHTTPRequestHandler):
    """Reads requests from one connection, and writes answers and failures to it."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS
    disable_nagle_algorithm = True
    wbufsize = -1

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._exchange
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing: a request line can hold a signed address."""

    def handle(self) -> None:
        """Serve a connection; one that breaks is over."""
        with contextlib.suppress(ConnectionError, TimeoutError, _AbandonedError, ValueError):
            super().handle()

    def finish(self) -> None:
        """Close the files; a cut connection has nothing left to flush."""
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request line or headers the base class could not read."""
        self.close_connection = True
        self.request_version = self.protocol_version  # else an unread request line counts as HTTP/0.9
        refused = malformed(message or "bad request")
        self._write(Reply(int(code), refused.body("")), str(uuid.uuid4()), head=False)

    def _exchange(self) -> None:
        self._began = time.monotonic()
        request_id = str(uuid.uuid4())
        try:
            request = read_request(self.command, self.path, self.headers, self.rfile, request_id)
        except BadRequestError as error:
            self.close_connection = True
            self._write(Reply(400, malformed(str(error)).body(request_id)), request_id)
            return
        if not is_for_this_machine(self.path, self.headers):
            self.close_connection = True
            self._write(Reply(403, misdirected().body(request_id)), request_id)
            return
        name = self.server.app.route_name(request)
        if name in OWN:
            self._finish(request, name, self._carry_out(request))
            return
        self._with_fault(request, name, self.server.faults.take(name, request.method, request.path))

    def _with_fault(self, request: Request, name: str, fault: Action | None) -> None:
        match fault:
            case Stall():
                self.server.stopping.wait(fault.seconds)
                self._cut(request, name)
            case Cut(when="before"):
                self._cut(request, name)
            case Cut(when="during"):
                if request.body.present:
                    request.body.read(max(1, (request.body.length or 2) // 2))
                self._cut(request, name)
            case Cut():
                self._carry_out(request)
                self._cut(request, name, reached=True)
            case Answer():
                if fault.when == "after":
                    self._carry_out(request)
                body = fault.body.encode() if isinstance(fault.body, str) else fault.body
                reply = Reply(fault.status, body, fault.content_type, fault.headers)
            case Duplicate():
                reply = self._twice(request, fault)
            case ExpireUpload():
                reply = self._with_expired_upload(request, name)
            case _:
                reply = self._carry_out(request)
        self._finish(request, name, reply, fault)

    def _carry_out(self, request: Request) -> Reply:
        try:
            return self.server.app.answer(request)
        except BadRequestError as error:
            self.close_connection = True
            return Reply(400, malformed(str(error)).body(request.request_id))

    def _with_expired_upload(self, request: Request, name: str) -> Reply:
        containers = self.server.state.containers
        if name == "upload":
            containers.expire(request.parts[-1])
            return self._carry_out(request)
        reply = self._carry_out(request)
        if reply.status < 300:
            containers.expire(orjson.loads(reply.body or b"{}").get("fileId", ""))
        return reply

    def _twice(self, request: Request, fault: Duplicate) -> Reply:
        """Keep a small body to read it again; an upload is its own duplicate and is carried out once."""
        if request.parts[0] == "_s3":
            return self._carry_out(request)
        body = request.body
        text = body.read_all(self.server.state.limits.inline_bytes * 2)
        replies = []
        for _ in range(2):
            request.body = Body(io.BytesIO(text), len(text), chunked=False)
            replies.append(self._carry_out(request))
        request.body = body
        return replies[1] if fault.last else replies[0]

    def _finish(self, request: Request, name: str, reply: Reply, fault: Action | None = None) -> None:
        if not drain(request.body, _DRAIN_BYTES):
            self.close_connection = True
        reached = not isinstance(fault, Answer) or fault.when == "after"
        self._note(request, name, reply.status, reached=reached)
        if isinstance(fault, Truncate):
            self.close_connection = True
            self._write(reply, request.request_id, name, keep=fault.keep)
        elif isinstance(fault, Slow):
            self._write(reply, request.request_id, name, seconds=fault.seconds)
        else:
            self._write(reply, request.request_id, name)

    def _date(self, name: str) -> str | None:
        """Give the ``Date`` of an answer: by the sandbox's clock, not the machine's, and as wrong as asked for."""
        dates = self.server.dates
        off = 0.0 if name in OWN else (dates.storage if name == "upload" else dates.api)
        now = self.server.state.clock.now_ms() / 1000
        return None if off is None else formatdate(now + off, usegmt=True)

    def _write(
        self,
        reply: Reply,
        request_id: str,
        name: str = "unknown",
        *,
        keep: int | None = None,
        seconds: float = 0.0,
        head: bool | None = None,
    ) -> None:
        head = self.command == "HEAD" if head is None else head
        if seconds and not reply.body:
            self.server.stopping.wait(seconds)
        self.send_response_only(reply.status)
        self.send_header("Server", "coveo-sandbox")
        if (date := self._date(name)) is not None:
            self.send_header("Date", date)
        if reply.body or reply.content_type != "application/json":
            self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        self.send_header("X-Request-ID", request_id)
        for header, value in reply.headers:
            self.send_header(header, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        body = b"" if head else reply.body[:keep]
        if seconds and body:
            for at in range(len(body)):
                self.wfile.write(body[at : at + 1])
                self.wfile.flush()
                self.server.stopping.wait(seconds / len(body))
        else:
            self.wfile.write(body)
        self.wfile.flush()
        if self.close_connection:
            self._linger()

    def _linger(self) -> None:
        """Let the sender read the answer before the close: unread bytes would turn it into a reset."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            until = time.monotonic() + 5
            while (left := until - time.monotonic()) > 0 and not self.server.stopping.is_set():
                if select.select([self.connection], [], [], left)[0] and not self.connection.recv(1 << 20):
                    break

    def _cut(self, request: Request, name: str, *, reached: bool = False) -> NoReturn:
        """Reset the connection: the other side sees it break, whatever it was doing."""
        self._note(request, name, 0, reached=reached)
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.wfile.close()
        self.connection.close()
        raise _AbandonedError

    def _note(self, request: Request, name: str, status: int, *, reached: bool) -> None:
        if name in OWN:
            return
        upload = name == "upload"
        self.server.on_call(
            Call(
                method=request.method,
                path="/_s3/(redacted)" if upload else request.path,
                query={}
                if upload
                else {
                    key: "(redacted)" if key.lower() in _SECRET_PARAMETERS else value
                    for key, value in request.query.items()
                },
                status=status,
                route=name,
                request_bytes=request.body.read_bytes,
                content_length=request.body.length,
                reached=reached,
                time_ms=self.server.state.clock.now_ms(),
                seconds=time.monotonic() - self._began,
            )
        )
