"""What users hand to a task that sends: datasets by their URIs, rows, DataFrames, ids to delete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from coveo_provider.documents.contract import DOCUMENT_ID, shown
from coveo_provider.errors import DatasetError
from coveo_provider.operators.support.datasets import open_parts
from coveo_provider.operators.support.frames import frame_file, is_frame, members
from coveo_provider.operators.support.paths import is_storage
from coveo_provider.operators.support.storage import LISTS, list_parts

if TYPE_CHECKING:
    from coveo_provider.documents.dataset.tables import Part
    from coveo_provider.documents.encoding.rows import Rows

DELETIONS = "deletions"
"""The argument that takes ids."""

_MAY_BE_EMPTY = frozenset({DELETIONS, "partial_updates"})
"""The arguments whose empty list is what a quiet night finds; that of documents is what a broken extract gives."""

_AS_ROW = "The id of a document that may be taken for a file is given as a row: [{'documentId': …}]"


@contextmanager
def open_input(value: Any, name: str, uris: list[str]) -> Iterator[Sequence[Part | Rows]]:
    """
    Open what an argument names: a dataset by its URIs, or rows, DataFrames or ids to delete as they are.

    :param value: the URI of a part or folder, a list of them, a list of rows (mappings), or one or several
        DataFrames; ``None`` for nothing
    :param name: the argument's name, for errors
    :param uris: to it those of the parts are added
    :raises DatasetError: it is neither, or a part is missing or cannot be read
    """
    from coveo_provider.documents.dataset.tables import Part
    from coveo_provider.documents.encoding.rows import Rows

    if value is None:
        yield []
        return
    if isinstance(value, Mapping):
        raise DatasetError(f"{name} is one mapping; expected URIs, or a list of rows: [{{…}}]")
    found = list(members(value, columns=name == DELETIONS))
    inline = _inline(found, name)
    if not found and name in _MAY_BE_EMPTY:
        yield []
    elif not inline:
        value = value if isinstance(value, (str, Sequence)) else found
        with ExitStack() as stack:
            with _ids_explained(name):
                own = list_parts(value, name)
                parts = stack.enter_context(open_parts(own, value))
            uris.extend(own)
            yield parts
    elif is_frame(inline[0]):
        where = f"{name} given as a DataFrame"
        with ExitStack() as stack:
            yield [Part(stack.enter_context(frame_file(frame, where)), where) for frame in inline]
    else:
        yield [Rows(inline, f"{name} given inline")]


def _inline(found: list[Any], name: str) -> list[Any]:
    """Return the rows or the DataFrames that an argument holds, none when it holds URIs."""
    kinds = {
        "rows" if isinstance(one, Mapping) else "DataFrames" if is_frame(one) else "URIs" for one in found
    }
    if len(kinds) > 1:
        raise DatasetError(
            f"{name} holds {' and '.join(sorted(kinds, reverse=True))}; expected one kind of them"
        )
    if kinds == {"URIs"}:
        return _rows_of_ids(found) if name == DELETIONS else []
    return found


def _rows_of_ids(texts: Sequence[Any]) -> list[dict[str, str]]:
    """
    Return deletions of ids, none when the texts are URIs of datasets.

    A text is an id when it begins with ``http:`` or ``https:``, or with a scheme that no storage has. What may be
    either, such as ``file:``, is read as a file, and refused when it is none.
    """
    ids = [text for text in texts if isinstance(text, str) and text.strip() and _is_id(text)]
    if ids and len(ids) < len(texts):
        other = next(text for text in texts if text not in ids)
        raise DatasetError(
            f"{DELETIONS} holds the id {shown(ids[0])} and the URI {shown(other)}; expected one kind of them"
        )
    return [{DOCUMENT_ID: one} for one in ids]


def _is_id(text: str) -> bool:
    if text.lstrip().startswith(LISTS):
        return False
    web = text.lower().startswith(("http:", "https:"))
    if web and text.lower().endswith(".parquet"):
        raise DatasetError(
            f"{DELETIONS}: {shown(text)} may be the id of a document or a dataset. {_AS_ROW}, and a dataset lies "
            "on a storage such as s3://"
        )
    return web or not is_storage(text)


@contextmanager
def _ids_explained(name: str) -> Iterator[None]:
    """Say how ids of documents are given, where one may have been taken for a file."""
    try:
        yield
    except DatasetError as error:
        if name != DELETIONS:
            raise
        raise DatasetError(f"{error}. {_AS_ROW}") from None
