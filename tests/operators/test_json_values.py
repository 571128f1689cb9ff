"""Values of JSON, from the file to what is sent: whatever stands beside them, and wherever batches begin."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from coveo_provider._compat import AirflowFailException
from coveo_provider.documents import DocumentMapping
from coveo_provider.documents.contract import DOCUMENT_ID
from coveo_provider.documents.dataset.tables import Part
from tests.documents.strategies import encode
from tests.operators.staging import Staging, at

_IDENTITY = DocumentMapping("{documentId}", keep="*")


def _made(staging: Staging, form: str, values: list[str], **options: Any) -> list[Any]:
    """Return what is sent for a column of JSON values."""
    records = [f'{{"documentId": "a:{n}", "v": {value}}}' for n, value in enumerate(values)]
    text = "\n".join(records) if form == "ndjson" else f"[{','.join(records)}]"
    parts = staging.make(staging.put(f"a.{form}", text.encode()), **options)
    sent: list[Any] = []
    for uri in parts:
        with at(uri).open("rb") as file:
            part = Part(file, uri)
            sent += [
                document for batch in part.batches() for document in encode(pa.Table.from_batches([batch]))
            ]
    return [document.get("v") for document in sorted(sent, key=lambda one: str(one[DOCUMENT_ID]))]


@pytest.mark.parametrize("batch_rows", [1, 10])
@pytest.mark.parametrize("form", ["ndjson", "json"])
@pytest.mark.parametrize("mapping", [None, _IDENTITY], ids=["as it is", "mapped"])
@pytest.mark.parametrize(
    "values",
    [
        ["1", "1.5"],
        ["1", "1.5", "9007199254740993"],
        ["12345678901234567890.12", "0.1", "123456789012345678901234567890"],
        ["18446744073709551615", "0"],
        ["-9223372036854775809", "5"],
        ["[12345678901234567890.12]", "[0.1, null]", "[1e2]", "[]", "null"],
        ['{"n": 9007199254740993}', '{"n": null}', '{"n": 5}'],
        ['{"n": 9007199254740993}', '{"n": 1.5}'],
        ['{"n": 123456789012345678901234567890}', '{"m": 1.5}'],
        ["{}", '{"x": 1}'],
        ["{}", "{}"],
        ["[]", "[1]", "[1.5]"],
        ["true", "null", "false"],
        ['"\\u0000"', '"NaN"', '""'],
    ],
    ids=str,
)
def test_a_value_is_sent_as_it_stood(
    staging: Staging, form: str, batch_rows: int, mapping: DocumentMapping | None, values: list[str]
) -> None:
    """Numbers with every digit, in lists and objects too, in batches of one or of all."""
    found = _made(staging, form, values, batch_rows=batch_rows, mapping=mapping)
    assert found == [_sent(json.loads(value, parse_float=Decimal)) for value in values]


def _sent(value: Any) -> Any:
    """Return what is sent of a value: what is null in it is left out."""
    if isinstance(value, dict):
        return {key: member for key, member in value.items() if member is not None}
    return [member for member in value if member is not None] if isinstance(value, list) else value


@pytest.mark.parametrize("batch_rows", [1, 10])
@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["1", '"x"'], ["1 (", "'x'|\"x\""]),
        (['"x"', "true"], ["'x'|\"x\"", "rue"]),
        (["1.5", "true"], ["1.5 (", "rue"]),
        (["[1]", '"x"'], [r"[1] (", "'x'|\"x\""]),
        (['{"a": 1}', '"x"'], ["{", "'x'|\"x\""]),
        (['{"a": 1}', '{"a": "x"}'], ["1", "x"]),
        (["[1.5, true]"], ["1.5 (", "true"]),
        (['[{"a": 1}, {"a": "x"}]'], ["1 (", "x"]),
    ],
    ids=str,
)
def test_kinds_of_values_in_one_column_are_shown_with_a_cure_that_works(
    staging: Staging, values: list[str], said: list[str], batch_rows: int
) -> None:
    """File, rows and both values; what the message tells to do is tried."""
    with pytest.raises(AirflowFailException) as refused:
        _made(staging, "ndjson", values, batch_rows=batch_rows, mapping=None)

    message = str(refused.value)
    assert "column 'v'" in message
    assert "a.ndjson, row" in message
    assert all(any(one in message for one in words.split("|")) for words in said), message
    cure = re.search(r"e\.g\. (frame.*)", message)
    assert cure is not None

    def cured(frame: pd.DataFrame) -> pd.DataFrame:
        exec(cure[1], {"json": json, "frame": frame})
        return frame

    assert len(_made(staging, "ndjson", values, batch_rows=batch_rows, mapping=None, transform=cured)) == len(
        values
    )


@pytest.mark.parametrize("form", ["ndjson", "json"])
def test_numbers_too_far_apart_are_refused(staging: Staging, form: str) -> None:
    """With the first of them, and what to do."""
    with pytest.raises(
        AirflowFailException, match=r"1E\+300. .* in row 2 is one of several numbers.*as texts in the extract"
    ):
        _made(staging, form, ["1", "0.12345678901234567891", "1e300"], mapping=None)
