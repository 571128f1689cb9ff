"""
Does the sandbox's own HTTP server keep up with a library's?

The same calls are carried out by the same code (:class:`App`) behind two servers, each in a process of its own: the
sandbox's, one thread a connection, and aiohttp, the named baseline, which hands each call to a pool of threads, as
what carries it out is not written for an event loop. A long body goes through a file on its way there.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

from benchmarks.table import Table

SERVERS = ("ours", "aiohttp")
_CLIENTS = 4
_BLOCK = bytes(1 << 20)
_HEADERS = "Host: 127.0.0.1\r\nAuthorization: Bearer sandbox-key\r\nContent-Type: application/json\r\n"
_INLINE = 1 << 16


@dataclass(frozen=True)
class Served:
    """
    What a server did.

    :param calls: small calls a second, over a few connections that stay open
    :param upload_mb: 10^6 bytes a second of one long upload, kept on disk
    :param connected: seconds until each of many connections, open at once, had its answer
    :param answered: how many of all calls were answered as they have to be
    """

    calls: float
    upload_mb: float
    connected: float
    answered: int


def measure(calls: int, upload_bytes: int, connections: int) -> dict[str, Served]:
    """Ask each server the same."""
    found = {}
    for name in SERVERS:
        with _running(name) as port:
            _many(port, calls // 10)
            start = time.perf_counter()
            answered = _many(port, calls)
            per_second = calls / (time.perf_counter() - start)
            target = json.loads(_ask(port, "POST", "/push/v1/organizations/sandbox/files")[1])
            path = target["uploadUri"].split(str(port), 1)[1]
            kind = target["requiredHeaders"]
            start = time.perf_counter()
            answered += _upload(port, path, kind, upload_bytes) == 200
            rate = upload_bytes / 1e6 / (time.perf_counter() - start)
            start = time.perf_counter()
            answered += _at_once(port, connections)
            found[name] = Served(per_second, rate, time.perf_counter() - start, answered)
    return found


def _many(port: int, calls: int) -> int:
    def some(_: int) -> int:
        with socket.create_connection(("127.0.0.1", port)) as one:
            return sum(
                _asked(one, "GET", "/rest/organizations/sandbox")[0] == 200 for _ in range(calls // _CLIENTS)
            )

    with ThreadPoolExecutor(_CLIENTS) as pool:
        return sum(pool.map(some, range(_CLIENTS)))


def _at_once(port: int, connections: int) -> int:
    open_now = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    try:
        return sum(_asked(one, "GET", "/rest/organizations/sandbox")[0] == 200 for one in open_now)
    finally:
        for one in open_now:
            one.close()


def _upload(port: int, path: str, headers: dict[str, str], size: int) -> int:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection(("127.0.0.1", port)) as one:
        head = f"PUT {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{lines}Content-Length: {size}\r\n\r\n"
        one.sendall(head.encode())
        for start in range(0, size, len(_BLOCK)):
            one.sendall(_BLOCK[: size - start])
        return _read(one)[0]


def _ask(port: int, method: str, path: str) -> tuple[int, bytes]:
    with socket.create_connection(("127.0.0.1", port)) as one:
        return _asked(one, method, path)


def _asked(one: socket.socket, method: str, path: str) -> tuple[int, bytes]:
    one.sendall(f"{method} {path} HTTP/1.1\r\n{_HEADERS}\r\n".encode())
    return _read(one)


def _read(one: socket.socket) -> tuple[int, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += one.recv(65_536) or b"\r\n\r\n"
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    ]
    while len(body) < sum(lengths):
        body += one.recv(65_536)
    return int(head.split()[1]), body


@contextmanager
def _running(name: str) -> Iterator[int]:
    command = [sys.executable, "-m", "benchmarks.sandbox_server", "--serve", name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def _serve_ours() -> None:
    from coveo_provider.sandbox import Sandbox

    with Sandbox.start() as sandbox:
        print(sandbox.url.rsplit(":", 1)[1], flush=True)
        with suppress(KeyboardInterrupt):
            time.sleep(86_400)


def _serve_aiohttp() -> None:
    from aiohttp import web

    from coveo_provider.sandbox.http.app import App
    from coveo_provider.sandbox.service.state import State

    state = State()
    app = App(state, _nothing, _nothing)

    async def answer(asked: web.Request) -> web.Response:
        import asyncio

        with tempfile.SpooledTemporaryFile(_INLINE) as body:
            async for data in asked.content.iter_chunked(1 << 20):
                body.write(data)
            length = body.tell()
            body.seek(0)
            request = _as_request(asked, body, length)
            reply = await asyncio.to_thread(app.answer, request)
        return web.Response(
            status=reply.status, body=reply.body, headers=dict(reply.headers), content_type=reply.content_type
        )

    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        port = listening.getsockname()[1]
        state.base_url = f"http://127.0.0.1:{port}"
        application = web.Application(client_max_size=1 << 40)
        application.router.add_route("*", "/{path:.*}", answer)
        print(port, flush=True)
        web.run_app(application, sock=listening, print=None, access_log=None)


def _as_request(asked: Any, body: IO[bytes], length: int) -> Any:
    from coveo_provider.sandbox.calls.request import Body, Request

    path = asked.raw_path.partition("?")[0]
    parts = tuple(asked.path[1:].split("/"))
    return Request(
        asked.method,
        path,
        parts,
        dict(asked.query),
        asked.headers,
        Body(body, length, chunked=False),
        str(uuid.uuid4()),
        pairs=list(asked.query.items()),
    )


def _nothing(request: Any) -> Any:
    raise NotImplementedError(request.path)


def table(found: dict[str, Served], upload_bytes: int, connections: int) -> Table:
    """Return what was found, for people."""
    base = found["aiohttp"]
    return Table(
        "The sandbox's server",
        ["server", "calls/s", "of aiohttp", "upload MB/s", "of aiohttp", f"{connections} connections, s"],
        [
            [
                name,
                f"{one.calls:,.0f}",
                f"{one.calls / base.calls:.2f}",
                f"{one.upload_mb:,.0f}",
                f"{one.upload_mb / base.upload_mb:.2f}",
                f"{one.connected:.2f}",
            ]
            for name, one in found.items()
        ],
        f"Calls over {_CLIENTS} connections that stay open; one upload of {upload_bytes / 1e6:,.0f} MB.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0] if __doc__ else "")
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--upload-mb", type=int, default=256)
    parser.add_argument("--connections", type=int, default=400)
    parser.add_argument("--serve", choices=SERVERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        (_serve_ours if options.serve == "ours" else _serve_aiohttp)()
        return
    size = options.upload_mb * 1_000_000
    found = measure(options.calls, size, options.connections)
    print(table(found, size, options.connections).as_markdown())


if __name__ == "__main__":
    main()
