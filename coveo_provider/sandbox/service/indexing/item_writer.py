"""Entries of a container become items of the index and entries of the log, a slice in a transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from coveo_provider.sandbox.service import jsontext, mappings
from coveo_provider.sandbox.service.errors import ApiError
from coveo_provider.sandbox.service.indexing import field_rules, item_rules, partial_updates
from coveo_provider.sandbox.service.indexing.item_rules import DICTIONARY, Item, ItemRefused, Rules, Warned
from coveo_provider.sandbox.service.indexing.source_log import CONSUMED, INDEXED, Stage

if TYPE_CHECKING:
    from coveo_provider.sandbox.service.database import Database
    from coveo_provider.sandbox.service.indexing.item_files import ItemFiles
    from coveo_provider.sandbox.service.indexing.item_store import ItemStore
    from coveo_provider.sandbox.service.indexing.source_log import LogRow, SourceLog
    from coveo_provider.sandbox.service.limits import Limits
    from coveo_provider.sandbox.service.security.item_access import ItemAccess
    from coveo_provider.sandbox.service.sources import Source

Keep = Callable[..., tuple[bytes, tuple[Warned, ...]]]
"""An item's JSON, with ``only`` the keys to look at → what fields take of it, and the warnings."""

# Items per transaction: large enough for SQLite's pace, small enough that a reader never waits long.
SLICE = 1000


