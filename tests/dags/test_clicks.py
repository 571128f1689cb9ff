"""Every click in Airflow's UI has an outcome: none loses a document with a green run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coveo_provider.sandbox import Answer, Sandbox
from coveo_provider.task_groups import (
    catalog_load,
    catalog_refresh,
    incremental_push,
    push_rebuild,
    secured_push,
)
from tests.dags.clicking import Nightly, Run, each

pytestmark = pytest.mark.usefixtures("nothing_remembered")

FAIL = Answer(500, body='{"message": "Internal error"}')
EVERYBODY = '[{"allowAnonymous": true}]'

Shop = Callable[..., Nightly]


@pytest.fixture(autouse=True)
def one_clock(connected: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's clock goes with the service's, which the tests move."""
    clock = SimpleNamespace(time_ns=lambda: connected.clock.now_ms() * 1_000_000, monotonic=time.monotonic)
    monkeypatch.setattr("coveo_provider.loading.deliveries.time", clock)


GROUPS: dict[str, tuple[Callable[..., Any], str, str, bool]] = {
    "push_rebuild": (push_rebuild, "files", "push", False),
    "secured_push": (secured_push, "intranet", "push", False),
    "incremental_push, state": (incremental_push, "files", "push", True),
    "catalog_refresh": (catalog_refresh, "products", "update", False),
    "catalog_refresh, state": (catalog_refresh, "products", "update", True),
    "catalog_load": (catalog_load, "products", "upload", False),
}
REFRESHES = [name for name in GROUPS if name != "catalog_load"]
COMPARING = [name for name in GROUPS if name.endswith("state")]
ROUTES = {"push": "batch.put", "update": "stream.update", "upload": "stream.chunk"}


@pytest.fixture
def shop(connected: Sandbox, tmp_path: Path, waits: list[float]) -> Shop:
    """Return a nightly DAG of a task group, by its name."""

    def made(name: str, folder: str = "", **options: Any) -> Nightly:
        group, source, _, compares = GROUPS[name]
        if group is secured_push:
            connected.add_source(source, kind="PUSH", visibility="SECURED")
            people = [{"name": f"{one}@acme.example", "type": "USER"} for one in ("ann", "bob")]
            members = tmp_path / "members.parquet"
            pq.write_table(
                pa.Table.from_pylist([{"name": "team", "type": "GROUP", "members": people}]), members
            )
            options = {"provider_id": "people", "members": members.as_uri(), **options}
        nightly = Nightly(
            connected, tmp_path / (folder or "shop"), group, source, compares=compares, **options
        )
        if group is secured_push:
            nightly.every = {"permissions": EVERYBODY}
        return nightly

    return made


def sender(name: str) -> str:
    """Return the name of the task of a group that sends."""
    return GROUPS[name][2]


def failed_part(nightly: Nightly, task: str, skip: int = 1) -> tuple[Run, int]:
    """Run a night in which one of the parts fails, after so many that do not, and return which."""
    nightly.sandbox.faults.add(route=ROUTES[task], action=FAIL, skip=skip, times=6)
    run = nightly.night()
    index = run.failed(task)
    nightly.sandbox.faults.clear()
    nightly.sandbox.clock.advance(seconds=600)
    return run, index


@pytest.mark.parametrize("name", each(["push_rebuild", "secured_push"]))
def test_1_a_failed_push_of_a_rebuild_is_cleared_with_what_follows(shop: Shop, name: str) -> None:
    """
    Airflow clears the setup task along with a teardown, so ``rebuild`` runs again, after its siblings' pushes.

    The mark is that of the parts, so nothing that was pushed before is deleted.
    """
    nightly = shop(name)
    nightly.put(16)
    run, failed = failed_part(nightly, "push")

    cleared = run.clear("push", failed)

    assert cleared == {"rebuild", f"push[{failed}]", "delete_older", "verify", "idle"}
    assert run.go_on() == "success"
    assert nightly.held() == nightly.wanted()
    assert nightly.sandbox.source(nightly.source).status == "IDLE"


@pytest.mark.parametrize("name", each(REFRESHES))
def test_1_clearing_the_deletion_alone_deletes_nothing_that_was_loaded(shop: Shop, name: str) -> None:
    """
    An hour later; Airflow clears the setup and the teardown around a task even when it is cleared alone.

    The parts' reports are what they were, and the mark too, whatever ``rebuild`` returns now.
    """
    nightly = shop(name)
    nightly.put(16)
    run = nightly.night()
    assert run.state == "success"
    nightly.sandbox.clock.advance(seconds=3600)

    cleared = run.clear("delete_older", downstream=False)

    assert cleared - {"rebuild", "incremental", "idle"} == {"delete_older"}

    assert run.go_on() == "success"
    assert nightly.held() == nightly.wanted()


