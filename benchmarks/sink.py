"""A sink on loopback: answers the calls of a load as the API does, takes uploads and throws them away."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate

_BLOCK = memoryview(bytearray(1 << 20))
_ID = "00000000-0000-0000-0000-000000000000"


class _Sink(asyncio.BufferedProtocol):
    """One connection. The socket writes into one buffer of the process, so that a body costs no copy."""

    def __init__(self, port: int) -> None:
        answer = {
            "uploadUri": f"http://127.0.0.1:{port}/upload",
            "fileId": _ID,
            "streamId": _ID,
            "requiredHeaders": {"Content-Type": "application/octet-stream"},
            "orderingId": "1700000000000",
            "requestId": "0",
        }
        body = json.dumps(answer).encode()
        lines = (
            "HTTP/1.1 200 OK",
            "Content-Type: application/json",
            f"Date: {formatdate(usegmt=True)}",
            'ETag: "0"',
            f"Content-Length: {len(body)}",
        )
        self._answer = "\r\n".join((*lines, "", "")).encode() + body
        self._head = b""
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return _BLOCK

    def buffer_updated(self, nbytes: int) -> None:
        if not self._left:
            self._head += bytes(_BLOCK[:nbytes])
            head, ended, rest = self._head.partition(b"\r\n\r\n")
            if not ended:
                return
            self._head = b""
            lines = (line.partition(b":") for line in head.split(b"\r\n")[1:])
            lengths = [int(value) for name, _, value in lines if name.lower() == b"content-length"]
            self._left, nbytes = sum(lengths), len(rest)
        self._left -= nbytes
        if self._left <= 0:
            self._transport.write(self._answer)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    port = 0
    server = await loop.create_server(lambda: _Sink(port), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(port, flush=True)
    await server.serve_forever()


@contextmanager
def sink() -> Iterator[str]:
    """Run the sink in a process of its own and return its base URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.sink"], stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    asyncio.run(_serve())
