"""A source as it is declared: what is missing is made, what differs is told, and nothing is changed in silence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pytest

from coveo_provider._compat import AirflowFailException
from coveo_provider.fields import FieldSpec
from coveo_provider.operators import (
    CoveoEnsureSourceOperator,
    CoveoSecurityProviderOperator,
    CoveoUpdateStreamOperator,
)
from coveo_provider.sandbox import Answer, Cut, Sandbox
from tests.conftest import Connect, WritePart
from tests.operators.conftest import run

SHOES: dict[str, Any] = {"source": "Shoes", "kind": "CATALOG", "visibility": "SHARED"}
ROWS = [
    {
        "documentId": f"product://{n}",
        "title": f"Shoe {n}",
        "Color": "red",
        "price": n + 0.5,
        "stock": n,
        "views": 2**40 + n,
        "sizes": ["40", "41"],
    }
    for n in range(3)
]
DERIVED = {"color": "STRING", "price": "DOUBLE", "stock": "LONG", "views": "LONG_64", "sizes": "STRING"}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox that drops metadata without a field, as the platform does."""
    with Sandbox.start(strict_fields=True) as running:
        yield running


def ensure(**options: Any) -> dict[str, Any]:
    result: dict[str, Any] = run(CoveoEnsureSourceOperator(task_id="ensure", **options))
    return result


def made(sandbox: Sandbox) -> dict[str, str]:
    """Return the fields that were made, with their types."""
    return {one["name"]: one["type"] for one in sandbox.state.fields.all()}


def state_of(sandbox: Sandbox) -> Any:
    """Return all that an organization has, which a dry run must leave alone."""
    return (
        sandbox.state.fields.all(),
        [one.config() for one in sandbox.state.sources.all()],
        [one.id for one in sandbox.state.providers.all()],
    )


def test_what_is_missing_is_made_and_a_load_keeps_all_of_it(
    connected: Sandbox, write_part: WritePart
) -> None:
    """Source, fields of the dataset, and what the load brings; the second run changes nothing."""
    documents = write_part(ROWS)

    first = ensure(documents=documents, **SHOES)

    assert first["created"]["source"] is True
    assert made(connected) == DERIVED
    assert connected.source(first["source_id"]).kind == "CATALOG"
    load = CoveoUpdateStreamOperator(task_id="load", source_id=first["source_id"], documents=documents)
    run(load)
    connected.settle()
    assert list(connected.items(first["source_id"]).values()) == ROWS

    before = state_of(connected)
    second = ensure(documents=documents, **SHOES)
    assert (second["source_id"], second["changed"]) == (first["source_id"], False)
    assert second["created"] == {"source": False, "security_provider": False, "fields": [], "mappings": []}
    assert state_of(connected) == before


def test_a_dry_run_makes_nothing(
    connected: Sandbox, write_part: WritePart, capsys: pytest.CaptureFixture[str]
) -> None:
    """It asks, tells what it would do, and the organization is as it was."""
    before = state_of(connected)

    told = ensure(
        documents=write_part(ROWS),
        security_provider="My Directory",
        dry_run=True,
        mappings={"color": "%[colour]"},
        **SHOES,
    )
    log = capsys.readouterr().out

    assert state_of(connected) == before
    assert {call.method for call in connected.calls if call.route != "fields.search"} == {"GET"}
    assert told["source_id"] == ""
    assert (told["changed"], told["dry_run"]) == (False, True)
    assert told["created"] == {
        "source": True,
        "security_provider": True,
        "fields": sorted(DERIVED),
        "mappings": ["color"],
    }
    for line in ("create   source Shoes CATALOG SHARED", "create   field price DOUBLE", "from %[colour]"):
        assert line in log


