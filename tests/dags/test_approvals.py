"""What a guard finds doubtful is asked of a person in Required Actions, and done or left as answered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coveo_provider._compat import TaskAwaitingInput
from coveo_provider.sandbox import Answer, Sandbox
from coveo_provider.task_groups import (
    catalog_load,
    catalog_refresh,
    incremental_push,
    push_rebuild,
    secured_push,
)
from tests.dags.clicking import Nightly, Run
from tests.dags.conftest import claims

pytestmark = pytest.mark.skipif(
    TaskAwaitingInput is None, reason="a trigger answers before 3.3, which needs a triggerer beside"
)

FAIL = Answer(500, body='{"message": "Internal error"}')
# the group, its source, the task that asks, whether it has a state
GROUPS: dict[str, tuple[Callable[..., Any], str, str, bool]] = {
    "push_rebuild": (push_rebuild, "files", "delete_older", False),
    "secured_push": (secured_push, "intranet", "delete_older", False),
    "incremental_push": (incremental_push, "files", "diff", True),
    "catalog_refresh": (catalog_refresh, "products", "delete_older", False),
    "catalog_refresh, state": (catalog_refresh, "products", "diff", True),
    "catalog_load": (catalog_load, "products", "close", False),
}


@pytest.fixture(autouse=True)
def nothing_remembered(airflow_database: None) -> None:
    """No Variable of another test says that a source is loaded, or whose it is."""
    from airflow.models.variable import Variable
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    with create_session() as session:
        session.execute(delete(Variable).where(Variable.key.startswith("coveo_")))


class Shop:
    """A nightly DAG that asks when more than half of the items would go."""

    def __init__(self, sandbox: Sandbox, folder: Path, name: str, **options: Any) -> None:
        group, self.source, self.asks, compares = GROUPS[name]
        every = {}
        if group is secured_push:
            sandbox.add_source(self.source, kind="PUSH", visibility="SECURED")
            people = [{"name": "ann@acme.example", "type": "USER"}]
            members = folder / "members.parquet"
            pq.write_table(
                pa.Table.from_pylist([{"name": "team", "type": "GROUP", "members": people}]), members
            )
            options = {"provider_id": "people", "members": members.as_uri(), **options}
            every = {"permissions": '[{"allowAnonymous": true}]'}
        guards = {"max_shrink": 0.5, "on_doubt": "ask", **options}
        self.nightly = Nightly(
            sandbox, folder / "shop", group, self.source, compares=compares, parts=2, **guards
        )
        self.nightly.every = every
        self.before: dict[str, int] = {}

    def shrunk(self, left: int = 3, **options: Any) -> Run:
        """Load ten documents, and begin a night with so many of them, which waits for an answer."""
        self.nightly.put(10)
        assert self.nightly.night().state == "success"
        self.before = self.nightly.held()
        assert len(self.before) == 10
        self.keep(left)
        return self.nightly.night(**options)

    def keep(self, left: int) -> None:
        """Let there be so many rows."""
        for n in [n for n in self.nightly.rows if n >= left]:
            del self.nightly.rows[n]


@pytest.fixture
def open_shop(connected: Sandbox, tmp_path: Path, waits: list[float]) -> Callable[..., Shop]:
    def opened(name: str, **options: Any) -> Shop:
        return Shop(connected, tmp_path, name, **options)

    return opened


@pytest.mark.parametrize("name", GROUPS)
def test_it_goes_on_once_it_is_approved(open_shop: Callable[..., Shop], name: str) -> None:
    """Both numbers are shown, the index equals the dataset in the end, and who said so is kept."""
    shop = open_shop(name)

    run = shop.shrunk()

    assert run.states()[shop.asks] == "awaiting_input"
    subject, body = run.question(shop.asks)
    assert subject.startswith(f"Source {shop.source}: 3 documents, 10 held")
    assert "max_shrink=0.5" in body
    assert shop.nightly.held().keys() == shop.before.keys()
    run.answer(shop.asks, "Apply", by="ann")
    assert run.go_on() == "success"
    assert shop.nightly.held() == shop.nightly.wanted()
    [approval] = run.xcom(shop.asks, "coveo_approvals")
    assert (approval["guard"], approval["answer"], approval["by"]) == ("max_shrink", "Apply", "ann")
    assert (approval["numbers"]["documents"], approval["numbers"]["held"]) == (3, 10)
    assert not claims()
