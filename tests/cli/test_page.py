"""The page's examples, run in order: each prints what stands there, ``…`` for what differs from day to day."""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from coveo_provider.cli.main import app
from coveo_provider.hooks.coveo import CoveoHook
from coveo_provider.sandbox import Sandbox
from tests.cli.conftest import run_coveo
from tests.cli.test_looking import PROVIDER, body
from tests.conftest import ROOT, Connect

PAGE = (ROOT / "docs" / "command-line.md").read_text()


@dataclass
class Example:
    """A command as it is typed, what it prints, and what it ends with."""

    typed: str
    lines: list[str] = field(default_factory=list)
    code: int = 0

    def fits(self, printed: str) -> bool:
        """Whether something is what it prints, in which order the two streams ever came."""
        pattern = "\n".join(self.lines)
        return (
            re.fullmatch(".*".join(map(re.escape, pattern.split("…"))), printed.strip("\n"), re.S) is not None
        )


def examples() -> Iterator[Example]:
    for block in re.findall(r"^```console\n(.*?)^```$", PAGE, re.M | re.S):
        found: list[Example] = []
        lines = iter(block.splitlines())
        for line in lines:
            if line == "$ echo $?":
                found[-1].code = int(next(lines))
            elif line.startswith("$ "):
                found.append(Example(line[2:]))
            else:
                found[-1].lines.append(line)
        yield from found


def test_the_examples(connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a sandbox as the page starts it, with the files that stand on it."""
    monkeypatch.chdir(tmp_path)
    [csv] = re.findall(r"^```text\n(sku.*?)^```$", PAGE, re.M | re.S)
    [mapping] = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)
    (tmp_path / "shoes.csv").write_text(csv)
    (tmp_path / "shoes.yml").write_text(mapping)
    with Sandbox.start(
        sources={"shoes": "PUSH", "hr": "PUSH:SECURED"}, providers={PROVIDER: ["hr"]}
    ) as sandbox:
        connect(sandbox)
        secured = False
        for example in examples():
            words = shlex.split(example.typed)
            if words[1] == "check":
                _write_dataset(tmp_path)
            if words[1] == "logs" and not secured:
                secured = True
                _fill(sandbox)
            both = io.StringIO()
            code = run_coveo(words[1:], both, both)
            said = both.getvalue()
            assert (code, example.fits(said)) == (example.code, True), f"{example.typed}\n{said}"


def test_every_command_and_code_is_on_the_page() -> None:
    """Options as well: the page names none that is not there."""
    from typer.main import get_command

    from coveo_provider.cli.exit_codes import ExitCode

    group = get_command(app)
    commands = group.commands  # type: ignore[attr-defined]
    headings = {one for line in re.findall(r"^## (.+)$", PAGE, re.M) for one in line.split(", ")}
    assert headings >= commands.keys()
    options = {flag for command in [group, *commands.values()] for one in command.params for flag in one.opts}
    named = set(re.findall(r"`(?:coveo )?(--[a-z-]+)", PAGE))
    assert len(named) > 10
    assert named <= options | {"--help"}
    assert {f"| {code.value} |" in PAGE for code in ExitCode} == {True}


def _write_dataset(folder: Path) -> None:
    from airflow.sdk import Context

    from coveo_provider.operators import CoveoTransformOperator

    CoveoTransformOperator(
        task_id="transform",
        source=(folder / "shoes.csv").as_uri(),
        output=(folder / "documents").as_uri(),
        mapping=(folder / "shoes.yml").as_uri(),
    ).act(Context())


def _fill(sandbox: Sandbox) -> None:
    client = CoveoHook().client
    group = {"name": "HR", "type": "GROUP"}
    client.put_identity(PROVIDER, body(identity=group, members=[{"name": "ann", "type": "USER"}]))
    allowed = {"identity": "HR", "identityType": "Group", "securityProvider": PROVIDER}
    client.put_item("hr", "hr://pay", body(data="x", permissions=[{"allowedPermissions": [allowed]}]))
    client.put_item("hr", "hr://salary", body(data="x"))
    sandbox.settle()
