"""``airflow coveo …``: Airflow's own parser reads the commands, and what it read reaches the same code."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from coveo_provider.cli import airflow_commands, main
from coveo_provider.get_provider_info import get_provider_info
from coveo_provider.sandbox import Sandbox
from tests.conftest import ROOT

pytest.importorskip("airflow.cli.cli_config")


@pytest.fixture
def parser(monkeypatch: pytest.MonkeyPatch) -> argparse.ArgumentParser:
    """A parser with the group alone, built by Airflow's code."""
    monkeypatch.setattr(sys, "argv", ["airflow", "coveo", "ping"])
    from airflow.cli import cli_parser
    from airflow.cli.cli_config import DefaultHelpParser

    made = DefaultHelpParser(prog="airflow", formatter_class=argparse.HelpFormatter)
    subparsers: Any = made.add_subparsers(dest="subcommand")
    for command in airflow_commands.get_cli_commands():
        cli_parser._add_command(subparsers, command)
    return made


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("ping", ["ping"]),
        ("ping --conn-id shop --json", ["ping", "--conn-id=shop", "--json"]),
        ("logs files --refused --since 5m", ["logs", "--since=5m", "--refused", "--", "files"]),
        ("why hr hr://pay --user a", ["why", "--user=a", "--", "hr", "hr://pay"]),
        ("push x.csv --source s -y --full", ["push", "--source=s", "--full", "--yes", "--", "x.csv"]),
        ("check d --stream", ["check", "--stream", "--", "d"]),
        (
            "plan d --source s --state t --max-shrink 0",
            ["plan", "--source=s", "--state=t", "--max-shrink=0", "--", "d"],
        ),
        (
            "sandbox --port 0 --source a:PUSH --source b:PUSH --tls",
            ["sandbox", "--port=0", "--source=a:PUSH", "--source=b:PUSH", "--tls"],
        ),
    ],
)
def test_arguments_are_passed_through(
    parser: argparse.ArgumentParser, monkeypatch: pytest.MonkeyPatch, typed: str, line: list[str]
) -> None:
    """Each as it would be typed after ``coveo``."""
    lines: list[list[str]] = []
    monkeypatch.setattr(main, "app", lambda words, **_: lines.append(words))
    arguments = parser.parse_args(["coveo", *typed.split()])
    arguments.func(arguments)
    assert lines == [line]


def test_every_command_has_help_of_its_own(
    parser: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str]
) -> None:
    """With all options; that a text holds a percent sign does no harm."""
    from typer.main import get_command

    commands: Any = get_command(main.app)
    for name, command in commands.commands.items():
        with pytest.raises(SystemExit) as end:
            parser.parse_args(["coveo", name, "--help"])
        assert end.value.code == 0
        said = capsys.readouterr().out
        for parameter in command.params:
            assert name == "sandbox" or parameter.opts[0] in said or parameter.metavar in said
    assert len(commands.commands) == 10


def test_airflow_finds_them() -> None:
    """The provider names the function that returns them."""
    [name] = get_provider_info()["cli"]
    assert name == f"{airflow_commands.__name__}.{airflow_commands.get_cli_commands.__name__}"


def test_help_loads_no_airflow() -> None:
    """Help, completion and a wrong option are answered at once."""
    code = (
        "from coveo_provider.cli.main import main\ntry: main()\nfinally:\n import sys\n print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "typer" in loaded
    assert not loaded & {
        "airflow",
        "pandas",
        "polars",
        "pyarrow",
        "numpy",
        "requests",
        "coveo_provider.sandbox",
    }


@pytest.mark.slow
def test_the_real_programs(sandbox: Sandbox, tmp_path: Path) -> None:
    """``airflow coveo`` and ``coveo`` in processes of their own, with a connection of Airflow's database."""
    connection = {"conn_type": "coveo", "host": sandbox.url, "login": "sandbox", "password": sandbox.api_key}
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": str(ROOT),
    }

    def run(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, capture_output=True, text=True, check=False, cwd=tmp_path, env={**environment, **more}
        )

    airflow = (sys.executable, "-m", "airflow")
    coveo = (sys.executable, "-c", "from coveo_provider.cli.main import main; main()")

    # Without any database, the connection in the environment.
    found = run(*airflow, "coveo", "ping", "--json", AIRFLOW_CONN_COVEO_DEFAULT=json.dumps(connection))
    assert (found.returncode, found.stderr) == (0, "")
    assert json.loads(found.stdout)["reached"] is True
    none = run(*coveo, "sources")
    assert (none.returncode, none.stdout) == (2, "")
    assert "there is no connection 'coveo_default'" in none.stderr

    # In Airflow's database.
    assert run(*airflow, "db", "migrate").returncode == 0
    added = run(*airflow, "connections", "add", "shop", "--conn-json", json.dumps(connection))
    assert added.returncode == 0, added.stderr
    found = run(*coveo, "sources", "--conn-id", "shop", "--json")
    assert (found.returncode, found.stderr) == (0, "")
    assert [one["source_id"] for one in json.loads(found.stdout)["sources"]] == ["files", "products"]
    wrong = run(*airflow, "coveo", "show", "shoes", "--conn-id", "shop")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("coveo: organization sandbox has no source 'shoes'")


@pytest.mark.parametrize(
    ("line", "is_loaded"),
    [
        ("airflow scheduler", False),
        ("airflow --help", False),
        ("airflow coveo", True),
        ("airflow cheat-sheet", True),
    ],
)
def test_other_commands_of_airflow_do_not_pay_for_it(line: str, is_loaded: bool) -> None:
    """Each command of Airflow asks for those of all providers."""
    code = f"""
import sys
sys.argv = {line.split()!r}
from coveo_provider.cli.airflow_commands import get_cli_commands
[group] = get_cli_commands()
print(group.name, len(list(group.subcommands)) > 5, "typer" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-3:] == ["coveo", str(is_loaded), str(is_loaded)]