def test_what_is_declared_goes_before_what_is_derived(connected: Sandbox, write_part: WritePart) -> None:
    """With flags, a mapping rule for a key that no field can have, and a provider that is linked."""
    rows = [{"documentId": "product://1", "price": 3, "Prix €": 5, "names": {"en": "shoe"}}]
    made_of = pa.table({key: pa.array([rows[0][key]]) for key in rows[0]})

    told = ensure(
        documents=write_part(made_of),
        fields=[FieldSpec("price", "DOUBLE"), FieldSpec("prix", "DOUBLE", description="with tax")],
        mappings={"prix": "%[Prix €]"},
        security_provider="My Directory",
        **SHOES,
    )

    assert made(connected) == {"price": "DOUBLE", "prix": "DOUBLE", "names": "STRING"}
    assert connected.state.fields.get("names")["keyValue"] is True
    assert told["missing"] == []
    source = connected.state.sources.get(told["source_id"])
    assert source is not None
    assert [(one["field"], one["content"]) for one in source.mappings] == [("prix", ["%[Prix €]"])]
    assert source.providers == ["My Directory"]


def test_a_key_that_can_be_no_field_is_told(connected: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    """Its metadata is dropped unless a mapping rule reads it."""
    told = ensure(source_id="products", documents=[{"documentId": "a:b", "Prix €": 5}])

    assert told["missing"] == ["Prix €"]
    assert "mappings={'…': '%[Prix €]'}" in capsys.readouterr().out


def test_a_rule_that_is_there_and_stays_does_not_count_as_the_one_declared(connected: Sandbox) -> None:
    """What is declared besides would not be read: its metadata is missing, and the difference is told."""
    source = connected.state.sources.get("products")
    assert source is not None
    source.mappings = [{"id": "r", "type": None, "field": "prix", "content": ["%[old]"]}]
    connected.state.fields.create([{"name": "prix", "type": "DOUBLE"}])

    told = ensure(
        source_id="products", documents=[{"documentId": "a:b", "Prix €": 5}], mappings={"prix": "%[Prix €]"}
    )

    assert told["missing"] == ["Prix €"]
    assert told["differs"] == ["mapping of prix: it is filled from %[old], not from %[Prix €]"]
    assert source.mappings[0]["content"] == ["%[old]"]


def test_a_rule_for_items_of_one_type_is_not_the_one_declared(connected: Sandbox) -> None:
    """It stays, and that for items of every type is added."""
    source = connected.state.sources.get("products")
    assert source is not None
    source.mappings = [{"id": "r", "type": "Boot", "field": "prix", "content": ["%[Prix €]"]}]

    for changed in (True, False):
        told = ensure(source_id="products", fields={"prix": "DOUBLE"}, mappings={"prix": "%[Prix €]"})
        assert told["changed"] is changed

    assert [(one["type"], one["field"]) for one in source.mappings] == [("Boot", "prix"), (None, "prix")]


@pytest.mark.parametrize("there", [False, True])
def test_values_that_a_mapping_rule_brings_have_to_fit_its_field(connected: Sandbox, there: bool) -> None:
    """Whether the field is there or is to be made; one that is derived from the dataset has no type to go by."""
    if there:
        connected.state.fields.create([{"name": "prix", "type": "DOUBLE"}])
    before = state_of(connected)
    rows = [{"documentId": "a:b", "Prix €": "12,5", "Größe": "40", "size_eu": "41"}]

    wanted: dict[str, Any] = {
        **{"source_id": "products", "documents": rows, "fields": [FieldSpec("prix", "DOUBLE")]},
        "mappings": {"prix": "%[Prix €]", "size_eu": "%[Größe]"},
    }
    with pytest.raises(
        AirflowFailException, match=r'Prix €: 1 value .* DOUBLE, prix, that .* such as "12,5"'
    ):
        ensure(**wanted)

    assert state_of(connected) == before
    rows[0]["Prix €"] = "12.5"
    assert ensure(**wanted)["created"]["mappings"] == ["prix", "size_eu"]


@pytest.mark.parametrize("update", [False, True])
def test_flags_change_on_demand_only(connected: Sandbox, update: bool) -> None:
    """And nothing else of the field does."""
    connected.state.fields.create([{"name": "color", "type": "STRING", "description": "ours", "sort": True}])

    told = ensure(source_id="products", fields={"color": {"type": "STRING", "facet": True}}, update=update)

    found = connected.state.fields.get("color")
    assert (found["facet"], found["sort"], found["description"]) == (update, True, "ours")
    assert told["updated"] == (["color"] if update else [])
    assert told["differs"] == ([] if update else ["field color: facet is false, not true"])


def test_a_field_of_the_system_is_left_alone(connected: Sandbox) -> None:
    told = ensure(
        source_id="products",
        fields={"title": {"type": "STRING", "facet": True}},
        documents=[{"documentId": "a:b", "title": "x", "date": "2026-01-31"}],
        update=True,
    )

    assert (made(connected), told["updated"], told["changed"]) == ({}, [], False)
    assert told["differs"] == ["field title: facet is false, not true"]


def test_another_type_is_refused_with_both(connected: Sandbox) -> None:
    connected.state.fields.create([{"name": "price", "type": "LONG"}])

    with pytest.raises(AirflowFailException, match="price is of type LONG, and declared as DOUBLE"):
        ensure(fields={"price": "DOUBLE", "color": "STRING"}, **SHOES)

    assert made(connected) == {"price": "LONG"}
    assert len(connected.state.sources.listed()) == 2


def test_values_that_their_field_does_not_take_are_refused(connected: Sandbox, write_part: WritePart) -> None:
    """With count and examples; a field of another type that takes them all is fine."""
    connected.state.fields.create(
        [{"name": name, "type": kind} for name, kind in (("price", "DOUBLE"), ("stock", "DOUBLE"))]
    )
    rows = [
        {"documentId": f"product://{n}", "price": text, "stock": n}
        for n, text in enumerate(("12,5", "1.10 EUR", "3.5", ""))
    ]

    with pytest.raises(AirflowFailException) as caught:
        ensure(source_id="products", documents=write_part(rows))

    assert "price: 3 values of a field of type DOUBLE" in str(caught.value)
    assert '"12,5" (product://0), "1.10 EUR" (product://1), "" (product://3)' in str(caught.value)
    assert "stock" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ({"sourceType": "PUSH"}, "is of kind PUSH, and declared as CATALOG"),
        ({"sourceVisibility": "PRIVATE"}, "is visible as PRIVATE, and declared as SHARED"),
        ({"crawlingModuleId": "m1"}, "is filled by the Crawling Module"),
        ({"owner": "coveo-for-sitecore"}, "is filled by Coveo for Sitecore"),
        ({"streamEnabled": False}, r"takes no pushes \(streamEnabled is false\)"),
        *(
            ({"information": {"sourceStatus": {"type": status}}}, f"has the status {status}")
            for status in ("PAUSED", "PAUSED_ON_ERROR", "DISABLED", "ERROR")
        ),
    ],
)
def test_another_source_than_declared_is_refused(connected: Sandbox, model: dict[str, Any], why: str) -> None:
    """Whatever it is that makes it one; nothing is made, of fields either."""
    known = {
        "id": "products",
        "name": "products",
        "sourceType": "CATALOG",
        "sourceVisibility": "SHARED",
        "streamEnabled": True,
    }
    connected.faults.add(route="platform.source.get", action=Answer(200, json.dumps({**known, **model})))

    with pytest.raises(AirflowFailException, match=why):
        ensure(source_id="products", kind="catalog", visibility="shared", fields={"a": "LONG"})

    assert made(connected) == {}


