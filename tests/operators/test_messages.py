"""What a failed task says: which source, which part or document, what to do next; and nothing secret."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import BaseOperator

from coveo_provider.operators import (
    CoveoCloseStreamOperator,
    CoveoDeleteItemOperator,
    CoveoDeleteOlderOperator,
    CoveoMergeStreamOperator,
    CoveoOpenStreamOperator,
    CoveoPushBatchOperator,
    CoveoPushItemOperator,
    CoveoSetSourceStatusOperator,
    CoveoTransformOperator,
    CoveoUpdateStreamOperator,
    CoveoUploadChunkOperator,
)
from coveo_provider.operators.support import paths
from coveo_provider.sandbox import Answer, Cut, Sandbox
from tests.conftest import WritePart, products
from tests.operators.conftest import run

REPORT = {"documents": 5, "ordering_ids": [1_700_000_000_000]}
ROWS = [{"documentId": "product://1", "data": "x"}]
STREAM = {"source_id": "products", "stream_id": "00000000-0000-0000-0000-000000000000"}

TASKS: dict[str, Callable[[], BaseOperator]] = {
    "status": lambda: CoveoSetSourceStatusOperator(task_id="t", source_id="files", status="REBUILD"),
    "open": lambda: CoveoOpenStreamOperator(task_id="t", source_id="products"),
    "upload": lambda: CoveoUploadChunkOperator(task_id="t", documents=ROWS, **STREAM),
    "close": lambda: CoveoCloseStreamOperator(task_id="t", reports=REPORT, **STREAM),
    "update": lambda: CoveoUpdateStreamOperator(task_id="t", source_id="products", documents=ROWS),
    "merge": lambda: CoveoMergeStreamOperator(task_id="t", source_id="products", documents=ROWS),
    "push": lambda: CoveoPushBatchOperator(task_id="t", source_id="files", documents=ROWS),
    "item": lambda: CoveoPushItemOperator(task_id="t", source_id="files", document=ROWS[0]),
    "delete": lambda: CoveoDeleteItemOperator(task_id="t", source_id="files", document_id="product://1"),
    "older": lambda: CoveoDeleteOlderOperator(
        task_id="t", source_id="files", reports=REPORT, ordering_id=1_700_000_000_000
    ),
}
ANSWERS: dict[str, tuple[Any, str]] = {
    "401": (Answer(401, '{"errorCode": "INVALID_TOKEN", "message": "No."}'), "API key"),
    "403": (Answer(403, '{"errorCode": "ACCESS_DENIED", "message": "No."}'), "privileges"),
    "404": (Answer(404, '{"errorCode": "ORGANIZATION_NOT_FOUND", "message": "No."}'), "organization id"),
    "412": (Answer(412, '{"errorCode": "SOURCE_DOES_NOT_EXIST", "message": "No."}'), "source_id"),
    "429": (Answer.throttled(280), "works again after"),
    "503": (Answer(503), "503"),
    "cut": (Cut("before"), "got no answer"),
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("task", TASKS)
def test_a_refusal_names_source_and_remedy(
    connected: Sandbox, waits: list[float], capsys: pytest.CaptureFixture[str], task: str, answer: str
) -> None:
    """Whichever task meets whichever refusal; and neither message nor log holds the key or a signature."""
    fault, remedy = ANSWERS[answer]
    connected.faults.add(action=fault, times=20)
    operator: Any = TASKS[task]()
    with pytest.raises(Exception, match=remedy) as failed:
        run(operator)

    logged = capsys.readouterr().out
    assert f"{operator.source_id}" in f"{failed.value} {logged}"
    for secret in (connected.api_key, "X-Amz-Signature", "X-Amz-Credential"):
        assert secret not in f"{failed.value} {logged}"


@pytest.mark.parametrize("argument", ["source", "output"])
@pytest.mark.parametrize(("scheme", "extra"), [("s3", "s3"), ("gs", "gcs"), ("abfs", "azure")])
def test_a_storage_without_its_library_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, extra: str, argument: str
) -> None:
    """Whichever argument names it, and before anything is read."""
    (tmp_path / "shoes.csv").write_text("documentId\nproduct://1\n")
    places: dict[str, Any] = {"source": f"file://{tmp_path}/shoes.csv", "output": f"file://{tmp_path}/out"}
    places[argument] = f"{scheme}://there@bucket/shoes"
    for library in ("s3fs", "gcsfs", "adlfs"):
        monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setattr(paths, "has_fs", lambda scheme: False)

    with pytest.raises(Exception, match=rf"{argument}: {scheme}://.*airflow-provider-coveo\[{extra}\]"):
        run(CoveoTransformOperator(task_id="t", **places))


@pytest.mark.parametrize("task", ["upload", "update", "merge", "push"])
def test_bad_data_is_named_with_its_part(connected: Sandbox, write_part: WritePart, task: str) -> None:
    """The part, the row or document, and what was expected; before a single call."""
    part = write_part([*products(3), {"documentId": None, "ec_name": "x"}])
    operator: Any = TASKS[task]()
    operator.documents = part
    with pytest.raises(Exception, match=r"row 3 of .*part-0\.parquet: documentId is missing: expected a URI"):
        run(operator)
    assert connected.calls == []


def test_which_chunk_was_not_accepted_is_in_the_log(
    connected: Sandbox, write_part: WritePart, waits: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a part that takes several."""
    connected.faults.add(route="batch.put", action=Answer(503), skip=1, times=9)
    operator = CoveoPushBatchOperator(
        task_id="t", source_id="files", documents=write_part(products(50)), max_chunk_bytes=2_000
    )
    with pytest.raises(Exception, match="503"):
        run(operator)
    assert "Chunk 2 of 3, " in capsys.readouterr().out


