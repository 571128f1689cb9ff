"""Updates and merges of a stream source, judged by what the index holds afterwards."""

from __future__ import annotations

import json
import logging
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coveo_provider._compat import AirflowFailException
from coveo_provider.documents.encoding.rows import Rows
from coveo_provider.operators import (
    CoveoDeleteOlderOperator,
    CoveoMergeStreamOperator,
    CoveoPushBatchOperator,
    CoveoUpdateStreamOperator,
)
from coveo_provider.sandbox import Answer, Cut, Duplicate, ExpireUpload, Sandbox
from tests.conftest import WritePart, products
from tests.operators.conftest import run


def update(**given: Any) -> dict[str, Any]:
    report: dict[str, Any] = run(CoveoUpdateStreamOperator(task_id="update", source_id="products", **given))
    return report


def held(sandbox: Sandbox) -> dict[str, dict[str, Any]]:
    sandbox.settle()
    return sandbox.items("products")


def test_documents_changes_and_deletions_go_in_one_container(
    connected: Sandbox, write_part: WritePart
) -> None:
    """Each kind to its array; what is not named stays as it is."""
    update(documents=write_part(products(5)))
    prices = pd.DataFrame(
        {
            "documentId": ["product://0", "product://0", "product://1"],
            "operator": ["fieldValueReplace", "arrayAppend", "dictionaryPut"],
            "field": ["n", "ec_category", "stores"],
            "value": ["19.99", '["Sale"]', '{"north": 3}'],
        }
    )

    report = update(
        documents=[{"documentId": "product://9", "ec_name": "Boot"}],
        partial_updates=write_part(prices.to_dict("records"), "prices.parquet"),
        deletions=[{"documentId": "product://4"}],
    )

    index = held(connected)
    assert sorted(index) == ["product://0", "product://1", "product://2", "product://3", "product://9"]
    assert index["product://0"]["n"] == 19.99
    assert index["product://0"]["ec_category"] == ["Shoes", "Größe 42", "Sale"]
    assert index["product://1"]["stores"] == {"north": 3}
    assert index["product://2"]["ec_name"] == "Shoe 2"
    counts = (report["documents"], report["partial_updates"], report["deletions"], report["chunks"])
    assert counts == (1, 3, 1, 1)
    assert len(report["ordering_ids"]) == 1
    assert [part.rsplit("/", 1)[1] for part in report["parts"]] == ["prices.parquet"]


