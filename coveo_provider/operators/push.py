"""The Push API's batches: documents and deletions for a Push source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context, XComArg

from coveo_provider.documents.contract import Api, Section
from coveo_provider.operators.support.ready_documents import ready_documents
from coveo_provider.operators.support.sending import SendingOperator

if TYPE_CHECKING:
    from coveo_provider.documents.mapping.document_mapping import DocumentMapping


class CoveoPushBatchOperator(SendingOperator):
    """
    Push documents and deletions to a Push source, in as many file containers as they need.

    Meant to be mapped: one task per part of the dataset. Everything is encoded and checked before the first
    container is sent; deletions are sent last. Pushing a part twice leaves the index the same.

    Other items of the source stay, also those that are gone from the data: name them in ``deletions``, or take a
    task group (docs/deletions.md).

    :param source_id: the source (templated)
    :param documents: URI of a part, a folder of parts, or a list of them; or a list of rows, or a DataFrame
        (templated)
    :param deletions: the same for deletions: ``documentId`` and, optionally, ``deleteChildren``, which takes every
        item along whose id *starts with* the deleted one; or a list of ids (templated)
    :param mapping: how the columns of DataFrames or rows become those of documents; ``None`` when they are that
        already. Files are for :class:`~coveo_provider.operators.transform.CoveoTransformOperator`
    :param max_chunk_bytes: the most a container may take, in bytes, envelope included
    :param exclusive: whether no other run may be loading the source meanwhile; by default so when a task that ends
        the load follows (close, delete older, finalize): without one it is a feed, which may send beside a load
    :param coveo_conn_id: connection to the organization that owns the source (templated)
    :return: a report: ``parts``, ``documents``, ``deletions``, ``bytes``, ``chunks``, ``ordering_ids``
    """

    documentation = "https://docs.coveo.com/en/90/"
    template_fields: Sequence[str] = ("source_id", "documents", "deletions", "coveo_conn_id")

    def __init__(
        self,
        *,
        source_id: str,
        documents: str | Sequence[str | XComArg] | Sequence[Mapping[str, Any]] | XComArg | None = None,
        deletions: str | Sequence[str | XComArg] | Sequence[Mapping[str, Any]] | XComArg | None = None,
        mapping: DocumentMapping | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source_id = source_id
        self.documents: Any = documents
        self.deletions: Any = deletions
        self.mapping = mapping

    def act(self, context: Context) -> dict[str, Any]:
        """Encode and check everything, then send container after container."""
        with ready_documents(self.documents, self.mapping, stream=False, log=self.log, lists=False) as ready:
            report = self.sent(context, ready.value, self.deletions)
            self.lineage = ready.lasting(self.lineage)
            return ready.told(report, ids=True)

    def sent(self, context: Context, documents: Any, deletions: Any) -> dict[str, Any]:
        """Send documents and deletions, and return a report."""
        return self.send(
            context,
            {Section.ADD_OR_UPDATE: documents, Section.DELETE: deletions},
            api=Api.PUSH,
            container=self.client.create_file_container,
            submit=partial(self.client.push_batch, self.source_id),
        )