@pytest.mark.parametrize("hopeless", [True, False], ids=["hopeless", "transient"])
def test_the_sentence_comes_first_and_the_traceback_is_short(
    connected: Sandbox, waits: list[float], capsys: pytest.CaptureFixture[str], hopeless: bool
) -> None:
    """One line with what happened, and none of the frames between the task and the socket."""
    connected.faults.add(action=Answer(401 if hopeless else 503), times=20)
    with pytest.raises(Exception, match="401" if hopeless else "503") as failed:
        run(TASKS["status"]())

    assert sum("[error" in line for line in capsys.readouterr().out.splitlines()) == 1
    files = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(failed.value.__traceback__)]
    assert not [name for name in files if "/api/" in name or "requests" in name]
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__


@pytest.mark.parametrize("task", ["push", "update"])
def test_a_quota_is_told_to_whom_it_concerns(
    connected: Sandbox, capsys: pytest.CaptureFixture[str], task: str
) -> None:
    """The published quotas are the Stream API's; and one is one."""
    run(TASKS[task]())

    [line] = [line for line in capsys.readouterr().out.splitlines() if "API calls" in line]
    assert "Sending 1 chunk, " in line
    assert ("in 5 minutes" in line) == (task == "update")


def test_a_chunk_that_failed_says_what_was_accepted_before_it(
    connected: Sandbox, waits: list[float], capsys: pytest.CaptureFixture[str], write_part: WritePart
) -> None:
    """And nothing where nothing was."""
    documents = write_part(products(40))
    for accepted in (0, 1, 2):
        connected.faults.add(route="batch.put", action=Answer(503), skip=accepted, times=20)
        with pytest.raises(Exception, match="503"):
            run(
                CoveoPushBatchOperator(
                    task_id="t", source_id="files", documents=documents, max_chunk_bytes=1_000
                )
            )
        connected.faults.clear()
        line = next(line for line in capsys.readouterr().out.splitlines() if "was not accepted" in line)
        told = {0: "files ", 1: "files; 1 chunk before it had been", 2: "files; 2 chunks before it had been"}
        assert told[accepted] in line