@pytest.mark.long
@pytest.mark.parametrize("name", each(REFRESHES))
def test_1_the_deletion_cleared_with_what_follows_deletes_nothing_that_was_loaded(
    shop: Shop, name: str
) -> None:
    """The UI's default: of a Push source the setup runs again as well, so the source's status is set anew."""
    nightly = shop(name)
    nightly.put(16)
    run = nightly.night()
    nightly.sandbox.clock.advance(seconds=3600)

    run.clear("delete_older")

    assert run.go_on() == "success"
    assert nightly.held() == nightly.wanted()
    nightly.put(4, start=12, version=2)
    assert nightly.night().state == "success"
    assert nightly.held() == nightly.wanted()


@pytest.mark.parametrize("name", each(COMPARING))
def test_1_a_first_run_of_changes_is_cleared_and_the_next_run_finds_nothing_lost(
    shop: Shop, name: str
) -> None:
    """It sends everything and deletes by age; the next run with the same input may be skipped, as all is there."""
    nightly = shop(name)
    nightly.put(16)
    run, failed = failed_part(nightly, sender(name))

    run.clear(sender(name), failed)

    assert run.go_on() == "success"
    assert nightly.held() == nightly.wanted()
    assert nightly.night().states()[sender(name)] == "skipped"
    assert nightly.held() == nightly.wanted()


@pytest.mark.parametrize("name", each(GROUPS))
def test_2_a_failed_part_that_is_marked_as_success_is_missed(shop: Shop, name: str) -> None:
    """
    Airflow clears what failed because of it, and hands over the reports of the others, without a gap.

    The run fails with the name of the part, and the index has what it had; the next run makes it good.
    """
    nightly = shop(name)
    nightly.put(16)
    assert nightly.night().state == "success"
    nightly.put(16, version=2)
    before = nightly.held().keys()
    run, failed = failed_part(nightly, sender(name), skip=0)

    run.mark_success(sender(name), failed)

    assert run.go_on() == "failed"
    assert "1 of " in nightly.error
    assert f"part-{failed}" in nightly.error or "changes" in nightly.error
    assert "Nothing was removed" in nightly.error
    assert nightly.held().keys() == before
    assert nightly.night().state == "success"
    assert nightly.held() == nightly.wanted()


@pytest.mark.parametrize("name", each(GROUPS))
def test_3_a_send_task_of_an_older_run_is_refused_after_a_newer_one(shop: Shop, name: str) -> None:
    """It would send old versions over new ones. It names the newer run, and the index keeps what that loaded."""
    nightly = shop(name)
    nightly.put(16)
    older = nightly.night()
    nightly.put(8, version=2)
    newer = nightly.night()
    assert (older.state, newer.state) == ("success", "success")

    older.clear(sender(name), 0)

    assert older.go_on() == "failed"
    assert newer.run_id in nightly.errors[0]
    assert "old content over new" in nightly.errors[0]
    assert nightly.held() == nightly.wanted()
    again = nightly.night()
    assert again.state in {"success", "skipped"}
    assert nightly.held() == nightly.wanted()


@pytest.mark.parametrize("name", each(GROUPS))
def test_3_a_send_task_alone_of_an_older_run_is_refused_as_well(shop: Shop, name: str) -> None:
    """Without what follows, there is no setup that would find it out first."""
    nightly = shop(name)
    nightly.put(16)
    older = nightly.night()
    nightly.put(8, version=2)
    newer = nightly.night()

    assert f"{sender(name)}[0]" in older.clear(sender(name), 0, downstream=False)

    older.go_on()
    assert {"failed", "upstream_failed"} & {older.states()[f"{sender(name)}[0]"]}
    assert newer.run_id in nightly.error
    assert nightly.held() == nightly.wanted()


@pytest.mark.parametrize("name", each(COMPARING))
def test_3_an_older_run_that_failed_half_way_is_not_taken_up_after_a_newer_one(shop: Shop, name: str) -> None:
    """What it had sent, the newer run sent again; and it is refused although it never came to its end."""
    nightly = shop(name)
    nightly.put(16)
    older, failed = failed_part(nightly, sender(name))
    nightly.put(8, version=2)
    assert nightly.night().state == "success"

    older.clear(sender(name), failed)

    assert older.go_on() == "failed"
    assert nightly.held() == nightly.wanted()


@pytest.mark.long
@pytest.mark.parametrize("name", each(GROUPS))
def test_an_older_run_cleared_from_its_first_task_loads_its_data_again(shop: Shop, name: str) -> None:
    """Going back is allowed where it is meant: all of the run is cleared. The next run goes forward again."""
    nightly = shop(name)
    nightly.put(16)
    older, wanted = nightly.night(), nightly.wanted()
    nightly.put(8, version=2)
    nightly.put(2, start=16, version=2)
    assert nightly.night().state == "success"
    nightly.sandbox.clock.advance(seconds=3600)

    older.clear("transform" if GROUPS[name][3] else "check")

    assert older.go_on() == "success", nightly.errors
    assert nightly.held() == wanted
    assert nightly.night().state == "success"
    assert nightly.held() == nightly.wanted()


