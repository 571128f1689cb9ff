"""A chunk goes to the API: upload it into a container, and submit that."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from coveo_provider.api.client import CoveoClient
from coveo_provider.api.files import FileUploads
from coveo_provider.api.retries import may_have_been_carried_out
from coveo_provider.api.types import FileContainer
from coveo_provider.documents.encoding.chunks import Chunk, placed
from coveo_provider.errors import CoveoError, SourceRefused, UnexpectedAnswer
from coveo_provider.loading.progress import Log
from coveo_provider.loading.uploads import Uploaded, ask, milliseconds, upload
from coveo_provider.marks import Moment

_log = logging.getLogger(__name__)

T = TypeVar("T")


def estimate(chunks: Sequence[Chunk], calls_per_chunk: int = 2) -> int:
    """
    Return how many calls of the API it takes to send chunks, if none has to be repeated; uploads are no calls.

    :param calls_per_chunk: to ask for a container and submit it; 1 for a stream, whose chunks need no submission
    """
    return sum(calls_per_chunk + len(chunk.attachments) for chunk in chunks)


@dataclass(frozen=True)
class Delivery(Generic[T]):
    """
    A chunk that was accepted.

    :param answer: what the submission returned
    :param moment: before it was sent, by each clock: what is in it is newer
    """

    answer: T
    moment: Moment


def deliver(
    client: CoveoClient,
    chunk: Chunk,
    *,
    container: Callable[[], FileContainer],
    submit: Callable[[str], T],
    log: Log,
    joins_on_upload: bool = False,
    ahead: Callable[[], Uploaded | None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Delivery[T]:
    """
    Upload a chunk into a container and submit it; return what ``submit`` returns, and when that was.

    Whatever goes wrong with the upload, or with a submission whose answer was lost, is met with a fresh
    container and a new upload: a container that was forwarded is gone, and sending the same items twice
    leaves the index the same.

    Contents that go through containers of their own are uploaded first. When only the chunk's upload has to be
    repeated, their containers are kept while they are young.

    :param container: asked right before each upload, as a container lives 60 minutes
    :param submit: called with the container's ``file_id``
    :param joins_on_upload: whether an uploaded chunk counts without being submitted, as in a stream
    :param ahead: waits for an upload of the chunk that was begun beforehand: the first try
    :param clock: monotonic seconds
    """
    stage = "files"
    files = FileUploads(client, [(file.path, file.size) for file in chunk.attachments], clock=clock)
    if joins_on_upload and chunk.attachments:
        _log.warning(
            "Large contents, %s here, go through containers of their own, which live 60 minutes, and no page says "
            "whether the service takes them before the stream is closed: close it within the hour, or send updates "
            "instead",
            f"{len(chunk.attachments):,}",
        )

    def attempt() -> Delivery[T]:
        try:
            return send()
        except CoveoError as error:
            used = stage == "submit" or (stage == "upload" and joins_on_upload)
            if used and (may_have_been_carried_out(error) or _container_is_gone(error)):
                files.forget()
            raise

    def send() -> Delivery[T]:
        nonlocal stage, ahead
        stage, begun, ahead = "upload", ahead, None
        uploaded = (begun() if begun else None) or fresh()
        stage = "submit"
        answer = submit(uploaded.target.file_id)
        submitted = milliseconds(clock() - uploaded.began)
        moment = Moment(uploaded.target.asked_at, uploaded.stored, uploaded.here, uploaded.took, submitted)
        return Delivery(answer, moment)

    def fresh() -> Uploaded:
        nonlocal stage
        stage = "files"
        for attachment, file_id in zip(chunk.attachments, files.file_ids(), strict=True):
            chunk.write_at(attachment.offset, placed_id(file_id))
        stage = "container"
        asked = ask(container, clock)
        stage = "upload"
        uploaded = upload(client, chunk, asked, log, clock)
        files.refuse_old()
        return uploaded

    def may_retry(error: CoveoError) -> bool:
        if stage == "upload":
            return error.transient
        return stage == "submit" and (may_have_been_carried_out(error) or _container_is_gone(error))

    return client.policy.run(attempt, may_retry)


def _container_is_gone(error: CoveoError) -> bool:
    """
    Return whether a submission was refused for its container: used up by a request that came twice, or expired.

    No page gives that refusal: a bad ``fileId`` is INVALID_PARAMETER (2017 docs). It is our reading
    (``docs/api-notes.md``, "Errors and retries").
    """
    return (
        isinstance(error, SourceRefused)
        and error.code == "INVALID_PARAMETER"
        and "fileid" in error.detail.lower()
    )


def placed_id(file_id: str) -> bytes:
    """Return the id of a container as JSON of the placeholder's length."""
    try:
        return placed(file_id)
    except ValueError as error:
        raise UnexpectedAnswer("POST /files", str(error)) from None
