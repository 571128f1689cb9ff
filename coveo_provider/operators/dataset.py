"""A dataset, checked as a whole before any of it is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context, XComArg

from coveo_provider.documents.contract import Api, counted
from coveo_provider.errors import DatasetError
from coveo_provider.links import SOURCE_LINKS
from coveo_provider.operators.support.claims import SourceOperator
from coveo_provider.operators.support.content_files import open_content
from coveo_provider.operators.support.datasets import open_parts
from coveo_provider.operators.support.exposure import refuse_exposure
from coveo_provider.operators.support.fields import look_at_fields, of_load, refuse_choice
from coveo_provider.operators.support.inputs import DELETIONS, open_input
from coveo_provider.operators.support.lineage import Lineage, data_read
from coveo_provider.operators.support.mapped_tasks import mappable
from coveo_provider.operators.support.run_reports import count_held, tell_held
from coveo_provider.operators.support.storage import list_parts, manifests_of

if TYPE_CHECKING:
    from coveo_provider.documents.dataset.tables import Part


class CoveoCheckDatasetOperator(SourceOperator):
    """
    Check a documents dataset to its last row, and return the URIs of its parts to map over.

    Put it before the first task that changes anything: a missing part, a part that is not Parquet, a
    ``documentId`` that stands in two parts, an item over its limit, a file that is named in ``contentUri`` and
    not there then stop the run while the index is as it was. Without ``source_id`` it calls no API and needs no
    connection; with it, it begins the load of that source: no other DAG run begins one meanwhile, and documents
    with permissions are refused where the source lets everybody see its items, and metadata is told that has no
    field, which the service would drop.

    :param documents: URI of the dataset: a folder of Parquet files, one file, or a list of them (templated)
    :param source_id: the source that is about to be loaded (templated)
    :param visibility: ``unchecked`` does not ask whether the source is secured
    :param deletions: the deletions that belong to it, as the task that sends them takes them (templated)
    :param stream: whether it is meant for a stream source, whose items may have 3 MB, or a Push source with
        5 MiB; by default what :class:`~coveo_provider.operators.transform.CoveoTransformOperator` was told, as
        the manifest says, and a Push source where there is no manifest
    :param fields: with ``source_id``, what to do with metadata that has no field and with values that do not fit
        their field: ``warn``, ``fail``, ``create`` the fields that are missing, or ``off``, which does not ask
    :param coveo_conn_id: connection to the organization that owns the source (templated)
    :return: URIs of the parts of ``documents``, in order; lists of them where there are more than Airflow maps
        over (``[core] max_map_length``)
    """

    documentation = "https://docs.coveo.com/en/78/"
    template_fields: Sequence[str] = ("documents", "source_id", "deletions", "coveo_conn_id")
    operator_extra_links = SOURCE_LINKS
    begins = True
    looks_at_fields = True

    def __init__(
        self,
        *,
        documents: str | Sequence[str | XComArg] | XComArg,
        source_id: str | None = None,
        visibility: str = "checked",
        deletions: str | Sequence[str | XComArg] | Sequence[Mapping[str, Any]] | XComArg | None = None,
        stream: bool | None = None,
        fields: str = "warn",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.documents: Any = documents
        self.source_id = source_id
        self.visibility = visibility
        self.deletions: Any = deletions
        self.stream = stream
        self.fields = fields

    def act(self, context: Context) -> list[str] | list[list[str]]:
        """Read, check and encode every row, and throw the result away."""
        refuse_choice(self.fields)
        if self.source_id is None:
            return self._checked()
        with self.claim(context).begun("loading it"):
            checked = self._checked()
            tell_held(context, count_held(self))
            return checked

    def _checked(self) -> list[str] | list[list[str]]:
        from coveo_provider.documents.contents.files import ContentSpool
        from coveo_provider.documents.contract import Section
        from coveo_provider.loading.spooling import check

        uris = list_parts(self.documents, "documents")
        gone: list[str] = []
        with (
            open_parts(uris, self.documents) as parts,
            open_input(self.deletions or None, DELETIONS, gone) as removals,
            ContentSpool(open_content) as contents,
        ):
            _refuse_partitions(parts)
            load = {Section.ADD_OR_UPDATE: parts, Section.DELETE: removals}
            if self.source_id is not None:
                refuse_exposure(self.client, self.source_id, load, visibility=self.visibility)
            limit = self._api([*uris, *gone]).item_bytes
            rows = check(load, item_limit=limit, log=self.log.info, contents=contents)
            if self.source_id is not None:
                look_at_fields(self, self.source_id, self.fields, of_load(load))
            self.lineage = self.told(lambda: Lineage(data_read([*parts, *removals], [*uris, *gone])))
        self.log.info("Checked %s in %s", counted(rows, "row"), counted(len(uris) + len(gone), "part"))
        return mappable(uris)

    def _api(self, uris: Sequence[str]) -> Api:
        if self.stream is not None:
            return Api.STREAM if self.stream else Api.PUSH
        apis = {manifest.api for manifest in manifests_of(uris).values() if manifest is not None}
        return Api.STREAM if Api.STREAM.value in apis else Api.PUSH


def _refuse_partitions(parts: Sequence[Part]) -> None:
    """Refuse parts of which a column stands in the path: a task mapped over files would not know it."""
    for part in parts:
        if part.partitions:
            raise DatasetError(
                f"{part.name}: the value of {next(iter(part.partitions))} stands in its path, where tasks that are "
                "mapped over files do not look. Let CoveoTransformOperator make a dataset of the folder first"
            )
