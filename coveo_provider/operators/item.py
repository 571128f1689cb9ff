"""One item of a Push source, by a call of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import Context, XComArg

from coveo_provider.links import SOURCE_LINKS
from coveo_provider.operators.support.base import CoveoOperator
from coveo_provider.operators.support.content_files import open_content
from coveo_provider.operators.support.exposure import refuse_exposure
from coveo_provider.operators.support.fields import look_at_fields, of_load, refuse_choice
from coveo_provider.operators.support.lineage import Lineage, data_of_source


class CoveoPushItemOperator(CoveoOperator):
    """
    Add or update one item of a Push source. For more than a few use :class:`CoveoPushBatchOperator`.

    Templates in a literal ``document`` are rendered, those in the output of a task are not:
    ``airflow.sdk.literal(document)`` keeps a literal whose text holds ``{{`` as it is. Pushing an item twice
    leaves the index the same.

    :param source_id: the source (templated)
    :param document: the item, as a mapping: ``documentId``, one at most of ``data``, ``compressedBinaryData`` and
        ``contentUri``, the other keys of DocumentBody, and metadata. ``contentUri`` names a file on any storage
        ``ObjectStoragePath`` reads: it is compressed as ``compressionType`` says, ``ZLIB`` by default, and sent
        inline below 5 MiB, else through a file container of its own (templated)
    :param visibility: ``checked`` asks whether the source is secured, before a document with permissions is sent
    :param fields: what to do with metadata that has no field, and with values that do not fit their field:
        ``warn``, ``fail``, ``create`` the fields that are missing, or ``off``, which does not ask
    :param coveo_conn_id: connection to the organization that owns the source (templated)
    :return: a report: ``documents`` is 1, ``bytes``
    """

    documentation = "https://docs.coveo.com/en/133/"
    template_fields: Sequence[str] = ("source_id", "document", "coveo_conn_id")
    template_fields_renderers = {"document": "json"}  # noqa: RUF012  as Airflow declares it
    operator_extra_links = SOURCE_LINKS

    def __init__(
        self,
        *,
        source_id: str,
        document: Any,
        visibility: str = "checked",
        fields: str = "warn",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source_id = source_id
        self.document = document
        self.visibility = visibility
        self.fields = fields

    def act(self, context: Context) -> dict[str, Any]:
        """Read and check everything, then push."""
        from coveo_provider.documents.contents.files import ContentSpool
        from coveo_provider.documents.contract import Section
        from coveo_provider.documents.encoding.items import encode_item
        from coveo_provider.documents.encoding.rows import Rows
        from coveo_provider.loading.single_items import push_item
        from coveo_provider.report import Report

        refuse_choice(self.fields)
        with ContentSpool(open_content) as contents:
            item = encode_item(self.document, contents)
            load = {Section.ADD_OR_UPDATE: [Rows([self.document], "document given inline")]}
            refuse_exposure(self.client, self.source_id, load, visibility=self.visibility)
            look_at_fields(self, self.source_id, self.fields, of_load(load))
            push_item(self.client, self.source_id, item)
        report = Report(documents=1, bytes=len(item.body) + sum(one.size for one in item.attachments))
        self.log.info(
            "Pushed item %s, %s bytes, to source %s", item.document_id, f"{report.bytes:,}", self.source_id
        )
        self.lineage = self.told(lambda: _lineage(self, rows=1, bytes=report.bytes))
        return report.as_json()


class CoveoDeleteItemOperator(CoveoOperator):
    """
    Delete one item of a Push source. Deleting one that is not there changes nothing.

    :param source_id: the source (templated)
    :param document_id: the item's ``documentId`` (templated)
    :param delete_children: whether to delete every item, too, whose id *starts with* this one. That takes siblings
        along: ``file://a`` takes ``file://ab``; an id that ends with ``/`` takes only what lies below it
    :param coveo_conn_id: connection to the organization that owns the source (templated)
    :return: a report: ``deletions`` is 1
    """

    documentation = "https://docs.coveo.com/en/171/"
    template_fields: Sequence[str] = ("source_id", "document_id", "coveo_conn_id")
    operator_extra_links = SOURCE_LINKS

    def __init__(
        self, *, source_id: str, document_id: str | XComArg, delete_children: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.source_id = source_id
        self.document_id: Any = document_id
        self.delete_children = delete_children

    def act(self, context: Context) -> dict[str, Any]:
        """Delete the item, and say which others may go with it."""
        from coveo_provider.documents.contract import shown
        from coveo_provider.report import Report

        name = shown(self.document_id)
        if self.delete_children and not str(self.document_id).endswith("/"):
            self.log.warning(
                "Every item whose id starts with %s is deleted along with it, such as %s, which is no child of it. "
                "An id that ends with / takes only what lies below it",
                name,
                f"{name}-sibling",
            )
        self.client.delete_item(self.source_id, self.document_id, delete_children=self.delete_children)
        self.log.info(
            "Deleted item %s%s from source %s",
            name,
            " and its children" if self.delete_children else "",
            self.source_id,
        )
        self.lineage = self.told(lambda: _lineage(self))
        return Report(deletions=1).as_json()


def _lineage(operator: CoveoPushItemOperator | CoveoDeleteItemOperator, **known: Any) -> Lineage:
    """Return the source that was changed."""
    return Lineage(outputs=[data_of_source(operator.client.organization_id, operator.source_id, **known)])
