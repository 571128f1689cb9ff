"""What the pages show, and to whom."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.utils import session as session_module
from sqlalchemy import update

from coveo_provider.plugin import site, storage
from tests.plugin import samples
from tests.plugin.conftest import Filled, Look, leave, write_variable

SOURCE = "/source?source=products&organization=acme"


def text(answer: Any) -> str:
    """Return what a person reads on a page."""
    assert answer.status_code == 200, answer.text
    assert samples.SCRIPT not in answer.text
    body = re.sub(r"<(?:rect|path|svg|/svg)[^>]*>", "", answer.text.split("<main", 1)[1])
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def run_path(dag_id: str, run_id: str) -> str:
    return f"/dags/{dag_id}/runs/{quote(run_id, safe='')}"


def refused_path(filled: Filled, more: str = "") -> str:
    run_id = quote(filled.runs["shoes"], safe="")
    return f"/refused?dag_id=shoes&run_id={run_id}&source=products&organization=acme{more}"


def test_a_run(look: Look, filled: Filled) -> None:
    """Plan and report, with everything that they hold."""
    page = text(look(run_path("shoes", filled.runs["shoes"])))

    for said in (
        "Items 990 → 1,000",
        "57 documents were sent and 11 deletions.",
        "53 indexed, 11 deleted, 4 refused, 0 not known.",
        "max_shrink The source would shrink by 30 %.",
        "max_shrink Apply admin 2026-11-27 09:30:30 catalog.approve Shrink by 30 %?",
        "new 21 changed 32 unchanged 947 gone 11 again 4",
        "By objecttype Product 20 new , 30 changed , 900 unchanged , 10 gone",
        "STREAMING_EXTENSION The document is too large. 3 product://4 , product://5 and 1 more",
        "ec_price 29 changed , 1 added",
        "Columns that are no field of the organization, so that the index drops them: colour.",
        "product://7 ec_price 1.5 2 ec_name nothing <script>alert('x')</script> & Größe color red nothing",
        "New, for example: product://90 , product://91 . Gone, for example: product://92 .",
        "gains Group staff 13 product://2 and 12 more loses Group interns 6",
        "200: 3 gain, 1 lose, as ann@example.com",
        "stream requests per day 6 of 15,000",
        "push calls per hour 2, limit not known",
        "Planned 1 57 11 123.5 kB 1 6 3.5 s",
        "Provider 0.1.0 Airflow 3.3.2 Python 3.11.4",
    ):
        assert said in page, said
    assert re.search(r"Seconds by task A task that asked [^.]*\. plan_it \d\.\d s verify \d\.\d s", page)


def test_the_line_is_of_the_loads_of_this_source(look: Look, filled: Filled) -> None:
    answer = look(run_path("shoes", filled.runs["shoes"]))
    assert "Items of the source over the last loads: from 940 to 1,000" in answer.text
    assert answer.text.count("h0M") == 2  # three dots

    source = look(SOURCE, "bob")  # with one that the state alone knows
    assert "Items of the source after each load: from 870 to 1,000" in source.text


def test_a_run_that_failed_is_not_awaited(look: Look, odd: str) -> None:
    """Somebody answered Stop: neither a report nor an answer will stand on the page."""
    from airflow.models.dagrun import DagRun

    leave("odd", odd, coveo_plan=samples.plan("stopped"))
    runs = update(DagRun).where(DagRun.dag_id == "odd", DagRun.run_id == odd)
    with session_module.create_session() as session:
        session.execute(runs.values(state="failed"))
    try:
        page = text(look(run_path("odd", odd)))
    finally:
        with session_module.create_session() as session:
            session.execute(runs.values(state="success"))

    assert "The load did not come to its end: there is a plan, and no report." in page
    assert "in the log of the task that asked" in page
    assert "so far" not in page
    assert "Required Actions" not in page


def test_the_line_is_of_the_loads_by_each_dag(look: Look, odd: str) -> None:
    """A DAG that rolls a source back is not the one that loads it."""
    leave("odd", odd, coveo_report=samples.report(source={"before": 1000, "after": 800}))

    answer = look(run_path("odd", odd))

    assert "Items of the source over the last loads: from 800 to 1,000" in answer.text
    assert answer.text.count("h0M") == 3  # four dots


def test_a_page_holds_no_connection_while_it_reads_a_storage(
    look: Look, filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API server has few, and a storage may take long."""
    held: list[int] = []
    open_sessions = [0]
    create = session_module.create_session

    @contextmanager
    def counted(**kwargs: Any) -> Iterator[Any]:
        with create(**kwargs) as session:
            open_sessions[0] += 1
            yield session
            open_sessions[0] -= 1

    path = storage._path

    def noted(uri: str) -> Any:
        held.append(open_sessions[0])
        return path(uri)

    monkeypatch.setattr(site, "create_session", counted)
    monkeypatch.setattr(storage, "_path", noted)

    for page in (SOURCE, refused_path(filled)):
        assert look(page).status_code == 200

    assert held
    assert not any(held)