def test_all_five_operators_change_what_they_say(connected: Sandbox) -> None:
    """From rows given inline, whose values are the values themselves."""
    start = {"documentId": "product://1", "price": 10, "skus": ["a", "b"], "stores": {"n": 1, "s": 2, "w": 3}}
    update(documents=[start])

    def change(operator: str, field: str, value: Any) -> dict[str, Any]:
        return {"documentId": "product://1", "operator": operator, "field": field, "value": value}

    update(partial_updates=[change("fieldValueReplace", "price", 9.5), change("arrayRemove", "skus", ["a"])])
    update(
        partial_updates=[change("arrayAppend", "skus", ["c"]), change("dictionaryPut", "stores", {"n": 7})]
    )
    update(partial_updates=[change("dictionaryRemove", "stores", ["s", "w"])])
    update(partial_updates=[change("fieldValueReplace", "gone", "x")])
    update(partial_updates=[change("fieldValueReplace", "gone", None)])

    assert held(connected)["product://1"] == {
        "documentId": "product://1", "price": 9.5, "skus": ["b", "c"], "stores": {"n": 7},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"documents": [{"documentId": "p:1"}], "deletions": [{"documentId": "p:1"}]}, "must be unique"),
        ({"documents": [{"documentId": "p:1"}, {"documentId": "p:1"}]}, "must be unique"),
        (
            {
                "documents": [{"documentId": "p:1"}],
                "partial_updates": [
                    {"documentId": "p:1", "operator": "fieldValueReplace", "field": "a", "value": 1},
                    {"documentId": "p:1", "operator": "fieldValueReplace", "field": "b", "value": 1},
                ],
            },
            "p:1 2 times in documents given inline and the partial updates of partial_updates given inline",
        ),
        (
            {
                "deletions": [{"documentId": "p:1"}],
                "partial_updates": [
                    {"documentId": "p:1", "operator": "fieldValueReplace", "field": "a", "value": 1}
                ],
            },
            "must be unique",
        ),
        (
            {
                "partial_updates": [
                    {"documentId": "p:1", "operator": "fieldValueReplace", "field": "Price", "value": 1},
                    {"documentId": "p:1", "operator": "fieldValueReplace", "field": "price", "value": 2},
                ]
            },
            "field price is changed by 2 partial updates",
        ),
        (
            {
                "partial_updates": [
                    {"documentId": "p:1", "operator": "arrayAppend", "field": "a", "value": ["x"]},
                    {"documentId": "p:1", "operator": "fieldValueReplace", "field": "a", "value": []},
                ]
            },
            "nothing says which comes first",
        ),
        (
            {
                "documents": [{"documentId": "file://ab"}],
                "deletions": [{"documentId": "file://a", "deleteChildren": True}],
            },
            "file://ab in documents given inline would be deleted again",
        ),
        ({"documents": []}, "documents: the list of parts is empty"),
        ({"documents": [{"documentId": "p:1"}, "file:///part"]}, "rows and URIs"),
        ({"documents": {"documentId": "p:1"}}, "one mapping"),
        ({}, "nothing to send. Name one of documents, partial_updates, deletions"),
        ({"deletions": [{"documentId": "p:1", "title": "x"}]}, "'title' has no place in a deletion"),
        ({"deletions": [{"documentId": "p:1", "deleteChildren": "yes"}]}, "expected true or false"),
    ],
)
def test_what_contradicts_itself_is_refused_before_the_first_byte(
    connected: Sandbox, given: dict[str, Any], problem: str
) -> None:
    """Nothing says in which order the service takes the arrays of a container, so no item is in two."""
    with pytest.raises(AirflowFailException, match=problem):
        update(**given)

    assert connected.calls == []


def test_an_item_in_two_parts_is_refused_wherever_it_is(connected: Sandbox, write_part: WritePart) -> None:
    """Also in a dataset, between its parts and its partial updates."""
    changes = [
        {"documentId": f"product://{n}", "operator": "fieldValueReplace", "field": field, "value": "1"}
        for n in range(3, 6)
        for field in ("a", "b")
    ]
    part, updates = write_part(products(4)), write_part(changes, "updates.parquet")
    with pytest.raises(
        AirflowFailException, match=r"found product://3 2 times in .*part-0.* and the partial"
    ):
        update(documents=part, partial_updates=updates)
    assert connected.calls == []

    assert update(documents=part, partial_updates=write_part(changes[2:], "rest.parquet"))["documents"] == 4