def test_a_name_that_stands_twice_or_in_other_capitals_is_refused(connected: Sandbox) -> None:
    """Which source is meant is for a person to say."""
    one = ensure(**SHOES)["source_id"]
    with pytest.raises(AirflowFailException, match="'Shoes', which differs in capitals only"):
        ensure(**{**SHOES, "source": "shoes"})
    twin = connected.state.sources.add("Shoes", kind="CATALOG").id
    with pytest.raises(AirflowFailException, match="there are 2 sources of that name") as caught:
        ensure(**SHOES)
    assert one in str(caught.value)
    assert twin in str(caught.value)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "name the source by its name"),
        ({"source": "a", "source_id": "b"}, "not by both"),
        ({"source": "Shoes", "kind": "PUSH"}, "visibility is missing"),
        ({**SHOES, "kind": "SHOP"}, "expected one of PUSH, CATALOG"),
        ({**SHOES, "visibility": "PUBLIC"}, "SHARED: everybody"),
        ({**SHOES, "fields": {"Price": "DOUBLE"}}, "write 'price'"),
        ({**SHOES, "fields": {"price": "FLOAT"}}, "type is one of LONG, LONG_64, DOUBLE"),
        ({**SHOES, "fields": ["price"]}, "expected a FieldSpec"),
        ({**SHOES, "fields": "price"}, "fields is a list of FieldSpec"),
        ({**SHOES, "fields": {"price": {"type": "LONG", "multi_value": True}}}, "for fields of type STRING"),
        ({**SHOES, "fields": {"price": {"type": "LONG", "facets": True}}}, "'facets' is none of"),
        ({**SHOES, "fields": [FieldSpec("a"), FieldSpec("a", "LONG")]}, "a is declared twice"),
        ({**SHOES, "mappings": {"price": "Prix €"}}, r"write '%\[Prix €\]'"),
        ({**SHOES, "mappings": {"price": None}}, "'price' is filled from texts such as"),
        ({**SHOES, "mappings": {5: "%[Prix €]"}}, "5 is filled from texts such as"),
        ({**SHOES, "mappings": {"price": "%[Prix €]"}}, "there is no such field"),
        ({**SHOES, "visibility": "SECURED", "documents": [{"documentId": "no id"}], "fields": {"a": 1}}, "a"),
    ],
)
def test_a_wrong_declaration_is_refused_before_anything_is_made(
    connected: Sandbox, options: dict[str, Any], why: str
) -> None:
    """What is expected stands in the message."""
    before = state_of(connected)
    with pytest.raises(AirflowFailException, match=why):
        ensure(**options)
    assert state_of(connected) == before


