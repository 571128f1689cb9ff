"""The probes: what the sandbox answers is what is assumed, and the real service is asked with care."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from coveo_provider.sandbox import Answer, Sandbox
from tests.conftest import ROOT
from tools.probe.__main__ import PROBES, ask, main, sandboxed
from tools.probe.calls import Calls, Clock, NotObservable
from tools.probe.index import CloudIndex
from tools.probe.record import Probe, Result, run
from tools.probe.service import EMAIL_PROVIDER, Service

NOTES = ROOT / "docs" / "api-notes.md"
KEY = "xx12345678-secret-of-the-real-service"
BY_NAME = {one.name: one for one in PROBES}


def quiet(text: str) -> None:
    """Say nothing."""


def left(sandbox: Sandbox) -> list[str]:
    """What probes left in a sandbox: items, fields, providers, running activities."""
    sandbox.settle()
    return [
        *(uri for one in sandbox.state.sources.all() for uri in sandbox.items(one.id)),
        *(one["name"] for one in sandbox.state.fields.all()),
        *(one.id for one in sandbox.state.providers.all() if one.id != EMAIL_PROVIDER),
        *(one.operation for one in sandbox.state.sources.activities() if one.state == "EXECUTING"),
    ]


# -- of the sandbox --------------------------------------------------------------------------------------------


def test_the_sandbox_answers_as_assumed() -> None:
    """Every probe, and nothing of what they made is left."""
    with sandboxed() as (sandbox, service):
        results = ask(service, PROBES, quiet)
        assert not left(sandbox)

    assert len(results) >= 30
    assert {one.probe.name: one.found for one in results} == {one.name: one.assumed for one in PROBES}


@pytest.mark.parametrize("name", ["delete-prefix", "update-order", "load-protected", "field-taken"])
def test_a_probe_asked_alone_finds_the_same(name: str) -> None:
    """Whatever was asked before it."""
    with sandboxed() as (_, service):
        assert run(BY_NAME[name], service) == Result(BY_NAME[name], BY_NAME[name].assumed, "yes")


def test_another_answer_is_noticed() -> None:
    """One that a fault puts in place of the service's, and one that was assumed wrongly."""
    with sandboxed() as (sandbox, service):
        sandbox.faults.add(action=Answer(200, "null"), route="source.status")
        assert run(BY_NAME["status-answer"], service).found == "200 null"
        wrong = replace(BY_NAME["id-twice"], assumed="202; the first")
        assert run(wrong, service) == Result(wrong, "202; the second", "NO")

    said: list[str] = []
    assert main(["--only", "id-twice"], {}, say=said.append, probes=[wrong]) == 1
    assert "| `id-twice` |" in said[-1]
    assert "| 202; the first | 202; the second | NO |" in said[-1]


def test_the_command_asks_and_writes_the_table(tmp_path: Path) -> None:
    """As ``make probe`` does without a key, 0 when all is as assumed."""
    names = ["status-answer", "metadata-null"]
    page = tmp_path / "table"

    assert main(["--only", *names, "--output", str(page)], {}, say=quiet) == 0
    rows = [line.split(" | ") for line in page.read_text().splitlines() if line.startswith("| `")]
    assert [(row[0], row[2], row[3], row[4]) for row in rows] == [
        (f"| `{one}`", BY_NAME[one].assumed, BY_NAME[one].assumed, "yes |") for one in names
    ]
    assert main(["--only", "no-such-probe"], {}, say=quiet) == 2


def test_what_goes_wrong_with_a_probe_is_its_result() -> None:
    """And the next is asked."""

    def broken(service: Service) -> str:
        raise KeyError("a key that no answer has")

    with sandboxed() as (_, service):
        one, two = ask(
            service, [Probe("broken", "?", "Fields", "?", broken), BY_NAME["status-answer"]], quiet
        )

    assert (one.found, one.same) == ("failed: KeyError: 'a key that no answer has'", "NO")
    assert two.same == "yes"


# -- of the real service, for which a sandbox stands -----------------------------------------------------------


