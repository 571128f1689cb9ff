"""The commands on data: what they say, and what the index holds afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from coveo_provider.cli import loading
from coveo_provider.hooks.coveo import CoveoHook
from coveo_provider.sandbox import Sandbox
from tests.cli.conftest import Coveo

MAPPING = 'document_id: "product://{sku}"\nkeep: "*"\n'
ROWS = [{"sku": "1", "name": "Boot"}, {"sku": "2", "name": "Clog"}]


def test_check(connected: Sandbox, coveo: Coveo, dataset: str) -> None:
    """Without a source nothing is asked of Coveo."""
    found = coveo("check", dataset, "--json")
    assert (found.code, found.json()["rows"], found.json()["parts"]) == (0, 2, 1)
    assert coveo("check", dataset).out == "Fine: 2 rows in 1 part can be sent.\n"
    assert connected.calls == []


def test_check_against_a_source(connected: Sandbox, coveo: Coveo, dataset: str, tmp_path: Path) -> None:
    """A warning of the operator goes to stderr and into the document; with fail it is a finding."""
    (tmp_path / "more.ndjson").write_text('{"documentId": "file://c", "color": "red"}\n')
    assert coveo("push", "more.ndjson", "--source", "files").code == 0
    found = coveo("check", dataset, "--source", "files", "--json")
    assert found.code == 0
    assert all(f"warning: {one}\n" in found.err for one in found.json()["warnings"])
    assert set(connected.items("files")) == {"file://c"}


def test_check_finds_a_fault(coveo: Coveo, tmp_path: Path, write_part: Any) -> None:
    """The error is the one that the operator raises, as people read it."""
    write_part([{"documentId": "file://a"}, {"documentId": "file://a"}])
    found = coveo("check", "dataset")
    assert (found.code, found.out) == (1, "")
    assert "file://a" in found.err
    assert found.err.startswith("coveo: ")


def test_what_is_not_there(coveo: Coveo) -> None:
    """A path that leads nowhere is told with the folder it was looked for in."""
    for command in (
        ("check", "none"),
        ("fields", "none"),
        ("plan", "none", "--source", "files", "--state", "state"),
        ("push", "none.csv", "--source", "files"),
    ):
        found = coveo(*command)
        assert (found.code, found.out) == (2, "")
        assert "there is no file or folder none" in found.err


def test_plan(connected: Sandbox, coveo: Coveo, dataset: str) -> None:
    """It tells what the operator tells, and sends nothing; a bound that is passed is a finding."""
    arguments = ("plan", dataset, "--source", "files", "--state", "state")

    found, said = coveo(*arguments, "--json"), coveo(*arguments)
    doubtful = coveo(*arguments, "--min-documents", "3")

    assert (found.code, said.code, doubtful.code) == (0, 0, 1)
    assert found.json()["documents"]["new"] == 2
    assert said.out.startswith("Plan for source files: 2 new, 0 changed")
    assert "min_documents=3" in doubtful.err
    assert connected.items("files") == {}
    assert not Path("state").exists()


def test_fields(connected: Sandbox, coveo: Coveo, tmp_path: Path, write_part: Any) -> None:
    """Each key of the metadata, what it needs and what there is."""
    row = {"documentId": "file://a", "price": 1.5, "width": "L", "shop": 5, "my key": "x", "Colour": "red"}
    write_part([row])
    client = CoveoHook().client
    client.create_fields([{"name": name, "type": "LONG"} for name in ("width", "shop")])
    client.create_fields([{"name": "tint", "type": "STRING"}])
    from coveo_provider.api.types import MappingRule

    client.add_mapping_rule("files", MappingRule("tint", ("%[colour]",)))

    found = coveo("fields", "dataset", "--source", "files", "--json")

    told = {one["key"]: (one["needs"], one["has"], one["status"]) for one in found.json()["fields"]}
    assert found.code == 1
    assert told == {
        "price": ("DOUBLE", None, "missing"),
        "width": ("STRING", "LONG", "unfit"),
        "shop": ("LONG", "LONG", "there"),
        "my key": (None, None, "nameless"),
        "Colour": ("STRING", None, "mapped"),
    }
    assert "what the service drops: my key, price, width" in found.err


@pytest.mark.parametrize("kind", ["csv", "ndjson", "json", "parquet"])
@pytest.mark.parametrize("source", ["files", "products"])
def test_push(connected: Sandbox, coveo: Coveo, tmp_path: Path, kind: str, source: str) -> None:
    """Any format, to either kind of source, with a mapping: the items are in the index when it ends."""
    import pandas as pd

    frame, path = pd.DataFrame(ROWS), tmp_path / f"shoes.{kind}"
    if kind == "parquet":
        frame.to_parquet(path)
    elif kind == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_json(path, orient="records", lines=kind == "ndjson")
    (tmp_path / "shoes.yml").write_text(MAPPING)

    found = coveo("push", path.name, "--source", source, "--mapping", "shoes.yml", "--json")

    assert found.code == 0, found.err
    assert (found.json()["indexed"], found.json()["refused"], found.json()["verified"]) == (2, 0, "items")
    assert connected.items(source)["product://2"]["name"] == "Clog"


def test_push_keeps_what_else_is_held(connected: Sandbox, coveo: Coveo, tmp_path: Path) -> None:
    """Only --full makes the file all there is, and it is never carried out unasked."""
    CoveoHook().push([{"documentId": "file://old", "data": "x"}], "files")
    (tmp_path / "new.ndjson").write_text('{"documentId": "file://new", "data": "x"}\n')

    assert coveo("push", "new.ndjson", "--source", "files").code == 0
    connected.settle()
    assert set(connected.items("files")) == {"file://old", "file://new"}

    asked = coveo("push", "new.ndjson", "--source", "files", "--full")
    assert asked.code == 2
    assert "agree with --yes" in asked.err
    assert "holds 2 items" in asked.err
    assert set(connected.items("files")) == {"file://old", "file://new"}

    assert coveo("push", "new.ndjson", "--source", "files", "--full", "--yes").code == 0
    assert set(connected.items("files")) == {"file://new"}


@pytest.mark.parametrize(("answer", "code", "left"), [(True, 0, {"file://new"}), (False, 1, {"file://old"})])
def test_a_person_is_asked(
    connected: Sandbox,
    coveo: Coveo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: bool,
    code: int,
    left: set[str],
) -> None:
    """On a terminal; after a no the index is as it was."""
    CoveoHook().push([{"documentId": "file://old", "data": "x"}], "files")
    (tmp_path / "new.ndjson").write_text('{"documentId": "file://new", "data": "x"}\n')
    questions: list[str] = []
    monkeypatch.setattr(loading, "_can_ask", lambda: True)

    def confirm(text: str, **_: Any) -> bool:
        questions.append(text)
        return answer

    monkeypatch.setattr("typer.confirm", confirm)

    found = coveo("push", "new.ndjson", "--source", "files", "--full")

    assert found.code == code
    assert "Source files holds 1 item. Afterwards it holds the 1 document of new.ndjson" in questions[0]
    assert set(connected.items("files")) == left


def test_a_shrink_is_stopped(connected: Sandbox, coveo: Coveo, tmp_path: Path) -> None:
    """The guards are those of the hook."""
    rows = [{"documentId": f"file://{n}", "data": "x"} for n in range(4)]
    CoveoHook().push(rows, "files")
    (tmp_path / "new.ndjson").write_text(json.dumps(rows[0]))

    found = coveo("push", "new.ndjson", "--source", "files", "--full", "--yes", "--max-shrink", "0.5")

    assert (found.code, found.out) == (1, "")
    assert len(connected.items("files")) == 4
    assert connected.source("files").status == "IDLE"
    assert coveo("push", "new.ndjson", "--source", "files", "--max-shrink", "0.5").code == 2


def test_bad_data_is_not_sent(connected: Sandbox, coveo: Coveo, tmp_path: Path) -> None:
    """The file and the row are named; a mapping that is missing is suggested."""
    (tmp_path / "bad.csv").write_text("documentId,name\nfile://a,A\nnot a uri,B\n")
    (tmp_path / "shoes.csv").write_text("sku,name\n1,Boot\n")

    bad = coveo("push", "bad.csv", "--source", "files")
    unmapped = coveo("push", "shoes.csv", "--source", "files")

    assert (bad.code, unmapped.code) == (1, 1)
    assert "row 1 of " in bad.err
    assert "bad.csv" in bad.err
    assert "--mapping" in unmapped.err
    assert connected.items("files") == {}


def test_refused_items_are_a_finding(connected: Sandbox, coveo: Coveo, tmp_path: Path) -> None:
    """With the service's reasons; --max-rejected lets the rest count, and the end says it all the same."""
    connected.add_source("hr", kind="PUSH", visibility="SECURED")
    (tmp_path / "two.ndjson").write_text(
        '{"documentId": "hr://a", "data": "x", "permissions": [{"allowAnonymous": true}]}\n'
        '{"documentId": "hr://b", "data": "x"}\n'
    )

    refused = coveo("push", "two.ndjson", "--source", "hr")
    borne = coveo("push", "two.ndjson", "--source", "hr", "--max-rejected", "1", "--json")

    assert (refused.code, borne.code) == (1, 1)
    assert "no permissions" in refused.err
    assert "coveo-push-" not in refused.err  # nothing points to a file that is gone
    assert (borne.json()["indexed"], borne.json()["refused"]) == (1, 1)
