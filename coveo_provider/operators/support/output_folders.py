"""The folder that a dataset is written to: prepared, and never one that holds anything else."""

from __future__ import annotations

import os
import re
from typing import Any

from airflow.sdk import ObjectStoragePath

from coveo_provider.documents.dataset.files import make_folder, remove, replace
from coveo_provider.documents.dataset.manifest import HASHES, MANIFEST, Manifest
from coveo_provider.errors import ConfigurationError, DatasetError
from coveo_provider.operators.support.paths import folder_at, path_at
from coveo_provider.operators.support.storage import files_in, flat, manifest_of

_OWN = re.compile(
    rf"(?:{HASHES}/)?part-\d{{5,}}\.parquet|{re.escape(MANIFEST)}"
    r"|_refused-[\w-]+\.parquet|_report-[\w-]+\.json"  # of a run that sent the dataset
    rf"|\.(?:{re.escape(MANIFEST)}|_report-[\w-]+\.json)-\w{{8}}"  # half a file, of a task that was killed
)


def prepared_output(output: Any, manifest: Manifest, *, sources: Any = ()) -> ObjectStoragePath:
    """
    Return a dataset's folder, with an incomplete manifest in it and nothing else.

    What an earlier try of the same task wrote there is deleted; a folder that holds anything else is refused.

    :param output: its URI
    :param manifest: the incomplete one
    :param sources: URIs of what is read meanwhile, and must not be deleted
    :raises ConfigurationError: it is no URI of a folder of its own
    :raises DatasetError: the folder holds something else
    """
    if not isinstance(output, (str, ObjectStoragePath)) or not str(output).strip():
        raise ConfigurationError(f"output must be the URI of a folder, not {output!r}")
    folder = folder_at(output, "output")
    for uri in flat(sources, "source"):
        _refuse_overlap(folder, path_at(uri, "source"))
    if folder.is_file():
        raise ConfigurationError(f"output: {output} is a file, expected a folder")
    files = files_in(folder) if folder.is_dir() else {}
    if files:
        if MANIFEST not in files:
            raise DatasetError(
                f"output: {output} holds {min(files)}, and no {MANIFEST}: it is not the folder of a dataset that a "
                "former try wrote. Nothing was deleted; name an empty folder, or one of this run"
            )
        manifest_of(folder)  # raises when that file is something else
        foreign = sorted(file for file in files if not _OWN.fullmatch(file))
        if foreign:
            raise DatasetError(
                f"output: {output} holds {foreign[0]}, which is no part of a dataset. Nothing was deleted; name an "
                "empty folder, or one of this run"
            )
    make_folder(folder)
    replace(folder / MANIFEST, manifest.as_json())
    for file in files:
        if file != MANIFEST:
            remove(folder / file)
    return folder


def is_same_folder(folder: ObjectStoragePath, output: Any) -> bool:
    """Return whether an output is a folder, whatever its spelling."""
    return _place(folder) == _place(folder_at(output, "output"))


def _refuse_overlap(output: ObjectStoragePath, source: ObjectStoragePath) -> None:
    (storage, place), (other_storage, other) = _place(output), _place(source)
    if storage == other_storage and (
        place == other or place.startswith(f"{other}/") or other.startswith(f"{place}/")
    ):
        raise ConfigurationError(
            f"output {output} and source {source} are the same folder, or one lies in the other; name a folder of "
            "its own for the output"
        )


def _place(path: ObjectStoragePath) -> tuple[str, str]:
    protocol = path.protocol or "file"
    if protocol in {"file", "local"}:
        return "file", os.path.realpath(path.path).rstrip("/")
    return protocol, path.path.strip("/")
