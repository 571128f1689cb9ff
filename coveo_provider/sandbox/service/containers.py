"""
File containers (docs 43): addresses on the sandbox's own port, behaving as S3 does.

A body is written to a spool file while it arrives and never held in memory.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coveo_provider.sandbox.service.errors import (
    StorageError,
    invalid_parameter,
    missing_parameter,
    too_large,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import IO

    from coveo_provider.sandbox.service.clock import Clock
    from coveo_provider.sandbox.service.limits import Limits

BUCKET = "coveo-sandbox-customerdata"
REQUIRED_HEADERS = {"x-amz-server-side-encryption": "AES256", "Content-Type": "application/octet-stream"}


@dataclass
class Container:
    """
    One container.

    :param key: its key in the bucket
    :param path: spool file of the last complete upload
    :param refused_bytes: size of an upload that was refused as too large
    """

    file_id: str
    key: str
    signature: str
    created_ms: int
    expires_ms: int
    path: Path | None = None
    size: int = 0
    refused_bytes: int = 0
    consumed: bool = False


class Containers:
    """All containers of the organization; ``folder`` takes the spool files."""

    def __init__(self, folder: Path, clock: Clock, limits: Limits, organization_id: str) -> None:
        self._folder, self._clock, self._limits = folder, clock, limits
        self._organization_id = organization_id
        self._secret = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._by_id: dict[str, Container] = {}

    def create(self, base_url: str) -> tuple[Container, dict[str, object]]:
        """Make a container; give it and what the API says about it (``PresignedUploadUrl``)."""
        file_id = str(uuid.uuid4())
        now = self._clock.now_ms()
        key = f"proda/blobstore/{self._organization_id}/{file_id}"
        signature = hmac.new(self._secret, key.encode(), hashlib.sha256).hexdigest()
        life = self._limits.container_minutes * 60
        container = Container(file_id, key, signature, now, now + life * 1000)
        with self._lock:
            self._by_id[file_id] = container
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now / 1000))
        uri = (
            f"{base_url}/_s3/{BUCKET}/{key}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date={stamp}"
            f"&X-Amz-SignedHeaders=content-type%3Bhost%3Bx-amz-server-side-encryption&X-Amz-Expires={life}"
            f"&X-Amz-Credential=SANDBOX%2F{stamp[:8]}%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Signature={signature}"
        )
        return container, {"uploadUri": uri, "fileId": file_id, "requiredHeaders": dict(REQUIRED_HEADERS)}

    def expire(self, file_id: str) -> None:
        """Let an address expire now."""
        with self._lock:
            if container := self._by_id.get(file_id):
                container.expires_ms = 0

    def authorize(
        self, bucket: str, key: str, method: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> Container:
        """
        Find the container of an upload, if this very request was signed for it.

        :raises StorageError: 403 in S3's XML (``docs/api-notes.md, "File containers"``)
        """
        container = self._by_id.get(key.rsplit("/", 1)[-1])
        if bucket != BUCKET:
            raise StorageError(404, "NoSuchBucket", "The specified bucket does not exist")
        if "Authorization" in headers:
            # S3 answers 400 InvalidArgument here, Coveo's pages say 403 (docs/api-notes.md, "File containers").
            raise StorageError(403, "AccessDenied", "Only one auth mechanism allowed")
        if container is None or container.key != key or "X-Amz-Signature" not in query:
            raise StorageError(403, "AccessDenied", "Access Denied")
        same = hmac.compare_digest(query["X-Amz-Signature"].encode(), container.signature.encode())
        exact = all(headers.get(name) == value for name, value in REQUIRED_HEADERS.items())
        if not same or method != "PUT" or not exact:
            raise StorageError(
                403, "SignatureDoesNotMatch", "The request signature we calculated does not match"
            )
        self._check_open(container)
        return container

    def _check_open(self, container: Container) -> None:
        if self._clock.now_ms() >= container.expires_ms:
            raise StorageError(403, "AccessDenied", "Request has expired")
        if container.consumed:
            # One container, one use (docs 43): its content is gone, and so is its address.
            raise StorageError(403, "AccessDenied", "Access Denied")

    def store(self, container: Container, length: int | None, copy_to: Callable[[IO[bytes]], int]) -> None:
        """
        Take an upload; a second one before the content is used replaces the first, as S3 does.

        :param length: declared length in bytes; S3 refuses an upload without one
        :param copy_to: writes the body into the file it is given and says how many bytes there were
        """
        if length is None:
            raise StorageError(
                411, "MissingContentLength", "You must provide the Content-Length HTTP header."
            )
        if length > self._limits.container_bytes:
            container.refused_bytes = length
            raise StorageError(
                400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed object size."
            )
        handle, name = tempfile.mkstemp(dir=self._folder, prefix="upload-")
        path = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                size = copy_to(file)
            with self._lock:
                self._check_open(container)
                previous, container.path, container.size = container.path, path, size
                container.refused_bytes = 0
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        if previous:
            previous.unlink(missing_ok=True)

    def take(self, file_id: str | None) -> Path:
        """
        Use up a container named by a call, and give its file, which now belongs to the caller.

        Whether the service notices an unknown, empty, expired or used container in the call or only in its
        log is uncertain; here the call is refused (``docs/api-notes.md, "File containers"``;
        probe: container-unknown).

        :raises ApiError: 412, or 413 when what was uploaded was over the limit
        """
        if not file_id:
            raise missing_parameter("fileId")
        with self._lock:
            container = self._by_id.get(file_id)
            if container is None or container.consumed:
                raise invalid_parameter("fileId", f"there is no file container '{file_id}'.")
            if container.refused_bytes:
                raise too_large(f"The container holds more than {self._limits.container_bytes} bytes.")
            if self._clock.now_ms() >= container.expires_ms:
                raise invalid_parameter("fileId", f"the file container '{file_id}' has expired.")
            if container.path is None:
                raise invalid_parameter("fileId", f"nothing was uploaded to the file container '{file_id}'.")
            container.consumed = True
            return container.path

    def give_back(self, file_id: str) -> None:
        """Undo a :meth:`take` whose call was refused for something else."""
        with self._lock:
            if container := self._by_id.get(file_id):
                container.consumed = False

    def collect(self, file_id: str) -> Path | None:
        """
        Use up a chunk of a stream that is closed, whatever its age.

        :return: its file, None when nothing was uploaded to it
        """
        with self._lock:
            container = self._by_id.get(file_id)
            if container is None or container.consumed:
                return None
            container.consumed = True
            return container.path

    def reset(self) -> None:
        """Forget every container and its file."""
        with self._lock:
            gone, self._by_id = self._by_id, {}
        for container in gone.values():
            if container.path:
                container.path.unlink(missing_ok=True)
