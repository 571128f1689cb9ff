"""Control pages, clock, command line and fixture."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from coveo_provider.sandbox import Clock, Sandbox
from coveo_provider.sandbox.cli import main, parser
from tests.sandbox.caller import Caller, items, refusal


def test_the_pages_show_what_the_index_holds(sandbox: Sandbox, caller: Caller) -> None:
    """State, items by pages, one item, logs and calls are all there to read."""
    caller.batch(items(*(f"file://{n}" for n in range(5)), price=1))
    sandbox.settle()
    state = caller.call("GET", "/_sandbox/").json()
    assert {one["id"]: one["item_count"] for one in state["sources"]} == {"products": 0, "files": 5}
    page = caller.call("GET", "/_sandbox/sources/files/items", params={"limit": 3}).json()
    rest = caller.call("GET", "/_sandbox/sources/files/items", params={"after": page["after"]}).json()
    found = [one["documentId"] for one in page["items"] + rest["items"]]
    assert (found, rest["after"]) == ([f"file://{n}" for n in range(5)], None)
    item = caller.call("GET", "/_sandbox/sources/files/item", params={"documentId": "file://3"})
    assert item.json() == {"documentId": "file://3", "price": 1}
    assert len(caller.call("GET", "/_sandbox/sources/files/logs").json()) == len(sandbox.logs("files"))
    assert [one["route"] for one in caller.call("GET", "/_sandbox/calls").json()] == [
        "file.create",
        "upload",
        "batch.put",
    ]


def test_the_controls_work_over_http(sandbox: Sandbox, caller: Caller) -> None:
    """Sources, keys, clock, settle and reset are the Python ones."""
    assert caller.call("POST", "/_sandbox/sources", json={"id": "hr", "visibility": "SECURED"}).ok
    assert caller.call("POST", "/_sandbox/keys", json={"key": "k", "privileges": ["SOURCE:VIEW"]}).ok
    assert Caller(sandbox, key="k").rest("GET", "/sources/hr").json()["sourceVisibility"] == "SECURED"
    before = sandbox.clock.now_ms()
    assert (
        caller.call("POST", "/_sandbox/clock", json={"advance_seconds": 900}).json()["now_ms"]
        >= before + 900_000
    )
    caller.put("file://a")
    assert caller.call("POST", "/_sandbox/settle").json() == {"settled": True}
    assert sandbox.count("files") == 1
    assert caller.call("POST", "/_sandbox/reset").ok
    assert (sandbox.count("files"), sandbox.calls, sandbox.logs("files")) == (0, [], [])
    assert sandbox.source("hr").visibility == "SECURED"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("sources", {}),
        ("sources", {"id": "files"}),
        ("sources", {"id": "x", "kind": "WEB"}),
        ("keys", {"key": "k", "privileges": ["ALL"]}),
        ("clock", {"advance_seconds": -1}),
        ("clock", {"advance_seconds": "1"}),
        ("clock", {"advance_seconds": 1e300}),
    ],
)
def test_bad_controls_are_refused(caller: Caller, path: str, body: object) -> None:
    """A control that makes no sense is 400."""
    assert refusal(caller.call("POST", f"/_sandbox/{path}", json=body)) == (400, "INVALID_JSON")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Origin": "null"},
    ],
)
def test_a_web_page_cannot_reach_the_controls(caller: Caller, headers: dict[str, str]) -> None:
    """A rebound host name or another origin is refused."""
    assert caller.call("GET", "/_sandbox/", headers=headers).status_code == 403
    assert caller.call("POST", "/_sandbox/reset", headers=headers).status_code == 403


def test_the_front_page_says_what_this_is(caller: Caller) -> None:
    """A browser at the root learns where it is."""
    response = caller.call("GET", "/")
    assert "Coveo sandbox" in response.text
    assert response.headers["Content-Type"].startswith("text/html")


def test_a_clock_is_scaled_and_moved() -> None:
    """A stopped clock moves by jumps only, and never back."""
    clock = Clock(scale=0, start_ms=1000)
    assert clock.now_ms() == 1000
    clock.advance(seconds=1.5)
    clock.advance_to(2000)
    assert clock.now_ms() == 2500
    assert clock.real_seconds_until(3000) is None
    with pytest.raises(ValueError, match="forward"):
        clock.advance(seconds=-1)
    for scale in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="scale"):
            Clock(scale=scale)


def test_a_scaled_clock_brings_delayed_work_forward() -> None:
    """At a high scale the fifteen minutes pass by themselves."""
    with Sandbox.start(scale=100_000) as sandbox:
        caller = Caller(sandbox)
        caller.put("file://a")
        sandbox.drain()
        mark = sandbox.clock.now_ms()
        caller.push("DELETE", "/sources/files/documents/olderthan", params={"orderingId": mark})
        waited = wait_until_idle(sandbox)
        assert waited
        assert sandbox.count("files") == 0


def wait_until_idle(sandbox: Sandbox) -> bool:
    """Wait on the pipeline's own condition, not by sleeping."""
    pipeline = sandbox.state.pipeline
    with pipeline._changed:
        return pipeline._changed.wait_for(lambda: not pipeline._queue and not pipeline._busy, 10)


