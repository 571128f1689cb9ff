"""A source goes back to what a former load made of it: chosen, planned, approved, applied, verified."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
from airflow.sdk import DAG
from airflow.sdk.io import attach

from coveo_provider._compat import TaskAwaitingInput
from coveo_provider.operators import CoveoChooseLoadOperator, CoveoPlanOperator
from coveo_provider.sandbox import Sandbox
from coveo_provider.task_groups import catalog_refresh
from tests.dags.clicking import Nightly, Run, started

pytestmark = pytest.mark.usefixtures("nothing_remembered")

needs_answers = pytest.mark.skipif(TaskAwaitingInput is None, reason="a trigger answers before 3.3")


@pytest.fixture
def nightly(connected: Sandbox, tmp_path: Path, waits: list[float]) -> Nightly:
    """A source that was loaded three times: ten documents, nine, and nine of which one changed."""
    nightly = Nightly(connected, tmp_path / "shop", catalog_refresh, "products", compares=True, parts=2)
    nightly.put(10)
    assert nightly.night().state == "success"
    del nightly.rows[9]
    assert nightly.night().state == "success"
    nightly.put(1, version=2)
    assert nightly.night().state == "success"
    return nightly


def back(nightly: Nightly, load: str = "", approve: str = "never") -> Run:
    """Run the DAG that rolls back."""
    state = (nightly.folder / "state").as_uri()
    with DAG(
        f"back_{nightly.dag_id}", schedule=None, default_args={"on_failure_callback": nightly._note}
    ) as dag:
        choose = CoveoChooseLoadOperator(
            task_id="choose", source_id="products", state=state, load=load, retries=0
        )
        catalog_refresh(
            source_id="products", state=state, documents=choose.output, plan=True, approve=approve
        )
    nightly.sandbox.clock.advance(seconds=3600)
    return started(dag)


def loads(nightly: Nightly) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((nightly.folder / "state" / "last.json").read_text())["loads"]
    return found


def test_it_goes_back_to_the_load_before(nightly: Nightly) -> None:
    """The index is the former one, the plan says so, and the roll-back is a load as any other."""
    run = back(nightly, "previous")

    assert run.state == "success", nightly.errors
    assert nightly.held() == {f"doc://{n}": 1 for n in range(9)}
    plan = run.xcom("plan", "coveo_plan")
    assert plan["rollback"]["documents"] == 9
    assert plan["rollback"]["run_id"] == loads(nightly)[2]["run_id"]
    assert (plan["documents"]["changed"], plan["documents"]["new"], plan["documents"]["gone"]) == (1, 0, 0)
    assert [load["sent"] for load in loads(nightly)] == [1, 1, 0, 10]
    assert loads(nightly)[0]["run_id"] == run.run_id
    assert nightly.night().state == "success"
    assert nightly.held() == nightly.wanted()


@pytest.mark.slow
def test_it_goes_back_to_a_run(nightly: Nightly) -> None:
    """Two loads back, by the run's id: what was deleted since is there again."""
    run = back(nightly, loads(nightly)[2]["run_id"])

    assert run.state == "success", nightly.errors
    assert nightly.held() == {f"doc://{n}": 1 for n in range(10)}


@pytest.mark.slow
@needs_answers
def test_a_person_chooses_and_approves(nightly: Nightly) -> None:
    """Two questions: which load, and whether to apply; nothing changes before the second answer."""
    before = nightly.held()
    run = back(nightly, approve="always")
    subject, body = run.question("choose")
    assert subject == "Source products: which load to roll back to?"
    listed = [line for line in body.splitlines() if line[:1].isdigit()]
    options = run.options("choose")
    assert len(listed) == 3
    assert [one.replace(":", ".", 1) in line for one, line in zip(options, listed, strict=False)] == [
        True
    ] * 3
    assert sum(map(len, options)) < 100, "Airflow draws these as buttons in one row"

    run.answer("choose", options[2])
    assert run.go_on() == "running"
    assert nightly.held() == before
    _, body = run.question("plan")
    assert "roll-back" in body
    run.answer("plan", "Apply", by="bob")
    assert run.go_on() == "success"

    assert nightly.held() == {f"doc://{n}": 1 for n in range(10)}
    report = run.xcom("finalize", "coveo_report")
    assert [(one["guard"], one["by"]) for one in report["approvals"]] == [("load", "ann"), ("plan", "bob")]
    assert report["source"] == {"before": 9, "after": 10}


