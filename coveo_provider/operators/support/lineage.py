"""
What OpenLineage is told of a task: the datasets that it read and wrote, their columns, and how many rows and bytes.

Its provider is optional. A task that runs notes plain values here, and only where somebody listens; they become
facets when OpenLineage asks for them after the task, in a process that it forks for that. Nothing of it may fail a
task. Names are those of OpenLineage's naming specification (https://openlineage.io/docs/spec/naming), without
connections, users and queries.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from coveo_provider.assets import openlineage_name
from coveo_provider.documents.dataset.manifest import Manifest
from coveo_provider.documents.uris import is_url, local_path, parts_of, without_query
from coveo_provider.errors import DatasetError
from coveo_provider.operators.support.paths import folder_at, folder_of, path_at

if TYPE_CHECKING:
    from coveo_provider.documents.dataset.tables import Part
    from coveo_provider.documents.encoding.rows import Rows

Columns: TypeAlias = "tuple[tuple[str, str], ...]"

_MOST = 100  # files that an event names one by one; of more, it names the folders
_SCHEMES = {"s3a": "s3", "s3n": "s3", "gcs": "gs"}


@dataclass(frozen=True)
class Data:
    """
    A dataset that a task read or wrote. What is ``None`` or empty is not known, and not told.

    :param namespace: where it lies: ``file``, ``s3://bucket``, ``coveo://organization``
    :param name: its name there: a path, a key, a source
    :param columns: their names, each with its Arrow type
    :param rows: how many the task read of it, or wrote
    :param bytes: how many it wrote
    :param files: how many it wrote
    :param places: URIs of the files of a folder that the task read
    """

    namespace: str
    name: str
    columns: Columns = ()
    rows: int | None = None
    bytes: int | None = None
    files: int | None = None
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lineage:
    """What a task read, and what it wrote."""

    inputs: Sequence[Data] = ()
    outputs: Sequence[Data] = ()


def is_listened_to() -> bool:
    """Return whether OpenLineage's provider is installed and sends its events anywhere."""
    try:
        from airflow.providers.openlineage.conf import is_disabled
    except ImportError:
        return False
    return not is_disabled()


def data_at(uri: str, **known: Any) -> Data:
    """
    Return the file or folder at a URI, by its name.

    :param known: what is known of it: fields of :class:`Data`
    :raises DatasetError: it is no URI, or may hold a password that cannot be told from the rest
    """
    return Data(*_named(uri), **known)


def data_in(uris: Iterable[str]) -> tuple[Data, ...]:
    """Return files or folders by their names; instead of very many files, the folders they lie in."""
    found = list(uris)
    if len(found) > _MOST:
        found = [folder_of(uri) for uri in found]
    return tuple(dict.fromkeys(map(data_at, found)))


def data_of_source(organization_id: str, source_id: str, **known: Any) -> Data:
    """Return a source of Coveo, by the name of its asset."""
    return Data(*openlineage_name(organization_id, source_id), **known)


def data_read(sources: Iterable[Part | Rows], uris: Iterable[str]) -> tuple[Data, ...]:
    """
    Return what was read from files: folders of datasets, as the task that wrote them tells them, and single files.

    Of a folder it is said which of its files were read: each mapped task reads its own.

    :param sources: what was read, rows and DataFrames given inline among them
    :param uris: which of them are files
    """
    from coveo_provider.documents.dataset.tables import Part

    files = set(uris)
    parts = [one for one in sources if isinstance(one, Part) and one.name in files]
    few = len([part for part in parts if not part.dataset]) <= _MOST
    groups: dict[str, list[Part]] = {}
    for part in parts:
        place = part.dataset or (part.name if few else folder_of(part.name))
        groups.setdefault(place, []).append(part)
    return tuple(
        data_at(
            place,
            columns=columns_of(members[0].schema),
            rows=sum(part.rows for part in members),
            places=tuple(_shown(part.name) for part in members if part.name != place)
            if len(members) <= _MOST
            else (),
        )
        for place, members in groups.items()
    )


