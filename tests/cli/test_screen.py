"""What a person and a script see: widths, control characters, secrets, interrupts, faults."""

from __future__ import annotations

import io
import logging
import re

import pytest

from coveo_provider.cli import looking
from coveo_provider.cli.screen import Screen
from coveo_provider.hooks.connection import ConnectionHook
from coveo_provider.sandbox import Sandbox
from tests.cli.conftest import Coveo


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def table(out: io.StringIO, monkeypatch: pytest.MonkeyPatch, *cells: str) -> str:
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setenv("COLUMNS", "40")
    Screen(as_json=False).table(("item", "reason"), [cells])
    return out.getvalue()


def test_a_table_fits_a_terminal_and_keeps_every_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal long values fold; elsewhere a row is one line, with nothing cut off."""
    cells = ("product://" + "1" * 60, "[red]no markup[/red]")

    folded = table(Terminal(), monkeypatch, *cells)
    plain = table(io.StringIO(), monkeypatch, *cells)

    lines = [re.sub(r"\x1b\[\d*m", "", line) for line in folded.splitlines()]
    assert max(map(len, lines)) <= 40
    assert sum(line.count("1") for line in lines) == 60
    assert "[red]" in folded
    assert plain.splitlines()[1] == "  ".join(cells)


def test_values_do_not_steer_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids and reasons come from elsewhere."""
    assert "\x1b" not in table(io.StringIO(), monkeypatch, "\x1b[2Ja", "b\u202ec")


def test_no_secret_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Should an error of somebody else's library name one."""
    Screen(as_json=True).warn(
        "https://u:pass-word@h/x?X-Amz-Signature=abcdef0123456789 s3://key:se-cret@bucket"
    )
    said = capsys.readouterr().err
    assert said.startswith("warning: https://…@h/x")
    for secret in ("pass-word", "abcdef0123456789", "se-cret"):
        assert secret not in said


def test_an_interrupt_ends_quietly(connected: Sandbox, coveo: Coveo, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the code of a shell."""

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ConnectionHook, "test_connection", interrupted)
    found = coveo("ping")
    assert (found.code, found.out, found.err) == (130, "", "coveo: interrupted\n")


def test_a_fault_is_a_sentence(connected: Sandbox, coveo: Coveo, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a traceback only for who asks."""

    def broken(_: object) -> None:
        raise RuntimeError("the disk is\nfull")

    monkeypatch.setattr(ConnectionHook, "test_connection", broken)
    found = coveo("ping")
    assert (found.code, found.out) == (4, "")
    assert "RuntimeError: the disk is" in found.err
    assert "COVEO_TRACEBACK=1" in found.err
    monkeypatch.setenv("COVEO_TRACEBACK", "1")
    with pytest.raises(RuntimeError, match="the disk is"):
        coveo("ping")


def test_logs_of_others_stay_out(connected: Sandbox, coveo: Coveo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's lines are not for who runs a command, its errors and our warnings are; stdout is the result's."""

    def noisy(*_: object) -> None:
        print("printed by a library")
        logging.getLogger("airflow.models").warning("a migration")
        logging.getLogger("airflow.models").error("no database")
        logging.getLogger("coveo_provider.api.retries").warning("sending again")

    monkeypatch.setattr(looking, "_has", noisy)
    before = logging.getLogger().handlers[:]
    found = coveo("ping", "--json")
    assert found.json()["reached"] is True
    assert "a migration" not in found.err
    assert "warning: airflow.models: no database" in found.err
    assert "warning: sending again" in found.err
    assert logging.getLogger().handlers == before


@pytest.mark.parametrize(
    "arguments", [("pong",), ("push",), ("logs",), ("push", "x.csv"), ("ping", "--loud")]
)
def test_wrong_usage(coveo: Coveo, arguments: tuple[str, ...]) -> None:
    """It ends with 2, on stderr, before Airflow is loaded."""
    found = coveo(*arguments)
    assert (found.code, found.out) == (2, "")
    assert "Usage: coveo" in found.err


def test_help_names_every_command(coveo: Coveo) -> None:
    """Each command has its own help, too."""
    names = ("ping", "sources", "show", "check", "plan", "push", "logs", "why", "fields", "sandbox")
    found = coveo("--help")
    assert all(f"\n  {name} " in found.out for name in names)
    for name in names:
        assert coveo(name, "--help").code == 0
