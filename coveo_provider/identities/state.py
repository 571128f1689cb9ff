"""
What a provider holds, as of the last push that went through: below the folder that outlives runs.

::

    identities/last.json        whose identities are remembered, and which file tells them
    identities/<sha>.parquet    name, type and hash of every row of both datasets
    identities/pending/*.json   a push that was begun, and of which no success is known

A push is announced before the first of it is sent. While one that failed may have sent part of something else, or
was to make good such a one, all is sent. Documents of a source may be remembered in the same folder: their files
have other names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import polars as pl

from coveo_provider.documents.dataset.files import (
    copied,
    is_file_name,
    opened_local,
    read_if_there,
    remove,
    replace,
)
from coveo_provider.documents.dataset.manifest import Count
from coveo_provider.errors import DatasetError
from coveo_provider.identities.changes import SCHEMA, content_of
from coveo_provider.scratch import ScratchFolder

VERSION = 1
_FOLDER = "identities"
_PENDING = "pending"

T = TypeVar("T", "LastPush", "PendingPush")


@dataclass(frozen=True)
class LastPush:
    """
    What is remembered.

    :param organization: the organization's id
    :param push_url: host of the Push API, which tells one cloud from another
    :param provider_id: the provider
    :param case_sensitive: whether names that differ in case only were told apart
    :param content: SHA-256 of what both datasets say
    :param identities: how many there are
    """

    organization: str
    push_url: str
    provider_id: str
    case_sensitive: bool
    content: str
    identities: Count

    def unlike(self, current: LastPush) -> str:
        """Return why this says nothing of the provider of another push; empty when it does."""
        words = {
            "organization": "organization",
            "push_url": "Push API",
            "provider_id": "provider",
            "case_sensitive": "case_sensitive",
        }
        other = next(
            (word for name, word in words.items() if getattr(self, name) != getattr(current, name)), ""
        )
        return other and f"what is remembered is of another {other}"


@dataclass(frozen=True)
class PendingPush:
    """
    A push that was begun.

    :param key: of the run that began it
    :param content: SHA-256 of what it makes the provider hold
    :param full: whether it sends everything, as what the provider holds was not known
    """

    key: str
    content: str
    full: bool = False

    def settled_by(self, content: str) -> bool:
        """Return whether what changed since the last success settles it: it was a part of just that."""
        return not self.full and self.content == content


class IdentityState:
    """
    The folder.

    :param folder: a path, or Airflow's ``ObjectStoragePath``
    :param files: those in it, by their path relative to it
    """

    def __init__(self, folder: Any, files: Iterable[str]) -> None:
        self._folder = folder / _FOLDER
        self._files = {name.removeprefix(f"{_FOLDER}/") for name in files if name.startswith(f"{_FOLDER}/")}

    def last(self) -> LastPush | None:
        """
        Return what is remembered; ``None`` when nothing is.

        :raises DatasetError: the file is damaged
        """
        path = self._folder / "last.json"
        text = read_if_there(path)
        return None if text is None else _read(LastPush, text, str(path))

    def survey(self, last: LastPush) -> pl.DataFrame:
        """
        Return the rows that are remembered.

        :raises DatasetError: their file is missing or damaged
        """
        path = self._folder / f"{last.content}.parquet"
        try:
            with opened_local(path) as file:
                survey = pl.read_parquet(file)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise DatasetError(f"{path}: is missing or damaged ({type(error).__name__})") from None
        if survey.schema != pl.Schema(SCHEMA) or content_of(survey) != last.content:
            raise DatasetError(f"{path}: is damaged: it is not what was written")
        return survey

    def pending(self) -> list[PendingPush]:
        """Return the pushes that were begun and not struck off; one that cannot be read may be of anything."""
        found = []
        for key in sorted(self._files):
            if key.startswith(f"{_PENDING}/") and key.endswith(".json"):
                name = key.removeprefix(f"{_PENDING}/").removesuffix(".json")
                text = read_if_there(self._folder / key)
                try:
                    found += [] if text is None else [_read(PendingPush, text, key)]
                except DatasetError:
                    found.append(PendingPush(name, ""))
        return found

    def announce(self, push: PendingPush) -> None:
        """Remember a push before anything of it is sent."""
        replace(self._place(push), _written(push))

    def is_announced(self, push: PendingPush) -> bool:
        """Return whether a push is still announced as it was: no other one has struck it off."""
        text = read_if_there(self._place(push))
        return text is not None and text == _written(push)

    def remember(self, current: LastPush, survey: pl.DataFrame, done: Iterable[PendingPush]) -> None:
        """
        Make the current identities those that the next push compares with.

        :param survey: their rows
        :param done: the pushes that this one makes good, its own as the last
        """
        name = f"{current.content}.parquet"
        with ScratchFolder("identities") as scratch:
            path = Path(scratch) / name
            survey.write_parquet(path)
            copied(path, self._folder / name)
        replace(self._folder / "last.json", _written(current))
        for push in done:
            remove(self._place(push))
        for other in self._files:
            if other.endswith(".parquet") and "/" not in other and other != name:
                remove(self._folder / other)

    def _place(self, push: PendingPush) -> Any:
        return self._folder / _PENDING / f"{push.key}.json"


class _Version(msgspec.Struct):
    version: int


def _written(record: LastPush | PendingPush) -> bytes:
    return msgspec.json.format(msgspec.json.encode({"version": VERSION, **asdict(record)}), indent=1)


def _read(kind: type[T], text: bytes, where: str) -> T:
    """
    Return what a file says.

    :raises DatasetError: it says something else
    """
    try:
        if msgspec.json.decode(text, type=_Version).version != VERSION:
            raise ValueError("it is not of the version this one writes")
        record = msgspec.json.decode(text, type=kind)
        name = record.content if isinstance(record, LastPush) else record.key
        if not is_file_name(name):  # it would lead out of the folder
            raise ValueError(f"{name!r} is no name of a file")
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{where}: is damaged: {error}") from None
    return record
