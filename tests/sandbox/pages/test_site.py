"""The pages show what the index holds, and change something for their own forms only."""

from __future__ import annotations

import html
import re
import zlib
from typing import Any
from urllib.parse import quote

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from coveo_provider.sandbox import Sandbox
from coveo_provider.sandbox.pages import charts
from coveo_provider.sandbox.pages.finding import Wanted, find
from tests.sandbox.caller import Caller
from tests.sandbox.pages.conftest import PAGES, SCRIPT


def get(sandbox: Sandbox, path: str, **headers: str) -> requests.Response:
    return requests.get(sandbox.url + path, headers=headers, timeout=30)


def text(sandbox: Sandbox, path: str) -> str:
    """Give what a page says, without its tags."""
    answer = get(sandbox, path)
    assert answer.status_code == 200
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())


def send(sandbox: Sandbox, path: str, token: str | None = None, **fields: Any) -> requests.Response:
    if token is None:
        token = re.findall(r'name="token" value="([^"]+)"', get(sandbox, "/ui/faults").text)[0]
    headers = fields.pop("headers", {})
    return requests.post(
        f"{sandbox.url}/ui/{path}",
        data={"token": token, **fields},
        headers=headers,
        timeout=30,
        allow_redirects=False,
    )


@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)
def test_each_page_is_whole_and_asks_nobody_else(filled: Sandbox, path: str) -> None:
    answer = get(filled, path)

    assert answer.status_code == 200
    assert answer.text.rstrip().endswith("</html>")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert not re.findall(r'(?:src|href|action)="(?!/|#|data:)[^"]*"', answer.text)
    assert "<script" not in answer.text
    assert filled.api_key not in answer.text
    assert filled.state.errors == []


def test_sources_and_a_source(filled: Sandbox) -> None:
    assert "products CATALOG SHARED PUSH_READY 120 0 none" in text(filled, "/")
    assert "hr PUSH SECURED REBUILD 2 0 REBUILD" in text(filled, "/")
    (load, update) = sorted({one for one, _ in filled.state.items.loads(1)})
    bars = [(row.label, row.total) for row in charts.items_by_load([(load, 119), (update + 1_000, 1)])]
    assert [count for _, count in bars] == [119, 1]
    assert re.search(r"Items by load 20\d\d-[0-9: -]+ 1\d+ ", text(filled, "/ui/source?source=products"))


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("prefix=product://01", range(10, 20)),
        ("text=SHOE 11", [11, *range(110, 120)]),
        ("field=color&value=RED&prefix=product://00", [0, 2, 4, 6, 8]),
        ("field=color&prefix=product://00", [0, 1, 2, 3, 4, 5, 6, 8, 9]),
        ("field=title&value=bond", [7]),
        ("text=nowhere", []),
        ("prefix=file", []),
    ],
)
def test_items_are_found(filled: Sandbox, query: str, ids: Any) -> None:
    page = get(filled, f"/ui/items?source=products&{query}").text

    assert re.findall(r">(product://\d+)</a>", page) == [f"product://{number:03}" for number in ids]


def test_a_list_leads_through_all_items(filled: Sandbox) -> None:
    path, seen = "/ui/items?source=products", list[str]()
    while path:
        page = get(filled, path).text
        seen += re.findall(r">(product://\d+)</a>", page)
        path = html.unescape((re.findall(r'<a href="(/ui/items\?[^"]*after=[^"]*)">', page) or [""])[0])

    assert seen == sorted(filled.items("products"))


