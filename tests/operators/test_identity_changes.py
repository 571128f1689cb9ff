"""With a state, only identities that changed are pushed, and the provider holds what the datasets say all "
"the same."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from coveo_provider._compat import AirflowFailException
from coveo_provider.errors import SourceBusy
from coveo_provider.operators import CoveoPushIdentityOperator, CoveoSecurityExpansionOperator
from coveo_provider.sandbox import Answer, Cut, Sandbox
from tests.conftest import WritePart
from tests.operators.conftest import run
from tests.operators.test_claims import Cluster, cluster
from tests.operators.test_security import EMAIL, PROVIDER, alias, group, names, secured

__all__ = ["cluster", "secured"]  # fixtures

Chart = dict[str, set[str]]
"""The members of each group; an address for whoever is in any."""


@pytest.fixture
def push(secured: Sandbox, write_part: WritePart, tmp_path: Path) -> Any:
    """Push an organisation chart as a night does, and return the report."""
    nights = iter(range(1_000))

    def pushed(chart: Chart, people: set[str] | None = None, **options: Any) -> dict[str, Any]:
        night = next(nights)
        known = set().union(*chart.values()) if people is None else people
        secured.clock.advance(seconds=60)
        report: dict[str, Any] = run(
            CoveoSecurityExpansionOperator(
                task_id="identities",
                provider_id=PROVIDER,
                members=write_part(
                    [group(name, *sorted(of)) for name, of in sorted(chart.items())], f"m{night}.parquet"
                ),
                mappings=write_part([alias(name) for name in sorted(known)], f"a{night}.parquet"),
                state=(tmp_path / "state").as_uri(),
                delete_older=True,
                **{"queue_delay": 0, **options},
            )
        )
        secured.settle()
        return report

    return pushed


def held(sandbox: Sandbox) -> Chart:
    """Return the members of each group that the provider holds."""
    return {
        one.name: set(one.members)
        for one in sandbox.identities(PROVIDER)
        if one.type == "GROUP" and one.state == "UP_TO_DATE"
    }


def sent(report: dict[str, Any]) -> tuple[bool, int, int, int]:
    return report["full"], report["members"], report["mappings"], report["deleted"]


def test_only_what_changed_is_pushed(secured: Sandbox, push: Any) -> None:
    """A group goes with its whole list; who is gone is disabled; nothing at all when nothing changed."""
    assert sent(push({"HR": {"ann", "bob"}, "IT": {"cleo"}})) == (True, 2, 3, 0)
    secured.clear_calls()
    assert sent(push({"HR": {"ann", "bob"}, "IT": {"cleo"}})) == (False, 0, 0, 0)
    assert [call.route for call in secured.calls if call.method != "GET"] == []

    report = push({"HR": {"ann", "dan"}, "IT": {"cleo"}})

    assert sent(report) == (False, 1, 1, 1)
    assert report["unchanged"] == 3
    assert held(secured) == {"HR": {"ann", "dan"}, "IT": {"cleo"}}
    assert names(secured) == {"HR", "IT", "ann", "cleo", "dan"}
    assert sent(push({"IT": {"cleo", "bob"}})) == (False, 1, 1, 3)
    assert held(secured) == {"IT": {"cleo", "bob"}}


def test_an_address_that_is_gone_is_taken_back(
    secured: Sandbox, write_part: WritePart, tmp_path: Path
) -> None:
    """Whoever still is one of the provider's, and has no row with an address any more, is not known by it."""
    user = {"name": "ann", "type": "USER", "members": None}
    given: dict[str, Any] = {
        "task_id": "identities",
        "provider_id": PROVIDER,
        "members": write_part([group("HR", "ann"), user], "members.parquet"),
        "state": (tmp_path / "state").as_uri(),
    }
    both = write_part([alias("ann"), alias("bob")], "both.parquet")
    run(CoveoSecurityExpansionOperator(mappings=both, **given))
    secured.settle()
    secured.clock.advance(seconds=60)

    report = run(CoveoSecurityExpansionOperator(mappings=write_part([alias("bob")], "one.parquet"), **given))

    secured.settle()
    assert sent(report) == (False, 0, 1, 0)
    assert {one.name: one.aliases for one in secured.identities(PROVIDER) if one.type == "USER"} == {
        "ann": (),
        "bob": ((EMAIL, "bob@example.com"),),
    }


def test_an_emptied_group_lets_nobody_in(secured: Sandbox, push: Any) -> None:
    push({"HR": {"ann"}, "IT": {"ann"}})
    assert sent(push({"HR": set(), "IT": {"ann"}})) == (False, 1, 0, 0)
    assert held(secured)["HR"] == set()