def test_a_plan_without_a_report(look: Look, filled: Filled) -> None:
    page = text(look(run_path("salaries", filled.runs["salaries"])))
    assert "The load has not come to its end: there is a plan, and no report so far." in page
    assert "Doubts" not in page


def test_a_run_of_several_sources(look: Look, filled: Filled) -> None:
    path = run_path("two", filled.runs["two"])
    assert "Load of boots boots clogs" in text(look(path))
    assert "Load of clogs boots clogs" in text(look(f"{path}?source=clogs&organization=acme"))


def test_lists_are_searched(look: Look, filled: Filled) -> None:
    page = text(look(run_path("shoes", filled.runs["shoes"]) + "?q=EC_PRICE"))
    assert "ec_price 29 changed" in page
    assert "ec_name 3 changed" not in page
    assert "Nobody has this in their name." in page
    assert "No reason has this." in page


def test_a_run_that_is_no_load(look: Look, filled: Filled) -> None:
    assert "No task of this run has passed on a plan or a report" in text(
        look(run_path("none", filled.runs["none"]))
    )


def test_sources(look: Look, filled: Filled) -> None:
    """Of XCom and of Variables, each with the state of its last load."""
    page = text(look("/"))
    assert "products acme" in page
    assert re.search(r"products acme 20\d\d-\S+ \S+ succeeded 1,000 4 shoes", page)
    assert "old acme 2026-01-01 00:00:00 gone not known not known shoes" in page
    assert "gone 1 succeeded" in page
    found = text(look("/?q=SALARIES"))
    assert re.search(r"\b2 of \d+ sources", found)  # other tests leave sources, too
    assert "products" not in found


def test_sources_are_paged(look: Look, filled: Filled) -> None:
    run_id = filled.runs["shoes"]
    for number in range(60):
        write_variable(f"many-{number:02}", "shoes", run_id, f"2020-01-01T00:00:{number:02}+00:00")
    first = look("/?q=many")
    assert re.search(r"\b60 of \d+ sources", text(first))
    older = html.unescape(re.findall(r'<a href="(\?[^"]*)">Further', first.text)[0])
    page = text(look(f"/{older}"))
    assert "many-09" in page
    assert "many-10" not in page
    assert text(look("/?page=-5&q=many")) == text(first)


def test_a_source_with_its_loads(look: Look, filled: Filled) -> None:
    """Those in XCom, and those that the state alone remembers; with whether their datasets are there."""
    page = text(look(SOURCE, "bob"))
    assert f"{filled.runs['shoes']} succeeded changes 57 11 4 1,000 4.5 s there" in page
    assert "scheduled__2026-11-23T00:00:00+00:00 gone changes 30 10 0 870 12.5 s gone" in page
    assert "4 loads" in page
    assert "secret" not in page  # a load of a DAG that bob may not read, in the same state
    assert "secret" in text(look(SOURCE))
    assert "1 loads" in text(look(f"{SOURCE}&q=scheduled__"))


def test_refused_items(look: Look, filled: Filled) -> None:
    first = look(refused_path(filled))
    assert "The file lists 250 items; 101 were looked at for this page." in text(first)
    assert "product://099" in first.text
    assert "product://100" not in first.text
    older = html.unescape(re.findall(r'<a href="(\?[^"]*)">Further', first.text)[0])
    assert "product://100" in text(look(f"/refused{older}"))
    found = text(look(refused_path(filled, "&q=ALERT")))
    assert "product://007" in found
    assert "product://008" not in found


def _paths(filled: Filled) -> list[str]:
    return ["/", SOURCE, run_path("shoes", filled.runs["shoes"]), refused_path(filled)]


def test_nobody_without_a_login(look: Look, filled: Filled) -> None:
    for path in _paths(filled):
        answer = look(path, None)
        assert (answer.status_code, "products" in answer.text) == (401, False)
        assert "Log in to Airflow" in answer.text


def test_only_who_may_read_the_dag(look: Look, filled: Filled) -> None:
    """``bob`` may not read the DAG of salaries, ``cid`` nothing that runs pass on."""
    hidden = run_path("salaries", filled.runs["salaries"])
    assert look(hidden).status_code == 200
    assert look(hidden, "bob").status_code == 403
    assert look(run_path("shoes", filled.runs["shoes"]), "bob").status_code == 200
    assert (
        look(f"/refused?dag_id=salaries&run_id={filled.runs['salaries']}&source=hr", "bob").status_code == 403
    )
    assert look("/source?source=hr&organization=acme", "bob").status_code == 404

    listed = text(look("/", "bob"))
    assert "hr" not in re.findall(r"[\w-]+", listed)
    assert "products" in listed
    assert look(run_path("shoes", filled.runs["shoes"]), "cid").status_code == 403
    assert "0 of 0 sources" in text(look("/", "cid"))


