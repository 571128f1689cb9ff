"""Airflow's Variables as files, for tasks that run outside of it, in whatever process."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Variables:
    """Takes the place of :class:`airflow.sdk.Variable`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "variables"
        self._folder.mkdir(exist_ok=True)

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value."""
        path = self._folder / key
        return path.read_text() if path.exists() else default

    def set(self, key: str, value: str, description: str | None = None) -> None:
        """Keep a value."""
        (self._folder / key).write_text(value)

    def delete(self, key: str) -> None:
        """Forget a value."""
        (self._folder / key).unlink(missing_ok=True)
