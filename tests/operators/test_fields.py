"""Metadata that the service would drop is told, refused, or gets its fields, before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from coveo_provider._compat import AirflowFailException
from coveo_provider.operators import (
    CoveoCheckDatasetOperator,
    CoveoPushBatchOperator,
    CoveoPushItemOperator,
    CoveoUpdateStreamOperator,
    CoveoUploadChunkOperator,
)
from coveo_provider.sandbox import Answer, Sandbox
from tests.conftest import Connect, WritePart
from tests.operators.conftest import run
from tests.operators.nights import Nights

SHOE = {"documentId": "product://1", "title": "Shoe", "Color": "red", "price": "12,5"}
FIELDS = {"price": {"type": "DOUBLE"}}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox that drops metadata without a field, as the platform does."""
    with Sandbox.start(fields=FIELDS, strict_fields=True) as running:
        yield running


def check(write_part: WritePart, **options: Any) -> Any:
    return CoveoCheckDatasetOperator(
        task_id="check", source_id="products", documents=write_part([SHOE]), **options
    )


def item(write_part: WritePart, **options: Any) -> Any:
    return CoveoPushItemOperator(task_id="item", source_id="files", document=SHOE, **options)


def push(write_part: WritePart, **options: Any) -> Any:
    return CoveoPushBatchOperator(task_id="push", source_id="files", documents=[SHOE], **options)


def frame(write_part: WritePart, **options: Any) -> Any:
    shoes = pd.DataFrame([SHOE])
    return CoveoPushBatchOperator(task_id="frame", source_id="files", documents=shoes, **options)


def update(write_part: WritePart, **options: Any) -> Any:
    changes = [
        {"documentId": "product://1", "operator": "fieldValueReplace", "field": key, "value": SHOE[key]}
        for key in ("Color", "price")
    ]
    return CoveoUpdateStreamOperator(
        task_id="update", source_id="products", partial_updates=changes, **options
    )


def upload(write_part: WritePart, **options: Any) -> Any:
    return CoveoUploadChunkOperator(
        task_id="upload", source_id="products", stream_id="s", documents=write_part([SHOE]), **options
    )


SENDING = (check, item, push, frame, update, upload)


@pytest.mark.parametrize("make", SENDING)
def test_what_would_be_dropped_is_refused(connected: Sandbox, write_part: WritePart, make: Any) -> None:
    """With ``fail``: the key, and the value with its document; nothing was sent."""
    with pytest.raises(AirflowFailException) as caught:
        run(make(write_part, fields="fail"))

    assert "metadata without a field, which the service drops: Color;" in str(caught.value)
    assert "price: 1 value of a field of type DOUBLE" in str(caught.value)
    assert 'such as "12,5" (product://1)' in str(caught.value)
    assert "Nothing was sent" in str(caught.value)
    routes = {call.route for call in connected.calls} - {"file.create", "upload"}  # a container in vain
    assert routes == {"fields.search", "platform.source.get"}


@pytest.mark.parametrize("make", [check, item, push, frame, update])
def test_what_would_be_dropped_is_told(
    connected: Sandbox, write_part: WritePart, capsys: pytest.CaptureFixture[str], make: Any
) -> None:
    """By default, in one line, and the load goes on."""
    run(make(write_part))

    [line] = [one for one in capsys.readouterr().out.splitlines() if "which the service drops: Color" in one]
    assert "warning" in line
    assert '"12,5" (product://1)' in line


@pytest.mark.parametrize("make", [check, item, push, update])
def test_off_does_not_ask(connected: Sandbox, write_part: WritePart, make: Any) -> None:
    run(make(write_part, fields="off"))
    assert "fields.search" not in {call.route for call in connected.calls}


def test_fields_that_are_missing_are_made(connected: Sandbox) -> None:
    """What does not fit is refused all the same; then the index holds everything."""
    with pytest.raises(AirflowFailException, match="price: 1 value"):
        run(CoveoPushBatchOperator(task_id="a", source_id="files", documents=[SHOE], fields="create"))
    shoe = {**SHOE, "price": 12.5}
    run(CoveoPushBatchOperator(task_id="b", source_id="files", documents=[shoe], fields="create"))

    connected.settle()
    assert connected.items("files") == {"product://1": shoe}
    assert [one["name"] for one in connected.state.fields.all()] == ["color", "price"]


def test_a_key_that_no_field_can_have_is_refused_where_fields_are_made(connected: Sandbox) -> None:
    documents = [{"documentId": "a:b", "Prix €": 1}]
    with pytest.raises(AirflowFailException, match="the service drops: Prix €"):
        run(CoveoPushBatchOperator(task_id="a", source_id="files", documents=documents, fields="create"))