class Cloud:
    """A sandbox that is asked as the real service is; who waits lets its clock go on."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox, self.said, self.slept = sandbox, list[str](), 0.0
        self.environment = {
            "COVEO_ORG": sandbox.organization_id,
            "COVEO_KEY": sandbox.api_key,
            "COVEO_URL": sandbox.url,
            "COVEO_PUSH_SOURCE": "files",
            "COVEO_CATALOG_SOURCE": "products",
        }

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.sandbox.clock.advance(seconds=seconds)
        self.sandbox.drain()

    def main(self, *arguments: str, **more: Any) -> int:
        clock = Clock(lambda: self.slept, self.sleep)
        return main(arguments, self.environment, say=self.said.append, clock=clock, **more)

    @property
    def output(self) -> str:
        return "\n".join(self.said)


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    sources = {"products": "CATALOG", "files": "PUSH:SECURED"}
    with Sandbox.start(sources=sources, api_key=KEY) as sandbox:
        yield Cloud(sandbox)


def test_the_real_way_finds_the_same_or_says_that_it_cannot_know(cloud: Cloud) -> None:
    """By the log and by waiting; the sandbox has no Search API, which the real way asks for what an item holds."""
    assert cloud.main("--yes") == 1  # what is not observable is not as assumed

    found = dict(re.findall(r"^(?:yes|NO|not observable) +([\w-]+): (.*)$", cloud.output, re.M))
    unknown = {name for name, text in found.items() if text.startswith("not observable: ")}
    assert found.keys() == BY_NAME.keys()
    assert all(found[name] == BY_NAME[name].assumed for name in found.keys() - unknown)
    assert len(found) - len(unknown) >= 55
    assert found["load-protected"].startswith("not observable: it needs a Catalog source that a catalog")
    assert found["id-twice"] == "not observable: the Search API answers 404 NOT_FOUND"
    assert KEY not in cloud.output
    assert not left(cloud.sandbox)


def test_a_catalog_configuration_is_told(cloud: Cloud) -> None:
    """By an option, as the platform does not say it."""
    cloud.main("--yes", "--configured", "--only", "load-protected", "streams-two")
    assert "load-protected: not observable: the Search API answers 404" in cloud.output
    assert (
        "streams-two: not observable: it needs a Catalog source that no catalog configuration uses"
        in cloud.output
    )


@pytest.mark.parametrize("answer", [None, "no", ""])
def test_nothing_is_sent_without_consent(cloud: Cloud, answer: str | None) -> None:
    """Beforehand it says what would be created and deleted."""
    confirm = None if answer is None else lambda question: answer
    assert cloud.main(confirm=confirm) == 2
    assert not cloud.sandbox.calls
    assert "nobody said yes" in cloud.output
    for said in (
        "probe://",
        "the sources files and products",
        "_text, probe_",
        "security providers linked to files",
    ):
        assert said in cloud.output, said
    assert "REPLACES ALL THAT products HOLDS" in cloud.output


@pytest.mark.parametrize("name", ["COVEO_ORG", "COVEO_KEY"])
def test_half_of_an_organization_is_refused(cloud: Cloud, name: str) -> None:
    """Rather than asking the sandbox, which nobody meant."""
    del cloud.environment[name]
    assert cloud.main("--yes") == 2
    assert "is set alone" in cloud.output
    assert not cloud.sandbox.calls


def test_consent_is_a_yes(cloud: Cloud) -> None:
    """Of whoever is asked."""
    assert cloud.main("--only", "status-answer", confirm=lambda question: " Yes\n") == 0
    assert "yes            status-answer: 201 {}" in cloud.output


@pytest.mark.parametrize("source", ["files", "products"])
def test_a_source_that_holds_items_is_refused_by_name(cloud: Cloud, source: str) -> None:
    """Nothing is sent to either."""
    body = {"data": "text", "permissions": [{"allowAnonymous": True}]}
    if source == "products":
        cloud.sandbox.state.sources.require(source).push_enabled = True
    requests.put(
        f"{cloud.sandbox.url}/push/v1/organizations/sandbox/sources/{source}/documents",
        params={"documentId": "file://precious"},
        json=body,
        headers={"Authorization": f"Bearer {KEY}"},
        timeout=30,
    ).raise_for_status()
    cloud.sandbox.settle()
    cloud.sandbox.clear_calls()

    assert cloud.main("--yes") == 2
    assert f"the source {source} is not empty: it holds 1 items" in cloud.output
    assert {call.method for call in cloud.sandbox.calls} == {"GET"}


@pytest.mark.parametrize(
    ("push", "catalog", "why"),
    [
        ("products", "files", "the source products is no PUSH source with pushEnabled"),
        ("files", "files", "must name two sources to throw away"),
        ("files", "", "must name two sources to throw away"),
        ("files", "nowhere", "the source nowhere cannot be seen: 404"),
    ],
)
def test_other_sources_are_refused(cloud: Cloud, push: str, catalog: str, why: str) -> None:
    """Of another kind, the same twice, none, and one that cannot be seen."""
    cloud.environment |= {"COVEO_PUSH_SOURCE": push, "COVEO_CATALOG_SOURCE": catalog}
    assert cloud.main("--yes") == 2
    assert why in cloud.output
    assert {call.method for call in cloud.sandbox.calls} <= {"GET"}


def _interrupted(service: Service) -> str:
    service.make_fields()
    service.put(service.uri("a"), {"data": "text"})
    service.update({"addOrUpdate": [{"documentId": service.uri("b")}]})
    service.set_status("REBUILD")
    service.calls.rest("POST", "/securityproviders", json=service.provider_model(f"probe-{service.run}-left"))
    service._providers.append(f"probe-{service.run}-left")
    raise KeyboardInterrupt


def test_what_was_made_is_deleted_although_a_probe_breaks_off(cloud: Cloud) -> None:
    """Also when somebody interrupts it."""
    with pytest.raises(KeyboardInterrupt):
        cloud.main("--yes", probes=[Probe("interrupted", "?", "Fields", "?", _interrupted)])
    assert "NOT CLEANED UP" not in cloud.output
    assert not left(cloud.sandbox)


def test_what_cannot_be_deleted_is_said_and_the_rest_is_deleted(cloud: Cloud) -> None:
    """Each by itself."""
    cloud.sandbox.faults.add(action=Answer.denied(), route="item.delete")
    with pytest.raises(KeyboardInterrupt):
        cloud.main("--yes", probes=[Probe("interrupted", "?", "Fields", "?", _interrupted)])
    assert "NOT CLEANED UP: the items of files: 403 ACCESS_DENIED" in cloud.output
    assert [one.rsplit("/", 1)[-1] for one in left(cloud.sandbox)] == ["a"]


def test_a_used_up_quota_is_waited_for_or_said(cloud: Cloud) -> None:
    """Five minutes at most: the quota of a day is no finding."""
    cloud.sandbox.faults.add(action=Answer.throttled(7), route="source.status", times=1)
    cloud.main("--yes", "--only", "status-answer")
    assert cloud.slept == 7
    cloud.sandbox.faults.add(action=Answer.throttled(), route="stream.chunk")
    cloud.main("--yes", "--only", "stream-unknown")
    assert "stream-unknown: not observable: a quota is used up (429)" in cloud.output


# -- the key ---------------------------------------------------------------------------------------------------


def test_the_key_is_taken_out_of_answers(cloud: Cloud, tmp_path: Path) -> None:
    """Which may repeat it, as a proxy's page does; on the screen and in the table."""
    body = f'{{"errorCode":"BAD_{KEY}","message":"{KEY}"}}'
    cloud.sandbox.faults.add(action=Answer(400, body), route="file.create")
    cloud.sandbox.faults.add(action=Answer(201, body), route="source.status", times=1)
    page = tmp_path / "table"
    cloud.main("--yes", "--only", "status-answer", "empty-body", "id-twice", "--output", str(page))

    for text in (cloud.output, page.read_text()):
        assert KEY not in text
    assert "BAD_***" in cloud.output
    assert "BAD_***" in page.read_text()