def data_written(folder_uri: str, manifest: Manifest) -> Data:
    """Return a complete dataset of ours, with its columns as they stand in its first part."""
    first = folder_at(folder_uri) / manifest.parts[0].name if manifest.parts else None
    return data_at(
        folder_uri,
        columns=columns_at(str(first)) if first is not None else (),
        rows=manifest.rows,
        bytes=manifest.bytes,
        files=len(manifest.parts),
    )


def columns_of(schema: Any) -> Columns:
    """Return names and types of the columns of an Arrow schema; how large its offsets are is of no interest."""
    return tuple((field.name, str(field.type).replace("large_", "")) for field in schema)


def columns_at(uri: str) -> Columns:
    """Return names and types of the columns of a part, whose footer alone is read; none if it is not there."""
    from coveo_provider.documents.dataset.tables import stored_schema

    try:
        path: Any = path_at(uri)
        with path.fs.open(path.path, "rb") as file:
            return columns_of(stored_schema(file))
    except Exception:  # noqa: BLE001  each storage library has its own; the rest is told all the same
        return ()


def as_openlineage(lineage: Lineage) -> Any:
    """Return the ``OperatorLineage`` that OpenLineage's provider asks an operator for."""
    from airflow.providers.common.compat.openlineage.facet import InputDataset, OutputDataset
    from airflow.providers.openlineage.extractors import OperatorLineage

    return OperatorLineage(
        inputs=[
            InputDataset(one.namespace, one.name, facets=_schema(one), inputFacets=_what_was_read(one))
            for one in lineage.inputs
        ],
        outputs=[
            OutputDataset(one.namespace, one.name, facets=_schema(one), outputFacets=_what_was_written(one))
            for one in lineage.outputs
        ],
    )


def _schema(data: Data) -> dict[str, Any]:
    from airflow.providers.common.compat.openlineage.facet import SchemaDatasetFacet, SchemaDatasetFacetFields

    if not data.columns:
        return {}
    fields = [SchemaDatasetFacetFields(name=name, type=kind) for name, kind in data.columns]
    return {"schema": SchemaDatasetFacet(fields=fields)}


def _what_was_read(data: Data) -> dict[str, Any]:
    facets: dict[str, Any] = {}
    try:
        from openlineage.client.generated.base_subset_dataset import (
            InputSubsetInputDatasetFacet,
            LocationSubsetCondition,
        )
        from openlineage.client.generated.input_statistics_input_dataset import (
            InputStatisticsInputDatasetFacet,
        )
    except ImportError:  # clients of the time of Airflow 3.1
        return facets
    if data.rows is not None:
        facets["inputStatistics"] = InputStatisticsInputDatasetFacet(rowCount=data.rows)
    if data.places:
        condition = LocationSubsetCondition(locations=list(data.places))
        facets["subset"] = InputSubsetInputDatasetFacet(inputCondition=condition)
    return facets


def _what_was_written(data: Data) -> dict[str, Any]:
    from airflow.providers.common.compat.openlineage.facet import OutputStatisticsOutputDatasetFacet

    if data.rows is None and data.bytes is None:
        return {}
    facet = OutputStatisticsOutputDatasetFacet(rowCount=data.rows, size=data.bytes)
    if data.files is not None and hasattr(facet, "fileCount"):  # newer clients know it
        facet.fileCount = data.files
    return {"outputStatistics": facet}


def _named(uri: str) -> tuple[str, str]:
    """Return namespace and name of what lies at a URI."""
    bare = without_query(uri)
    local = local_path(bare)
    if local is not None:
        return "file", local
    scheme, place, path = parts_of(bare)
    host = place.rpartition("@")[2]
    if ":" in host and not host.rpartition(":")[2].isdigit():  # a key with a slash in it, such as AWS makes
        raise DatasetError("a URI whose user cannot be told from its path has no name for OpenLineage")
    if is_url(bare):
        path = path.partition("#")[0]
    return f"{_SCHEMES.get(scheme, scheme)}://{host}", path.strip("/") or "/"


def _shown(uri: str) -> str:
    """Return a URI made of the name of what lies there."""
    namespace, name = _named(uri)
    return f"file://{name}" if namespace == "file" else f"{namespace}/{name}"