def gone(folder: Path) -> None:
    shutil.rmtree(folder)


def written_again(folder: Path) -> None:
    manifest = json.loads((folder / "_manifest.json").read_text())
    (folder / "_manifest.json").write_text(json.dumps({**manifest, "sha256": "another"}))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("happened", "said"), [(gone, "its dataset is gone"), (written_again, "written again since")]
)
def test_a_load_without_its_dataset_cannot_be_chosen(
    nightly: Nightly, happened: Callable[[Path], None], said: str
) -> None:
    """The run stops before anything is sent, and says which dataset."""
    before = nightly.held()
    dataset = Path(loads(nightly)[1]["datasets"][0]["manifest"].removeprefix("file://")).parent
    happened(dataset)

    assert back(nightly, "previous").state == "failed"

    assert said in nightly.error
    assert dataset.name in nightly.error
    assert nightly.held() == before


def test_a_password_in_an_address_is_not_shown(connected: Sandbox, nightly: Nightly) -> None:
    """Neither of a dataset that is gone, nor of a state that holds no loads; plan and report hide it as well."""
    attach("memory", conn_id="ann:hidden-word", fs=fsspec.filesystem("memory"))
    path = nightly.folder / "state" / "last.json"
    last = json.loads(path.read_text())
    last["loads"][1]["datasets"][0]["manifest"] = "memory://ann:hidden-word@bucket/night/_manifest.json"
    path.write_text(json.dumps(last))

    assert back(nightly, "previous").state == "failed"
    assert "its dataset is gone" in nightly.error
    assert "memory://" in nightly.error
    with pytest.raises(Exception, match="no load is remembered") as raised:
        CoveoChooseLoadOperator(
            task_id="choose", source_id="products", state="memory://ann:hidden-word@bucket/state"
        ).execute({})
    plan = CoveoPlanOperator(
        task_id="plan",
        documents=(nightly.folder / f"night-{nightly.nights}").as_uri(),
        state="memory://ann:hidden-word@bucket/state",
        source_id="products",
    ).execute({})

    assert "hidden-word" not in f"{nightly.error}{raised.value}{plan}"


@pytest.mark.slow
def test_a_run_that_loaded_twice_is_two_loads(nightly: Nightly) -> None:
    """The first dataset of a cleared run is gone, as it wrote another in its place; the second can be chosen."""
    path = nightly.folder / "state" / "last.json"
    last = json.loads(path.read_text())
    again = json.loads(json.dumps(last["loads"][1]))
    again["datasets"][0]["sha256"] = "0" * 64
    last["loads"].insert(2, again)
    path.write_text(json.dumps(last))

    run = back(nightly, "previous")

    assert run.state == "success", nightly.errors
    assert nightly.held() == {f"doc://{n}": 1 for n in range(9)}


@pytest.mark.slow
@needs_answers
def test_loads_that_read_alike_are_offered_each(nightly: Nightly) -> None:
    """Of the same second, run and size: each has an option of its own."""
    path = nightly.folder / "state" / "last.json"
    last = json.loads(path.read_text())
    for load in last["loads"][1:]:
        load.update(finished_at=last["loads"][0]["finished_at"], run_id=last["loads"][0]["run_id"])
    path.write_text(json.dumps(last))

    run = back(nightly)
    options = run.options("choose")

    assert len(set(options)) == 3 + 1  # and Stop
    run.answer("choose", options[1])
    assert run.go_on() == "success", nightly.errors
    assert nightly.held() == {f"doc://{n}": 1 for n in range(9)}


@pytest.mark.slow
def test_what_is_remembered_is_bounded(nightly: Nightly) -> None:
    """Twenty loads, the newest first; a task that ends a load again adds none."""
    from coveo_provider.documents.changes import state

    run = nightly.night(full=True)
    assert run.state == "success"
    run.clear("finalize", downstream=False)
    assert run.go_on() == "success"
    assert len(loads(nightly)) == 4
    assert back(nightly, "previous").state == "success"  # that one changed nothing: the one before it did
    assert nightly.held() == {f"doc://{n}": 1 for n in range(9)}
    assert state.LOADS_KEPT == 20
