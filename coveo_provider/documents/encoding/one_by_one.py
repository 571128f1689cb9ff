"""The JSON of rows that were encoded one by one → one run of bytes, as a batch has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from coveo_provider.documents.records import ContentFile, Encoded


def joined_rows(
    texts: Sequence[bytes],
    ids: Sequence[str],
    *,
    pairs: Sequence[str] | None = None,
    files: Mapping[int, ContentFile] | None = None,
) -> Encoded:
    """
    Return rows as one run of JSON.

    :param texts: the JSON of each row
    :param ids: what tells each row from others: its ``documentId``
    :param pairs: of partial updates, what tells the field that each changes from others
    :param files: the files that rows name as their content, by row
    """
    return Encoded(
        memoryview(b"".join(text + b"," for text in texts)),
        np.cumsum([len(text) + 1 for text in texts], dtype=np.int64),
        _hashes(ids),
        None if pairs is None else _hashes(pairs),
        files=files or {},
    )


def _hashes(texts: Sequence[str]) -> npt.NDArray[np.uint64]:
    return pl.Series(texts, dtype=pl.String).hash().to_numpy()
