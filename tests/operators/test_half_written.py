"""A dataset that is not what was written is never loaded, whether its folder is given or one part."""

from __future__ import annotations

import pytest

from coveo_provider._compat import AirflowFailException
from coveo_provider.operators import CoveoCheckDatasetOperator, CoveoPushBatchOperator
from coveo_provider.operators.support import dataset_writing
from coveo_provider.sandbox import Sandbox
from tests.operators.conftest import run
from tests.operators.staging import SHOES, Staging, at, csv, ndjson


def damage(staging: Staging, how: str) -> str:
    """Break a dataset of six parts, and return what the refusal says."""
    folder = at(staging.output)
    part = folder / "part-00001.parquet"
    with part.open("rb") as file:
        data = file.read()
    if how == "missing":
        part.unlink()
        return "missing: part-00001.parquet"
    name = {"added": "extra.parquet"}.get(how, "part-00001.parquet")
    changed = {"cut": data[:-1], "changed": data[:50] + b"\xff" + data[51:], "added": data}[how]
    with (folder / name).open("wb") as file:
        file.write(changed)
    return {"cut": "of another size", "changed": "another SHA-256", "added": "not part of it: extra.parquet"}[
        how
    ]


@pytest.mark.parametrize("place", ["staging", "remote"])
@pytest.mark.parametrize("how", ["missing", "cut", "changed", "added"])
def test_a_damaged_dataset_is_never_loaded(
    request: pytest.FixtureRequest, connected: Sandbox, place: str, how: str
) -> None:
    """Whether its folder is given or one part: what was written and what is there differ."""
    staging: Staging = request.getfixturevalue(place)
    source = staging.put("a.ndjson", ndjson([{**row, "name": "x" * 30_000} for row in SHOES]))
    parts = staging.make(source, part_bytes=dataset_writing.MIN_PART_BYTES)
    problem = damage(staging, how)

    with pytest.raises(AirflowFailException, match=problem):
        run(CoveoPushBatchOperator(task_id="push", source_id="files", documents=staging.output))
    if how != "added":
        with pytest.raises(AirflowFailException, match=r"is missing|bytes, expected|another SHA-256"):
            run(CoveoPushBatchOperator(task_id="push", source_id="files", documents=parts[1]))
    assert connected.calls == []


def test_a_part_that_the_manifest_does_not_know_is_refused(staging: Staging) -> None:
    """It was left behind, or put there by something else."""
    parts = staging.make(staging.put("a.csv", csv(SHOES)))
    stray = parts[0].replace("00000", "00007")
    with at(parts[0]).open("rb") as file, at(stray).open("wb") as sink:
        sink.write(file.read())

    with pytest.raises(
        AirflowFailException, match=r"part-00007\.parquet: is no part of the dataset in its folder"
    ):
        run(CoveoCheckDatasetOperator(task_id="check", documents=[stray]))