def test_the_opening_of_a_load_cleared_alone_changes_nothing(shop: Shop) -> None:
    """A second stream is opened, into which nothing goes and which nothing closes."""
    nightly = shop("catalog_load")
    nightly.put(16)
    run = nightly.night()

    assert run.clear("open", downstream=False) == {"open"}

    assert run.go_on() == "success"
    assert nightly.held() == nightly.wanted()
    nightly.put(4, version=2)
    assert nightly.night().state == "success"
    assert nightly.held() == nightly.wanted()


def test_a_close_does_not_close_another_stream_than_the_parts_are_in(shop: Shop) -> None:
    """
    ``open`` was cleared alone, then ``close``: to close the new stream, an empty one, would empty the source.

    Airflow judges a run by its last tasks: ``verify`` was not cleared, so the run stays green and ``close`` is red.
    """
    nightly = shop("catalog_load")
    nightly.put(16)
    run = nightly.night()
    run.clear("open", downstream=False)
    run.go_on()

    run.clear("close", downstream=False)

    run.go_on()
    assert run.states()["close"] == "failed"
    assert "which is to be closed" in nightly.error
    assert nightly.held() == nightly.wanted()

    run.clear("upload")

    assert run.go_on() == "success"
    assert nightly.held() == nightly.wanted()


def test_a_close_cleared_alone_finds_that_its_stream_is_closed(shop: Shop) -> None:
    """It was closed by this run, so nothing is left to do."""
    nightly = shop("catalog_load")
    nightly.put(16)
    run = nightly.night()

    run.clear("close", downstream=False)

    assert run.go_on() == "success"
    assert nightly.held() == nightly.wanted()


@pytest.mark.long
@pytest.mark.parametrize("name", each(GROUPS))
def test_the_end_of_a_run_cleared_alone_verifies_again(shop: Shop, name: str) -> None:
    """Nothing is sent, and nothing else remembered than before."""
    nightly = shop(name)
    nightly.put(16)
    run = nightly.night()
    calls = len(nightly.sandbox.calls)

    run.clear("finalize" if GROUPS[name][3] else "verify", downstream=False)

    assert run.go_on() == "success"
    assert {call.method for call in nightly.sandbox.calls[calls:]} <= {"GET", "POST"}
    assert not [call for call in nightly.sandbox.calls[calls:] if call.route in ROUTES.values()]
    assert nightly.held() == nightly.wanted()
    if GROUPS[name][3]:
        assert nightly.night().states()[sender(name)] == "skipped"


@pytest.mark.parametrize("name", each(REFRESHES))
def test_only_failed_tasks_are_cleared(shop: Shop, name: str) -> None:
    """With "only failed" Airflow leaves a setup that succeeded alone; the run goes on where it stopped."""
    nightly = shop(name)
    nightly.put(16)
    run, failed = failed_part(nightly, sender(name))

    cleared = run.clear(sender(name), failed, only_failed=True)

    assert "rebuild" not in cleared
    assert run.go_on() == "success"
    assert nightly.held() == nightly.wanted()


@pytest.mark.long
def test_8_two_groups_that_delete_what_is_older_cannot_share_a_source(shop: Shop) -> None:
    """The second would delete for good what the first loaded. It is told whose the source is."""
    first, second = shop("push_rebuild", "first"), shop("push_rebuild", "second")
    first.put(16)
    second.put(4, start=100)
    assert first.night().state == "success"

    run = second.night()

    assert (run.state, run.states()["delete_older"]) == ("failed", "failed")
    assert f"belongs to DAG {first.dag_id}, group push_rebuild" in second.error
    assert first.held().items() >= first.wanted().items()
    assert first.night().state == "success"
    assert first.held() == first.wanted()


@pytest.mark.parametrize("name", each(COMPARING))
def test_8_two_states_cannot_share_a_source(shop: Shop, name: str) -> None:
    """The second is refused before it has sent anything, by the name of the first one's folder."""
    first, second = shop(name, "first"), shop(name, "second")
    first.put(16)
    second.put(4, start=100)
    assert first.night().state == "success"
    calls = len(first.sandbox.calls)

    run = second.night()

    assert (run.state, run.states()["diff"]) == ("failed", "failed")
    assert f"belongs to the state in {(first.folder / 'state').as_uri()}" in second.error
    assert len(first.sandbox.calls) == calls
    assert first.held() == first.wanted()
