"""Rows given inline, as mappings: the few that are not worth a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from coveo_provider.documents.contents.columns import document_with_placeholder
from coveo_provider.documents.contract import DELETE_CHILDREN, DELETION_KEYS, DOCUMENT_ID, Section, shown
from coveo_provider.documents.encoding.checks import checked_id, values_by_key
from coveo_provider.documents.encoding.documents import encode_document
from coveo_provider.documents.encoding.one_by_one import joined_rows
from coveo_provider.documents.encoding.partial_update_batches import encoded_entries
from coveo_provider.documents.encoding.partial_updates import entry_of, row_texts
from coveo_provider.documents.records import Encoded
from coveo_provider.documents.values.json_values import dump
from coveo_provider.errors import DatasetError, DocumentError, DocumentTooLarge

_AT_ONCE = 1_000  # rows encoded at once


class Rows:
    """
    Documents, deletions or partial updates given inline; they are encoded as those of a part are.

    :param rows: mappings of the API's keys, and of metadata, to values
    :param name: what errors call them
    :raises DatasetError: one is no mapping
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]], name: str) -> None:
        for number, row in enumerate(rows):
            if not isinstance(row, Mapping):
                raise DatasetError(
                    f"{name}: row {number} is {type(row).__name__}, expected a mapping of keys to values"
                )
        self.name = name
        self._rows = list(rows)

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self._rows)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self._rows)

    def names(self) -> list[str]:
        """Return the keys that any row has, each as it is first spelled."""
        spellings: dict[str, str] = {}
        for row in self._rows:
            for key in row:
                spellings.setdefault(str(key).lower(), str(key))
        return list(spellings.values())

    def column(self, key: str) -> list[Any]:
        """Return the value of a key in every row, in whatever case it is written; ``None`` where it is not."""
        return [
            next((value for name, value in row.items() if str(name).lower() == key.lower()), None)
            for row in self._rows
        ]

    def encode(self, section: Section, item_limit: int) -> Iterator[Encoded]:
        """
        Return the rows as JSON, for the array of a container they go to.

        :param item_limit: the most one of them may take, in bytes
        :raises DocumentError: names the row at fault
        """
        for start in range(0, len(self._rows), _AT_ONCE):
            rows = self._rows[start : start + _AT_ONCE]
            if section is Section.PARTIAL_UPDATE:
                entries = (self._entry(row, start + number) for number, row in enumerate(rows))
                yield encoded_entries(entries, item_limit)
            else:
                yield self._documents(section, rows, start, item_limit)

    def _documents(
        self, section: Section, rows: Sequence[Mapping[str, Any]], start: int, item_limit: int
    ) -> Encoded:
        ids, texts, files = [], [], {}
        for number, row in enumerate(rows):
            identifier = Rows([row], self.name).column(DOCUMENT_ID)[0]
            name = checked_id(identifier, f"in row {start + number:,} of {self.name}")
            if section is Section.DELETE:
                text = _deletion(row, name)
            else:
                sent, file = document_with_placeholder(row)
                text = encode_document(sent)
                if file is not None:
                    files[number] = file
            if len(text) > item_limit:
                raise DocumentTooLarge(name, len(text), item_limit)
            ids.append(identifier)
            texts.append(text)
        return joined_rows(texts, ids, files=files)

    def _entry(self, row: Mapping[str, Any], number: int) -> tuple[str, str, str, bytes]:
        identifier = Rows([row], self.name).column(DOCUMENT_ID)[0]
        name = checked_id(identifier, f"in row {number:,} of {self.name}")
        try:
            return identifier, *entry_of(*row_texts(row))
        except (ValueError, TypeError) as error:  # orjson's for what cannot be JSON is a TypeError
            raise DocumentError(name, str(error)) from None


def _deletion(row: Mapping[str, Any], name: str) -> bytes:
    try:
        body = values_by_key(row, DELETION_KEYS, "a deletion")
    except ValueError as error:
        raise DocumentError(name, str(error)) from None
    children = body.get(DELETE_CHILDREN)
    if children is not None and not isinstance(children, bool):
        raise DocumentError(name, f"{DELETE_CHILDREN} is {shown(children)}, expected true or false")
    return dump({key: value for key, value in body.items() if value is not None})
