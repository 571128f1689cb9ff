"""
The pages' own code, run: what a reader copies works, and leaves in the index what the page says.

Every block fenced as ``python`` is run, in order, in one namespace per page and inside one DAG, so that operators
that stand on a page are its tasks; then that DAG is run. ``/data/`` stands for a folder of the test. A block
after ``<!-- not run -->`` (another library's code) must only compile.
"""

from __future__ import annotations

import re
import zlib
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from airflow.configuration import conf as airflow_conf
from airflow.sdk import DAG

from coveo_provider import operators
from coveo_provider.hooks.coveo import CoveoHook
from coveo_provider.sandbox import Sandbox
from tests.conftest import ROOT
from tests.dags.conftest import make_known
from tests.identities.directories.exports import group, ldif, user
from tests.operators.conftest import run

NOT_RUN = "<!-- not run -->"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PACKAGE = ROOT / "coveo_provider"
SDK_PAGE = ROOT / "docs" / "coming-from-the-sdk.md"
_BLOCK = re.compile(rf"^(?:(?P<mark>{re.escape(NOT_RUN)})\n+)?```python\n(?P<code>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """Code on a page, with the line it begins in."""

    page: Path
    line: int
    code: str
    is_run: bool

    def compiled(self, data: Path) -> Any:
        """Compile it under the page's own line numbers, ``/data/`` being the folder ``data``."""
        code = self.code.replace("/data/", f"{data}/")
        code = "\n" * (self.line - 1) + code
        return compile(code, str(self.page), "exec", dont_inherit=True)


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("code")) + 1
        yield Block(page, line, match["code"], match["mark"] is None)


def run_blocks(page: Path, data: Path, **more: Any) -> tuple[dict[str, Any], DAG]:
    """Run a page's blocks and return the names they leave, with the DAG of the operators among them."""
    names: dict[str, Any] = {"__name__": page.stem, **more}
    with DAG(dag_id=page.stem, schedule=None) as dag:
        for block in blocks(page):
            if block.is_run:
                exec(block.compiled(data), names)
    return names, dag


def test_settings_of_airflow_are_spelled_as_airflow_knows_them() -> None:
    """Those in YAML of the Helm chart, and those that a page writes as `[section] name`."""
    known = airflow_conf.configuration_description
    named = set()
    for page in PAGES:
        text = page.read_text()
        named |= set(re.findall(r"`\[([a-z_]+)\] ([a-z_]+)", text))
        for block in re.findall(r"^```yaml\n(.*?)^```$", text, re.M | re.S):
            for section, settings in (yaml.safe_load(block).get("config") or {}).items():
                named |= {(section, name) for name in settings}
    named = {(section, name) for section, name in named if section != "celery"}  # of another provider

    assert len(named) > 3
    assert {one for one in named if one[1] not in known[one[0]]["options"]} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_every_block_is_code(page: Path, tmp_path: Path) -> None:
    """What is not run compiles as well, and no fence is missed for its spelling."""
    all_blocks = list(blocks(page))
    for block in all_blocks:
        block.compiled(tmp_path)

    assert len(all_blocks) == len(re.findall(r"^\s*```\s*py", page.read_text(), re.M))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_every_link_leads_somewhere(page: Path) -> None:
    """Links to files and to headings of the pages."""
    for file, heading in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", page.read_text()):
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{page.name} links to {file}"
        assert not heading or heading in anchors(target), f"{page.name} links to {file}#{heading}"


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


