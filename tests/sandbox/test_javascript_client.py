"""
Coveo's JavaScript client, unchanged but for its host: all that it can do, and what the sandbox holds afterwards.

``javascript/driver.mjs`` makes the calls, once for all of these tests. It needs Node.js, and an index of packages
for npm. Where ``CI`` is set, a missing Node.js fails, as else nobody would notice that these tests are never run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from coveo_provider.sandbox import Answer, IdentityView, Sandbox
from tests.sandbox.organization import EMAIL, PROVIDER

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("javascript")]

FOLDER = Path(__file__).parent / "javascript"
URL = "https://example.com"
MARK = 1_500_000_000_000
BIG = [f"{URL}/{file}{number}" for file in range(2) for number in range(3)]


class Run(NamedTuple):
    """The driver's run: what it printed, and the sandbox after it."""

    told: dict[str, Any]
    sandbox: Sandbox

    def calls(self, route: str) -> list[int]:
        """The statuses of the calls of a route."""
        return [one.status for one in self.sandbox.calls if one.route == route]

    def identities(self, provider: str = PROVIDER) -> dict[str, IdentityView]:
        return {one.name: one for one in self.sandbox.identities(provider)}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The client is installed into a temporary folder, and drives a sandbox of its own."""
    need_node()
    home = tmp_path_factory.mktemp("javascript")
    shutil.copytree(FOLDER, home, dirs_exist_ok=True)
    command("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", at=home)
    write_files(home / "data")
    with Sandbox.start() as sandbox:
        prepare(sandbox)
        told = command(
            "node", "driver.mjs", sandbox.url, sandbox.api_key, "weak", str(home / "data"), at=home
        )
        assert sandbox.settle()
        yield Run(json.loads(told), sandbox)


def need_node() -> None:
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    reason = f"{' and '.join(missing)} not found"
    if not missing:
        version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
        if int(version[1:].split(".")[0]) >= 18:
            return
        reason = f"the client needs Node.js 18, this is {version.strip()}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def command(*words: str, at: Path) -> str:
    done = subprocess.run(words, cwd=at, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{' '.join(words[:2])}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def write_files(folder: Path) -> None:
    """Two files of six megabytes, which the client cuts into batches of five, and small ones, some wrong."""
    (folder / "big" / "deeper").mkdir(parents=True)
    for file, place in enumerate(("big", "big/deeper")):
        documents = [
            {
                "documentId": f"{URL}/{file}{number}",
                "title": f"{file}{number}",
                "data": "x" * 2_000_000,
                "My Size": 1,
            }
            for number in range(3)
        ]
        (folder / place / f"{file}.json").write_text(json.dumps(documents))
    lonely = {"uri": f"{URL}/lonely", "Title": "lonely", "color": "red"}
    (folder / "lonely.json").write_text(json.dumps(lonely))
    (folder / "notes.txt").write_text("no JSON")
    (folder / "untitled.json").write_text(json.dumps({"documentId": f"{URL}/untitled"}))
    (folder / "broken.json").write_text("{")


def prepare(sandbox: Sandbox) -> None:
    for source in ("status", "old", "big"):
        sandbox.add_source(source)
    sandbox.add_source("stream", kind="CATALOG")
    sandbox.add_source("hr", visibility="SECURED")
    sandbox.add_security_provider(PROVIDER, sources=["hr"])
    sandbox.add_security_provider("Other")
    sandbox.add_key("weak", privileges=["ORGANIZATION:VIEW", "SOURCE:EDIT"])
    for route in ("source.status", "item.delete"):
        sandbox.faults.add(route=route, action=Answer.throttled(3_600), times=2)


def test_429_is_retried_until_there_are_no_tries_left(run: Run) -> None:
    """The third try of three goes through; two tries are too few, and the client gives up."""
    assert run.calls("source.status")[:3] == [429, 429, 201]
    assert run.calls("item.delete")[:2] == [429, 429]
    assert run.told["throttled"]["name"] == "ThrottleError"
    assert run.sandbox.source("files").activities[0].operation == "REBUILD"


def test_sources_are_created(run: Run) -> None:
    """Push and Catalog sources of every visibility."""
    assert len(run.told["sources"]) == 6
    for name, source_id in run.told["sources"].items():
        made = run.sandbox.source(source_id)
        assert (made.name, made.kind) == (name, name.split()[0].upper())
        assert made.visibility == name.split()[1] or name == "push SHARED"  # which is changed later


def test_statuses_are_set(run: Run) -> None:
    """Each active one opens an activity, and the last ends them."""
    source = run.sandbox.source("status")
    assert source.status == "IDLE"
    assert [one.operation for one in source.activities] == ["REBUILD", "FULL_REFRESH", "INCREMENTAL_REFRESH"]
    assert {one.state for one in source.activities} == {"EXECUTED"}


def test_everything_the_builder_takes(run: Run) -> None:
    """Every method of the builder of documents and of that of permissions arrives in the index."""
    *statuses, uri, document_id = run.told["builder"]
    assert (statuses, uri) == ([202, 202, 202], document_id)
    held = run.sandbox.items("hr")
    full = held[f"{URL}/full"]
    first, second = full.pop("permissions")
    assert full == {
        "documentId": f"{URL}/full",
        "title": "full",
        "data": "all of the text",
        "date": "2024-02-03T04:05:06.000Z",
        "modifiedDate": "2025-01-02T00:00:00.000Z",
        "permanentid": "0123456789",
        "fileExtension": ".txt",
        "parentId": f"{URL}/parent",
        "clickableUri": f"{URL}/click",
        "author": "ann@example.com",
        "size": 3,
        "mykey": "lower",
        "my_other_key": [1.5],
        "tags": ["a", "b"],
    }
    assert [one["identity"] for one in first["allowedPermissions"]] == ["ann@example.com", "bea", "carl"]
    assert [one["identity"] for one in first["deniedPermissions"]] == ["Interns", "Guests"]
    assert [one.get("securityProvider") for one in second["allowedPermissions"]] == [PROVIDER, None]
    assert [one["identityType"] for one in second["deniedPermissions"]] == ["UNKNOWN"]
    levels = held[f"{URL}/levels"]
    assert levels["date"] == "2023-11-14T22:13:20.000Z"
    assert [(one["name"], len(one["permissionSets"])) for one in levels["permissions"]] == [
        ("First", 2),
        ("Second", 1),
    ]
    compressed = held[f"{URL}/compressed"]
    assert (compressed["compressedBinaryData"], compressed["compressionType"]) == ("eJwrSa0oAQAEXQHB", "ZLIB")


def test_who_sees_what_was_pushed(run: Run) -> None:
    """Sets, levels, members and an alias, as the client sent them."""
    see = run.sandbox.can_see
    assert see("hr", f"{URL}/compressed", None)
    assert not see("hr", f"{URL}/full", None)
    assert not see("hr", f"{URL}/full", "zoe", PROVIDER)
    assert see("hr", f"{URL}/levels", "zoe", PROVIDER)  # the second level lets everybody in
    # ann is a member of the team that the first set of the first level lets in; the other set lets the address in.
    assert see("hr", f"{URL}/levels", "ann@example.com")


def test_items_are_deleted(run: Run) -> None:
    """In a batch and by themselves, with their children and without; then what is older than a mark."""
    assert run.told["deletions"] == [202, 202]
    assert set(run.sandbox.items("files")) == {
        f"{URL}/{name}" for name in ("three/a", "four/a", "six", "weak")
    }
    assert run.told["olderThan"] == [202] * 4
    assert run.sandbox.count("old") == 0
    assert (run.sandbox.source("files").floor or 0) == MARK


def test_files_are_pushed_in_batches(run: Run) -> None:
    """The folders' JSON files and no others, cut at five megabytes, uploaded two at a time."""
    told = run.told["pushedFiles"]
    assert told["seen"] == ["00", "01", "02", "10", "11", "12", "lonely"]
    assert sorted(size for size, _, _, _ in told["uploads"]) == [2, 2, 3]
    assert [(files, left, status) for _, files, left, status in told["uploads"]][-1] == (3, 0, 202)
    held = run.sandbox.items("big")
    assert sorted(held) == [*BIG, f"{URL}/lonely"]
    assert (held[BIG[0]]["my_size"], len(held[BIG[0]]["data"])) == (1, 2_000_000)
    assert run.told["failedFiles"] == ["FetchError", True]  # the callback of success follows that of failure


