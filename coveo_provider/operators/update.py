"""The Stream API's updates and merges: what changes a Catalog source and leaves its other items alone."""

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


class CoveoUpdateStreamOperator(SendingOperator):
    """
    Add, replace, change and delete items of a stream source, and leave its other items alone.

    Meant to be mapped: one task per part of the dataset. Everything is encoded and checked before the first
    container is sent: an item that stands in two of ``documents``, ``partial_updates`` and ``deletions`` is
    refused, as nothing says which the service applies first. Sending a part twice leaves the index the same,
    but for ``arrayAppend``, which appends twice (uncertain: whether the service keeps equal elements apart).

    A full refresh is: all parts, then :class:`~coveo_provider.operators.source.CoveoDeleteOlderOperator` with
    the reports, which deletes what no part renewed.

    :param source_id: the source (templated)
    :param documents: URI of a part, a folder of parts, or a list of them; or a list of rows, or a
        DataFrame. A document replaces the whole item: metadata left out disappears (templated)
    :param partial_updates: the same for partial updates: ``documentId``, ``operator`` (``fieldValueReplace``,
        ``arrayAppend``, ``arrayRemove``, ``dictionaryPut``, ``dictionaryRemove``), ``field`` and ``value``: JSON
        in a column of strings, else the value itself. Only items that exist are changed (templated)
    :param deletions: the same for deletions: ``documentId`` and, optionally, ``deleteChildren``, which takes
        every item along whose id *starts with* the deleted one; or a list of ids (templated)
    :param mapping: how the columns of DataFrames or rows become those of documents; ``None`` when they are that
        already. Files are for :class:`~coveo_provider.operators.transform.CoveoTransformOperator`
    :param max_chunk_bytes: the most a container may take, in bytes, envelope included
    :param exclusive: whether no other run may be loading the source meanwhile; by default so when a task that ends
        the load follows (close, delete older, finalize): without one it is a feed, which may send beside a load
    :param coveo_conn_id: connection to the organization that owns the source (templated)
    :return: a report: ``parts``, ``documents``, ``partial_updates``, ``deletions``, ``bytes``, ``chunks``,
        ``ordering_ids``
    """

    documentation = "https://docs.coveo.com/en/p4eb0129/"
    template_fields: Sequence[str] = (
        "source_id",
        "documents",
        "partial_updates",
        "deletions",
        "coveo_conn_id",
    )

    def __init__(
        self,
        *,
        source_id: str,
        documents: str | Sequence[str | XComArg] | Sequence[Mapping[str, Any]] | XComArg | None = None,
        partial_updates: str | Sequence[str | XComArg] | Sequence[Mapping[str, Any]] | XComArg | None = None,
        deletions: str | Sequence[str | XComArg] | Sequence[Mapping[str, Any]] | XComArg | None = None,
        mapping: DocumentMapping | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source_id = source_id
        self.documents: Any = documents
        self.partial_updates: Any = partial_updates
        self.deletions: Any = deletions
        self.mapping = mapping

    def act(self, context: Context) -> dict[str, Any]:
        """Encode and check everything, then send container after container."""
        with ready_documents(self.documents, self.mapping, stream=True, log=self.log, lists=False) as ready:
            report = self.send(
                context,
                {
                    Section.ADD_OR_UPDATE: ready.value,
                    Section.PARTIAL_UPDATE: self.partial_updates,
                    Section.DELETE: self.deletions,
                },
                api=Api.STREAM,
                container=self.client.create_file_container,
                submit=partial(self.client.update_stream, self.source_id),
            )
            self.lineage = ready.lasting(self.lineage)
            return ready.told(report, ids=True)


class CoveoMergeStreamOperator(SendingOperator):
    """
    Merge fields into the items of a Catalog source: those sent are replaced, all others kept.

    For feeds that do not know whether an item exists: one that does not is created. Where that is known, an
    update is faster. Merging a part twice leaves the index the same.

    :param source_id: the source (templated)
    :param documents: URI of a part, a folder of parts, or a list of them; or a list of rows, or a
        DataFrame: ``documentId`` and the fields to change (templated)
    :param max_chunk_bytes: the most a container may take, in bytes, envelope included
    :param exclusive: whether no other run may be loading the source meanwhile; by default so when a task that ends
        the load follows (close, delete older, finalize): without one it is a feed, which may send beside a load
    :param coveo_conn_id: connection to the organization that owns the source (templated)
    :return: a report: ``parts``, ``documents``, ``bytes``, ``chunks``, ``ordering_ids``
    """

    documentation = "https://docs.coveo.com/en/p4eb0515/"
    template_fields: Sequence[str] = ("source_id", "documents", "coveo_conn_id")

    def __init__(
        self,
        *,
        source_id: str,
        documents: str | Sequence[str | XComArg] | Sequence[Mapping[str, Any]] | XComArg,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source_id = source_id
        self.documents: Any = documents

    def act(self, context: Context) -> dict[str, Any]:
        """Encode and check everything, then send container after container."""
        return self.send(
            context,
            {Section.ADD_OR_MERGE: self.documents},
            api=Api.STREAM,
            container=self.client.create_file_container,
            submit=partial(self.client.merge_stream, self.source_id),
        )