@pytest.mark.parametrize("key", [KEY, f"{KEY}\nX-Other: header"])
def test_the_key_is_in_no_exception(key: str, cloud: Cloud) -> None:
    """Nobody answers, or the key makes no header."""
    cloud.environment["COVEO_KEY"] = key
    if key == KEY:
        cloud.environment["COVEO_URL"] = "http://127.0.0.1:9"
    assert cloud.main("--yes") == 2
    assert "Nothing was asked: GET /rest/organizations/sandbox/sources/files: " in cloud.output
    assert KEY not in cloud.output


def test_the_key_goes_to_no_upload_address(cloud: Cloud) -> None:
    """The storage would refuse it, and the upload would fail."""
    cloud.main("--yes", "--only", "batch-item-size")
    assert "yes            batch-item-size" in cloud.output


# -- parts -----------------------------------------------------------------------------------------------------


class _Search(Calls):
    """Answers queries with these results."""

    def __init__(self, results: list[dict[str, Any]]) -> None:
        super().__init__("https://api", "https://platform", "org", KEY, Clock())
        self.results, self.asked = results, list[Any]()

    def call(self, method: str, url: str, **options: Any) -> requests.Response:
        self.asked.append((method, url, options["json"]["aq"]))
        response = requests.Response()
        response.status_code = 200
        response.json = lambda **_: {"results": self.results}  # type: ignore[method-assign]
        return response


