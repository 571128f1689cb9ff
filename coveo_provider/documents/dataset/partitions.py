"""
Columns whose values stand in the path of a file: ``country=de/part-0.parquet``, as Hive and Spark write folders.

Such a column is one of texts. Only folders below the one that a user names count: what stands above is the user's
own way of keeping extracts apart, such as ``dt=2026-01-01``, and no part of the data. Imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias
from urllib.parse import unquote

from coveo_provider.errors import DatasetError

_MISSING = "__HIVE_DEFAULT_PARTITION__"

Partitions: TypeAlias = "Mapping[str, str | None]"
"""The value of each column in the path of a file; ``None`` where it is missing."""


def partitions_of(file: str, named: Iterable[str]) -> dict[str, str | None]:
    """
    Return what the folders of a file say, below the folder that a user named.

    :param file: its URI
    :param named: the URIs that the user gave
    :raises DatasetError: two folders name the same column
    """
    found: dict[str, str | None] = {}
    for key, value in _pairs(_below(file, named)):
        if key in found:
            raise DatasetError(f"{file}: two of its folders name the column {key!r}")
        found[key] = None if value == _MISSING else value
    return found


def passed_over(file: str, named: Iterable[str]) -> list[str]:
    """Return the names of columns that stand in the path of a file, but not below what a user named."""
    return [key for key, _ in _pairs(file.removesuffix(_below(file, named)) or file)]


def refuse_other(key: str, value: str | None, own: str | None, where: str) -> None:
    """
    Refuse a value that stands in the path of a file and is not the one in it.

    :param own: the one in the file, as text
    :raises DatasetError: they differ
    """
    if value != own:
        raise DatasetError(
            f"{where}: its folder says that {key} is {value!r}, and its own column {key!r} holds {own!r}. Rename "
            "the folder or the column"
        )


def _below(file: str, named: Iterable[str]) -> str:
    """Return the end of a file's URI that is not that of a folder which was named."""
    folders = [f"{folder.rstrip('/')}/" for folder in named]
    longest = max((folder for folder in folders if file.startswith(folder)), key=len, default=file)
    return file[len(longest) :]


def _pairs(path: str) -> list[tuple[str, str]]:
    steps = [step.partition("=") for step in path.split("/")[:-1]]
    return [(unquote(key), unquote(value)) for key, equals, value in steps if key and equals]
