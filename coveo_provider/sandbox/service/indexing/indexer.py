"""
Accepted operations on items, carried out one by one: batches, updates, merges, loads and deletions.

Everything here runs on the pipeline's one thread, so nobody else writes items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from coveo_provider.sandbox.service import jsontext

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from coveo_provider.sandbox.service.indexing.item_store import ItemStore
    from coveo_provider.sandbox.service.indexing.item_writer import ItemWriter
    from coveo_provider.sandbox.service.indexing.source_log import SourceLog
    from coveo_provider.sandbox.service.sources import Source, Sources

Arrays = Mapping[str, Sequence[Any]]
Chunk = tuple[str, "Path"]
"""A container's id, and the file of its content."""


class Indexer:
    """Carries operations out by a ``writer``."""

    def __init__(self, store: ItemStore, log: SourceLog, sources: Sources, writer: ItemWriter) -> None:
        self._store, self._log, self._sources, self._writer = store, log, sources, writer

    # -- what a call hands over ------------------------------------------------------------------------------

    def put_item(self, source: Source, text: bytes, uri: str, compression: str | None, ordering: int) -> None:
        """Index one inline item, whose form the call has checked."""
        self._writer.add(source, [text], ordering, stream=False, uri=uri, compression=compression)

    def delete_item(self, source: Source, uri: str, children: bool, ordering: int) -> None:
        """Delete one item, with all whose id starts with its id when ``children`` is true."""
        self._writer.delete_item(source, uri, children, ordering)

    def batch(self, source: Source, file_id: str, path: Path, ordering: int) -> None:
        """Apply a Push batch (docs 90)."""
        keys = ("addOrUpdate", "delete")
        with self._container(source, "STREAMING", file_id, path, ordering, keys) as arrays:
            self._writer.add(source, arrays.get("addOrUpdate", ()), ordering, stream=False)
            self._writer.delete(source, arrays.get("delete", ()), ordering)

    def update(self, source: Source, file_id: str, path: Path, ordering: int) -> None:
        """
        Apply a Stream update (docs p4eb0129).

        The order of the three arrays in one container is uncertain; it is taken as the page names them
        (``docs/api-notes.md, "Updates and partial updates"``; probe: update-order).
        """
        keys = ("addOrUpdate", "partialUpdate", "delete")
        with self._container(source, "STREAMING_EXTENSION", file_id, path, ordering, keys) as arrays:
            self._writer.add(source, arrays.get("addOrUpdate", ()), ordering, stream=True)
            self._writer.change(source, arrays.get("partialUpdate", ()), ordering)
            self._writer.delete(source, arrays.get("delete", ()), ordering)

    def merge(self, source: Source, file_id: str, path: Path, ordering: int) -> None:
        """
        Apply a Stream merge.

        ``addOrUpdate`` in its container is taken as an error (``docs/api-notes.md, "Merges"``;
        probe: merge-add-or-update).
        """
        keys = ("addOrMerge",)
        with self._container(source, "STREAMING_EXTENSION", file_id, path, ordering, keys) as arrays:
            self._writer.add(source, arrays.get("addOrMerge", ()), ordering, stream=True, merge=True)

    def load(self, source: Source, chunks: Sequence[Chunk], ordering: int) -> bool:
        """
        Add what the chunks of a closed stream bring, and say whether what they did not bring is to go.

        A catalog configuration protects its source from losing everything that there is (docs lb4a0344). That
        is decided here: what is added afterwards does not count (probe: load-protected).
        """
        existing = source.item_count
        brought = 0
        for file_id, path in chunks:
            brought += self._load_chunk(source, file_id, path, ordering, brought)
        absent = self._store.count(source.n, older_than=ordering)
        if not (source.catalog_configuration and existing and absent == existing):
            return True
        why = "every item would be deleted and a catalog configuration uses the source: deletion skipped"
        self._note_delete_older(source, "SKIPPED", ordering, why)
        return False

    def _load_chunk(self, source: Source, file_id: str, path: Path, ordering: int, brought: int) -> int:
        """
        Add what a chunk brings, and say how many items were new.

        ``delete`` has no defined effect in a load: it does nothing (``docs/api-notes.md, "Streams"``;
        probe: load-delete).
        """
        keys = ("addOrUpdate", "delete")
        with self._container(source, "STREAMING", file_id, path, ordering, keys) as arrays:
            if arrays.get("delete"):
                self._note(source, "STREAMING", file_id, "WARNING", ordering, "a load does not read delete")
            texts = arrays.get("addOrUpdate", ())
            return self._writer.add(source, texts, ordering, stream=True, brought=brought)

    def raise_floor(self, source: Source, mark: int, ordering: int) -> None:
        """Take note of a delete-older: what is older than its mark is rejected from here on (docs 131)."""
        self._sources.raise_floor(source, mark)
        self._note_delete_older(source, "COMPLETED", ordering)

    def delete_older(self, source: Source, mark: int, ordering: int) -> None:
        """Delete the items whose orderingId is strictly lower than ``mark``."""
        self._writer.delete_older(source, mark, ordering)

    # -- containers ------------------------------------------------------------------------------------------

    @contextmanager
    def _container(
        self, source: Source, task: str, file_id: str, path: Path, ordering: int, keys: Sequence[str]
    ) -> Iterator[Arrays]:
        """Open a container's arrays, or log why it cannot be read; its file is gone afterwards."""
        try:
            with path.open("rb") as file:
                arrays, unread = jsontext.container(file.fileno(), keys)
            self._note(source, task, file_id, "COMPLETED", ordering)
            if unread:
                self._note(source, task, file_id, "WARNING", ordering, f"not read: {', '.join(unread)}")
            yield arrays
        except jsontext.BadJsonError as error:
            self._note(source, task, file_id, "ERROR", ordering, f"the container is refused: {error}")
            yield {}
        finally:
            path.unlink(missing_ok=True)

    def _note(
        self, source: Source, task: str, file_id: str, result: str, ordering: int, error: str | None = None
    ) -> None:
        self._log.append([self._log.row(source, file_id, "BATCH_FILE", task, result, ordering, error)])

    def _note_delete_older(
        self, source: Source, result: str, ordering: int, error: str | None = None
    ) -> None:
        # No page says what such an entry has as its id; here it is the source's.
        row = self._log.row(source, source.id, "DELETE_OLDER_THAN", "CONSUMING", result, ordering, error)
        self._log.append([row])
