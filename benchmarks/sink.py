"""A sink on loopback: answers the calls of a load as the API does, takes uploads and throws them away."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_BLOCK = bytearray(1 << 20)


class _Sink(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        left = int(self.headers.get("Content-Length") or 0)
        view = memoryview(_BLOCK)
        while left > 0:
            left -= self.rfile.readinto(view[: min(left, len(view))])
        port = self.connection.getsockname()[1]
        body = json.dumps(
            {
                "uploadUri": f"http://127.0.0.1:{port}/upload",
                "fileId": "00000000-0000-0000-0000-000000000000",
                "streamId": "00000000-0000-0000-0000-000000000000",
                "requiredHeaders": {"Content-Type": "application/octet-stream"},
                "orderingId": "1700000000000",
                "requestId": "0",
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = _answer

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: the benchmark prints one answer."""


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
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
    print(server.server_address[1], flush=True)
    server.serve_forever()