def test_after_a_push_that_failed_everything_is_sent(secured: Sandbox, push: Any, waits: list[float]) -> None:
    """Part of it may have been accepted: what is as it was two nights ago may not be held."""
    push({"HR": {"ann"}, "IT": {"ann"}})
    # Whether the service took it is not known to whoever gets such an answer.
    secured.faults.add(route="identities.batch", action=Answer(500), times=6)
    with pytest.raises(Exception, match="500"):
        push({"HR": {"ann", "mallory"}, "IT": {"ann"}})
    secured.faults.clear()

    report = push({"HR": {"ann"}, "IT": {"ann"}})

    assert sent(report)[0]
    assert "did not come to its end" in report["reason"]
    assert not sent(push({"HR": {"ann"}, "IT": {"ann"}}))[0]


@pytest.mark.parametrize("first", [{"full": True}, {}])
def test_what_a_failed_push_left_behind_is_made_good_by_the_second_try_after_it(
    secured: Sandbox, push: Any, waits: list[float], first: dict[str, Any]
) -> None:
    """What the first try had sent may be held until a push of everything comes to its end, in the same run also."""
    push({"HR": {"ann"}, "IT": {"ann"}})
    secured.faults.add(route="identities.batch", action=Cut("after"), times=6)  # taken, and not known to be
    with pytest.raises(Exception, match=r"."):
        push({"HR": {"ann", "mallory"}, "IT": {"ann"}}, **first)
    secured.faults.clear()
    secured.faults.add(route="identities.batch", action=Answer(500), times=6)
    with pytest.raises(Exception, match="500"):
        push({"HR": {"ann"}, "IT": {"bob"}})
    secured.faults.clear()

    report = push({"HR": {"ann"}, "IT": {"bob"}})

    assert held(secured) == {"HR": {"ann"}, "IT": {"bob"}}
    assert sent(report)[0]


def test_a_push_of_everything_that_failed_is_one_of_everything_again(
    secured: Sandbox, push: Any, waits: list[float]
) -> None:
    """It was asked for because others had pushed: what they did is not known to the state."""
    push({"HR": {"ann"}})
    run(
        CoveoPushIdentityOperator(
            task_id="by_hand",
            provider_id=PROVIDER,
            identity={"name": "HR", "type": "GROUP"},
            members=[{"name": "mallory", "type": "USER"}],
        )
    )
    secured.faults.add(route="identities.batch", action=Answer(500), times=6)
    with pytest.raises(Exception, match="500"):
        push({"HR": {"ann"}}, full=True)
    secured.faults.clear()

    push({"HR": {"ann"}})

    assert held(secured) == {"HR": {"ann"}}


def test_a_provider_that_lost_identities_gets_everything(secured: Sandbox, push: Any) -> None:
    """Were it made anew by hand, a diff would leave nearly everybody without access."""
    push({"HR": {"ann"}, "IT": {"bob"}})
    for name in ("HR", "IT", "ann"):
        secured.clock.advance(seconds=1)
        kind = "USER" if name == "ann" else "GROUP"
        run(
            CoveoPushIdentityOperator(
                task_id="gone", provider_id=PROVIDER, identity={"name": name, "type": kind}, disable=True
            )
        )
    secured.settle()

    report = push({"HR": {"ann"}, "IT": {"bob"}})

    assert report["reason"] == "the provider holds 1 identities, and 4 were pushed"
    assert held(secured) == {"HR": {"ann"}, "IT": {"bob"}}


@pytest.mark.parametrize("damage", ["last", "rows", "rows gone"])
def test_a_damaged_state_is_no_reason_to_fail(
    secured: Sandbox, push: Any, tmp_path: Path, damage: str
) -> None:
    push({"HR": {"ann"}})
    folder = tmp_path / "state" / "identities"
    [rows] = folder.glob("*.parquet")
    if damage == "rows gone":
        rows.unlink()
    else:
        (folder / "last.json" if damage == "last" else rows).write_bytes(b"{}")

    report = push({"HR": {"bob"}})

    assert sent(report)[0]
    assert "cannot be used" in report["reason"]
    assert held(secured) == {"HR": {"bob"}}


def test_guards_stop_before_anything_is_sent(secured: Sandbox, push: Any) -> None:
    push({"HR": {"ann", "bob", "cleo"}})
    secured.clear_calls()
    with pytest.raises(AirflowFailException, match="min_identities=4"):
        push({"HR": {"ann"}}, min_identities=4)
    with pytest.raises(AirflowFailException, match=r"max_shrink=0\.1"):
        push({"HR": {"ann"}}, max_shrink=0.1)
    assert [call.route for call in secured.calls if call.method != "GET"] == []
    assert not sent(push({"HR": {"ann", "bob"}}))[0]