class ItemWriter:
    """
    Writes to the index.

    :param stopped: looked at between slices, so that a stop does not wait for a million items
    :param models: gives the organization's fields by name; None keeps metadata whether or not a field takes it
    """

    def __init__(
        self,
        database: Database,
        store: ItemStore,
        log: SourceLog,
        files: ItemFiles,
        access: ItemAccess,
        limits: Limits,
        stopped: Callable[[], bool],
        models: Callable[[], Mapping[str, Mapping[str, Any]]] | None = None,
    ) -> None:
        self._database, self._store, self._log = database, store, log
        self._files, self._access, self._limits, self._stopped = files, access, limits, stopped
        self._models = models

    # -- adding ----------------------------------------------------------------------------------------------

    def add(
        self,
        source: Source,
        texts: Sequence[Any],
        ordering: int,
        *,
        stream: bool,
        uri: str | None = None,
        compression: str | None = None,
        merge: bool = False,
        brought: int | None = None,
    ) -> int:
        """
        Add or replace items, and say how many were new.

        :param stream: they come by the Stream API
        :param uri: the documentId of an inline call, which the item's JSON may leave out
        :param compression: the compressionType of an inline call
        :param merge: put metadata over what is stored instead of replacing the item
        :param brought: how many items the load they belong to has brought so far; None outside a load. A load is
            counted by itself, as what it replaces stays for some minutes only
        """
        rules = Rules(stream, source.visibility, self._limits)
        added = 0
        for part in self._slices(texts):
            good: list[Item] = []
            log: list[LogRow] = []
            for text in part:
                try:
                    good.append(item_rules.read_item(bytes(text), rules, uri=uri, compression=compression))
                except ItemRefused as refused:
                    log.append(self._refused(source, refused, "ADD", ordering))
            with self._database.transaction():
                good = self._with_fields_only(source, good)
                if rules.secured:
                    good = self._with_warnings(source, good)
                so_far = None if brought is None else brought + added
                added += self._write(source, good, ordering, rules, log, merge=merge, brought=so_far)
                self._log.append(log)
        return added

    def _keeper(self, source: Source) -> Keep | None:
        """Give what drops the metadata that no field takes by now; None where fields do not matter."""
        if self._models is None:
            return None
        return partial(
            field_rules.keep, models=self._models(), mapped=mappings.fields_filled(source.mappings)
        )

    def _with_fields_only(self, source: Source, items: list[Item]) -> list[Item]:
        """Drop metadata that no field takes, where fields matter, and say so in the items' warnings."""
        keep = self._keeper(source)
        if keep is None:
            return items
        kept: list[Item] = []
        for item in items:
            body, warnings = keep(item.body)
            own = tuple(one for one in item.warnings if one != DICTIONARY)
            kept.append(replace(item, body=body, warnings=(*own, *warnings)))
        return kept

    def _with_warnings(self, source: Source, items: Sequence[Item]) -> list[Item]:
        """Warn of identities that let nobody in, as nobody has pushed them yet or for another reason."""
        problems = self._access.problems(source, {named for item in items for named in item.named})
        warned: list[Item] = []
        for item in items:
            if wrong := sorted(problems[named] for named in item.named & problems.keys()):
                more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
                warning = ("CONSUMING", f"{wrong[0]}{more}")
                item = replace(item, warnings=(warning, *item.warnings))
            warned.append(item)
        return warned

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
        """Write one slice of items that passed, and say how many were new; ``brought`` is that of :meth:`add`."""
        known = self._store.orderings(source.n, [item.uri for item in good])
        rows: dict[str, bytes] = {}
        fresh = 0
        for item in good:
            stored, there = known.get(item.uri, (0, False))
            new = item.uri not in rows and not (there and (brought is None or stored == ordering))
            count = fresh + (source.item_count if brought is None else brought)
            try:
                self._check_order(source, item.uri, ordering, stored)
                if new and rules.stream:
                    self._check_count(source, item.uri, count)
                if item.file_id:
                    self._keep_file(source, item.uri, item.file_id)
                rows[item.uri] = self._merged(source, item, rows, there, rules) if merge else item.body
            except ItemRefused as refused:
                log.append(self._refused(source, refused, "ADD", ordering))
            else:
                fresh += new
                log.extend(self._indexed(source, item, ordering))
        self._store.put(source.n, ((key, ordering, body) for key, body in rows.items()))
        source.item_count += sum(not known.get(key, (0, False))[1] for key in rows)
        return fresh

    def _check_count(self, source: Source, uri: str, count: int) -> None:
        if count >= self._limits.stream_items:
            raise ItemRefused(
                f"the source holds {count} items; the limit is {self._limits.stream_items}",
                result="REJECTED",
                uri=uri,
            )

    def _keep_file(self, source: Source, uri: str, file_id: str) -> None:
        try:
            self._files.keep(source.n, uri, file_id)
        except ApiError as refused:
            raise ItemRefused(refused.message, task="PROCESSING", uri=uri) from None

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

    # -- partial updates -------------------------------------------------------------------------------------

    def change(self, source: Source, texts: Sequence[Any], ordering: int) -> None:
        """Carry out partial updates, each of one field of one existing item."""
        for part in self._slices(texts):
            log: list[LogRow] = []
            keep = self._keeper(source)
            with self._database.transaction():
                for text in part:
                    try:
                        uri, warnings = self._change(source, bytes(text), ordering, keep)
                    except ItemRefused as refused:
                        log.append(self._refused(source, refused, "UPDATE", ordering))
                    else:
                        stages = (CONSUMED, *_as_stages(warnings), INDEXED)
                        log.extend(self._log.rows(source, uri, "UPDATE", ordering, *stages))
                self._log.append(log)

    def _change(
        self, source: Source, text: bytes, ordering: int, keep: Keep | None
    ) -> tuple[str, tuple[Warned, ...]]:
        change = partial_updates.read_change(text, self._limits)
        stored, there = self._stored(source, change.uri)
        self._check_order(source, change.uri, ordering, stored)
        body = self._store.body(source.n, change.uri) if there else None
        if body is None:
            # docs l62e0540: an unknown item is a warning in the log, not an error.
            raise ItemRefused(
                "the item does not exist", result="WARNING", task="STREAMING_EXTENSION", uri=change.uri
            )
        body = change.apply(body)
        warnings: tuple[Warned, ...] = ()
        if keep is not None:
            changed = [key for key in jsontext.members(body) if key.lower() == change.field.lower()]
            body, warnings = keep(body, only=changed)
        Rules(True, source.visibility, self._limits).check_size(len(body), change.uri)
        self._store.put(source.n, [(change.uri, ordering, body)])
        return change.uri, warnings

    # -- deleting --------------------------------------------------------------------------------------------

    def delete(self, source: Source, texts: Sequence[Any], ordering: int) -> None:
        """Carry out the entries of ``delete``."""
        for part in self._slices(texts):
            log: list[LogRow] = []
            with self._database.transaction():
                for text in part:
                    try:
                        uri, children = item_rules.read_deletion(bytes(text))
                    except ItemRefused as refused:
                        log.append(self._refused(source, refused, "DELETE", ordering))
                    else:
                        log.extend(self._delete(source, uri, children, ordering))
                self._log.append(log)

    def delete_item(self, source: Source, uri: str, children: bool, ordering: int) -> None:
        """Delete one item, with all whose id starts with its id when ``children`` is true."""
        with self._database.transaction():
            self._log.append(self._delete(source, uri, children, ordering))

    def _delete(self, source: Source, uri: str, children: bool, ordering: int) -> list[LogRow]:
        """
        Delete an item; its orderingId stays known, so that an older update does not bring it back.

        Children are all whose id starts with this one, which also hits a sibling: the harshest of three
        readings (``docs/api-notes.md, "Deleting by prefix"``; probe: delete-prefix).
        """
        operation = "DELETE_AND_CHILDREN" if children else "DELETE"
        stored, there = self._stored(source, uri)
        try:
            self._check_order(source, uri, ordering, stored)
        except ItemRefused as refused:
            return [self._refused(source, refused, operation, ordering)]
        gone = {uri} if there else set()
        if children:
            gone |= {key for key, other in self._store.under(source.n, uri) if other <= ordering}
        self._store.put(source.n, [(key, ordering, None) for key in {uri, *gone}])
        source.item_count -= len(gone)
        log = self._log.rows(source, uri, operation, ordering, CONSUMED)
        end = INDEXED if gone else ("INDEXING", "SKIPPED", "the item is not in the index")
        for key in sorted(gone) or [uri]:
            log += self._log.rows(source, key, operation, ordering, end)
        return log

    def delete_older(self, source: Source, mark: int, ordering: int) -> None:
        """Delete the items whose orderingId is strictly lower than ``mark``."""
        row = self._log.row(source, "", "DELETE_OLDER_THAN", "INDEXING", "COMPLETED", ordering)
        with self._database.transaction():
            source.item_count -= self._log.append_for_older(row, mark)
            self._store.delete_older(source.n, mark)

    # -- shared ----------------------------------------------------------------------------------------------

    def _slices(self, texts: Sequence[Any]) -> Iterator[Sequence[Any]]:
        for start in range(0, len(texts), SLICE):
            if self._stopped():
                return
            yield texts[start : start + SLICE]

    def _stored(self, source: Source, uri: str) -> tuple[int, bool]:
        return self._store.orderings(source.n, [uri]).get(uri, (0, False))

    @staticmethod
    def _check_order(source: Source, uri: str, ordering: int, stored: int) -> None:
        """Refuse what is older than the item, or than a delete-older (docs 147, 131)."""
        if ordering < stored:
            why = f"the orderingId {ordering} is lower than the item's, {stored}"
        elif source.floor is not None and ordering < source.floor:
            why = f"the orderingId {ordering} is lower than {source.floor}, left by a delete-older"
        else:
            return
        raise ItemRefused(why, result="REJECTED", uri=uri)

    def _indexed(self, source: Source, item: Item, ordering: int) -> list[LogRow]:
        stages = (CONSUMED, *_as_stages(item.warnings), INDEXED)
        return self._log.rows(source, item.uri, "ADD", ordering, *stages)

    def _refused(self, source: Source, refused: ItemRefused, operation: str, ordering: int) -> LogRow:
        return self._log.row(
            source, refused.uri, operation, refused.task, refused.result, ordering, refused.message
        )


def _as_stages(warnings: Iterable[Warned]) -> Iterator[Stage]:
    return ((task, "WARNING", why) for task, why in warnings)
