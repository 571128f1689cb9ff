"""Switching OpenLineage on for a while, as a deployment's configuration does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pytest


@contextmanager
def openlineage(file: Path) -> Iterator[None]:
    """Let OpenLineage's client write its events to a file."""
    from airflow.providers.openlineage import conf

    import_module(
        "airflow.providers.openlineage.plugins.openlineage"
    )  # while off: it adds its listener for ever

    def forget() -> None:
        for function in vars(conf).values():
            if hasattr(function, "cache_clear"):
                function.cache_clear()

    transport = {"type": "file", "log_file_path": str(file), "append": True}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", json.dumps(transport))
        forget()
        yield
    forget()
