"""One item goes to the API by a call of its own."""

from __future__ import annotations

import time
from collections.abc import Callable

from coveo_provider.api.client import CoveoClient
from coveo_provider.api.files import FileUploads
from coveo_provider.api.retries import may_have_been_carried_out
from coveo_provider.documents.encoding.items import Item
from coveo_provider.errors import CoveoError
from coveo_provider.loading.deliveries import placed_id


def push_item(
    client: CoveoClient, source_id: str, item: Item, *, clock: Callable[[], float] = time.monotonic
) -> None:
    """
    Add or update one item by a call of its own, its content uploaded first when it is too large to go inline.

    :param clock: monotonic seconds
    """
    files = FileUploads(client, [(file.path, file.size) for file in item.attachments], clock=clock)
    submitting = False

    def attempt() -> None:
        nonlocal submitting
        if submitting:  # an earlier attempt got no answer: its container may be used up
            files.forget()
        submitting = False
        body = item.body
        for attachment, file_id in zip(item.attachments, files.file_ids(), strict=True):
            place = placed_id(file_id)
            body = body[: attachment.offset] + place + body[attachment.offset + len(place) :]
        submitting = True
        client.put_item(
            source_id,
            item.document_id,
            body,
            compression_type=item.compression,
            replay=not item.attachments,
        )

    def may_retry(error: CoveoError) -> bool:
        return submitting and bool(item.attachments) and may_have_been_carried_out(error)

    client.policy.run(attempt, may_retry)
