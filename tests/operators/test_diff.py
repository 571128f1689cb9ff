"""Night after night only what changed is sent, whatever went wrong the night before."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coveo_provider._compat import AirflowFailException, AirflowSkipException
from coveo_provider.operators import (
    CoveoDiffOperator,
    CoveoFinalizeOperator,
    CoveoPushBatchOperator,
    CoveoTransformOperator,
)
from coveo_provider.operators.support import changes as _changes
from coveo_provider.operators.support import dataset_writing
from coveo_provider.sandbox import Sandbox
from tests.conftest import Connect
from tests.operators.nights import MAPPING, InMemory, Nights


@pytest.mark.parametrize("storage", ["nights", "remote_nights"])
def test_only_what_changed_is_sent(request: pytest.FixtureRequest, storage: str) -> None:
    """First everything; then new, changed and gone ones, by id; then nothing."""
    nights: Nights = request.getfixturevalue(storage)
    for number in range(30):
        nights.put(number)
    nights.run()
    assert nights.told == {
        "full": True,
        "reason": "nothing is remembered of an earlier run",
        "changed": 30,
        "gone": 0,
        "unchanged": 0,
        "manifest": f"{nights.root}/night-1/documents/_manifest.json",
        "coveo_held": 0,
    }

    nights.put(3, price=2.5)  # a fraction: all prices become fractions, and are the same
    nights.put(50)
    del nights.rows["007"]
    before = len(nights.sandbox.calls)
    units = nights.run()

    assert [list(unit) for unit in units] == [["documents"], ["deletions"]]
    assert nights.held() == nights.expected()
    told = {name: nights.told[name] for name in ("full", "reason", "changed", "gone", "unchanged")}
    assert told == {"full": False, "reason": "", "changed": 2, "gone": 1, "unchanged": 28}
    uploads = [call.content_length or 0 for call in nights.sandbox.calls[before:] if call.route == "upload"]
    assert sum(uploads) < 300

    with pytest.raises(AirflowSkipException, match="of 30 documents none is new or changed"):
        nights.run()
    hashes = [name for name in nights.files() if name.startswith("hashes/")]
    assert [name.rpartition("/")[2] for name in hashes] == ["part-00000.parquet"]
    assert [name for name in nights.files() if not name.startswith("hashes/")] == ["last.json"]


def test_staging_may_be_cleaned_after_each_run(nights: Nights) -> None:
    """The state keeps what the next run needs."""
    nights.put(1)
    nights.put(2)
    nights.run()
    storage: Any = nights.root.fs
    storage.rm((nights.root / "night-1").path, recursive=True)
    nights.put(1, price=9)

    assert len(nights.run()) == 1
    assert nights.held() == nights.expected()


_STEP = st.tuples(
    st.sampled_from(["put", "drop", "price", "price"]), st.integers(0, 7), st.sampled_from([1, 2, 2.5])
)
_FATE = st.sampled_from(
    ["good", "good", "dies before", "dies within", "dies after", "retries", "loses state"]
)


def live(nights: Nights, steps: list[tuple[str, int, float]], fate: str, choose: Any) -> None:
    """Change the rows, and run a night to its fate."""
    change(nights, steps)
    if fate == "loses state" and nights.state.exists():
        lose_state(nights, choose)
    if fate in {"good", "loses state"}:
        with suppress(AirflowSkipException):
            nights.run()
        assert nights.held() == nights.expected()
        return
    night = nights.night()
    night.transform()
    try:
        units = night.diff()
    except AirflowSkipException:
        return
    if fate == "retries":  # the task was cleared after some of it had been sent
        night.send(choose(units))
        units = night.diff()
        night.finalize([night.send(unit) for unit in units])
        if nights.told["full"]:
            nights.delete_older()
        assert nights.held() == nights.expected()
    elif fate == "dies within":
        night.send(choose(units))
    elif fate == "dies after":
        for unit in units:
            night.send(unit)


def change(nights: Nights, steps: list[tuple[str, int, float]]) -> None:
    for step, number, price in steps:
        if step == "drop":
            nights.rows.pop(f"{number:03d}", None)
        else:
            nights.put(number, price=price)
    if not nights.rows:
        nights.put(0)


def lose_state(nights: Nights, choose: Any) -> None:
    """Delete a file: that a load was begun cannot be guessed when its announcement is lost, all else may be."""
    storage: Any = nights.state.fs
    names = [name for name in nights.files() if not (name.startswith("pending") and name.endswith("json"))]
    if names:
        storage.rm((nights.state / choose(names)).path)


@pytest.mark.long
@given(fates=st.lists(st.tuples(st.lists(_STEP, max_size=5), _FATE), min_size=1, max_size=6), data=st.data())
@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
def test_after_any_nights_a_good_one_makes_the_index_right(
    tmp_path_factory: pytest.TempPathFactory, connect: Connect, fates: Any, data: st.DataObject
) -> None:
    """Whatever part of its changes a run sent before it died, and whatever the rows are afterwards."""
    nights = InMemory(tmp_path_factory.mktemp("nights").as_uri())
    connect(None, host="http://127.0.0.1:1", login="org", password="key")  # which nothing calls
    for steps, fate in fates:
        live(nights, steps, fate, lambda values: data.draw(st.sampled_from(values)))
    live(nights, [], "good", None)


def test_a_document_that_a_dead_run_sent_is_sent_again(nights: Nights) -> None:
    """Though its row is back at what it was before: the hashes alone would not tell."""
    nights.put(1)
    nights.put(2)
    nights.run()
    nights.put(1, price=99)
    nights.put(3)
    night = nights.night()
    night.transform()
    for unit in night.diff():
        night.send(unit)  # and nobody is told

    nights.put(1)
    del nights.rows["003"]
    units = nights.run()

    assert [list(unit) for unit in units] == [["documents"], ["deletions"]]
    assert (nights.told["changed"], nights.told["gone"]) == (1, 1)
    assert nights.held() == nights.expected()


def test_a_full_run_that_died_is_followed_by_a_full_one(nights: Nights) -> None:
    """It may have replaced anything."""
    nights.put(1)
    nights.run()
    night = nights.night()
    night.transform()
    night.diff(full=True)

    nights.run()

    assert (nights.told["full"], nights.told["reason"]) == (
        True,
        "a run that sent everything did not come to its end",
    )
    nights.put(1, price=2)
    nights.run()
    assert nights.told["full"] is False


@pytest.mark.parametrize("value", [True, "True", "true", "1"])
def test_everything_is_sent_when_asked_for(nights: Nights, value: Any) -> None:
    """As a parameter of the DAG would say it."""
    nights.put(1)
    nights.run(full="False")
    units = nights.run(full=value)

    assert units == [{"documents": f"{nights.root}/night-2/documents/part-00000.parquet"}]
    assert nights.told["reason"] == "it was asked for"


def test_a_loss_beyond_the_bound_is_refused(nights: Nights) -> None:
    """Though the number of documents is the same; nothing is sent, announced or forgotten."""
    for number in range(10):
        nights.put(number)
    nights.run()
    nights.rows.clear()
    for number in range(20, 30):
        nights.put(number)
    before = nights.files()

    with pytest.raises(
        AirflowFailException, match=r"of 10 documents of the last run 10 are not there any more, 100"
    ):
        nights.run(max_shrink="0.5")

    assert nights.files() == before
    nights.run(max_shrink=1)
    assert nights.held() == nights.expected()


@pytest.mark.parametrize("full", [True, False])
def test_a_dataset_that_shrank_is_refused(nights: Nights, full: bool) -> None:
    """In a run of changes and in a full one, by what the last run sent."""
    for number in range(10):
        nights.put(number)
    nights.run()
    for number in range(4, 10):
        del nights.rows[f"{number:03d}"]

    with pytest.raises(AirflowFailException, match=r"(?s)SafetyStop.*(10.*6|4.*10)"):
        nights.run(max_shrink=0.5, full=full)
    with pytest.raises(AirflowFailException, match="4 documents, fewer than min_documents=5"):
        nights.run(min_documents="5", full=full)
    assert len(nights.held()) == 10


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"state": ""}, "state must be the URI of a folder"),
        ({"documents": "file:///nowhere"}, "has no manifest, and file:///nowhere is missing"),
        ({"documents": []}, "the list of parts is empty"),
        ({"full": "perhaps"}, "full must be true or false"),
        ({"max_shrink": "x"}, "max_shrink must be a number"),
        ({"max_shrink": 2}, "max_shrink must be a share between 0 and 1"),
    ],
    ids=repr,
)
def test_wrong_arguments_are_refused(nights: Nights, options: dict[str, Any], problem: str) -> None:
    """Before anything is announced."""
    nights.put(1)
    night = nights.night()
    night.transform()

    with pytest.raises(AirflowFailException, match=problem):
        night.diff(**options)

    assert nights.files() == []


def test_the_dataset_is_given_whole(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    """As its folder or all of its parts; a part that is left out would look deleted."""
    monkeypatch.setattr(dataset_writing, "MIN_PART_BYTES", 150)
    for number in range(9):
        nights.put(number)
    night = nights.night()
    parts = night.transform()

    assert len(parts) > 2
    assert night.diff(documents=[parts[:2], parts[2:]]) == [{"documents": part} for part in parts]
    with pytest.raises(AirflowFailException, match="expected all parts of one dataset"):
        night.diff(documents=parts[1:])
    nights.put(3, price=2)
    other = nights.night()
    with pytest.raises(AirflowFailException, match="expected all parts of one dataset"):
        night.diff(documents=[*parts[1:], *other.transform()[:1]])


def test_a_damaged_dataset_is_refused(nights: Nights) -> None:
    """Half-written, or with other hashes than were written."""
    nights.put(1)
    nights.run()
    night = nights.night()
    nights.put(1, price=4)
    night.transform()
    hashes = night.documents / "_hashes" / "part-00000.parquet"
    with (nights.state / next(n for n in nights.files() if n.startswith("hashes"))).open("rb") as file:
        old = file.read()
    with hashes.open("wb") as sink:
        sink.write(old)

    with pytest.raises(AirflowFailException, match="the files of hashes there are damaged"):
        night.diff()
    with (night.documents / "_manifest.json").open("w") as file:
        file.write("{}")
    with pytest.raises(AirflowFailException, match="is not the manifest of a dataset"):
        night.diff()


def test_units_are_never_more_than_airflow_maps_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shared out between documents and deletions; every part once, in order."""
    parts = [f"d{n}" for n in range(17)]
    gone = [f"g{n}" for n in range(3)]
    for limit in (1, 2, 3, 7, 19, 20, 1024):
        monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", str(limit))
        units = _changes.units(parts, gone)

        assert len(units) <= max(limit, 2)
        for name, expected in (("documents", parts), ("deletions", gone)):
            given_parts = [unit[name] for unit in units if name in unit]
            flat = [p for one in given_parts for p in ([one] if isinstance(one, str) else one)]
            assert flat == expected
    assert _changes.units(parts, []) == [{"documents": part} for part in parts]