def test_an_identity_of_both_datasets_counts_once(
    secured: Sandbox, write_part: WritePart, tmp_path: Path
) -> None:
    """Counted twice, half of what is held could go unseen."""

    def pushed(count: int, **guards: Any) -> None:
        names = [f"p{number}" for number in range(count)]
        users = [{"name": name, "type": "USER", "members": None} for name in names]
        run(
            CoveoSecurityExpansionOperator(
                task_id="identities",
                provider_id=PROVIDER,
                members=write_part([group("HR", *names), *users], f"m{count}.parquet"),
                mappings=write_part([alias(name) for name in names], f"a{count}.parquet"),
                state=(tmp_path / "state").as_uri(),
                **guards,
            )
        )
        secured.settle()

    pushed(9)
    with pytest.raises(AirflowFailException, match=r"max_shrink=0\.2"):
        pushed(5, max_shrink=0.2)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"duplicates": "merge"}, "each identity once"),
        ({"deleted": "x.parquet"}, "each identity once"),
        ({"state": 7}, "URI"),
    ],
)
def test_arguments_that_do_not_go_together(push: Any, options: dict[str, Any], says: str) -> None:
    if "state" in options:
        operator = CoveoSecurityExpansionOperator(
            task_id="t", provider_id=PROVIDER, members="x.parquet", **options
        )
        with pytest.raises(AirflowFailException):
            run(operator)
        return
    with pytest.raises(AirflowFailException, match=says):
        push({"HR": {"ann"}}, **options)


def test_an_identity_that_stands_twice_is_refused(push: Any) -> None:
    with pytest.raises(AirflowFailException, match="stands once"):
        push({"HR": {"ann"}, "hr": {"bob"}})


def test_everything_when_asked(push: Any) -> None:
    push({"HR": {"ann"}})
    assert push({"HR": {"ann"}}, full="true")["reason"] == "it was asked for"


def test_runs_take_turns_and_an_older_one_pushes_nothing(
    secured: Sandbox, cluster: Cluster, write_part: WritePart, tmp_path: Path
) -> None:
    """Cleared by itself, a task of an older run would give back what was taken since: it is refused."""
    secured.add_security_provider("files-directory", sources=["hr"])

    def pushed(run_id: str, *members: str, state: str = "state") -> None:
        context = cluster.context(run_id)
        context["dag_run"].run_after = datetime(2026, 1, 5 + (run_id == "tuesday"), tzinfo=timezone.utc)
        CoveoSecurityExpansionOperator(
            task_id="identities",
            provider_id="files-directory",
            members=write_part([group("HR", *members)], f"{run_id}.parquet"),
            state=(tmp_path / state).as_uri(),
        ).execute(context)

    pushed("monday", "ann", "bob")
    pushed("tuesday", "ann")
    with pytest.raises(AirflowFailException, match=r"old content over new.*start a new run"):
        pushed("monday", "ann", "bob")
    with pytest.raises(AirflowFailException, match="Push all identities of a provider with one state"):
        pushed("tuesday", "ann", state="other")
    # While a run is at it, another one waits.
    [name] = [name for name in cluster.variables if name.startswith("coveo_provider__")]
    record = json.loads(cluster.variables[name])
    cluster.variables[name] = json.dumps({**record, "run_id": "monday", "run_after": "", "ended": False})
    with pytest.raises(SourceBusy, match="provider files-directory is being loaded by DAG shop, run monday"):
        pushed("tuesday", "ann")


_CHARTS = st.dictionaries(
    st.sampled_from(["HR", "IT", "Ops"]), st.sets(st.sampled_from(["ann", "bob", "cleo"])), min_size=1
).filter(lambda chart: any(chart.values()))

_FAULTS = [None, Answer(500), Cut("after")]
"""Nothing, a push that was not taken, and one that was taken while its answer was lost."""


@pytest.mark.long
@given(charts=st.lists(st.tuples(_CHARTS, st.sampled_from(_FAULTS)), min_size=2, max_size=5))
@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_night_after_night(
    secured: Sandbox, push: Any, waits: list[float], charts: list[tuple[Chart, Answer | Cut | None]]
) -> None:
    """Whatever changes, and whichever push fails: after one that went through, the provider holds the chart."""
    for chart, fault in charts:
        if fault is not None:
            secured.faults.add(route="identities.batch", action=fault, times=6)
            try:
                push(chart)
            except Exception:  # noqa: BLE001  nothing changed, so nothing was sent, or it failed
                continue
            finally:
                secured.faults.clear()
        else:
            push(chart)
        assert held(secured) == chart
        assert names(secured) == {*chart, *set().union(*chart.values())}
