"""Whatever a column holds, it arrives with a mapping or a function as it does without, or is refused by name."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coveo_provider.documents import DocumentMapping, PermissionColumns, PermissionLevels, Split, Template
from coveo_provider.documents.dataset.common_types import normalized
from coveo_provider.documents.encoding.batches import Encoder
from coveo_provider.documents.extracts.readers import Batch
from coveo_provider.documents.extracts.transformation import Transform, rows_of
from coveo_provider.errors import DataError
from tests.documents.arrow_values import columns
from tests.documents.strategies import NO_LIMIT

ROWS = 3

SAME = DocumentMapping("{documentId}", keep="*")

MAPPINGS = {
    "none": None,
    "same": SAME,
    "renamed": DocumentMapping("{documentId}", {"y": "x"}),
    "in the id": DocumentMapping("{documentId}/{x:uri}"),
    "template": DocumentMapping("{documentId}", {"y": Template("{x} {x:uri}")}),
    "split": DocumentMapping("{documentId}", {"y": Split("x", ",")}),
    "function": DocumentMapping("{documentId}", {"y": lambda frame: frame["x"]}),
    "names": DocumentMapping("{documentId}", {"permissions": PermissionColumns("x", denied_groups="x")}),
    "public": DocumentMapping(
        "{documentId}", {"permissions": PermissionLevels({"L": PermissionColumns(allow_anonymous="x")})}
    ),
}

thorough = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))


def table_of(column: pa.Array) -> pa.Table:
    """Return documents with a column."""
    return pa.table({"documentId": [f"a:{row}" for row in range(len(column))], "x": column})


def arriving(
    table: pa.Table, *, transform: Transform | None = None, mapping: DocumentMapping | None = None
) -> bytes | DataError:
    """Return what is sent of a table, or why it is refused."""
    try:
        rows = normalized(rows_of(Batch(table, "a.parquet", 0), transform=transform, mapping=mapping))
        encoder = Encoder(rows.schema, where="a.parquet", item_limit=NO_LIMIT)
        return b"".join(bytes(encoder.encode(batch).data) for batch in rows.to_batches())
    except DataError as error:
        return error


@thorough
@given(columns(ROWS))
def test_a_mapping_that_changes_nothing_changes_nothing(column: pa.Array) -> None:
    """Byte for byte, and with the same words where the column cannot be sent."""
    assert str(arriving(table_of(column), mapping=SAME)) == str(arriving(table_of(column)))


@thorough
@given(columns(ROWS))
def test_a_function_that_changes_nothing_changes_nothing(column: pa.Array) -> None:
    """Byte for byte; what pandas cannot hold is refused with file, row and column."""
    plain, passed = arriving(table_of(column)), arriving(table_of(column), transform=lambda frame: frame)

    if isinstance(passed, DataError):
        said = str(passed)
        assert (
            isinstance(plain, DataError) or "of time zone 'Mars/Olympus', which Python does not know" in said
        )
        assert "a.parquet" in said or said.startswith("document a:")
        assert "x" in said
    else:
        assert passed == plain


@thorough
@given(columns(ROWS, damaged=True), st.sampled_from(sorted(MAPPINGS)))
def test_bad_values_end_in_a_sentence(column: pa.Array, rule: str) -> None:
    """Whatever is wrong with them: never an exception of a library, which would be tried again in vain."""
    mapping = MAPPINGS[rule]
    for transform in (None, lambda frame: frame):
        found = arriving(table_of(column), transform=transform, mapping=mapping)
        if isinstance(found, DataError):
            assert "a.parquet" in str(found) or str(found).startswith("document a:")