def test_the_search_api_tells_what_an_item_holds() -> None:
    """The item with exactly that URI."""
    search = _Search([{"uri": "probe://ab", "raw": {"n": 1}}, {"uri": "probe://a", "raw": {"n": 2}}])
    index = CloudIndex(search, Clock(), minutes=1, fields=["n"])
    assert index.item("files", "probe://a") == {"n": 2}
    assert index.item("files", "probe://b") is None
    assert search.asked[0] == ("POST", "https://platform/rest/search/v2", '@uri=="probe://a"')
    with pytest.raises(NotObservable):
        index.viewers("files", "probe://a")


def test_the_real_way_gives_up_in_time() -> None:
    """What was seen last is what was found."""
    slept: list[float] = []
    index = CloudIndex(_Search([]), Clock(lambda: sum(slept), slept.append), minutes=2, fields=[])
    assert index.until(lambda: len(slept), lambda seen: seen == 3) == 3
    assert index.until(lambda: "old", lambda seen: seen == "new") == "old"
    assert sum(slept) == 45 + 120


@pytest.mark.parametrize(("region", "host"), [("", ""), ("eu", "-eu"), ("-au", "-au")])
def test_the_hosts_of_a_region(cloud: Cloud, region: str, host: str) -> None:
    """Those of the notes on the API."""
    cloud.environment |= {"COVEO_URL": "", "COVEO_REGION": region}
    assert cloud.main() == 2
    assert f"asked of https://api{host}.cloud.coveo.com, organization sandbox" in cloud.output


# -- the notes on the API --------------------------------------------------------------------------------------


def test_the_notes_name_every_probe_in_its_section() -> None:
    """Next to what is assumed, and no probe that there is not."""
    cited = {
        name: title
        for title, text in re.findall(r"^## (.+)\n((?:(?!## ).*\n?)*)", NOTES.read_text(), re.M)
        for name in re.findall(r"`probe:\s([a-z0-9-]+)`", text)
        if title != "Probes"
    }
    assert cited == {one.name: one.section for one in PROBES}


def test_the_sandbox_cites_probes_that_there_are() -> None:
    """Where its behaviour is a reading of ours."""
    cited = {
        name
        for path in (ROOT / "coveo_provider" / "sandbox").rglob("*.py")
        for name in re.findall(r"\bprobe: ([a-z0-9-]+)", path.read_text())
    }
    assert len(cited) > 15
    assert not cited - BY_NAME.keys()


def test_names_are_short_and_questions_are_questions() -> None:
    assert len(BY_NAME) == len(PROBES)
    for one in PROBES:
        assert re.fullmatch(r"[a-z0-9-]{4,30}", one.name), one.name
        assert one.question.endswith("?"), one.question
        assert 15 < len(one.question) < 130, one.question
