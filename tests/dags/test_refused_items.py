"""The sample of which some documents are refused: red, or green where that is allowed, and it says which."""

from __future__ import annotations

from pathlib import Path

import coveo_refused_items
import pyarrow.parquet as pq
import pytest

from coveo_provider.sandbox import Sandbox
from tests.dags.conftest import RunDag

REFUSED = {"notice://drafts/merger", "notice://drafts/new-office"}


@pytest.mark.parametrize(
    ("allowed", "state"), [(0, "failed"), (0.5, "success"), (1, "failed"), (2, "success")]
)
def test_what_is_refused_is_named(
    run_dag: RunDag, connected: Sandbox, tmp_path: Path, waits: list[float], allowed: float, state: str
) -> None:
    """Every call succeeds; the run does as far as that is allowed, and the file lists both documents."""
    connected.add_source("intranet", kind="PUSH", visibility="SECURED")

    ended, states = run_dag("coveo_refused_items", staging=tmp_path.as_uri(), max_rejected=allowed)

    assert {call.status // 100 for call in connected.calls} == {2}
    assert (ended, states["verify"], states["push"]) == (state, state, "success")
    assert states["idle"] == "success"
    connected.settle()
    assert len(connected.items("intranet")) == len(coveo_refused_items.NOTICES) - len(REFUSED)
    [file] = tmp_path.rglob("_refused-*.parquet")
    rows = pq.read_table(file).to_pylist()
    assert {row["documentId"] for row in rows} == REFUSED
    assert all("no permissions" in row["reason"] for row in rows)