def test_permissions_need_a_secured_source(connected: Sandbox) -> None:
    """On any other everybody would see the documents."""
    staff = '[{"allowedPermissions": [{"identity": "staff", "identityType": "Group"}]}]'
    documents = [{"documentId": "a:b", "permissions": staff}]
    with pytest.raises(AirflowFailException, match="the source is SHARED, not SECURED"):
        ensure(documents=documents, **SHOES)
    assert len(connected.state.sources.listed()) == 2
    ensure(documents=documents, **{**SHOES, "visibility": "SECURED"})


PRIVILEGES = {
    "SOURCE:VIEW": r"Sources \(View\)",
    "SOURCE:CREATE": r"Sources \(Create\)",
    "SOURCE:EDIT": r"Sources \(Edit\)",
    "FIELD:VIEW": r"Fields \(View\)",
    "FIELD:CREATE": r"Fields \(Create\)",
    "FIELD:EDIT": r"Fields \(Edit\)",
    "SECURITY_PROVIDER:VIEW": r"Security identity providers \(View\)",
    "SECURITY_PROVIDER:CREATE": r"Security identity providers \(Create\)",
}


@pytest.mark.parametrize("missing", PRIVILEGES)
def test_exactly_the_privilege_that_is_missing_is_named(
    sandbox: Sandbox, connect: Connect, missing: str
) -> None:
    """Of each call; with all of these the same declaration goes through."""
    sandbox.state.fields.create([{"name": "color", "type": "STRING"}])
    wanted: dict[str, Any] = {
        **SHOES,
        "fields": {"price": "DOUBLE", "color": {"type": "STRING", "facet": True}},
        "mappings": {"price": "%[Prix €]"},
        "security_provider": "My Directory",
        "update": True,
    }
    sandbox.add_key("some", privileges=PRIVILEGES.keys() - {missing})
    connect(sandbox, password="some")
    with pytest.raises(AirflowFailException, match=f"The call needs {PRIVILEGES[missing]}:"):
        ensure(**wanted)

    sandbox.add_key("some", privileges=PRIVILEGES)
    ensure(**wanted)
    assert made(sandbox) == {"color": "STRING", "price": "DOUBLE"}


