"""
What lies on a storage and is named by XCom: the loads that a state remembers, datasets, refused items.

Who writes DAGs writes these addresses, and the API server reads them, so little is read: the file ``last.json`` of
a folder, whether a ``_manifest.json`` is there, and rows of a ``_refused-….parquet``; on storages that Airflow
knows, none of the web, and no more of it than a page shows. A storage that hangs is not waited for: all requests of
the API server share its threads.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from airflow.sdk.io import has_fs

from coveo_provider.documents.uris import parts_of, shown_uri, without_secrets
from coveo_provider.errors import DatasetError
from coveo_provider.operators.support.paths import path_at
from coveo_provider.plugin import shapes

THERE, GONE, NOT_KNOWN = "there", "gone", "not known"
_STATE_BYTES = 8 * 1024 * 1024
_REFUSED_BYTES = 256 * 1024 * 1024
_COLUMNS = ("documentId", "operation", "stage", "result", "reason", "datetime")
_SEARCHED = ("documentId", "stage", "reason")
_LOOKED_AT = 200_000
_MANIFEST, _REFUSED_FILE = "_manifest.json", "_refused-"
_PATIENCE = 15.0  # seconds that a page waits for a storage, or for one of the readers
_READERS = threading.BoundedSemaphore(8)

T = TypeVar("T")

if TYPE_CHECKING:
    from coveo_provider.documents.dataset.tables import Part

log = logging.getLogger(__name__)


class NotRead(Exception):
    """Something on a storage cannot be read from here; the text says what and why, without secrets."""


def loads(state: str) -> list[shapes.Load]:
    """
    Return the loads that a state remembers, newest first.

    :param state: URI of its folder
    :raises NotRead: there is no such file, it is another, or its storage does not answer
    """
    uri = f"{state.rstrip('/')}/last.json"
    try:
        text = _in_time(lambda: _start_of(uri))
    except FileNotFoundError:
        raise NotRead(f"{shown_uri(uri)} is not there, as the API server sees it") from None
    except DatasetError as error:
        raise NotRead(str(error)) from None
    except Exception as error:  # noqa: BLE001  each storage library has its own
        raise _not_read(uri, error) from None
    if len(text) > _STATE_BYTES:
        raise NotRead(f"{shown_uri(uri)} is larger than a file of a state")
    try:
        return shapes.read_text(shapes.Loads, text).loads
    except shapes.OtherShape as error:
        raise NotRead(f"{shown_uri(uri)} is no file of a state: {error}") from None


def presence(manifests: Iterable[str]) -> dict[str, str]:
    """
    Return whether each manifest is there, gone, or not known, because its storage does not answer.

    A storage that did not answer once is not asked again: each time may take as long as its library waits.
    """
    found = dict.fromkeys(manifests, NOT_KNOWN)
    try:
        _in_time(lambda: _look_for(found))
    except TimeoutError:
        log.warning("Not known whether %d manifests are there: a storage does not answer", len(found))
    return dict(found)


def _look_for(found: dict[str, str]) -> None:
    """Write of each manifest whether it is there, as soon as it is known."""
    silent: set[tuple[str, str]] = set()
    for uri in list(found):
        try:
            place = parts_of(uri)[:2]
            if uri.endswith(f"/{_MANIFEST}") and place not in silent:
                found[uri] = THERE if _path(uri).is_file() else GONE
        except DatasetError:
            continue
        except Exception as error:  # noqa: BLE001  each storage library has its own
            silent.add(place)
            log.warning("%s: not known whether it is there (%s)", shown_uri(uri), type(error).__name__)


class Refused(NamedTuple):
    """
    A page of refused items.

    :param rows: each with the values of the columns of the file that verification writes
    :param total: how many rows the file has
    :param more: whether there are further ones
    :param looked_at: how many rows of the file were looked at
    """

    rows: list[dict[str, Any]]
    total: int
    more: bool
    looked_at: int


def refused(uri: str, *, text: str, page: int, size: int) -> Refused:
    """
    Return a page of the refused items that a file lists.

    :param text: what a row has to hold in its id, stage or reason; empty for all rows
    :param page: of which page, from 0
    :param size: rows of a page
    :raises NotRead: it is no such file, or cannot be read from here
    """
    name = uri.rpartition("/")[2]
    if not (name.startswith(_REFUSED_FILE) and name.endswith(".parquet")):
        raise NotRead(f"the file of refused items is a {_REFUSED_FILE}….parquet file")
    try:
        return _in_time(lambda: _refused(uri, text.lower(), page * size, size))
    except NotRead:
        raise
    except FileNotFoundError:
        raise NotRead(f"{shown_uri(uri)} is not there any more, as the API server sees it") from None
    except DatasetError as error:
        raise NotRead(str(error)) from None
    except Exception as error:  # noqa: BLE001  each storage library has its own
        raise _not_read(uri, error) from None


def _refused(uri: str, wanted: str, skipped: int, size: int) -> Refused:
    path = _path(uri)
    if path.stat().st_size > _REFUSED_BYTES:
        raise NotRead(f"{shown_uri(uri)} is too large to be looked through here; read it with a task")
    from coveo_provider.documents.dataset.files import opened_local
    from coveo_provider.documents.dataset.tables import Part

    with opened_local(path) as file:
        return _page(Part(file, shown_uri(uri)), wanted, skipped, size)


def _page(part: Part, wanted: str, skipped: int, size: int) -> Refused:
    rows: list[dict[str, Any]] = []
    looked_at = 0
    for row in _rows(part):
        looked_at += 1
        if not wanted or any(wanted in str(row.get(name) or "").lower() for name in _SEARCHED):
            skipped -= 1
            if skipped < 0:
                rows.append(row)
        if len(rows) > size or looked_at == _LOOKED_AT:
            break
    return Refused(rows[:size], part.rows, len(rows) > size, looked_at)


def _rows(part: Part) -> Iterator[dict[str, Any]]:
    names = [name for name in _COLUMNS if name in part.schema.names]
    if "documentId" not in names:
        raise NotRead(f"{part.name} has no column documentId, so it lists no refused items")
    for batch in part.batches(names):
        yield from batch.to_pylist()


def _start_of(uri: str) -> bytes:
    """Return what a file begins with, one byte more than a state may have."""
    with _path(uri).open("rb") as file:
        return bytes(file.read(_STATE_BYTES + 1))


def _in_time(call: Callable[[], T]) -> T:
    """
    Return what a call returns, or raise what it raises.

    :raises TimeoutError: it takes too long, or too many others do; its thread ends when its library gives up
    """
    if not _READERS.acquire(timeout=_PATIENCE):
        raise TimeoutError
    answers: SimpleQueue[tuple[T, None] | tuple[None, BaseException]] = SimpleQueue()

    def read() -> None:
        try:
            answers.put((call(), None))
        except BaseException as error:  # noqa: BLE001  it is raised where it is waited for
            answers.put((None, error))
        finally:
            _READERS.release()

    # Not of a pool, which a process waits for in the end.
    threading.Thread(target=read, name="coveo-storage", daemon=True).start()
    try:
        value, error = answers.get(timeout=_PATIENCE)
    except Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return cast("T", value)


def _not_read(uri: str, error: Exception) -> NotRead:
    log.warning("%s cannot be read: %s", shown_uri(uri), without_secrets(uri, str(error)))
    return NotRead(
        f"{shown_uri(uri)} cannot be read ({type(error).__name__}); the API server's log says more"
    )


def _path(uri: str) -> Any:
    """
    Return the path that a URI names.

    :raises DatasetError: it is none, or of a storage that the API server is not to ask
    """
    scheme = parts_of(uri)[0]
    if not uri.strip() or (scheme and not has_fs(scheme)) or "::" in uri:
        raise DatasetError(f"{shown_uri(uri)} lies on no storage that this Airflow knows")
    return path_at(uri)