class Intranet:
    """Who sees what on the page's secured source."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def readers(self, path: str) -> set[str]:
        people = ("wim", "peter", "alex", "anne", "bea", "carl", "dora", "yan", "zoe")
        document = f"https://intranet.example.com/{path}"
        assert not self.sandbox.can_see("intranet", document, None)
        return {name for name in people if self.sandbox.can_see("intranet", document, f"{name}@coveo.com")}


def test_the_guide_for_users_of_the_sdk(
    connected: Sandbox, airflow_database: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its notebook calls, then its tasks, end in the index and with the readers that it describes."""
    sandbox, intranet, url = connected, Intranet(connected), "https://intranet.example.com"
    sandbox.add_source("intranet", kind="PUSH", visibility="SECURED")
    (tmp_path / "manual.pdf").write_bytes(b"%PDF-1.7 a manual")
    (tmp_path / "Large1.pptx").write_bytes(b"PK slides")

    names, dag = run_blocks(SDK_PAGE, tmp_path)

    # What the notebook's calls did.
    sandbox.settle()
    printed = capsys.readouterr().out
    manual = f"{url}/manual.pdf"
    assert set(sandbox.items("files")) == {
        f"{url}/test?id=TESTME", manual, f"{url}/rd/plan", f"{url}/hr/pay"
    }  # fmt: skip
    assert sandbox.file_content("files", manual) == names["packed"]
    assert set(sandbox.items("products")) == {"product://S3"}
    assert intranet.readers("note") == {"wim"}
    assert intranet.readers("minutes") == {"yan"}  # wim is in it, and has no alias yet
    answers = [line for line in printed.splitlines() if line.startswith(("allowed", "denied"))]
    promised = re.findall(r"^(?:print\(.*\) *)?# ((?:allowed|denied): .*)$", SDK_PAGE.read_text(), re.M)
    assert len(answers) == len(promised) == 3
    for line, promise in zip(answers, promised, strict=True):
        assert re.fullmatch(".*".join(map(re.escape, promise.split("…"))), line), (line, promise)
    rows = names["DocumentMapping"](names["mapping"].document_id, names["fields"]).apply(names["pages"])
    assert all(sha256(row.documentId.encode()).hexdigest() == row.permanentid for row in rows.itertuples())

    # What its tasks do, a day later.
    names["client"].put_identity(names["PROVIDER"], b'{"identity": {"name": "zoe", "type": "USER"}}')
    sandbox.settle()
    sandbox.clock.advance(seconds=86_400)
    make_known(dag)
    dag_run = dag.test()
    sandbox.settle()

    assert {str(task.state) for task in dag_run.get_task_instances()} == {"success"}
    assert sandbox.items("files")[f"{url}/rd/plan"] == {
        "documentId": f"{url}/rd/plan",
        "title": "Plan",
        "data": "ALL OF THESE WORDS ARE SEARCHABLE",
        "fileExtension": ".html",
        "connectortype": "CSV",
        "rssauthors": ["Coveo", "R&D"],
    }
    assert set(sandbox.items("files")) == {
        f"{url}/{end}" for end in ("rd/plan", "hr/pay", "slides/Large1.pptx", "test?id=TESTME")
    }
    slides = sandbox.items("files")[f"{url}/slides/Large1.pptx"]["compressedBinaryData"]
    assert zlib.decompress(b64decode(slides)) == b"PK slides"
    assert sandbox.source("files").status == "IDLE"
    assert set(sandbox.items("products")) == {"product://S1", "product://S2", "product://S3"}
    assert intranet.readers("letters/hello") == {"wim"}
    assert intranet.readers("papers/budget") == {"wim", "peter", "bea", "carl"}
    assert intranet.readers("minutes") == {"wim"}  # the expansion gave wim an alias, a task disabled yan
    states = {one.name: one for one in sandbox.identities(names["PROVIDER"])}
    assert states["Interns"].members == ("dora",)
    assert states["wim"].granted == ("Everyone",)
    assert {name for name, one in states.items() if one.state == "DISABLED"} == {"yan", "zoe"}

    # The SDK's own example of levels denies whom it means to allow; the sandbox evaluates apart from us.
    for path in ("as_in_the_sdk", "as_meant"):
        document = {"documentId": f"{url}/{path}", "permissions": names[path]}
        names["client"].put_item("intranet", f"{url}/{path}", names["encode_document"](document))
    sandbox.settle()
    assert intranet.readers("as_in_the_sdk") == {"bea", "carl"}
    assert intranet.readers("as_meant") == {"wim", "peter", "bea", "carl"}


