"""
Accepted operations become index content and log entries.

``platform-api.md`` section 7 has the log, ``push-api.md`` section 7 the order of operations. Everything
here runs on the pipeline's one thread, so nobody else writes items.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from coveo_provider.sandbox.service import items, jsontext, partial
from coveo_provider.sandbox.service.errors import ApiError
from coveo_provider.sandbox.service.items import Item, ItemRefused, Rules
from coveo_provider.sandbox.service.store import LogRow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from coveo_provider.sandbox.service.bodies import Bodies
    from coveo_provider.sandbox.service.clock import Clock
    from coveo_provider.sandbox.service.limits import Limits
    from coveo_provider.sandbox.service.sources import Source, Sources
    from coveo_provider.sandbox.service.store import Store
    from coveo_provider.sandbox.service.visibility import Visibility

# Items per transaction: large enough for SQLite's pace, small enough that a reader never waits long.
SLICE = 1000

Sections = Mapping[str, Sequence[Any]]


class Indexer:
    """
    Applies operations to the store.

    :param stopped: looked at between slices, so that a stop does not wait for a million items
    """

    def __init__(
        self,
        store: Store,
        sources: Sources,
        bodies: Bodies,
        clock: Clock,
        limits: Limits,
        visibility: Visibility,
        stopped: Callable[[], bool],
    ) -> None:
        self._store, self._sources, self._bodies, self._visibility = store, sources, bodies, visibility
        self._clock, self._limits, self._stopped = clock, limits, stopped

    # -- what a call hands over ------------------------------------------------------------------------------

    def put_item(self, source: Source, text: bytes, uri: str, compression: str | None, ordering: int) -> None:
        """Index one inline item, whose form the call has checked."""
        self._adds(source, [text], ordering, uri=uri, compression=compression)

    def delete_item(self, source: Source, uri: str, children: bool, ordering: int) -> None:
        """Delete one item, with all whose id starts with its id when ``children`` is true."""
        log: list[LogRow] = []
        with self._store.transaction():
            self._delete(source, uri, children, ordering, log)
            self._store.log(log)

    def batch(self, source: Source, file_id: str, path: Path, ordering: int) -> None:
        """Apply a Push batch (push-api.md 4.2)."""
        with self._container(
            source, "STREAMING", file_id, path, ordering, ("addOrUpdate", "delete")
        ) as found:
            self._adds(source, found.get("addOrUpdate", ()), ordering)
            self._deletes(source, found.get("delete", ()), ordering)

    def update(self, source: Source, file_id: str, path: Path, ordering: int) -> None:
        """
        Apply a Stream update (stream-api.md 3.1, 3.2).

        uncertain: the order of the three arrays in one container; taken as written on the page.
        """
        keys = ("addOrUpdate", "partialUpdate", "delete")
        with self._container(source, "STREAMING_EXTENSION", file_id, path, ordering, keys) as found:
            self._adds(source, found.get("addOrUpdate", ()), ordering)
            self._partials(source, found.get("partialUpdate", ()), ordering)
            self._deletes(source, found.get("delete", ()), ordering)

    def merge(self, source: Source, file_id: str, path: Path, ordering: int) -> None:
        """Apply a Stream merge (stream-api.md 3.3). uncertain: ``addOrUpdate`` here; taken as an error."""
        with self._container(
            source, "STREAMING_EXTENSION", file_id, path, ordering, ("addOrMerge",)
        ) as found:
            self._adds(source, found.get("addOrMerge", ()), ordering, merge=True)

    def load_chunk(self, source: Source, file_id: str, path: Path, ordering: int) -> None:
        """
        Add what one chunk of a closed load brings (stream-api.md 3.1, 4).

        ``delete`` has no defined effect in a load (uncertain): it does nothing, and the log says so.
        """
        with self._container(
            source, "STREAMING", file_id, path, ordering, ("addOrUpdate", "delete")
        ) as found:
            self._adds(source, found.get("addOrUpdate", ()), ordering, load=True)
            if found.get("delete"):
                self._note(source, file_id, "WARNING", ordering, "a load does not read delete")

    def remove_absent(self, source: Source, ordering: int) -> None:
        """
        End a load: what it did not bring, and nothing has touched since, goes.

        A catalog configuration protects its source from losing everything (stream-api.md 4).
        """
        older = self._store.older(source.n, ordering)
        if source.catalog_configuration and older and older == source.item_count:
            why = "every item would be deleted and a catalog configuration uses the source: deletion skipped"
            self._note_delete_older(source, "SKIPPED", ordering, why)
            return
        self.delete_older(source, ordering)

    def raise_floor(self, source: Source, ordering: int) -> None:
        """Take note of a delete-older: what is older than it is rejected from here on (push-api.md 7)."""
        self._sources.raise_floor(source, ordering)
        self._note_delete_older(source, "COMPLETED", ordering)

    def delete_older(self, source: Source, ordering: int) -> None:
        """Delete the items whose orderingId is strictly lower."""
        row = self._row(source, "", "DELETE_OLDER_THAN", "INDEXING", "COMPLETED", ordering)
        source.item_count -= self._store.delete_older(source.n, ordering, row)

    # -- containers ------------------------------------------------------------------------------------------

    @contextmanager
    def _container(
        self, source: Source, task: str, file_id: str, path: Path, ordering: int, known: Sequence[str]
    ) -> Iterator[Sections]:
        """Open a container's arrays, or log why it cannot be read; its file is gone afterwards."""
        try:
            with path.open("rb") as file:
                found, unread = jsontext.container(file.fileno(), known)
            self._note(source, file_id, "COMPLETED", ordering, task=task)
            if unread:
                self._note(source, file_id, "WARNING", ordering, f"not read: {', '.join(unread)}", task=task)
            yield found
        except jsontext.BadJsonError as error:
            self._note(source, file_id, "ERROR", ordering, f"the container is refused: {error}", task=task)
            yield {}
        finally:
            path.unlink(missing_ok=True)

    def _adds(
        self,
        source: Source,
        texts: Sequence[Any],
        ordering: int,
        *,
        uri: str | None = None,
        compression: str | None = None,
        merge: bool = False,
        load: bool = False,
    ) -> None:
        rules = self._rules(source)
        brought = 0
        for start in range(0, len(texts), SLICE):
            if self._stopped():
                return
            good: list[Item] = []
            log: list[LogRow] = []
            for text in texts[start : start + SLICE]:
                try:
                    good.append(items.read_item(bytes(text), rules, uri=uri, compression=compression))
                except ItemRefused as refused:
                    log.append(self._refused(source, refused, "ADD", ordering))
            if rules.secured:
                good, unknown = self._visibility.admit(source, good)
                log.extend(self._refused(source, refused, "ADD", ordering) for refused in unknown)
            with self._store.transaction():
                brought += self._write(
                    source, good, ordering, rules, log, merge=merge, brought=brought if load else None
                )
                self._store.log(log)

    def _write(
        self,
        source: Source,
        good: Sequence[Item],
        ordering: int,
        rules: Rules,
        log: list[LogRow],
        *,
        merge: bool,
        brought: int | None,
    ) -> int:
        """
        Write one slice of items that passed, and say how many were new.

        :param brought: how many items the load this belongs to has brought so far; None outside a load.
            A load is counted by itself: what it replaces stays only for some minutes
        """
        known = self._store.orderings(source.n, [item.uri for item in good])
        rows: dict[str, bytes] = {}
        fresh = 0
        for item in good:
            stored, there = known.get(item.uri, (0, False))
            new = item.uri not in rows and not (there and (brought is None or stored == ordering))
            held = fresh + (source.item_count if brought is None else brought)
            error = self._order_problem(source, ordering, stored)
            if not error and new and source.stream and held >= self._limits.stream_items:
                error = f"the source holds {held} items; the limit is {self._limits.stream_items}"
            try:
                if error:
                    raise ItemRefused(error, result="REJECTED", uri=item.uri)
                if item.file_id:
                    self._bodies.keep(source.n, item.uri, item.file_id)
                body = self._merged(source, item, rows, there, rules) if merge else item.body
            except ItemRefused as refused:
                log.append(self._refused(source, refused, "ADD", ordering))
            except ApiError as refused:
                why = ItemRefused(refused.message, task="PROCESSING", uri=item.uri)
                log.append(self._refused(source, why, "ADD", ordering))
            else:
                rows[item.uri] = body
                fresh += new
                self._log_indexed(source, item, ordering, log)
        self._store.put(source.n, ((key, ordering, body) for key, body in rows.items()))
        source.item_count += sum(not known.get(key, (0, False))[1] for key in rows)
        return fresh

    def _merged(self, source: Source, item: Item, rows: dict[str, bytes], there: bool, rules: Rules) -> bytes:
        """Put an item's metadata over what is stored; keys equal but for case are the same field."""
        stored = rows.get(item.uri) or (self._store.body(source.n, item.uri) if there else None)
        if stored is None:
            return item.body
        merged = jsontext.members(stored)
        spelled = {key.lower(): key for key in merged}
        for key, text in jsontext.members(item.body).items():
            merged[spelled.get(key.lower(), key)] = text
        body = jsontext.join(merged)
        rules.check_size(len(body), item.uri)
        return body

    def _partials(self, source: Source, texts: Sequence[Any], ordering: int) -> None:
        rules = self._rules(source)
        for start in range(0, len(texts), SLICE):
            if self._stopped():
                return
            log: list[LogRow] = []
            with self._store.transaction():
                for text in texts[start : start + SLICE]:
                    try:
                        change = partial.read_change(bytes(text), self._limits)
                        stored, there = self._store.orderings(source.n, [change.uri]).get(
                            change.uri, (0, False)
                        )
                        if error := self._order_problem(source, ordering, stored):
                            raise ItemRefused(error, result="REJECTED", uri=change.uri)
                        body = self._store.body(source.n, change.uri) if there else None
                        if body is None:
                            # stream-api.md 3.2: an unknown item is a warning in the log, not an error.
                            raise ItemRefused(
                                "the item does not exist",
                                result="WARNING",
                                task="STREAMING_EXTENSION",
                                uri=change.uri,
                            )
                        body = change.apply(body)
                        rules.check_size(len(body), change.uri)
                    except ItemRefused as refused:
                        log.append(self._refused(source, refused, "UPDATE", ordering))
                        continue
                    self._store.put(source.n, [(change.uri, ordering, body)])
                    log.extend(
                        self._row(source, change.uri, "UPDATE", task, "COMPLETED", ordering)
                        for task in ("CONSUMING", "INDEXING")
                    )
                self._store.log(log)

    def _deletes(self, source: Source, texts: Sequence[Any], ordering: int) -> None:
        for start in range(0, len(texts), SLICE):
            if self._stopped():
                return
            log: list[LogRow] = []
            with self._store.transaction():
                for text in texts[start : start + SLICE]:
                    try:
                        found = items.entry(bytes(text))
                        uri, children = found.get("documentid"), found.get("deletechildren", False)
                        if not isinstance(uri, str) or not uri:
                            raise ItemRefused("documentId is required and is a string")
                        if not isinstance(children, bool):
                            raise ItemRefused("deleteChildren is true or false", uri=uri)
                    except ItemRefused as refused:
                        log.append(self._refused(source, refused, "DELETE", ordering))
                        continue
                    self._delete(source, uri, children, ordering, log)
                self._store.log(log)

    def _delete(self, source: Source, uri: str, children: bool, ordering: int, log: list[LogRow]) -> None:
        """
        Delete an item; its orderingId stays known, so that an older update does not bring it back.

        Children are all whose id starts with this one: push-api.md 4.2 names the plain prefix as the
        reading to take, which also hits a sibling.
        """
        operation = "DELETE_AND_CHILDREN" if children else "DELETE"
        stored, there = self._store.orderings(source.n, [uri]).get(uri, (0, False))
        if error := self._order_problem(source, ordering, stored):
            log.append(self._row(source, uri, operation, "CONSUMING", "REJECTED", ordering, error))
            return
        gone = {uri} if there else set()
        if children:
            gone |= {key for key, held in self._store.ids_under(source.n, uri) if held <= ordering}
        self._store.put(source.n, [(key, ordering, None) for key in {uri, *gone}])
        source.item_count -= len(gone)
        log.append(self._row(source, uri, operation, "CONSUMING", "COMPLETED", ordering))
        result, why = ("COMPLETED", None) if gone else ("SKIPPED", "the item is not in the index")
        log.extend(
            self._row(source, key, operation, "INDEXING", result, ordering, why)
            for key in sorted(gone) or [uri]
        )

    def _rules(self, source: Source) -> Rules:
        return Rules(source.stream, source.visibility == "SECURED", self._limits)

    # -- log -------------------------------------------------------------------------------------------------

    @staticmethod
    def _order_problem(source: Source, ordering: int, stored: int) -> str | None:
        if ordering < stored:
            return f"the orderingId {ordering} is lower than the item's, {stored}"
        if source.floor is not None and ordering < source.floor:
            return f"the orderingId {ordering} is lower than {source.floor}, left by a delete-older"
        return None

    def _row(
        self,
        source: Source,
        uri: str,
        operation: str,
        task: str,
        result: str,
        ordering: int,
        error: str | None = None,
    ) -> LogRow:
        return LogRow(self._clock.now_ms(), source.n, uri, operation, task, result, ordering, error)

    def _log_indexed(self, source: Source, item: Item, ordering: int, log: list[LogRow]) -> None:
        now = self._clock.now_ms()
        log.append(LogRow(now, source.n, item.uri, "ADD", "CONSUMING", "COMPLETED", ordering))
        for task, warning in item.warnings:
            log.append(LogRow(now, source.n, item.uri, "ADD", task, "WARNING", ordering, warning))
        log.append(LogRow(now, source.n, item.uri, "ADD", "INDEXING", "COMPLETED", ordering))

    def _refused(self, source: Source, refused: ItemRefused, operation: str, ordering: int) -> LogRow:
        uri = refused.uri.encode("utf-8", "replace").decode()
        message = refused.message.encode("utf-8", "replace").decode()
        return self._row(source, uri, operation, refused.task, refused.result, ordering, message)

    def _note(
        self,
        source: Source,
        file_id: str,
        result: str,
        ordering: int,
        error: str | None = None,
        *,
        task: str = "STREAMING",
    ) -> None:
        self._store.log([self._row(source, file_id, "BATCH_FILE", task, result, ordering, error)])

    def _note_delete_older(
        self, source: Source, result: str, ordering: int, error: str | None = None
    ) -> None:
        # The pages do not say what such an entry has as its id (uncertain); here it is the source's.
        self._store.log(
            [self._row(source, source.id, "DELETE_OLDER_THAN", "CONSUMING", result, ordering, error)]
        )