ids = st.sampled_from([f"p:{n}" for n in range(4)])
pairs = st.tuples(ids, st.sampled_from(["a", "B", "b"]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    documents=st.lists(ids, max_size=3),
    deletions=st.lists(ids, max_size=3),
    changes=st.lists(pairs, max_size=4),
)
def test_no_item_is_ever_in_two_arrays(
    documents: list[str], deletions: list[str], changes: list[tuple[str, str]]
) -> None:
    """Refused exactly when one stands twice, or a field is replaced twice."""
    from coveo_provider.documents.contract import Section
    from coveo_provider.errors import DatasetError
    from coveo_provider.loading.spooling import check

    solid = [*documents, *deletions]
    fields = [(identifier, field.lower()) for identifier, field in changes]
    clean = (
        len(set(solid)) == len(solid)
        and not set(solid) & {identifier for identifier, _ in changes}
        and len(set(fields)) == len(fields)
    )
    rows = [
        {"documentId": identifier, "operator": "fieldValueReplace", "field": field, "value": 1}
        for identifier, field in changes
    ]
    load = {
        Section.ADD_OR_UPDATE: [Rows([{"documentId": one} for one in documents], "d")],
        Section.DELETE: [Rows([{"documentId": one} for one in deletions], "x")],
        Section.PARTIAL_UPDATE: [Rows(rows, "c")],
    }

    if clean:
        assert check(load, item_limit=99, log=print) == len(solid) + len(rows)
    else:
        with pytest.raises(DatasetError):
            check(load, item_limit=99, log=print)


def test_a_deletion_with_children_warns_of_siblings(
    connected: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """The API takes the plain prefix: file://a takes file://ab along."""
    with caplog.at_level(logging.WARNING):
        update(deletions=[{"documentId": "file://a/", "deleteChildren": True}])
        assert not [r for r in caplog.records if "deleteChildren" in r.getMessage()]
        update(deletions=[{"documentId": "file://a", "deleteChildren": True}])

    (warning,) = [r.getMessage() for r in caplog.records if "deleteChildren" in r.getMessage()]
    assert "file://a takes file://a-sibling" in warning


def test_a_merge_keeps_what_it_does_not_name(connected: Sandbox, write_part: WritePart) -> None:
    """Fields sent are replaced, others kept; an item that is not there is created."""
    update(documents=write_part(products(2)))
    report = run(
        CoveoMergeStreamOperator(
            task_id="merge",
            source_id="products",
            documents=[{"documentId": "product://1", "n": 42}, {"documentId": "product://7", "n": 7}],
        )
    )

    index = held(connected)
    assert (index["product://1"]["n"], index["product://1"]["ec_name"]) == (42, "Shoe 1")
    assert index["product://7"] == {"documentId": "product://7", "n": 7}
    assert (report["documents"], len(report["ordering_ids"])) == (2, 1)


def test_a_refresh_deletes_what_its_updates_did_not_renew(connected: Sandbox, write_part: WritePart) -> None:
    """The first update's orderingId is the mark, and the items of that very update survive."""
    update(documents=write_part(products(10)))
    held(connected)
    reports = [
        update(documents=write_part(products(2, start), f"{start}.parquet"), max_chunk_bytes=1_000)
        for start in (0, 4, 6)
    ]
    run(CoveoDeleteOlderOperator(task_id="older", source_id="products", reports=reports, max_shrink=0.5))

    assert sorted(held(connected)) == [f"product://{n}" for n in (0, 1, 4, 5, 6, 7)]


@pytest.mark.parametrize(
    "fault",
    [Answer(503), Answer.throttled(3), Cut("after"), Cut("before"), Duplicate(last=True), ExpireUpload()],
)
def test_a_fault_of_the_submission_leaves_every_item_in_place(
    connected: Sandbox, write_part: WritePart, waits: list[float], fault: Any
) -> None:
    """Uploaded anew where the first may have been carried out; each item is there once, as sent."""
    connected.faults.add(route="stream.update", action=fault)
    report = update(documents=write_part(products(50)), max_chunk_bytes=2_000)

    index = held(connected)
    assert {key: item["n"] for key, item in index.items()} == {f"product://{n}": n for n in range(50)}
    assert report["chunks"] == len(report["ordering_ids"]) > 2


def test_a_service_that_stays_down_is_left_to_airflow(
    connected: Sandbox, write_part: WritePart, waits: list[float]
) -> None:
    """The try fails, not the task; the next try sends the part again and the index is the same."""
    part = write_part(products(5))
    connected.faults.add(route="stream.update", action=Answer(503), times=6)
    with pytest.raises(Exception, match="503") as failed:
        update(documents=part)
    assert not isinstance(failed.value, AirflowFailException)

    update(documents=part)
    assert len(held(connected)) == 5


def test_rows_given_inline_are_pushed_as_well(connected: Sandbox) -> None:
    """A few documents need no dataset; braces in them are their own."""
    rows = [
        {"documentId": "file://1", "data": "{{ not a template }}", "tags": [1, "two", None], "gone": None}
    ]
    operator = CoveoPushBatchOperator(task_id="push", source_id="files", documents=[])
    operator.documents = rows  # as a value that comes from another task: not rendered
    report = run(operator)

    connected.settle()
    assert connected.items("files")["file://1"] == {
        "documentId": "file://1", "data": "{{ not a template }}", "tags": [1, "two"],
    }  # fmt: skip
    assert (report["documents"], report["parts"]) == (1, [])
    assert json.loads(json.dumps(report)) == report
