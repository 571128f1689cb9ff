"""An export of a directory decides who sees what, night after night, whatever is clicked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from coveo_provider.operators import CoveoTransformIdentitiesOperator
from coveo_provider.sandbox import Answer, Sandbox
from coveo_provider.task_groups import secured_push
from tests.conftest import WritePart
from tests.dags.clicking import Run, started
from tests.identities.directories.exports import group, ldif, user

pytestmark = pytest.mark.usefixtures("nothing_remembered")

PROVIDER = "acme-directory"
PEOPLE = ("ann", "bob", "cleo", "dan")
BATCH = "identities.batch"


class Company:
    """A directory, and a DAG that pushes what it exports and one paper that ``Staff`` may see."""

    def __init__(self, sandbox: Sandbox, folder: Path, documents: str) -> None:
        self.sandbox, self.folder, self.documents = sandbox, folder, documents
        self.entries = [user("ann"), user("bob", flags=514), user("cleo"), user("dan")]
        self.groups = {"Staff": ["ann", "bob", "@HR"], "HR": ["cleo"]}
        self.nights = 0

    def dag(self, **options: Any) -> DAG:
        self.nights += 1
        export = self.folder / f"export-{self.nights}.ldif"
        export.write_text(ldif(*self.entries, *(group(name, *of) for name, of in self.groups.items())))
        with DAG(f"identities_{self.folder.parent.name}", schedule=None, default_args={"retries": 0}) as dag:
            ids: Any = CoveoTransformIdentitiesOperator(
                task_id="ids",
                source=export.as_uri(),
                output=(self.folder / f"ids-{self.nights}").as_uri(),
            )
            secured_push(
                source_id="intranet",
                provider_id=PROVIDER,
                documents=self.documents,
                members=ids.output["members"],
                mappings=ids.output["mappings"],
                rules=[{"documents": "*", "only": ["Staff"]}],
                expected=[{"user": "bob@acme.example", "document": "acme://paper", "sees": False}],
                **{"identity_state": (self.folder / "state").as_uri(), **options},
            )
        return dag

    def night(self, **options: Any) -> Run:
        self.sandbox.settle()
        self.sandbox.clock.advance(seconds=3600)
        self.sandbox.clear_calls()
        return started(self.dag(**options))

    def seen(self) -> set[str]:
        """Return who sees the paper."""
        self.sandbox.settle()
        return {
            one for one in PEOPLE if self.sandbox.can_see("intranet", "acme://paper", f"{one}@acme.example")
        }

    def pushed(self, run: Run) -> tuple[bool, int, int, int]:
        report = run.xcom("identities", "return_value")
        return report["full"], report["members"], report["mappings"], report["deleted"]


@pytest.fixture
def company(connected: Sandbox, tmp_path: Path, write_part: WritePart, waits: list[float]) -> Company:
    connected.add_source("intranet", kind="PUSH", visibility="SECURED")
    permissions = [
        {"allowedPermissions": [{"identity": "Staff", "identityType": "Group", "securityProvider": PROVIDER}]}
    ]
    rows = [{"documentId": "acme://paper", "data": "x", "permissions": permissions}]
    folder = tmp_path / "company"
    folder.mkdir()
    return Company(connected, folder, write_part(rows, "papers.parquet"))


def test_only_a_changed_group_is_pushed_and_who_left_sees_nothing(company: Company) -> None:
    """Nested groups let in, a disabled account does not; then one person leaves, and one list is pushed."""
    first = company.night()
    assert first.state == "success", first.states()
    assert company.pushed(first) == (True, 2, 3, 0)
    assert company.seen() == {"ann", "cleo"}

    company.groups["HR"] = []
    second = company.night()

    assert second.state == "success", second.states()
    assert company.pushed(second) == (False, 1, 0, 0)
    assert company.seen() == {"ann"}
    assert "identities.delete_older" not in {call.route for call in company.sandbox.calls}

    company.entries[0] = user("ann", flags=514)
    company.groups["HR"] = ["cleo", "dan"]
    third = company.night()
    assert company.pushed(third) == (False, 2, 0, 1)
    assert company.seen() == {"cleo", "dan"}


@pytest.mark.long
def test_clicks(company: Company) -> None:
    """Cleared, marked as success, failed on the way: the next night makes good whatever was left."""
    first = company.night()
    # Marked as success, it pushes nothing: the next night compares with what was pushed.
    company.groups["HR"] = ["dan"]
    company.sandbox.faults.add(route=BATCH, action=Answer(403), times=1)
    failed = company.night()
    assert failed.states()["identities"] == "failed"
    failed.mark_success("identities")
    failed.go_on()
    assert company.seen() == {"ann", "cleo"}
    night = company.night()
    assert company.seen() == {"ann", "dan"}
    # Cleared by itself, it has nothing to do.
    night.clear("identities", downstream=False)
    night.go_on()
    assert company.pushed(night) == (False, 0, 0, 0)
    # An older run's would give back what was taken since.
    company.sandbox.clear_calls()
    first.clear("identities", downstream=False)
    first.go_on()
    assert first.states()["identities"] == "upstream_failed"  # the source was loaded since
    assert not [call for call in company.sandbox.calls if call.route == BATCH]
    assert company.seen() == {"ann", "dan"}
    # Failed, and cleared once the cause is gone: the same again.
    company.groups["HR"] = ["cleo"]
    company.sandbox.faults.add(route=BATCH, action=Answer(403), times=1)
    failed = company.night()
    failed.clear("identities")
    assert failed.go_on() == "success"
    assert company.pushed(failed)[0] is False
    assert company.seen() == {"ann", "cleo"}


@pytest.mark.long
def test_identities_of_a_provider_have_one_state(company: Company) -> None:
    """A second state, or a push without one, would leave the first with a wrong account of what is held."""
    company.night()
    for other in (None, (company.folder / "other").as_uri()):
        run = company.night(identity_state=other)
        assert run.states()["identities"] == "failed"
        assert company.seen() == {"ann", "cleo"}
    assert company.pushed(company.night()) == (False, 0, 0, 0)


def test_an_export_of_half_of_the_company_costs_nobody_access(company: Company) -> None:
    """What there is of it holds together, so only the number tells."""
    company.night()
    company.entries = [user("cleo")]
    company.groups = {"Staff": ["cleo"]}

    run = company.night(max_shrink=0.5)

    assert run.states()["identities"] == "failed"
    assert [call.route for call in company.sandbox.calls if call.route.startswith("identities")] == []
    assert company.seen() == {"ann", "cleo"}


@pytest.mark.long
def test_an_export_that_is_cut_off_costs_nobody_access(company: Company) -> None:
    company.night()
    del company.entries[2]

    run = company.night()

    assert run.states()["ids"] == "failed"
    assert [call for call in company.sandbox.calls if call.method != "GET"] == []
    assert company.seen() == {"ann", "cleo"}