@settings(max_examples=40, deadline=None)
@given(
    st.builds(
        Wanted,
        prefix=st.sampled_from(["", "product://", "product://1", "product://119", "z"]),
        text=st.sampled_from(["", "shoe 1", "Bond", "blue"]),
        field=st.sampled_from(["", "title", "COLOR", "gone"]),
        value=st.sampled_from(["", "red", "Shoe 3"]),
    )
)
def test_finding_in_pieces_finds_what_reading_all_does(filled: Sandbox, wanted: Wanted) -> None:
    source = filled.state.sources.require("products")
    found, after = list[str](), ""
    while True:
        piece = find(filled.state.items, source.n, wanted, after)
        found += [uri for uri, _, _ in piece.rows]
        if piece.after is None:
            break
        after = piece.after
    expected = [
        uri
        for uri, item in sorted(filled.items("products").items())
        if uri.startswith(wanted.prefix)
        and wanted.text.lower() in str(list(item.values())).lower()
        and _has(item, wanted.field, wanted.value)
    ]
    assert found == expected


def _has(item: dict[str, Any], field: str, value: str) -> bool:
    held = {key.lower(): str(one).lower() for key, one in item.items()}
    return not field or (field.lower() in held and value.lower() in ("", held[field.lower()]))


def test_an_item_with_its_body_and_history(filled: Sandbox) -> None:
    page = text(filled, "/ui/item?source=hr&id=file%3A//b")
    assert SCRIPT in page
    assert "Set 1: allows everybody" in page
    assert "ADD CONSUMING COMPLETED" in page
    body = get(filled, "/ui/body?source=hr&id=file%3A//b")
    assert (body.content.decode(), body.headers["Content-Type"]) == (SCRIPT, "application/octet-stream")

    assert "packed text" in text(filled, "/ui/item?source=files&id=file%3A//c")
    assert zlib.decompress(get(filled, "/ui/body?source=files&id=file%3A//c").content) == b"packed text"


@pytest.mark.parametrize(
    "user", ["cid@corp.com", "bob@example.com", "cid@example.com", "nobody@corp.com", ""]
)
@pytest.mark.parametrize("item", ["file://a", "file://b"])
@pytest.mark.parametrize("provider", ["", "My Security Identity Provider"])
def test_what_a_user_sees_is_what_the_index_says(
    filled: Sandbox, user: str, item: str, provider: str
) -> None:
    path = f"/ui/item?source=hr&id={quote(item)}&user={quote(user)}&provider={quote(provider)}"
    sees = filled.can_see("hr", item, user or None, provider or None)

    assert f"{user or 'Somebody not logged in'} {'sees' if sees else 'does not see'} the item." in text(
        filled, path
    )


def test_why_a_user_sees_it(filled: Sandbox) -> None:
    """The way of memberships from the user to the entry stands there."""
    page = text(filled, "/ui/item?source=hr&id=file%3A//a&user=cid%40corp.com")

    assert "by cid@corp.com → cid@example.com → platform → engineering" in page
    assert "In level 1 every set names them" in page


def test_the_log_by_filters(filled: Sandbox) -> None:
    path = "/ui/log?source=products"
    assert "the documentId is not a URI" in text(filled, f"{path}&result=REJECTED")
    assert get(filled, f"{path}&result=REJECTED").text.count("<tr>") == 2  # its head, and the one entry
    assert get(filled, f"{path}&item=product://00&task=INDEXING").text.count("<tr>") == 12
    older = html.unescape(re.findall(r'<a href="([^"]*page=1[^"]*)">', get(filled, path).text)[0])
    assert "Newer" in text(filled, older)
    assert "rejected" in text(filled, path).split("Results over time")[1]


def test_identities(filled: Sandbox) -> None:
    assert "engineering GROUP UP_TO_DATE 2" in text(filled, PAGES["a provider"])
    assert "1 identities with this in their name" in text(filled, f"{PAGES['a provider']}&name=engin")
    assert "0 identities" in text(filled, f"{PAGES['a provider']}&name=%25")
    page = text(filled, PAGES["an identity"].replace("engineering", "platform"))
    assert "Groups that list it engineering Members cid@example.com" in page


def test_calls_and_quotas(filled: Sandbox) -> None:
    page = text(filled, "/ui/calls")
    assert "stream update PUT" in page.replace(".", " ")
    assert "stream requests per day 5 15,000" in page
    assert "push calls per day none" in page
    assert not [call for call in filled.calls if call.path.startswith("/ui")]