def test_a_catalog_is_loaded_and_updated(run: Run) -> None:
    """A load replaces the one before it, an update adds and deletes; both from lists and from files."""
    assert run.told["catalogs"] == 202
    held = run.sandbox.items("products")
    assert (sorted(held), held[f"{URL}/new"]["ec_price"]) == ([f"{URL}/lonely", f"{URL}/new"], 7)
    assert sorted(run.sandbox.items("stream")) == [*BIG, f"{URL}/lonely"]
    assert run.sandbox.items("stream")[BIG[0]]["mysize"] == 1
    assert run.calls("stream.open") == [201] * 3
    assert run.calls("stream.chunk") == [200] * 5
    assert run.calls("stream.update") == [202] * 2
    assert run.sandbox.source("stream").open_streams == run.sandbox.source("products").open_streams == ()


def test_a_file_is_read_without_being_pushed(run: Run) -> None:
    """The function that reads a file is public as well."""
    count, document, called = run.told["parsed"]
    assert (count, document["documentId"], document["color"], called) == (1, f"{URL}/lonely", "red", [True])


def test_fields_are_made_as_their_types_were_guessed(run: Run) -> None:
    """Of an analysis by hand, and of each push that does not say otherwise; ``size`` is in every organization."""
    told = run.told["fields"]
    assert told["report"] == {
        "whole": "LONG",
        "big": "LONG_64",
        "text": "STRING",
        "flag": "STRING",
        "list": "DOUBLE",
        "words": "STRING",
        "decimal": "DOUBLE",
        "object": "LONG",
    }
    held = {one["name"]: one["type"] for one in run.sandbox.state.fields.all()}
    assert held == told["report"] | {
        "mykey": "STRING",
        "my_other_key": "DOUBLE",
        "tags": "STRING",
        "my_size": "LONG",
        "mysize": "LONG",
        "color": "STRING",
        "ec_price": "LONG",
        "permanentid": "LONG",
    }
    assert told["inconsistencies"] == [["both", ["LONG", "STRING"]]]
    assert told["refused"]["name"] == "FieldTypeInconsistencyError"
    assert run.told["permanentId"]["name"] == "InvalidPermanentId"


