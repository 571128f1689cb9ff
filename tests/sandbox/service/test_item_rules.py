"""What one item must be, inline (an HTTP answer) and in a container (a log entry)."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from coveo_provider.sandbox import Limits, Sandbox
from tests.sandbox.caller import Caller, items, problems, refusal

GOOD: list[dict[str, Any]] = [
    {"data": "text"},
    {"compressedBinaryData": "eA==", "compressionType": "UNCOMPRESSED"},
    {"compressedBinaryData": "eA==", "compressionType": "ZLib"},
    {"data": "", "number": 1, "decimal": 1.5, "flag": True, "list": ["a", 1, False], "empty": []},
    {"data": "x", "parentId": "file://", "fileExtension": ".txt"},
    {"data": "x", "permissions": [{"allowAnonymous": True}]},
    {"data": "x", "title": "ünïcödé \U0001f600 \u0000"},
]
BAD: list[dict[str, Any]] = [
    {"data": "x", "nothing": None},
    {"data": "x", "nested": [["a"]]},
    {"data": "x", "objects": [{"a": 1}]},
    {"data": "x", "deep": {"a": {"b": 1}}},
    {"data": "x", "Title": 1, "title": 2},
    {"data": "x", "compressedBinaryData": "eA=="},
    {"data": "x", "compressedBinaryDataFileId": "1"},
    {"data": 1},
    {"data": None},
    {"compressedBinaryData": "not Base64!"},
    {"compressedBinaryData": "eA==", "compressionType": "ZIP"},
    {"data": "x", "fileExtension": "txt"},
    {"data": "x", "parentId": 5},
    {"data": "x", "orderingId": 1},
    {"data": "x", "permissions": {}},
    {"data": "x", "permissions": ["alice"]},
    {"data": "x", "permissions": [{"allowedPermissions": [{"name": "alice"}]}]},
]


@pytest.mark.parametrize("body", GOOD, ids=lambda body: ",".join(body))
def test_a_good_item_is_indexed_both_ways(sandbox: Sandbox, caller: Caller, body: dict[str, Any]) -> None:
    """The same item passes inline and in a batch, and is held unchanged."""
    assert caller.put("file://a", body).status_code == 202
    caller.batch({"addOrUpdate": [{"documentId": "file://b", **body}]})
    sandbox.settle()
    assert sandbox.items("files") == {uri: {"documentId": uri, **body} for uri in ("file://a", "file://b")}
    # Of a SHARED source, permissions are not looked at, and the log says so.
    ignored = [("CONSUMING", "ADD", "WARNING", uri) for uri in ("file://a", "file://b")]
    assert problems(sandbox, "files") == (ignored if "permissions" in body else [])


@pytest.mark.parametrize("body", BAD, ids=json.dumps)
def test_a_bad_item_is_refused_both_ways(sandbox: Sandbox, caller: Caller, body: dict[str, Any]) -> None:
    """Inline it is 400 INVALID_JSON; in a batch it is one error in the log and the others are indexed."""
    assert refusal(caller.put("file://a", body)) == (400, "INVALID_JSON")
    entries = [{"documentId": "file://b", **body}, {"documentId": "file://c", "data": "x"}]
    assert caller.batch({"addOrUpdate": entries}).status_code == 202
    sandbox.settle()
    assert list(sandbox.items("files")) == ["file://c"]
    assert [one[1:] for one in problems(sandbox, "files")] == [("ADD", "ERROR", "file://b")]


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b'{"data": NaN}',
        b'{"data": "x", "n": Infinity}',
        b'{"data": "x", "data": "y"}',
        b'{"data": "\xff"}',
        b'\xef\xbb\xbf{"data": "x"}',
        b'{"data": "x",}',
        b"{'data': 'x'}",
        b'["data"]',
        b"null",
        b'{"data": "x", "n": ' + b"9" * 5000 + b"}",
        b'{"data": "x", "n": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=range(12),
)
def test_json_is_read_strictly(sandbox: Sandbox, caller: Caller, text: bytes) -> None:
    """What is not one strict JSON object in UTF-8 is 400 inline, and an error in the log in a container."""
    response = caller.push(
        "PUT",
        "/sources/files/documents",
        params={"documentId": "file://a"},
        data=text,
        headers={"Content-Type": "application/json"},
    )
    assert refusal(response) == (400, "INVALID_JSON")
    assert caller.batch(b'{"addOrUpdate": [' + text + b"]}").status_code == 202
    sandbox.settle()
    assert sandbox.count("files") == 0
    assert {one[2] for one in problems(sandbox, "files")} == {"ERROR"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b'{"addOrUpdate": {}}',
        b'{"addOrUpdate": null}',
        b'{"documents": [{"documentId": "file://a"}]}',
        b'{"addOrUpdate": [], "addOrUpdate": [{"documentId": "file://a"}]}',
        b'{"addOrUpdate": [{"documentId": "file://a"}], "addOrUpdate": [{"documentId": "file://a"}]}',
        b'{"addOrUpdate": [{"documentId": "file://a"}], "AddOrUpdate": []}',
        b'{"addOrUpdate": [{"documentId": "file://a"}]} {}',
        b'{"addOrUpdate": [{"documentId": "file://a", "t": "\xff"}]}',
        b'{"addOrUpdate": [{"documentId": "file://a"}, {"documentId": "file://b"',
    ],
    ids=range(12),
)
def test_a_bad_container_is_one_error(sandbox: Sandbox, caller: Caller, content: bytes) -> None:
    """A container that is not an object of arrays is refused whole, in the log only."""
    assert caller.batch(content).status_code == 202
    sandbox.settle()
    assert sandbox.count("files") == 0
    assert [one[:3] for one in problems(sandbox, "files")] == [("STREAMING", "BATCH_FILE", "ERROR")]


def test_keys_may_be_escaped_and_spaced(sandbox: Sandbox, caller: Caller) -> None:
    """White space and escapes around the arrays' keys are JSON like any other."""
    caller.batch(b' {\n "delete" : [ ] ,\t"add\\u004frUpdate"\r:\n[ {"documentId" : "file://a"} ] } \n')
    sandbox.settle()
    assert list(sandbox.items("files")) == ["file://a"]


