"""Where the files lie that documents name as their content."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from airflow.sdk import ObjectStoragePath

_BLOCK = 1 << 20  # bytes fetched at once; some storages' own default is 50 MB for each open file

_one_by_one = threading.Lock()


@contextmanager
def open_content(uri: str) -> Iterator[IO[bytes]]:
    """
    Open a file for reading, wherever ``ObjectStoragePath`` reads. May be called in threads.

    It goes past ``ObjectStoragePath.open``, which would report each of thousands of files as an asset of the task.

    :raises Exception: whatever the storage's library has for what went wrong
    """
    with _one_by_one:  # the first file of a storage asks the task's supervisor for the connection
        path = ObjectStoragePath(uri)
        storage = path.fs
    with storage.open(path.path, mode="rb", block_size=_BLOCK) as file:
        yield file
