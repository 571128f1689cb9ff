"""The files that documents name as their content: read, and told apart from what they were before."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from airflow.sdk import ObjectStoragePath

from coveo_provider.documents.contents.files import shown_uri
from coveo_provider.documents.contents.local_files import refuse_irregular
from coveo_provider.documents.dataset.files import is_local
from coveo_provider.errors import ContentUnavailable, DatasetError

_BLOCK = 1 << 20  # bytes fetched at once; some storages' own default is 50 MB for each open file

_STRONG = ("ETag", "etag", "e_tag", "md5Hash", "content_md5", "checksum", "generation", "version_id")
_WEAK = ("mtime", "last_modified", "LastModified", "updated", "modified", "created")

_one_by_one = threading.Lock()


@contextmanager
def open_content(uri: str) -> Iterator[IO[bytes]]:
    """
    Open a file for reading, wherever ``ObjectStoragePath`` reads. May be called in threads.

    It goes past ``ObjectStoragePath.open``, which would report each of thousands of files as an asset of the task.
    Of this machine only regular files are read: a named pipe could hold a task beyond every time-out.

    :raises Exception: whatever the storage's library has for what went wrong
    """
    with _one_by_one:  # the first file of a storage asks the task's supervisor for the connection
        path = ObjectStoragePath(uri)
        storage = path.fs
    if is_local(path):
        refuse_irregular(path.path)
    with storage.open(path.path, mode="rb", block_size=_BLOCK) as file:
        yield file


def stamp_of(uri: str) -> str:
    """
    Return what tells this state of a file from any other, as far as its storage says: a hash, or size and time.

    :raises DatasetError: it is missing, or its storage unknown
    :raises ContentUnavailable: the storage failed in a way that may pass
    """
    try:
        path = ObjectStoragePath(uri)
        storage: Any = path.fs
        info = storage.info(path.path)
    except FileNotFoundError:
        raise DatasetError(f"contentUri {shown_uri(uri)} is missing") from None
    except PermissionError:
        raise DatasetError(f"contentUri {shown_uri(uri)} cannot be read: permission denied") from None
    except (ValueError, ImportError) as error:
        raise DatasetError(f"contentUri {shown_uri(uri)} cannot be read: {type(error).__name__}") from None
    except Exception as error:  # each storage library has its own
        raise ContentUnavailable("with a contentUri", shown_uri(uri), type(error).__name__) from error
    strong = [f"{key}={info[key]}" for key in _STRONG if info.get(key)]
    weak = [f"{key}={info[key]}" for key in _WEAK if info.get(key)]
    return "\n".join([f"size={info.get('size')}", *(strong or weak[:1])])