@pytest.mark.parametrize("uri", ["plain", "/path/x", "", "1:x", "a b:c", "scheme:"])
def test_an_id_without_a_scheme_is_never_indexed(sandbox: Sandbox, caller: Caller, uri: str) -> None:
    """A documentId that is no URI passes HTTP and is rejected in the pipeline."""
    if uri:
        assert caller.put(uri).status_code == 202
    caller.batch({"addOrUpdate": [{"documentId": uri}]})
    sandbox.settle()
    assert sandbox.count("files") == 0
    assert {one[2] for one in problems(sandbox, "files")} == ({"REJECTED"} if uri else {"ERROR"})


def test_the_two_ids_of_an_inline_item_agree(caller: Caller) -> None:
    """The body's documentId, if any, is the query's."""
    assert caller.put("file://a", {"documentId": "file://a", "data": "x"}).status_code == 202
    response = caller.put("file://a", {"documentId": "file://b", "data": "x"})
    assert refusal(response) == (412, "INVALID_PARAMETER")


def test_numbers_keep_their_digits(sandbox: Sandbox, caller: Caller) -> None:
    """A number is held as it was written; read back it is a float only where that loses nothing."""
    text = b'{"documentId":"product://1","a":19.90,"b":0.12345678901234567890123,"c":12345678901234567890,"d":1e3}'
    caller.load(b'{"addOrUpdate":[' + text + b"]}")
    sandbox.settle()
    assert sandbox.item_json("products", "product://1") == text
    item = sandbox.item("products", "product://1")
    assert item is not None
    assert item["a"] == 19.9
    assert item["b"] == Decimal("0.12345678901234567890123")
    assert item["c"] == 12345678901234567890
    assert item["d"] == 1000.0


def test_an_inline_request_stays_under_five_mib(sandbox: Sandbox, caller: Caller) -> None:
    """The whole body counts; one byte less passes."""
    limit = 5 * 1024 * 1024
    frame = len(json.dumps({"data": ""}))
    assert caller.put("file://a", {"data": "x" * (limit - frame)}).status_code == 413
    assert caller.put("file://a", {"data": "x" * (limit - frame - 1)}).status_code == 202
    sandbox.settle()
    assert sandbox.count("files") == 1


