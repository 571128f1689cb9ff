"""A sink on loopback: answers the calls of a load as the API does, takes uploads and throws them away."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_BUFFER = memoryview(bytearray(1 << 20))
_ETAG = b'ETag: "00000000000000000000000000000000"\r\n'


class _Sink(asyncio.BufferedProtocol):
    """Reads into one buffer for all connections, so that taking bytes costs as little as can be."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._head = b""
        self._left = 0

    def get_buffer(self, sizehint: int) -> memoryview:
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        if nbytes < self._left:
            self._left -= nbytes
            return
        data = bytes(_BUFFER[self._left : nbytes]) if self._left else self._head + bytes(_BUFFER[:nbytes])
        if self._left:
            self._left = 0
            self._answer()
        while b"\r\n\r\n" in data:
            head, data = data.split(b"\r\n\r\n", 1)
            self._upload = head.startswith(b"PUT /upload")
            length = next(
                (line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), b":0"
            )
            self._left = int(length.split(b":")[1])
            if b"\r\nexpect: 100-continue" in head.lower():
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            if len(data) < self._left:
                self._left -= len(data)
                data = b""
                break
            data = data[self._left :]
            self._left = 0
            self._answer()
        self._head = data

    def _answer(self) -> None:
        port = self._transport.get_extra_info("sockname")[1]
        values = {
            "uploadUri": f"http://127.0.0.1:{port}/upload",
            "fileId": "00000000-0000-0000-0000-000000000000",
            "streamId": "00000000-0000-0000-0000-000000000000",
            "requiredHeaders": {"Content-Type": "application/octet-stream"},
            "orderingId": "1700000000000",
            "requestId": "0",
        }
        body = b"" if self._upload else json.dumps(values).encode()
        kind = _ETAG if self._upload else b"Content-Type: application/json\r\n"
        self._transport.write(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (kind, len(body), body))


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


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Sink, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
