"""Uploads a file to the storage behind a pre-signed address, which knows no key (docs 43)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from coveo_provider.api.answers import NO_REASON, explain
from coveo_provider.api.redaction import secrets_of
from coveo_provider.api.transport import UPLOAD_BLOCK, Transport, is_success
from coveo_provider.api.types import FileContainer
from coveo_provider.errors import ApiError, DataError, PayloadTooLarge, UploadRefused

_ROUTE = "PUT (upload address)"


def upload(transport: Transport, container: FileContainer, file: BinaryIO, size: int) -> None:
    """
    PUT ``size`` bytes of ``file``, from where it stands, into ``container``. Never repeated here.

    :raises PayloadTooLarge: the storage does not take that many bytes
    :raises UploadRefused: the storage refused; a fresh container may be accepted
    :raises Unreachable: no answer came
    :raises DataError: ``file`` has fewer than ``size`` bytes
    """
    answer = transport.put(
        _ROUTE,
        container.upload_uri,
        {**container.required_headers, "Content-Length": str(size)},
        _NextBytes(file, size) if size else b"",
    )
    if is_success(answer.status):
        return
    secrets = [*transport.secrets, *secrets_of(container.upload_uri)]
    code, message = explain(answer.body, secrets)
    if answer.status == 413 or code == "EntityTooLarge":
        kind: type[ApiError] = PayloadTooLarge
        remedy = f"{size:,} bytes are too many for one container: lower max_chunk_bytes."
    else:
        kind = UploadRefused
        remedy = "The address may have expired, or a proxy altered the upload's headers."
    detail = f"{message or NO_REASON} {remedy}"
    raise kind(answer.status, _ROUTE, code, detail, answer.request_id(secrets))


class _NextBytes:
    """The next ``size`` bytes of a file, no more and no fewer."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size, self._left = file, size, size

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.read(UPLOAD_BLOCK), b"")

    def read(self, size: int = -1, /) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._file.read(wanted) if wanted else b""
        if wanted and not data:
            raise DataError(f"the file to upload ended {self._left:,} bytes before its {self._size:,}")
        self._left -= len(data)
        return data