def test_a_fault_is_planned_met_and_removed(sandbox: Sandbox) -> None:
    added = send(sandbox, "faults/add", kind="answer", status="503", route="item.put", times="1", skip="1")
    assert (added.status_code, added.headers["Location"]) == (303, "/ui/faults")
    assert "answer status 503" in text(sandbox, "/ui/faults")
    caller = Caller(sandbox)
    assert [caller.put(f"file://{n}").status_code for n in range(3)] == [202, 503, 202]

    send(sandbox, "faults/add", kind="slow", seconds="0.1", times="5")
    send(sandbox, "faults/add", kind="cut", when="after", times="5")
    send(sandbox, "faults/remove", number=str(sandbox.faults.upcoming()[0].number))
    assert [one.kind for one in sandbox.faults.upcoming()] == ["cut"]
    send(sandbox, "faults/clear")
    assert sandbox.faults.pending() == 0


def test_the_clock_moves_and_what_waits_is_done(sandbox: Sandbox) -> None:
    before = sandbox.clock.now_ms()
    assert send(sandbox, "clock", minutes="30").status_code == 303
    assert sandbox.clock.now_ms() >= before + 30 * 60_000
    caller = Caller(sandbox)
    caller.put("file://a")
    caller.push(
        "DELETE", "/sources/files/documents/olderthan", params={"orderingId": sandbox.clock.now_ms() + 60_000}
    )
    assert send(sandbox, "settle").status_code == 303
    assert sandbox.count("files") == 0


@pytest.mark.parametrize(
    ("path", "fields", "said"),
    [
        ("clock", {"minutes": "-1"}, "minutes is 0 or more"),
        ("clock", {"minutes": "nan"}, "minutes is 0 or more"),
        ("clock", {"minutes": "soon"}, "minutes is a number"),
        ("faults/add", {"kind": "explode"}, "an action has a kind"),
        ("faults/add", {"kind": "answer", "status": "99"}, "status is from 200 to 599"),
        ("faults/add", {"kind": "answer", "when": "during"}, "an answer comes before or after"),
        ("faults/add", {"kind": "cut", "times": "x"}, "times is a number"),
    ],
)
def test_a_form_that_is_wrong_is_told_so(
    sandbox: Sandbox, path: str, fields: dict[str, str], said: str
) -> None:
    answer = send(sandbox, path, **fields)

    assert answer.status_code == 400
    assert said in html.unescape(answer.text)
    assert sandbox.faults.pending() == 0
    assert sandbox.state.errors == []


@pytest.mark.parametrize(
    ("token", "headers"),
    [
        ("", {}),
        ("guessed", {}),
        ("größe", {}),
        (None, {"Origin": "http://evil.example"}),
        (None, {"Host": "evil.example"}),
    ],
)
def test_another_page_changes_nothing(sandbox: Sandbox, token: str | None, headers: dict[str, str]) -> None:
    answer = send(sandbox, "faults/add", token, kind="answer", headers=headers)

    assert answer.status_code == 403
    assert sandbox.faults.pending() == 0


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/ui/nothing", 404),
        ("/ui/source?source=nobody", 404),
        ("/ui/source", 412),
        ("/ui/item?source=hr&id=file%3A//gone", 404),
        ("/ui/body?source=files&id=file%3A//gone", 404),
        ("/ui/provider?provider=nobody", 404),
        (f"{PAGES['an identity']}s", 404),
        (PAGES["an identity"].replace("engineering", "gone"), 404),
        ("/ui/log?source=hr&page=x", 412),
    ],
)
def test_what_is_not_there_is_said_on_a_page(filled: Sandbox, path: str, status: int) -> None:
    answer = get(filled, path)

    assert answer.status_code == status
    assert "To the sources" in answer.text
    assert filled.state.errors == []


def test_a_page_is_looked_at_and_not_posted_to(sandbox: Sandbox) -> None:
    assert requests.post(sandbox.url + "/", timeout=30).status_code == 405
    assert requests.head(sandbox.url + "/", timeout=30).status_code == 200