@pytest.mark.parametrize(
    "route",
    ["platform.source.create", "platform.provider.create", "fields.create.each", "mapping.create"],
)
def test_an_answer_that_is_lost_after_the_work_was_done_is_no_failure(
    connected: Sandbox, waits: list[float], route: str
) -> None:
    """What was made is recognised, and stands there once."""
    connected.faults.add(route=route, action=Cut("after"), times=1)

    told = ensure(
        fields={"price": "DOUBLE"},
        mappings={"price": "%[Prix €]"},
        security_provider="My Directory",
        **SHOES,
    )

    assert made(connected) == {"price": "DOUBLE"}
    [source] = [one for one in connected.state.sources.listed() if one.name == "Shoes"]
    assert source.id == told["source_id"]
    assert [one["field"] for one in source.mappings] == ["price"]
    assert source.providers == ["My Directory"]


def test_two_at_once_make_one_source(connected: Sandbox) -> None:
    """The loser recognises what the winner made."""
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda _: ensure(fields={"price": "DOUBLE", "a": "LONG"}, **SHOES), range(4)))

    assert len({one["source_id"] for one in told}) == 1
    assert made(connected) == {"price": "DOUBLE", "a": "LONG"}
    assert len([one for one in connected.state.sources.listed() if one.name == "Shoes"]) == 1


@pytest.mark.parametrize("there", [False, True])
def test_many_at_once_link_their_sources_to_one_provider(connected: Sandbox, there: bool) -> None:
    """Its model is replaced as a whole, so that each would undo the links of the others."""
    if there:
        run(CoveoSecurityProviderOperator(task_id="provider", provider_id="My Directory"))

    def one(number: int) -> None:
        ensure(source=f"S{number}", kind="PUSH", visibility="SECURED", security_provider="My Directory")

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(one, range(5)))

    linked = [one.name for one in connected.state.sources.listed() if "My Directory" in one.providers]
    assert sorted(linked) == [f"S{number}" for number in range(5)]


def test_a_provider_that_others_write_again_and_again_is_told(connected: Sandbox, waits: list[float]) -> None:
    """A link that does not stay is no success."""
    run(CoveoSecurityProviderOperator(task_id="provider", provider_id="My Directory"))
    model = json.dumps({"id": "My Directory", "type": "EXPANDED", "referencedBy": []})
    connected.faults.add(route="platform.provider.get", action=Answer(200, model), times=100)
    with pytest.raises(AirflowFailException, match="each time the link was gone again"):
        ensure(source_id="products", security_provider="My Directory")


@pytest.mark.parametrize("route", ["fields.create.each", "fields.update.each"])
def test_a_field_of_which_the_answer_tells_nothing_was_not_taken(connected: Sandbox, route: str) -> None:
    """The organization is asked; what is not as declared there is no success."""
    connected.state.fields.create([{"name": "color", "type": "STRING"}])
    told = [{"successful": True, "resourceModel": {"name": "price"}}]
    answer = json.dumps({"batchOperationResourcesStatus": told if "create" in route else []})
    connected.faults.add(route=route, action=Answer(200, answer), times=1)
    with pytest.raises(AirflowFailException, match=r"(width|color).*the answer tells nothing of it"):
        ensure(
            source_id="products",
            fields={"price": "DOUBLE", "size": "LONG_64", "width": "LONG", "color": {"facet": True}},
            update=True,
        )


def test_a_field_that_another_made_of_another_type_meanwhile_is_refused(connected: Sandbox) -> None:
    """It was not there when it was looked for, and is when it is to be made."""
    empty = json.dumps({"items": [], "totalEntries": 0, "totalPages": 1})
    connected.state.fields.create([{"name": "price", "type": "STRING"}])
    connected.faults.add(route="fields.search", action=Answer(200, empty), times=1)

    with pytest.raises(
        AirflowFailException, match="made meanwhile, of type STRING, and was to be of type DOUBLE"
    ):
        ensure(source_id="products", fields={"price": "DOUBLE"})