def test_a_dag_is_not_asked_for_as_any_dag(look: Look, filled: Filled) -> None:
    """Airflow's own check takes ``~`` in an address for "any DAG"."""
    path = f"/dags/~/runs/{quote(filled.runs['salaries'], safe='')}?dag_id=shoes"
    assert look(path, "bob").status_code == 404
    assert look(f"{run_path('salaries', filled.runs['salaries'])}?dag_id=shoes", "bob").status_code == 403


def test_what_a_browser_may_do_with_a_page(look: Look, filled: Filled) -> None:
    """Airflow frames it; nothing is loaded from elsewhere, no script runs, nothing is kept."""
    for path in (*_paths(filled), "/style.css", "/nothing"):
        answer = look(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["Cache-Control"] == "no-store"
        assert not re.search(r"<script|style=|(?:src|href)=\"(?:https?:)?//", answer.text)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nothing", 404),
        ("/dags/shoes/runs/none_such", 404),
        ("/dags/none_such/runs/x", 404),
        ("/source?source=none_such", 404),
        ("/source", 400),
        ("/?page=x", 400),
        ("/refused?dag_id=shoes&run_id=none_such&source=products", 404),
        ("/refused?dag_id=shoes", 400),
    ],
)
def test_what_is_not_there_is_said_on_a_page(look: Look, path: str, status: int) -> None:
    answer = look(path)
    assert answer.status_code == status
    assert 'class="problem"' in answer.text
    assert look(path, None).status_code in (401, status)


def test_a_link_to_airflow_stands_outside_of_its_frame_only(look: Look, served: Any, filled: Filled) -> None:
    path = run_path("shoes", filled.runs["shoes"])
    link = f'href="{path}"'
    assert link in look(path).text
    assert link not in served.get(f"/coveo{path}", headers={"Sec-Fetch-Dest": "iframe"}).text


WRONG: list[tuple[Any, str]] = [
    (None, "it is nothing"),
    (7, "it is a number"),
    ("a text", "as a custom XCom backend writes"),
    ([], "it is a list"),
    ({}, "of a load"),
    ({"version": 1}, "of a load"),
    ({"version": 1, "source_id": "wrong", "kind": "neither"}, "of a load"),
    ({"version": 1, "source_id": ["wrong"]}, "of a load"),
    ({"version": 2, "source_id": "wrong"}, "another version of the provider wrote it"),
    ({"version": 1, "source_id": "wrong", "organization_id": 7}, "`$.organization_id`"),
    ({"version": 1, "source_id": "wrong", "more": 10**30}, "a number of more than 18 digits"),
    ({"version": 1, "source_id": "wrong", "state": {"a": [1.5, float("nan")]}}, "the number nan"),
]


@pytest.fixture
def odd(filled: Filled) -> Iterator[str]:
    """A run whose XCom is written anew by each test, and cleared again."""
    from airflow.models.xcom import XComModel

    run_id = filled.runs["odd"]
    yield run_id
    for task_id in ("plan_it", "verify"):
        XComModel.clear(dag_id="odd", run_id=run_id, task_id=task_id)


@pytest.mark.parametrize(("value", "said"), WRONG, ids=range(len(WRONG)))
@pytest.mark.parametrize("key", ["coveo_plan", "coveo_report"])
def test_values_of_another_shape(look: Look, odd: str, key: str, value: Any, said: str) -> None:
    """Each is named on the page of its run, and is no error of the server anywhere."""
    leave("odd", odd, **{key: value})

    page = text(look(run_path("odd", odd)))

    assert "No load to show" in page
    assert f"{key} of the task plan_it cannot be shown: " in page
    assert said in page
    assert "0 of" in text(look("/?q=wrong"))


def test_a_value_that_is_wrong_hides_no_other(look: Look, odd: str) -> None:
    leave("odd", odd, coveo_plan=samples.plan("half"), coveo_report=[1])
    page = text(look(run_path("odd", odd)))
    assert "Load of half" in page
    assert "coveo_report of the task plan_it cannot be shown: it is a list, not an object" in page


def test_a_value_that_says_little(look: Look, odd: str) -> None:
    """What is missing is not known; numbers below 0 draw nothing, and no text fills the page."""
    outcome = {"refused": -4, "reasons": [{"count": -4, "reason": "x" * 100_000}]}
    report = samples.report(
        "bare", plan=None, source={"before": None}, finished_at="soon", outcome=outcome, approvals=[]
    )
    leave("odd", odd, "verify", coveo_report=report)
    answer = look(run_path("odd", odd))
    page = text(answer)
    assert "Items not known → not known" in page
    assert "Finished soon" in page
    assert 'width="-' not in answer.text
    assert len(answer.text) < 60_000
    leave("odd", odd, coveo_plan={"version": 1, "kind": "plan", "source_id": "bare"})
    assert "there is a plan, and no report so far" in text(look(run_path("odd", odd)))


