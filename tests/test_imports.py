"""Every line in its room: who may import whom, and what a DAG file pays for naming an operator."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "coveo_provider"
MODULES = sorted(PACKAGE.rglob("*.py"))

# room (path below the package) → what of ours it may import, besides itself
ARROWS = {
    "errors.py": set(),
    "__init__.py": set(),
    "get_provider_info.py": set(),
    "_compat.py": set(),
    "report.py": {"documents"},
    "safety.py": {"errors", "report"},
    "documents": {"errors", "identities"},
    "identities": {"errors", "documents"},
    "api": {"errors", ""},
    "assets.py": {"errors", "api"},
    "links.py": {"api", "hooks"},
    "loading": {"errors", "documents", "api"},
    "hooks": {"errors", "api", "get_provider_info"},
    "operators": {
        "errors", "documents", "identities", "api", "hooks", "loading", "safety", "report",
        "assets", "links", "triggers", "_compat",
    },
    "task_groups": {"errors", "operators"},
    "triggers": set(),
    "sandbox": set(),
}  # fmt: skip
# library → the only folders and files that name it
HOMES = {
    "airflow": {"hooks", "operators", "triggers", "task_groups", "assets.py", "links.py", "_compat.py"},
    "requests": {"api/transport.py"},
    "urllib3": {"api/transport.py"},
    "tenacity": {"api/retries.py"},
    "ijson": {"documents/extracts"},
    "pandas": {"documents/dataset", "documents/mapping", "documents/extracts", "documents/changes"},
    "polars": {"documents", "identities"},
    "pyarrow": {"documents", "identities"},
}


def _room(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0]


def _imports(module: Path) -> Iterator[str]:
    """Return every module that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative imports hide the room"
            yield node.module or ""
            if node.module == "coveo_provider":
                yield from (f"coveo_provider.{name.name}" for name in node.names)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_an_arrow_points_the_right_way(module: Path) -> None:
    """A module imports only from the rooms that the plan of the house lets it."""
    room = _room(module)
    allowed = {room.removesuffix(".py"), *ARROWS[room]}
    for name in _imports(module):
        if name == "coveo_provider" or not name.startswith("coveo_provider."):
            continue
        target = name.split(".")[1]
        if target == "__version__":
            target = ""
        assert target in allowed, f"{room} must not import {name}"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_a_library_is_named_in_its_home_only(module: Path) -> None:
    """HTTP, Airflow and the data libraries each have few modules that know them."""
    place = module.relative_to(PACKAGE).as_posix()
    for name in _imports(module):
        homes = HOMES.get(name.split(".")[0])
        if homes is not None and not place.startswith("sandbox/"):
            assert any(place == home or place.startswith(f"{home}/") for home in homes), f"{place}: {name}"


def test_the_sandbox_stands_alone() -> None:
    """The sandbox imports nothing of ours, of Airflow, or of the HTTP client it is to judge."""
    for module in (PACKAGE / "sandbox").rglob("*.py"):
        for name in _imports(module):
            assert not name.startswith("coveo_provider.") or name.startswith("coveo_provider.sandbox"), module
            assert name.split(".")[0] not in {"airflow", "requests", "urllib3"}, module


def _modules_after(statement: str, *options: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, *options, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=PACKAGE.parent,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_a_dag_file_pays_for_airflow_only() -> None:
    """Importing the operators, the hook and the mapping loads no data library and warns of nothing."""
    loaded = _modules_after(
        "import coveo_provider.operators, coveo_provider.hooks.coveo\n"
        "from coveo_provider.documents import AccessRule, DocumentMapping, IdentityGraph, PermissionColumns",
        "-W",
        "error::FutureWarning",
    )
    assert not loaded & {"pandas", "polars", "pyarrow", "numpy", "requests"}


def test_the_package_itself_loads_nothing() -> None:
    """Airflow imports the package while it is half loaded itself."""
    loaded = _modules_after("import coveo_provider, coveo_provider.get_provider_info")
    assert not loaded & {"airflow", "pandas", "polars", "pyarrow", "numpy", "requests"}
    ours = {name for name in loaded if name.startswith("coveo_provider")}
    assert ours == {"coveo_provider", "coveo_provider.get_provider_info"}
