"""Commands run in this process, with stdout and stderr apart."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from coveo_provider.cli.main import app


@dataclass(frozen=True)
class Ran:
    """What a command wrote, and what it ended with."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Coveo = Callable[..., Ran]


def run_coveo(arguments: Sequence[str], out: io.StringIO, err: io.StringIO) -> int:
    """Run a command in this process, and return what it ends with."""
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        app(list(arguments), prog_name="coveo")
    return int(end.value.code or 0)


@pytest.fixture
def coveo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Coveo:
    """Run a command in the folder of the test; it never ends with a traceback."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Ran:
        out, err = io.StringIO(), io.StringIO()
        code = run_coveo(arguments, out, err)
        assert "Traceback" not in out.getvalue() + err.getvalue()
        return Ran(code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture
def dataset(tmp_path: Path) -> str:
    """A dataset of two documents with a manifest, in the folder ``documents`` of the test."""
    from airflow.sdk import Context

    from coveo_provider.operators import CoveoTransformOperator

    (tmp_path / "documents.ndjson").write_text(
        '{"documentId": "file://a", "title": "A", "data": "Text"}\n'
        '{"documentId": "file://b", "title": "B", "data": "Text"}\n'
    )
    source, output = (tmp_path / "documents.ndjson").as_uri(), (tmp_path / "documents").as_uri()
    CoveoTransformOperator(task_id="transform", source=source, output=output).act(Context())
    return "documents"