def test_a_dag_maps_over_what_is_to_be_sent(
    connected: Sandbox, tmp_path: Path, airflow_database: None, waits: list[float]
) -> None:
    """The list goes to ``expand_kwargs``; the rest is told under keys of its own; an idle run is skipped."""
    from tests.dags.conftest import make_known

    raw = tmp_path / "raw.ndjson"

    def night(number: int, *prices: int) -> dict[str, str]:
        raw.write_text(
            "\n".join(json.dumps({"sku": n, "name": "x", "price": p}) for n, p in enumerate(prices))
        )
        with DAG("nights", schedule=None) as dag:
            made = CoveoTransformOperator(
                task_id="transform",
                source=raw.as_uri(),
                output=(tmp_path / str(number)).as_uri(),
                mapping=MAPPING,
            )
            diff = CoveoDiffOperator(
                task_id="diff", documents=made.output, state=(tmp_path / "state").as_uri(), source_id="files"
            )
            push = CoveoPushBatchOperator.partial(task_id="push", source_id="files").expand_kwargs(
                diff.output
            )
            CoveoFinalizeOperator(
                task_id="finalize",
                source_id="files",
                reports=push.output,
                manifest="{{ ti.xcom_pull(task_ids='diff', key='manifest') }}",
                state=(tmp_path / "state").as_uri(),
            )
        make_known(dag)
        instances = dag.test().get_task_instances()
        return {
            f"{ti.task_id}{ti.map_index if (ti.map_index or 0) >= 0 else ''}": str(ti.state)
            for ti in instances
        }

    assert night(1, 1, 2, 3) == {
        "transform": "success",
        "diff": "success",
        "push0": "success",
        "finalize": "success",
    }
    assert night(2, 1, 5) == {
        "transform": "success",
        "diff": "success",
        "push0": "success",
        "push1": "success",
        "finalize": "success",
    }
    connected.settle()
    assert {item["price"] for item in connected.items("files").values()} == {1, 5}
    idle = night(3, 1, 5)
    assert (idle["diff"], idle["push"], idle["finalize"]) == ("skipped", "skipped", "skipped")