def test_a_load_that_failed_says_why(look: Look, odd: str) -> None:
    leave("odd", odd, "verify", coveo_report=samples.report("failed", failure="4 of 57 were refused."))
    assert "The load is not verified: 4 of 57 were refused." in text(look(run_path("odd", odd)))


def test_long_lists_are_cut(look: Look, odd: str) -> None:
    """A page shows a hundred rows of each list, says how many there are more, and a search finds all of them."""
    many = [{"field": f"f{number:04}", "changed": number} for number in range(2_000)]
    documents = [{"documentId": f"d{number}", "changes": many} for number in range(2)]
    plan = samples.plan(
        "long", fields={"looked_at": 1, "of": 1, "counts": many, "more": 7}, sample={"documents": documents}
    )
    leave("odd", odd, coveo_plan=plan)
    page = text(look(run_path("odd", odd)))
    assert "f0099 99 changed 1,907 more not listed here." in page
    assert page.count("1,900 more fields") == 2
    assert "f1234" not in page
    assert "f1234 1,234 changed" in text(look(run_path("odd", odd) + "?q=f1234"))


def test_texts_that_are_no_unicode(look: Look, odd: str) -> None:
    """JSON can spell half a character, which no page can."""
    half = "half\ud800"
    leave(
        "odd", odd, coveo_plan=samples.plan(half, by={"column": half, "values": [{"value": half, "new": 1}]})
    )
    page = text(look(run_path("odd", odd)))
    assert "Load of half" in page
    assert "half" in text(look("/?q=half"))


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("{folder}/odd", "is no file of a state"),
        ("{folder}/absent", "is not there, as the API server sees it"),
        ("http://127.0.0.1:9/state", "lies on no storage that this Airflow knows"),
        ("https://user:hunter2@example.com/state", "lies on no storage that this Airflow knows"),
    ],
)
def test_a_state_that_cannot_be_read(look: Look, filled: Filled, odd: str, uri: str, said: str) -> None:
    """The page says so, and goes on with what XCom has; nothing else than a state is shown of a file."""
    (filled.folder / "odd").mkdir(exist_ok=True)
    (filled.folder / "odd" / "last.json").write_text('{"loads": [{"run_id": 7, "password": "hunter2"}]}')
    state = uri.format(folder=filled.folder.as_uri())
    leave("odd", odd, coveo_report=samples.report("stray", state=state, dataset=""))

    page = text(look("/source?source=stray&organization=acme"))

    assert said in page
    assert "1 loads" in page
    assert "hunter2" not in page


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("file:///etc/hostname", "is a _refused-….parquet file"),
        ("{folder}/part-0.parquet", "is a _refused-….parquet file"),
        ("{folder}/_refused-salaries.parquet", "has no column documentId"),
        ("{folder}/_refused-damaged.parquet", "_refused-damaged.parquet"),
        ("{folder}/_refused-gone.parquet", "is not there any more"),
        ("http://127.0.0.1:9/_refused-x.parquet", "lies on no storage"),
    ],
)
def test_only_a_file_of_refused_items_is_read(
    look: Look, filled: Filled, odd: str, uri: str, said: str
) -> None:
    """It must be Parquet, of refused items, and on a storage that Airflow knows."""
    pq.write_table(pa.table({"documentId": ["doc://100000"]}), filled.folder / "part-0.parquet")
    pq.write_table(pa.table({"salary": [100_000]}), filled.folder / "_refused-salaries.parquet")
    (filled.folder / "_refused-damaged.parquet").write_bytes(b"PAR1 no more than that")
    report = samples.report("stray")
    report["outcome"]["refused_file"] = uri.format(folder=filled.folder.as_uri())
    leave("odd", odd, coveo_report=report)

    answer = look(f"/refused?dag_id=odd&run_id={quote(odd, safe='')}&source=stray")

    assert answer.status_code == 404
    assert said in html.unescape(answer.text)
    assert "100000" not in answer.text


def test_variables_of_another_shape_are_passed_over(look: Look, filled: Filled) -> None:
    from airflow.models.variable import Variable

    for at, value in enumerate(("", "no JSON", "[]", "{}", json.dumps({"dag_id": "shoes", "since": "soon"}))):
        Variable.set(
            f"coveo_source__odd{at}", value, description="Source misread of acme was loaded last by DAG shoes"
        )
    assert "0 of" in text(look("/?q=misread"))
