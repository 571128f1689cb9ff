"""Uploads a file to the storage behind a pre-signed address, which knows no key (docs 43)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from coveo_provider.api.answers import explain
from coveo_provider.api.redaction import secrets_of
from coveo_provider.api.refusals import NO_REASON
from coveo_provider.api.transport import UPLOAD_BLOCK, Transport
from coveo_provider.api.types import FileContainer
from coveo_provider.errors import ApiError, DataError, PayloadTooLarge, UnexpectedAnswer, UploadRefused

_ROUTE = "PUT (upload address)"


def upload(transport: Transport, container: FileContainer, file: BinaryIO, size: int) -> int | None:
    """
    PUT ``size`` bytes of ``file``, from where it stands, into ``container``. Never repeated here.

    The storage's success is 200 with an ``ETag``, the checksum of what it holds now, as S3 answers it
    (``docs/api-notes.md``, "File containers"). Anything else with a status below 300 is somebody else's answer.

    :return: the storage's ``Date``, in ms since the epoch; ``None`` when it told none
    :raises PayloadTooLarge: the storage does not take that many bytes
    :raises UploadRefused: the storage refused; a fresh container may be accepted
    :raises UnexpectedAnswer: the answer cannot be the storage's; a fresh container may be accepted
    :raises Unreachable: no answer came
    :raises DataError: ``file`` has fewer than ``size`` bytes
    """
    answer = transport.put(
        _ROUTE,
        container.upload_uri,
        {**container.required_headers, "Content-Length": str(size)},
        _NextBytes(file, size) if size else b"",
    )
    is_page = answer.body.lstrip().startswith(b"<")  # HTML, or an error in the storage's XML
    if answer.status == 200 and answer.headers.get("etag", "").strip() and not is_page:
        return answer.date_ms
    secrets = [*transport.secrets, *secrets_of(container.upload_uri)]
    if answer.status < 300:
        raise UnexpectedAnswer(
            _ROUTE,
            "status 200 and the ETag by which a storage such as S3 confirms what it holds",
            answer.described(secrets),
        )
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
