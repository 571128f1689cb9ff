"""Contents of items that came through a container of their own (``compressedBinaryDataFileId``)."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coveo_provider.sandbox.service.containers import Containers


class ItemFiles:
    """
    Files kept beside the database, one per item that has one.

    :param folder: made when missing
    """

    def __init__(self, folder: Path, containers: Containers) -> None:
        self._folder, self._containers = folder, containers
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, source_n: int, uri: str, file_id: str) -> None:
        """
        Use up the container an item names and keep its content.

        :raises ApiError: when there is no such content to be had
        """
        shutil.move(self._containers.take(file_id), self._path(source_n, uri))

    def find(self, source_n: int, uri: str) -> Path | None:
        """Give the file of an item's content, None when it has none."""
        path = self._path(source_n, uri)
        return path if path.exists() else None

    def reset(self) -> None:
        """Forget all contents."""
        for path in self._folder.glob("body-*"):
            path.unlink(missing_ok=True)

    def _path(self, source_n: int, uri: str) -> Path:
        return self._folder / f"body-{source_n}-{hashlib.sha256(uri.encode()).hexdigest()}"
