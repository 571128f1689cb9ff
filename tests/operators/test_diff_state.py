"""What is remembered of another source, or damaged, is of no use: everything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from coveo_provider._compat import AirflowSkipException
from coveo_provider.documents import DocumentMapping
from coveo_provider.operators import CoveoPushBatchOperator
from coveo_provider.operators import diff as diff_module
from coveo_provider.operators import verify as verify_module
from tests.conftest import Connect
from tests.operators.nights import Nights


def damage(nights: Nights, what: str) -> None:
    def overwrite(prefix: str, data: bytes) -> None:
        (name,) = [name for name in nights.files() if name.startswith(prefix)]
        with (nights.state / name).open("wb") as file:
            file.write(data)

    if what == "no last.json":
        (nights.state / "last.json").unlink()
    elif what == "half a last.json":
        overwrite("last.json", b"{")
    elif what == "no hashes":
        storage: Any = nights.state.fs
        storage.rm((nights.state / "hashes").path, recursive=True)
    elif what == "half of the hashes":
        overwrite("hashes/", b"PAR1")
    elif what == "another mapping":
        nights.mapping = DocumentMapping("product://{sku}", fields={"ec_name": "name"}, keep=("price", "sku"))
    elif what == "another source":
        with (nights.state / "last.json").open() as file:
            overwrite("last.json", file.read().replace('"files"', '"other"', 1).encode())
    elif what == "half a pending file":
        night = nights.night()
        nights.put(1, price=5)
        night.transform()
        night.diff()
        for name in nights.files():
            if name.startswith("pending/") and name.endswith(".json"):
                overwrite(name, b"{")
    elif what == "no pending ids":
        night = nights.night()
        nights.put(1, price=5)
        night.transform()
        night.diff()
        for name in nights.files():
            if name.startswith("pending/") and name.endswith(".parquet"):
                (nights.state / name).unlink()


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("no last.json", "nothing is remembered"),
        ("half a last.json", "last.json: is damaged"),
        ("no hashes", "part-00000.parquet: is missing"),
        ("half of the hashes", "is not a Parquet file"),
        ("another mapping", "of another mapping or function"),
        ("half a pending file", ".json: is damaged"),
        ("no pending ids", ".parquet: is missing"),
    ],
)
def test_a_state_of_no_use_leads_to_a_full_run(nights: Nights, what: str, reason: str) -> None:
    """With the reason; the run after it is one of changes again."""
    nights.put(1)
    nights.put(2)
    nights.run()
    damage(nights, what)

    nights.run()

    assert nights.told["full"] is True
    assert reason in nights.told["reason"]
    nights.put(2, price=3)
    nights.run()
    assert (nights.told["full"], nights.told["changed"]) == (False, 1)
    assert [name for name in nights.files() if not name.startswith("hashes")] == ["last.json"]


def test_a_state_of_another_organization_leads_to_a_full_run(nights: Nights, connect: Connect) -> None:
    """As when a DAG moves from a trial organization to the real one."""
    nights.put(1)
    nights.run()
    connect(nights.sandbox, login="another")
    night = nights.night()
    night.transform()

    night.diff()

    assert nights.told["reason"] == "what is remembered is of another organization"


def test_items_that_somebody_else_deleted_are_sent_again(nights: Nights) -> None:
    """Also where no row changed: a green run would else stand for a source that lacks some of its items."""
    nights.put(1)
    nights.put(2)
    nights.run()
    gone = [{"documentId": "product://002"}]
    CoveoPushBatchOperator(task_id="gone", source_id="files", deletions=gone).execute({})
    nights.sandbox.settle()

    nights.run()

    assert nights.told["reason"].startswith("the source holds 1 item, fewer than the 2 of the last load")
    assert nights.held() == nights.expected()
    with pytest.raises(AirflowSkipException, match="none is new or changed"):
        nights.run()


def test_a_count_that_nobody_verified_is_no_reason_to_send_everything(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service's count may come late, and was looked at in the end of a verified load only."""
    nights.put(1)
    nights.put(2)
    monkeypatch.setattr(verify_module.CoveoVerifyOperator, "_held", lambda self: None)
    nights.run()
    monkeypatch.setattr(diff_module, "count_held", lambda operator: 0)
    nights.put(2, price=3)

    assert nights.run()
    assert nights.told["full"] is False
