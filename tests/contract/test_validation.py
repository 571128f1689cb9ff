"""The validation itself: what is deliberately wrong must be found, else the other tests here prove nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator

from coveo_provider.api.client import CoveoClient
from tests.contract.descriptions import FOLDER, PLATFORM_FILES, platform, push, read
from tests.contract.deviations import DEVIATIONS, PLATFORM_DEVIATIONS, operations
from tests.contract.openapi3 import to_openapi3
from tests.contract.recorder import Exchange, Recorder
from tests.contract.samples import RIGHT_ANSWERS, RIGHT_REQUESTS, WRONG_ANSWERS, WRONG_REQUESTS

SECTIONS = {
    *("Documents and ids", "Errors and retries", "Hosts and keys", "Metadata", "Ordering ids and marks"),
    *("Permissions", "Security identities", "Streams", "Success answers", "Updates and partial updates"),
}


@pytest.mark.parametrize("right", RIGHT_REQUESTS, ids=str)
def test_what_is_right_passes(right: Exchange) -> None:
    """A request the description allows has no errors."""
    assert push().request_errors(right) == []


@pytest.mark.parametrize("wrong", WRONG_REQUESTS.values(), ids=WRONG_REQUESTS)
def test_a_wrong_request_is_found(wrong: Exchange) -> None:
    """Path, method, parameters, key, media type and body: each is looked at."""
    assert push().request_errors(wrong)


@pytest.mark.parametrize("right", RIGHT_ANSWERS, ids=str)
def test_a_right_answer_passes(right: Exchange) -> None:
    """An answer the description promises has no errors."""
    assert push().answer_errors(right) == []


@pytest.mark.parametrize("wrong", WRONG_ANSWERS.values(), ids=WRONG_ANSWERS)
def test_a_wrong_answer_is_found(wrong: Exchange) -> None:
    """Status, media type, headers and body: each is looked at."""
    assert push().answer_errors(wrong)


ENTRY = {"documentId": "file://a"}
UPDATE = {**ENTRY, "operator": "arrayAppend", "field": "sizes", "value": [1]}


@pytest.mark.parametrize(
    ("model", "value", "valid"),
    [
        (
            "BatchDocumentBody",
            {"addOrUpdate": [{**ENTRY, "compressionType": "GZIP"}], "delete": [ENTRY]},
            True,
        ),
        ("BatchDocumentBody", {}, False),
        ("BatchDocumentBody", {"addOrUpdate": []}, False),
        ("BatchDocumentBody", {"addOrUpdate": [{"title": "a"}]}, False),
        ("BatchDocumentBody", {"addOrUpdate": [{"documentId": "5"}]}, False),
        ("BatchDocumentBody", {"addOrUpdate": [{**ENTRY, "compressionType": "ZLib"}]}, False),
        ("BatchDocumentBody", {"AddOrUpdate": [ENTRY]}, False),
        ("BatchDocumentBody", {"partialUpdate": [UPDATE]}, False),
        ("BatchDocumentBody", {"delete": [{**ENTRY, "deleteChildren": "true"}]}, False),
        ("LoadBody", {"addOrUpdate": [ENTRY], "delete": [ENTRY]}, False),
        ("UpdateBody", {"addOrUpdate": [ENTRY], "partialUpdate": [UPDATE], "delete": [ENTRY]}, True),
        ("UpdateBody", {"partialUpdate": [{**UPDATE, "value": 1}]}, False),
        ("UpdateBody", {"partialUpdate": [{**UPDATE, "operator": "arrayPrepend"}]}, False),
        ("UpdateBody", {"partialUpdate": [{**UPDATE, "operator": "fieldValueReplace", "value": None}]}, True),
        ("MergeBody", {"addOrMerge": [ENTRY]}, True),
        ("MergeBody", {"addOrUpdate": [ENTRY]}, False),
        ("BatchIdentityBody", {"deleted": [{"identity": {"name": "a", "type": "USER"}}]}, True),
        ("BatchIdentityBody", {"deleted": [{"name": "a", "type": "USER"}]}, False),
        ("BatchIdentityBody", {"members": [{"identity": {"name": "a", "type": "TEAM"}}]}, False),
    ],
)
def test_a_container_is_looked_into(model: str, value: Any, valid: bool) -> None:
    """Wrong content of a container is found as well."""
    assert (push().value_errors(model, value) == []) is valid


def test_one_wrong_byte_on_the_way_is_found(client: CoveoClient, recorder: Recorder) -> None:
    """What was recorded is what is validated: a valid exchange, changed a little, no longer is."""
    client.set_source_status("files", "REBUILD")
    recorded = recorder.exchanges[-1]
    assert push().request_errors(recorded) == []
    assert push().request_errors(replace(recorded, target=recorded.target.replace("REBUILD", "REBUILT")))
    assert push().request_errors(replace(recorded, body=b'{"a":1}'))
    assert push().answer_errors(replace(recorded, status=202))


def test_every_deviation_is_needed_and_cited() -> None:
    """Each changes the description, or what it validates, and names the section of docs/api-notes.md."""
    described = to_openapi3(read("push.swagger.yml"))
    for deviation in DEVIATIONS:
        before = repr(described)
        deviation.amend(described)
        assert repr(described) != before, deviation.published
        assert deviation.section in SECTIONS
    for deviation in PLATFORM_DEVIATIONS:
        documents = [read(file) for file in PLATFORM_FILES]
        documents = [to_openapi3(one) if "swagger" in one else one for one in documents]
        before = repr(documents)
        for document in documents:
            deviation.amend(document)
        assert repr(documents) != before, deviation.published


def test_the_conversion_loses_nothing() -> None:
    """Every call, parameter, status and model of the Swagger file is in what is validated by, which is valid."""
    swagger, converted = read("push.swagger.yml"), push().document
    assert not list(OpenAPIV30SpecValidator(converted).iter_errors())
    assert converted["components"]["schemas"].keys() >= swagger["definitions"].keys()
    calls = list(operations(swagger))
    assert len(calls) == 23 == len(push().calls)
    for method, path, operation in calls:
        mine = converted["paths"][path][method]
        named = {one["name"] for one in operation["parameters"] if one["in"] != "body"}
        assert {one["name"] for one in mine["parameters"]} == named
        assert set(mine["responses"]) == {*operation["responses"], "413"}
        for status, response in operation["responses"].items():
            assert ("content" in mine["responses"][status]) == ("schema" in response)


def test_an_unknown_keyword_is_not_passed_over() -> None:
    """The converter refuses what it does not know, rather than validate less."""
    path: dict[str, Any] = {"/a": {"get": {"parameters": [], "responses": {}, "callbacks": {}}}}
    with pytest.raises(ValueError, match="callbacks"):
        to_openapi3({"swagger": "2.0", "info": {}, "host": "h", "paths": path})
    with pytest.raises(ValueError, match=r"Swagger 2\.0"):
        to_openapi3({"openapi": "3.0.0"})


def test_the_other_descriptions_are_read() -> None:
    """Those of the platform and of the logs have the calls that clients use."""
    assert ("GET", "/rest/organizations/{organizationId}/sources/{sourceId}") in platform(
        "sources.openapi.yml"
    ).calls
    assert ("POST", "/organizations/{organizationId}") in platform("source-logs.swagger.yml").calls
    assert len(platform("fields.openapi.yml").calls) == 11
    assert len(list(FOLDER.glob("*.yml"))) == 5
