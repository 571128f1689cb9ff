"""The metadata of the installed package, as pyproject.toml has it now: an environment may have an older one."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def write_metadata(folder: Path) -> Path:
    """Write the metadata, where they are needed, into a folder that is to stand in ``PYTHONPATH``; return it."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = project["entry-points"]["airflow.plugins"].values()
    if {one.value for one in entry_points(group="airflow.plugins")}.issuperset(declared):
        return folder  # twice would be a plugin that is registered twice
    place = folder / "airflow_provider_coveo-0.1.0.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0.1.0\n")
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in entries.items()), ""]
    (place / "entry_points.txt").write_text("\n".join(lines))
    return folder