@pytest.mark.parametrize("kind", ["STRING", "DOUBLE", None])
@pytest.mark.parametrize("content", ["%[color]", "%[Color] shade"])
def test_what_a_mapping_rule_reads_is_kept_if_its_field_takes_it(
    connected: Sandbox, kind: str | None, content: str
) -> None:
    """The source's rules are asked for only when a key has no field; the field they fill may be missing."""
    source = connected.state.sources.get("files")
    assert source is not None
    source.mappings = [{"id": "r", "type": None, "field": "shade", "content": [content]}]
    if kind:
        connected.state.fields.create([{"name": "shade", "type": kind}])
    shoe = {**SHOE, "price": 1}
    push = CoveoPushBatchOperator(task_id="a", source_id="files", documents=[shoe], fields="fail")

    why = None if kind else "the service drops: Color"
    if kind == "DOUBLE" and content == "%[color]":
        why = "Color: 1 value of a field of type DOUBLE, shade, that a mapping rule fills from it"
    if why:
        with pytest.raises(AirflowFailException, match=why):
            run(push)
    else:
        run(push)

    connected.settle()
    assert connected.items("files") == ({} if why else {"product://1": shoe})
    if why:  # that is what it was refused for
        run(CoveoPushBatchOperator(task_id="b", source_id="files", documents=[shoe], fields="off"))
        connected.settle()
        assert connected.items("files") == {"product://1": {key: shoe[key] for key in shoe if key != "Color"}}


def test_a_mapping_rule_for_items_of_one_type_does_not_do_for_all(connected: Sandbox) -> None:
    """The service drops the key from the others."""
    source = connected.state.sources.get("files")
    assert source is not None
    source.mappings = [{"id": "r", "type": "Boot", "field": "price", "content": ["%[color]"]}]
    push = CoveoPushBatchOperator(
        task_id="a", source_id="files", documents=[{"documentId": "a:b", "color": 5}], fields="fail"
    )
    with pytest.raises(AirflowFailException, match="the service drops: color"):
        run(push)


@pytest.mark.parametrize("status", [403, 503])
def test_what_cannot_be_asked_is_a_warning_or_an_error(
    connected: Sandbox, waits: list[float], capsys: pytest.CaptureFixture[str], status: int
) -> None:
    """``warn`` asks once and goes on; the others need the answer."""
    refusal = Answer(status, '{"message": "No.", "errorCode": "X"}')
    connected.faults.add(route="fields.search", action=refusal, times=50)

    run(CoveoPushBatchOperator(task_id="warn", source_id="files", documents=[SHOE]))
    assert [call.route for call in connected.calls].count("fields.search") == 1
    assert "Whether all metadata has a field is not known" in capsys.readouterr().out
    connected.settle()
    assert connected.count("files") == 1

    for choice in ("fail", "create"):
        with pytest.raises(Exception, match="No"):
            run(CoveoPushBatchOperator(task_id="a", source_id="files", documents=[SHOE], fields=choice))
    if status == 403:
        with pytest.raises(AirflowFailException, match=r"The call needs Fields \(View\)"):
            run(CoveoPushBatchOperator(task_id="a", source_id="files", documents=[SHOE], fields="fail"))


def test_without_metadata_nothing_is_asked(connected: Sandbox) -> None:
    run(
        CoveoPushBatchOperator(task_id="a", source_id="files", documents=[{"documentId": "a:b", "data": "x"}])
    )
    assert "fields.search" not in {call.route for call in connected.calls}


@pytest.mark.parametrize("make", SENDING)
def test_another_choice_is_refused_before_any_call(
    connected: Sandbox, write_part: WritePart, make: Any
) -> None:
    with pytest.raises(AirflowFailException, match="fields must be one of warn, fail, create, off"):
        run(make(write_part, fields="error"))
    assert connected.calls == []


def test_a_key_may_create_no_field(sandbox: Sandbox, connect: Connect) -> None:
    """The privilege is named, and nothing was sent."""
    sandbox.add_key("some", privileges=["ORGANIZATION:VIEW", "SOURCE:EDIT", "SOURCE:VIEW", "FIELD:VIEW"])
    connect(sandbox, password="some")
    with pytest.raises(AirflowFailException, match=r"The call needs Fields \(Create\)"):
        run(CoveoPushBatchOperator(task_id="a", source_id="files", documents=[SHOE], fields="create"))
    sandbox.settle()
    assert sandbox.count("files") == 0


def test_a_diff_looks_at_what_is_sent(nights: Nights) -> None:
    """Of the whole dataset on the first night, and of what changed later; a refusal is not remembered as a load."""
    nights.put(1)
    night = nights.night()
    night.transform()
    with pytest.raises(AirflowFailException, match="which the service drops: ec_name"):
        night.diff(fields="fail")
    nights.sandbox.state.fields.create([{"name": "ec_name", "type": "STRING"}])
    assert nights.run(fields="fail")
    assert nights.held() == nights.expected()

    nights.put(1, price="3")
    nights.put(2, price="12,5")
    night = nights.night()
    night.transform()
    with pytest.raises(AirflowFailException, match="price: 1 value of a field of type DOUBLE"):
        night.diff(fields="fail")
    nights.put(2, price="12.5")
    assert nights.run(fields="fail")
    assert nights.held() == nights.expected()
