"""The columns that stand in the paths of files, below the folders that a user names."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from coveo_provider.documents.dataset.partitions import Partitions, partitions_of, passed_over
from coveo_provider.operators.support.paths import path_at
from coveo_provider.operators.support.storage import flat

_log = logging.getLogger(__name__)


def partitions_at(
    files: Sequence[str], named: Any, name: str, *, says_others: bool = False
) -> Mapping[str, Partitions]:
    """
    Return the columns in the path of each file, below the folders that a user named.

    :param files: their URIs, as listed
    :param named: what they were listed from
    :param name: the argument's name, for errors
    :param says_others: whether to log what stands above these folders, and so is no column
    :raises DatasetError: two folders of a file name the same column
    """
    folders = [one for uri in flat(named, name) for one in (uri, str(path_at(uri)))]
    if says_others:
        above = ((file, passed_over(file, folders)) for file in files)
        for file, keys in [pair for pair in above if pair[1]][:1]:
            _log.info(
                "%s: %s in its path is no column, as it does not stand below what %s names; to read it as one, "
                "name the folder above it",
                file,
                " and ".join(keys),
                name,
            )
    return {file: partitions_of(file, folders) for file in files}