def test_a_defect_of_the_sandbox_reaches_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception inside a handler or the worker answers 500 and comes out of stop()."""
    sandbox = Sandbox.start()

    def broken(*args: object) -> None:
        raise ZeroDivisionError("defect")

    monkeypatch.setattr(sandbox.state.containers, "create", broken)
    assert refusal(Caller(sandbox).push("POST", "/files")) == (500, "INTERNAL_SERVER_ERROR")
    with pytest.raises(ZeroDivisionError):
        sandbox.stop()


def test_an_error_of_the_test_is_not_hidden() -> None:
    """The context manager lets the test's own exception through."""

    def fails() -> None:
        with Sandbox.start() as sandbox:
            sandbox.state.errors.append(ZeroDivisionError())
            raise KeyError

    with pytest.raises(KeyError):
        fails()


def test_the_program_runs_and_stops(tmp_path: Path) -> None:
    """``coveo-sandbox`` says how to connect, serves, and ends cleanly on SIGTERM."""
    command = [sys.executable, "-m", "coveo_provider.sandbox.cli", "--port", "0", "--source", "shop:catalog"]
    with subprocess.Popen(
        [*command, "--database", str(tmp_path / "s.db")], stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        url = program.stdout.readline().split()[-1]
        response = requests.get(
            f"{url}/rest/organizations/sandbox/sources",
            headers={"Authorization": "Bearer sandbox-key"},
            timeout=30,
        )
        assert [one["id"] for one in response.json()] == ["shop"]
        program.send_signal(signal.SIGTERM)
        rest = program.stdout.read()
        assert f'"host": "{url}"' in rest
        assert "AIRFLOW_CONN_COVEO_DEFAULT" in rest
        assert program.wait(30) == 0


def test_the_command_line_makes_a_secured_source() -> None:
    """Visibility and provider come along, names in any case of the kinds; what is given twice is refused."""
    options = parser().parse_args(
        [
            *("--source", "intranet:push:secured", "--source", "files", "--source", "shop:CATALOG"),
            *("--provider", "directory:intranet,files"),
        ]
    )
    assert options.source == [
        ("intranet", "PUSH:SECURED"),
        ("files", "PUSH:SHARED"),
        ("shop", "CATALOG:SHARED"),
    ]
    with Sandbox.start(sources=dict(options.source), providers=dict(options.provider)) as sandbox:
        assert sandbox.source("intranet").visibility == "SECURED"
        model = Caller(sandbox).rest("GET", "/sources/intranet").json()
        assert model["securityProviderReferences"] == ["directory"]
    for wrong in (["--source", "a:PUSH:OPEN"], ["--source", "a:b:c:d"], ["--provider", "directory"]):
        with pytest.raises(SystemExit):
            parser().parse_args(wrong)
    assert main(["--port", "0", "--source", "a", "--source", "a:CATALOG"]) == 1


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    """A port in use, or a database that is none, ends the program with one line."""
    (tmp_path / "no.db").write_bytes(b"not a database" * 100)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for options in (["--port", port], ["--port", "0", "--database", str(tmp_path / "no.db")]):
            result = subprocess.run(
                [sys.executable, "-m", "coveo_provider.sandbox.cli", *options],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert result.returncode == 1
            assert len(result.stderr.splitlines()) == 1


def test_the_fixture_comes_with_the_package(coveo_sandbox: Sandbox) -> None:
    """``coveo_sandbox`` is a fresh sandbox without any import in the test."""
    assert Caller(coveo_sandbox).put("file://a").status_code == 202
    coveo_sandbox.settle()
    assert coveo_sandbox.count("files") == 1


def test_the_plugin_loads_nothing_heavy() -> None:
    """Pytest imports the plugin in every project: it must not bring the server along."""
    code = (
        "import sys, coveo_provider.sandbox.pytest_plugin; "
        "print({'sqlite3', 'http.server', 'msgspec', 'airflow', 'requests'} & {*sys.modules})"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout.strip() == "set()"
