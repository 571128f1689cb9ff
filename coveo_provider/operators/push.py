"""The Push API's batches: documents and deletions for a Push source."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from airflow.sdk import Context, XComArg

from coveo_provider.documents.contract import DEFAULT_CHUNK_BYTES
from coveo_provider.errors import ConfigurationError
from coveo_provider.operators._base import CoveoOperator
from coveo_provider.operators._storage import list_parts, open_parts


class CoveoPushBatchOperator(CoveoOperator):
    """
    Push documents and deletions to a Push source, in as many file containers as they need.

    Meant to be mapped: one task per part of the dataset. Everything is encoded and checked before the first
    container is sent; deletions are sent last. Pushing a part twice leaves the index the same.

    :param source_id: the source (templated)
    :param documents: URI of a part, a folder of parts, or a list of them (templated)
    :param deletions: the same for deletions: Parquet with ``documentId`` and, optionally, ``deleteChildren``,
        which takes every item along whose id *starts with* the deleted one (templated)
    :param max_chunk_bytes: the most a container may take, in bytes, envelope included
    :param coveo_conn_id: connection to the organization that owns the source (templated)
    :return: a report: ``parts``, ``documents``, ``deletions``, ``bytes``, ``chunks``, ``ordering_ids``
    """

    template_fields: Sequence[str] = ("source_id", "documents", "deletions", "coveo_conn_id")

    def __init__(
        self,
        *,
        source_id: str,
        documents: str | Sequence[str] | XComArg | None = None,
        deletions: str | Sequence[str] | XComArg | None = None,
        max_chunk_bytes: int = DEFAULT_CHUNK_BYTES,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source_id = source_id
        self.documents: Any = documents
        self.deletions: Any = deletions
        self.max_chunk_bytes = max_chunk_bytes

    def act(self, context: Context) -> dict[str, Any]:
        """Encode and check everything, then send container after container."""
        from coveo_provider.documents.chunks import ChunkWriter
        from coveo_provider.documents.contract import PUSH_ITEM_BYTES
        from coveo_provider.loading import deliver, spool
        from coveo_provider.report import Report

        if self.documents is None and self.deletions is None:
            raise ConfigurationError(f"task {self.task_id}: name documents, deletions or both")
        uris = [] if self.documents is None else list_parts(self.documents, "documents")
        gone = [] if self.deletions is None else list_parts(self.deletions, "deletions")
        client = self.client
        report = Report(parts=[*uris, *gone])
        with (
            open_parts(uris) as documents,
            open_parts(gone) as deletions,
            ChunkWriter(self.max_chunk_bytes) as writer,
        ):
            chunks = spool(
                writer,
                documents=documents,
                deletions=deletions,
                item_limit=PUSH_ITEM_BYTES,
                log=self.log.info,
            )
            for chunk in chunks:
                deliver(
                    client,
                    chunk,
                    container=client.create_file_container,
                    submit=partial(client.push_batch, self.source_id),
                    log=self.log.info,
                )
                report.count(chunk)
                self.log.info(
                    "Pushed a batch of %s documents and %s deletions, %s bytes, to source %s",
                    f"{chunk.documents:,}",
                    f"{chunk.deletions:,}",
                    f"{chunk.size:,}",
                    self.source_id,
                )
        return report.as_json()