def test_a_large_item_in_a_container_is_a_warning(sandbox: Sandbox, caller: Caller) -> None:
    """The old SDK sends items of 5 MiB and more inline in a batch: indexed, and the log says what is better."""
    limit = 5 * 1024 * 1024
    frame = len(json.dumps({"documentId": "file://1", "data": ""}))
    entries = [{"documentId": f"file://{n}", "data": "x" * (limit - frame + n - 1)} for n in (0, 1)]
    caller.batch({"addOrUpdate": entries})
    sandbox.settle()
    assert sorted(sandbox.items("files")) == ["file://0", "file://1"]
    assert problems(sandbox, "files") == [("CONSUMING", "ADD", "WARNING", "file://1")]


@pytest.mark.parametrize(
    ("call", "key"),
    [
        *(("batch", key) for key in ("partialUpdate", "addOrMerge", "somethingElse")),
        *(("update", key) for key in ("addOrMerge", "somethingElse")),
        *(("merge", key) for key in ("partialUpdate", "addOrUpdate", "delete")),
    ],
)
def test_an_empty_array_is_no_warning(sandbox: Sandbox, caller: Caller, call: str, key: str) -> None:
    """Clients send arrays that a call does not know, empty; with content, the log says that it is not read."""
    known = "addOrMerge" if call == "merge" else "addOrUpdate"
    source = "files" if call == "batch" else "products"
    item = {"documentId": "a:1", "data": "x"}
    contents: list[dict[str, Any]] = [{known: [item], key: []}, {key: []}]
    for content in contents:
        assert getattr(caller, call)(content, source).status_code == 202
        sandbox.settle()
        assert sandbox.count(source) == 1
        assert problems(sandbox, source) == []
    getattr(caller, call)({known: [item], key: [item]}, source)
    sandbox.settle()
    assert [one[1:3] for one in problems(sandbox, source)] == [("BATCH_FILE", "WARNING")]


def test_a_secured_source_wants_permissions() -> None:
    """Without permissions an item of a secured source gets 202 and an error at Consuming."""
    with Sandbox.start(limits=Limits(permissions=2)) as sandbox:
        sandbox.add_source("hr", visibility="SECURED")
        caller = Caller(sandbox)
        who = {"identity": "alice@example.com", "identityType": "User"}
        assert caller.put("file://none", source="hr").status_code == 202
        caller.put("file://some", {"data": "x", "permissions": [{"allowedPermissions": [who]}]}, source="hr")
        levels = [
            {"name": "1", "permissionSets": [{"allowedPermissions": [who], "deniedPermissions": [who]}]}
        ]
        caller.put("file://levels", {"data": "x", "permissions": levels}, source="hr")
        caller.put(
            "file://many", {"data": "x", "permissions": [{"allowedPermissions": [who] * 3}]}, source="hr"
        )
        sandbox.settle()
        assert sorted(sandbox.items("hr")) == ["file://levels", "file://some"]
        assert problems(sandbox, "hr") == [
            ("CONSUMING", "ADD", "ERROR", "file://none"),
            ("CONSUMING", "ADD", "REJECTED", "file://many"),
        ]


def test_a_push_item_without_content_is_a_warning(sandbox: Sandbox, caller: Caller) -> None:
    """Metadata alone is indexed in a Push source, and the log wonders."""
    caller.batch(items("file://a", title="A"))
    sandbox.settle()
    assert list(sandbox.items("files")) == ["file://a"]
    assert problems(sandbox, "files") == [("PROCESSING", "ADD", "WARNING", "file://a")]


def test_a_dictionary_is_a_warning(sandbox: Sandbox, caller: Caller) -> None:
    """A flat object is indexed, with a warning that it needs a dictionary field."""
    caller.load(items("product://1", price={"eur": "1.00"}))
    sandbox.settle()
    assert sandbox.items("products")["product://1"]["price"] == {"eur": "1.00"}
    assert problems(sandbox, "products") == [("MAPPING", "ADD", "WARNING", "product://1")]
