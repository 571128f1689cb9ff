"""Values that no library can read fail the task at once, in words."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coveo_provider._compat import AirflowFailException
from coveo_provider.documents import DocumentMapping, Split, Template
from tests.operators.staging import Staging

FAR = pa.array([0, 2**31 - 1], pa.int32()).cast(pa.date32())  # "infinity" of Postgres
FAR_INSIDE = pa.array([{"a": 0}, {"a": 2**62}], pa.struct([("a", pa.timestamp("us"))]))
BAD_TEXT = pa.Array.from_buffers(
    pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff")]
)
TEXTS = pa.array([b"a", b"\xff"], pa.binary())


@pytest.mark.parametrize(
    ("column", "options", "problem"),
    [
        (FAR, {}, "document a:1: x holds a date outside the years 1 to 9999"),
        (FAR, {"transform": lambda frame: frame}, "in.parquet: row 1: column 'x' holds a date outside the years"),
        (FAR, {"mapping": {"y": "x"}}, "document a:1: y holds a date outside the years 1 to 9999"),
        (FAR, {"mapping": {"y": Template("{x}")}}, "row 1: template '{x}': column 'x': holds a date outside"),
        (FAR, {"mapping": {"y": lambda frame: frame["x"]}}, "row 1: column 'x' holds a date outside the years"),
        (FAR_INSIDE, {}, "document a:1: x holds a date outside the years 1 to 9999"),
        (FAR_INSIDE, {"transform": lambda frame: frame}, "row 1: column 'x' holds a date outside the years"),
        (TEXTS, {"mapping": {"y": Template("{x}")}}, "row 0: template '{x}': column 'x': bytes stand there"),
        (TEXTS, {"mapping": {"y": Split("x")}}, "row 0: Split('x'): bytes stand there"),
        (FAR[::-1], {}, "document a:0: x holds a date outside the years 1 to 9999"),
        (FAR_INSIDE.take([1, 0]), {}, "document a:0: x holds a date outside the years 1 to 9999"),
        (pa.array([2**62, 0], pa.timestamp("us")), {}, "document a:0: x holds a date outside the years 1 to 9999"),
        (BAD_TEXT.take([1, 0]), {}, "column 'x' cannot be read: Invalid UTF8 sequence"),
        (BAD_TEXT, {}, "column 'x' cannot be read: Invalid UTF8 sequence"),
        (BAD_TEXT, {"transform": lambda frame: frame}, "row 1: column 'x' cannot be read: Invalid UTF8 sequence"),
        (BAD_TEXT, {"mapping": {"y": Template("{x}")}}, "row 1: template '{x}': column 'x': Invalid UTF8"),
        (BAD_TEXT, {"mapping": {"y": Split("x")}}, "row 1: Split('x'): Invalid UTF8"),
    ],
)  # fmt: skip
def test_bad_values_are_named_and_not_retried(
    staging: Staging, column: pa.Array, options: dict[str, Any], problem: str
) -> None:
    """File, row and column, or the document."""
    mapping = options.pop("mapping", None)
    keep = DocumentMapping("{documentId}", mapping) if mapping else None
    raw = io.BytesIO()
    pq.write_table(pa.table({"documentId": ["a:0", "a:1"], "x": column}), raw)

    with pytest.raises(AirflowFailException) as caught:
        staging.make(staging.put("in.parquet", raw.getvalue()), mapping=keep, **options)
    assert problem in str(caught.value)
    assert "in.parquet" in str(caught.value)
