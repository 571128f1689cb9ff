"""Documents with permissions are sent to secured sources only."""

from __future__ import annotations

from typing import Any

import pytest

from coveo_provider._compat import AirflowFailException
from coveo_provider.operators import (
    CoveoCheckDatasetOperator,
    CoveoPushBatchOperator,
    CoveoUpdateStreamOperator,
)
from coveo_provider.sandbox import Answer, Sandbox
from tests.conftest import WritePart
from tests.operators.conftest import run

EVERYBODY = '[{"allowAnonymous": true}]'
OPEN = {"documentId": "doc://1", "data": "x"}
STAFF = '[{"allowedPermissions": [{"identity": "staff", "identityType": "Group"}]}]'
SECRET = {"documentId": "doc://2", "data": "x", "permissions": STAFF}
DENIED = '[{"allowAnonymous": true, "deniedPermissions": [{"identity": "eve", "identityType": "User"}]}]'


@pytest.fixture
def sources(connected: Sandbox) -> Sandbox:
    """A source for each visibility, beside ``files`` and ``products``, which are shared."""
    connected.add_source("mine", kind="PUSH", visibility="PRIVATE")
    connected.add_source("intranet", kind="PUSH", visibility="SECURED")
    return connected


def push(documents: Any, source: str, **options: Any) -> Any:
    return run(CoveoPushBatchOperator(task_id="push", source_id=source, documents=documents, **options))


@pytest.mark.parametrize("inline", [True, False], ids=["rows", "dataset"])
@pytest.mark.parametrize(("source", "kind"), [("files", "SHARED"), ("mine", "PRIVATE")])
def test_nothing_is_sent_where_everybody_would_see_it(
    sources: Sandbox, write_part: WritePart, source: str, kind: str, inline: bool
) -> None:
    """One document with permissions is enough, in rows and in a dataset; the message says what the source is."""
    rows = [SECRET, OPEN]

    with pytest.raises(AirflowFailException, match=f"the source is {kind}, not SECURED"):
        push(rows if inline else write_part(rows), source)

    assert {call.route for call in sources.calls} == {"platform.source.get"}


def test_a_secured_source_takes_them(sources: Sandbox, write_part: WritePart) -> None:
    """It is what permissions are for."""
    push(write_part([SECRET]), "intranet")

    sources.settle()
    assert set(sources.items("intranet")) == {"doc://2"}


@pytest.mark.parametrize("inline", [True, False], ids=["rows", "dataset"])
def test_what_everybody_may_see_is_sent_anywhere(
    sources: Sandbox, write_part: WritePart, inline: bool
) -> None:
    """Permissions that keep nobody out are exposed by nothing; one that denies somebody is."""
    rows = [{**SECRET, "permissions": EVERYBODY}, OPEN]
    push(rows if inline else write_part(rows), "files")
    sources.settle()
    assert set(sources.items("files")) == {"doc://1", "doc://2"}

    rows = [{**SECRET, "permissions": DENIED}]
    with pytest.raises(AirflowFailException, match="not SECURED"):
        push(rows if inline else write_part(rows, "denied.parquet"), "files")


def test_documents_without_permissions_go_anywhere_unasked(sources: Sandbox, write_part: WritePart) -> None:
    """Nor does a column of permissions without a value make a load one with permissions."""
    push(write_part([OPEN, {**OPEN, "documentId": "doc://3"}]), "files")
    push([OPEN, {**SECRET, "permissions": None}], "files")

    assert "platform.source.get" not in {call.route for call in sources.calls}
    sources.settle()
    assert set(sources.items("files")) == {"doc://1", "doc://2", "doc://3"}


def test_a_key_that_may_not_ask_sends_nothing(sources: Sandbox) -> None:
    """Unless the DAG says that it knows what the source is."""
    sources.faults.add(route="platform.source.get", action=Answer.denied(), times=100)

    with pytest.raises(AirflowFailException, match=r'cannot be asked.*visibility="unchecked"'):
        push([SECRET], "intranet")
    assert {call.route for call in sources.calls} == {"platform.source.get"}

    push([SECRET], "intranet", visibility="unchecked")
    sources.settle()
    assert set(sources.items("intranet")) == {"doc://2"}


def test_any_other_word_is_refused(sources: Sandbox) -> None:
    """A slip of the pen must not switch it off."""
    with pytest.raises(AirflowFailException, match="visibility must be checked or unchecked, not 'off'"):
        push([SECRET], "intranet", visibility="off")


def test_the_stream_api_is_guarded_too(sources: Sandbox) -> None:
    """Items of a catalog have permissions as well."""
    with pytest.raises(AirflowFailException, match="not SECURED"):
        run(CoveoUpdateStreamOperator(task_id="update", source_id="products", documents=[SECRET]))

    assert {call.route for call in sources.calls} == {"platform.source.get"}


def test_the_check_of_a_dataset_finds_it_before_anything_is_begun(
    sources: Sandbox, write_part: WritePart
) -> None:
    """In a task group no status is set, and no identity pushed, before it."""
    part = write_part([SECRET, OPEN])
    with pytest.raises(AirflowFailException, match="not SECURED"):
        run(CoveoCheckDatasetOperator(task_id="check", source_id="files", documents=part))

    assert {call.method for call in sources.calls} == {"GET"}