def test_identities_are_pushed_and_disabled(run: Run) -> None:
    """One by one through either kind of source, in a batch, and the old ones by a mark."""
    held = run.identities()
    assert (held["Team"].members, held["Team"].granted) == (("ann",), ("All",))
    assert held["Team"].additional_info == {"dept": "R&D"}
    assert held["ann"].aliases == ((EMAIL, "ann@example.com"),)
    assert held["Gone"].state == "DISABLED"
    others = run.identities("Other")
    assert {name: (one.state, one.ordering_id) for name, one in others.items()} == {
        "Old": ("DISABLED", MARK),
        "New": ("UP_TO_DATE", MARK + 1),
    }
    assert run.told["identities"] == {}


def test_what_the_cli_asks_of_the_platform(run: Run) -> None:
    """Of the platform client inside: key, organization, and a source that is changed."""
    source_id = run.told["sources"]["push SHARED"]
    assert run.told["platform"] == {
        "user": "sandbox",
        "organizations": ["sandbox"],
        "limits": {"content": {}},
        "connectors": ["PUSH", "CATALOG"],
        "light": "push SHARED",
        "rules": ["color"],
        "rebuild": True,
        "listed": [True],
    }
    made = run.sandbox.source(source_id)
    assert (made.visibility, made.status) == ("PRIVATE", "REBUILD")
    kept = run.sandbox.state.sources.require(source_id)
    assert (kept.stream_enabled, [one["content"] for one in kept.mappings]) == (True, [["%[colour]"]])


def test_every_region_and_environment(run: Run) -> None:
    """The client knows hosts of four environments and four regions, HIPAA's platform without regions."""
    regions = ("", "-au", "-ca", "-eu")
    wanted = {
        f"{host}{one}{region}"
        for host in ("api", "platform")
        for one in ("", "dev", "stg")
        for region in regions
    }
    wanted |= {f"apihipaa{region}" for region in regions} | {"platformhipaa"}
    assert set(run.told["hosts"]) == {f"https://{one}.cloud.coveo.com" for one in wanted}
    assert set(run.sandbox.items("status")) == {f"{URL}/everywhere"}


def test_refusals_come_as_the_clients_errors(run: Run) -> None:
    """Those of the sandbox with their code; those of the client itself before anything is sent."""
    told = run.told["refusals"]
    assert {name: one and one["name"] for name, one in told.items()} == {
        "unknown": "FetchError",
        "stranger": "FetchError",
        "weak": "PrivilegeError",
        "pushes": None,
        "path": "FetchError",
        "reserved": "String",
        "field": "UnsupportedFieldError",
        "extension": "String",
        "binary": "String",
        "untitled": "InvalidDocument",
        "broken": "NotAJsonFileError",
        "folder": "NotAFileError",
    }
    assert "SOURCE_DOES_NOT_EXIST" in told["unknown"]["message"]
    assert "INVALID_TOKEN" in told["stranger"]["message"]
    # An id that is no URL becomes one in the body, and stays what it was in the query.
    assert "INVALID_PARAMETER" in told["path"]["message"]


def test_nothing_of_the_client_is_left_out(run: Run) -> None:
    """Each name that it exports, and each public method of those, stands in the driver."""
    text = (FOLDER / "driver.mjs").read_text()
    inner = {
        *(
            "urlBuilder",
            "fileContainerStrategy",
            "streamChunkStrategy",
            "setPermission",
            "validateAndFillMissing",
        ),
        *("generatePermanentId", "validateDateAndReturnValidDate", "validateCompressedBinaryData"),
        *("marshalDocumentId", "marshalMetadata", "marshalCompressedBinaryData", "marshalPermissions"),
        *("removeInconsistentFields", "storeMetadata", "ensureExistingFields", "ensurePermanentId"),
        *("__esModule", "default", "errors"),
    }
    names = {name for export, methods in run.told["exports"].items() for name in (export, *methods)}
    assert inner < names
    assert {one for one in names - inner if not re.search(rf"\b{one}\b", text)} == set()


def test_a_missing_node_fails_in_ci_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere it is a reason to skip."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="node and npm not found"):
        need_node()
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="node and npm not found"):
        need_node()
