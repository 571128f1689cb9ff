"""The folder in which the state of a source outlives runs, and what a run of a DAG writes into it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context, ObjectStoragePath

from coveo_provider.documents.changes.datasets import WrittenDataset
from coveo_provider.documents.changes.state import LastRun, State
from coveo_provider.errors import ConfigurationError
from coveo_provider.operators.support.paths import folder_at
from coveo_provider.operators.support.storage import files_in

if TYPE_CHECKING:
    from coveo_provider.operators.support.claims import SourceOperator


def state_at(uri: Any) -> State:
    """
    Return the state in a folder, which need not be there yet.

    :raises ConfigurationError: it is no URI
    """
    if not isinstance(uri, (str, ObjectStoragePath)) or not str(uri).strip():
        raise ConfigurationError(f"state must be the URI of a folder, not {uri!r}")
    folder = folder_at(uri, "state")
    return State(folder, files_in(folder) if folder.is_dir() else ())


def run_to_remember(operator: SourceOperator, datasets: Sequence[WrittenDataset]) -> LastRun:
    """Return what is to be remembered once datasets have been sent to an operator's source."""
    from coveo_provider.documents.dataset.content_hash import HASH_VERSION

    return LastRun(
        organization=operator.client.organization_id,
        push_url=operator.client.endpoints.push_url,
        source_id=operator.source_id,
        hash_version=HASH_VERSION,
        datasets=tuple(dataset.record() for dataset in datasets),
    )


def owner_of_state(uri: Any) -> str:
    """Return what decides what a source holds, where its state lies in a folder."""
    return f"the state in {str(uri).rstrip('/')}"


def run_key(context: Context) -> str:
    """Return a name for a run that is the same in each of its tries, and fits into a file's name."""
    instance = context.get("ti")
    names = [str(getattr(instance, name, "")) for name in ("dag_id", "run_id", "task_id", "map_index")]
    readable = re.sub(r"[^A-Za-z0-9]+", "-", f"{names[0]}-{names[1]}").strip("-")[:60]
    return f"{readable or 'run'}-{hashlib.sha256(chr(10).join(names).encode()).hexdigest()[:16]}"