def test_the_first_lines_of_the_readme(
    connected: Sandbox, airflow_database: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they are printed, but for the connection: the frame is in the index when the run is green."""
    monkeypatch.setattr("coveo_provider.operators.support.claims.PAUSE", 0)
    first = next(blocks(ROOT / "README.md"))
    names: dict[str, Any] = {}
    exec(first.compiled(tmp_path), names)
    dag = names["shop"]()
    make_known(dag)

    assert str(dag.test().state) == "success"

    assert connected.items("files") == {
        "product://1": {"documentId": "product://1", "name": "Boot", "price": 89.0},
        "product://2": {"documentId": "product://2", "name": "Clog"},
    }


def test_the_guide_to_frames(
    connected: Sandbox,
    airflow_database: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    waits: list[float],
) -> None:
    """Its calls do and print what it says, and so does its task."""
    monkeypatch.setattr("coveo_provider.operators.support.claims.PAUSE", 0)
    page = ROOT / "docs" / "taskflow.md"

    names, dag = run_blocks(page, tmp_path)

    promised = re.findall(r"^print\(.*\) *# (.*)$", page.read_text(), re.M)
    assert [line for line in capsys.readouterr().out.splitlines() if line in promised] == promised
    assert connected.items("products") == {
        "https://example.com/a": {"documentId": "https://example.com/a", "title": "A", "data": "Some text"}
    }
    make_known(dag)
    assert str(dag.test().state) == "success"
    found = connected.items("files")
    assert found["product://2"] == {"documentId": "product://2", "title": "Clog", "objecttype": "Product"}
    assert len(found) == 3 + len(names["frame"])


def test_the_table_of_operators() -> None:
    """Each operator has a row."""
    text = (ROOT / "docs" / "operators.md").read_text()
    assert {*re.findall(r"^\| `(\w+)` \|", text, re.M)} == {*operators.__all__}


def test_every_path_of_the_architecture_is_there() -> None:
    """Files and folders that the page sends a newcomer to."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    paths = {one for one in re.findall(r"`([\w./]+(?:/|\.py))`", text) if one != "coveo_provider/"}
    missing = sorted(
        one
        for one in paths
        if not any((base / one).exists() for base in (ROOT, PACKAGE, PACKAGE / "sandbox"))
    )
    assert len(paths) > 40
    assert not missing, f"the architecture names what is not there: {', '.join(missing)}"


def test_the_page_on_documents(airflow_database: None, tmp_path: Path) -> None:
    """Its mapping makes the document that the page describes."""
    run_blocks(ROOT / "docs" / "documents.md", tmp_path)

    [row] = pd.read_parquet(tmp_path / "catalog" / "part-00000.parquet").to_dict("records")
    assert row["ec_category"].tolist() == ["A", "B"]
    assert {key: value for key, value in row.items() if key != "ec_category"} == {
        "documentId": "product://S1",
        "ec_name": "Boot",
        "objecttype": "Product",
        "clickableuri": "https://shop.example.com/S1",
        "ec_price": 10.0,
        "color": "red",
    }


def test_the_pages_on_prices_and_deletions(
    connected: Sandbox, airflow_database: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they send is in the index, and what they delete is gone."""
    monkeypatch.setattr("coveo_provider.operators.support.claims.PAUSE", 0)
    ids = ["https://example.com/a", "file://share/a.pdf", "https://example.com/b", "https://example.com/c"]
    CoveoHook().push([{"documentId": one} for one in ids], "files")
    shoes = [{"documentId": f"product://{n}", "ec_price": 9.5, "availableskus": ["sku-7"]} for n in (1, 2)]
    CoveoHook().load(shoes, "products")

    for page in ("prices", "deletions"):
        names, outer = run_blocks(ROOT / "docs" / f"{page}.md", tmp_path)
        dag = names["prices"]() if page == "prices" else outer
        make_known(dag)
        assert str(dag.test().state) == "success"
    connected.settle()

    assert set(connected.items("files")) == {"https://example.com/c"}
    assert connected.items("products") == {
        "product://1": {"documentId": "product://1", "ec_price": 19.99, "availableskus": ["sku-7", "sku-8"]}
    }


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "dag", "source", "held"),
    [
        ("several-tables", "shop", "products", {"product://S1", "variant://S1/L", "variant://S1/M"}),
        ("secured-content", "papers", "intranet", {"acme://hr/pay", "acme://menu"}),
        ("coming-from-a-script", "pages", "files", {"https://example.com/1", "https://example.com/2"}),
    ],
)
def test_the_dag_of_a_recipe(
    connected: Sandbox,
    airflow_database: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    page: str,
    dag: str,
    source: str,
    held: set[str],
) -> None:
    """It runs as printed, and the source holds what its data has."""
    monkeypatch.setattr("coveo_provider.operators.support.claims.PAUSE", 0)
    connected.add_source("intranet", kind="PUSH", visibility="SECURED")
    (tmp_path / "products.csv").write_text("sku,name\nS1,Boot\n")
    (tmp_path / "variants.csv").write_text("sku,size\nS1,L\nS1,M\n")
    (tmp_path / "acme.ldif").write_text(
        ldif(user("ann"), user("bob"), group("HR", "ann"), group("All", "bob"))
    )
    papers = {"path": ["hr/pay", "menu"], "text": ["Who earns what.", "Soup."], "groups": ["HR", "All"]}
    pd.DataFrame({**papers, "blocked": ["bob", ""]}).to_parquet(tmp_path / "papers.parquet")

    names, _ = run_blocks(ROOT / "docs" / f"{page}.md", tmp_path)
    made = names[dag]()
    make_known(made)

    assert str(made.test().state) == "success"
    connected.settle()
    assert set(connected.items(source)) == held


TRIED = {
    "README",
    "coming-from-the-sdk",
    "taskflow",
    "documents",
    "identities",
    "mappings",
    "prices",
    "deletions",
    "sources-as-code",
}


@pytest.mark.parametrize(
    "page",
    [one for one in PAGES if one.stem not in TRIED and [*blocks(one)]],
    ids=lambda page: str(page.stem),
)
def test_every_page_runs_as_printed(airflow_database: None, tmp_path: Path, page: Path) -> None:
    """From its first import to its last task: what a reader copies is built. Other tests run what is built."""
    (tmp_path / "readers.csv").write_text("folder,group\nhr,hr\n")

    run_blocks(page, tmp_path)


def test_the_pages_on_identities_and_mappings(airflow_database: None, tmp_path: Path) -> None:
    """Their tasks are built as printed; the mapping in the file and the export are read by the operators shown."""
    (tmp_path / "acme.ldif").write_text(ldif(user("ann"), user("bob", flags=514), group("HR", "ann", "bob")))
    pages = [ROOT / "docs" / f"{name}.md" for name in ("identities", "mappings")]
    [mapping] = re.findall(r"^```yaml\n(.*?)^```$", pages[1].read_text(), re.M | re.S)
    (tmp_path / "shoes.yaml").write_text(mapping)
    columns = "sku,name,categories,groups,blocked,color,size"
    (tmp_path / "shoes.csv").write_text(f"{columns}\nS1,Boot,A|B,HR,bob,red,L\n")

    names, _ = run_blocks(pages[0], tmp_path)
    ids = names["ids"]
    ids.output_uri = (tmp_path / "ids").as_uri()
    assert run(ids)["counts"]["memberships"] == 1

    names, dag = run_blocks(pages[1], tmp_path)
    transform: Any = dag.get_task("transform")
    [part] = run(transform)
    [row] = pd.read_parquet(part).to_dict("records")
    assert (row["documentId"], row["ec_name"], row["color"]) == ("product://S1", "Boot", "red")
    assert names["mapping"].fields["objecttype"].value == "Product"
