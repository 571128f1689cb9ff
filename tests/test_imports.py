"""Every line in its folder: who may import whom, no circles, and what a DAG file pays for naming an operator."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "coveo_provider"
MODULES = sorted(PACKAGE.rglob("*.py"))

# The folders of documents/, each of which imports only from those before it.
_DOCUMENTS = [
    "documents/contract.py",
    "documents/uris.py",
    "documents/values",
    "documents/records.py",
    "documents/permissions",
    "documents/contents",
    "documents/encoding",
    "documents/dataset",
    "documents/mapping",
    "documents/extracts",
    "documents/changes",
]
_ALL_DOCUMENTS = {*_DOCUMENTS, "documents/__init__.py"}
_SUPPORT = {
    "errors.py", "scratch.py", *_ALL_DOCUMENTS, "identities", "api", "hooks", "loading",
    "safety.py", "report.py", "marks.py", "verification",
    "assets.py", "links.py", "triggers", "_compat.py", "planning", "fields",
}  # fmt: skip

# folder or file (path below the package) → what of ours it may import, besides itself
ARROWS = {
    "__init__.py": set(),
    "_compat.py": set(),
    "errors.py": set(),
    "scratch.py": set(),
    "get_provider_info.py": set(),
    **{place: {"errors.py", "scratch.py", *_DOCUMENTS[:floor]} for floor, place in enumerate(_DOCUMENTS)},
    "documents/__init__.py": {*_DOCUMENTS, "identities"},  # the public names, loaded when asked for
    "identities": {"errors.py", "scratch.py", *_DOCUMENTS},
    "api": {"errors.py", "__init__.py"},
    "marks.py": set(),
    "report.py": {"errors.py", "marks.py", *_ALL_DOCUMENTS},
    "safety.py": {"errors.py", "marks.py", "report.py"},
    "loading": {"errors.py", "marks.py", *_ALL_DOCUMENTS, "api"},
    "verification": {"errors.py", "marks.py", "api"},
    "fields": {"errors.py", *_ALL_DOCUMENTS, "api"},
    "planning": {"errors.py", *_ALL_DOCUMENTS, "identities"},
    "hooks": {"errors.py", "api", "get_provider_info.py"},
    # what the operators do, in one call: loaded when it is made, as they need the connection in hooks/ themselves
    "hooks/coveo.py": {"errors.py", "hooks", "documents/mapping", "operators"},
    "decorators": {
        "_compat.py",
        "assets.py",
        "errors.py",
        "documents/mapping",
        "operators",
        "operators/support",
    },
    "assets.py": {"errors.py", "api"},
    "links.py": {"api", "hooks"},
    "triggers": {"errors.py", "api", "hooks"},
    "operators/support": {*_SUPPORT, "__init__.py"},
    "operators": {*_SUPPORT, "operators/support"},
    "task_groups": {"errors.py", "operators"},
    "notifications": {"operators/support"},
    # what a command does: nothing imports it
    "cli": {*_SUPPORT, "hooks/coveo.py", "operators", "operators/support", "sandbox"},
    "plugin": {"errors.py", "documents/uris.py", "documents/dataset", "operators/support"},
    "sandbox/service": set(),
    "sandbox/calls": {"sandbox/service"},
    "sandbox/http": {"sandbox/calls", "sandbox/service"},
    "sandbox/pages": {"sandbox", "sandbox/http", "sandbox/calls", "sandbox/service"},
    "sandbox": {
        "sandbox/pages",
        "sandbox/http",
        "sandbox/calls",
        "sandbox/service",
    },  # the handle, the controls, the command line
}
# library → the only folders and files that name it
HOMES = {
    "airflow": {
        "hooks", "hooks/coveo.py", "decorators", "operators", "operators/support", "triggers", "task_groups",
        "notifications", "assets.py", "links.py", "_compat.py", "plugin", "cli",
    },
    "openlineage": {"operators/support/lineage.py"},
    "requests": {"api/transport.py"},
    "urllib3": {"api/transport.py"},
    "tenacity": {"api/retries.py"},
    "pandas": {"documents/dataset", "documents/mapping", "documents/extracts"},
    "polars": {place for place in _DOCUMENTS if not place.endswith(".py")} - {"documents/mapping"}
    | {"identities", "planning", "verification"},
    "pyarrow": {*_DOCUMENTS, "fields", "identities", "planning", "verification", "cli"},
    "typer": {"cli"},
    "rich": {"cli"},
}  # fmt: skip


@cache
def _modules() -> dict[str, Path]:
    """Return every module of the package by its dotted name."""
    names = {}
    for path in MODULES:
        parts = (PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts)
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def _place(path: Path) -> str:
    """Return the folder or file, as ARROWS names it, that a module belongs to."""
    place = path.relative_to(PACKAGE)
    for candidate in (place, *place.parents):
        if candidate.as_posix() in ARROWS:
            return candidate.as_posix()
    raise AssertionError(f"{place} stands in no folder that ARROWS knows")


def _imports(path: Path) -> Iterator[str]:
    """Return every module that a file imports, at its top, inside a function or for types only."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the folder"
            module = node.module or ""
            inner = [f"{module}.{name.name}" for name in node.names]
            yield from (name if name in _modules() else module for name in inner)


def _ours(path: Path) -> Iterator[Path]:
    for name in _imports(path):
        if name.split(".")[0] == PACKAGE.name:
            yield _modules()[name]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_an_arrow_points_the_right_way(module: Path) -> None:
    """A module imports only from the folders that the layout lets it."""
    place = _place(module)
    for target in _ours(module):
        assert _place(target) in {place, *ARROWS[place]}, (
            f"{place} must not import {target.relative_to(PACKAGE)}"
        )


def test_there_is_no_circle() -> None:
    """No module imports itself by way of others, imports inside functions included."""
    # The packages' own files name what users import from them, and load it when asked.
    graph = {
        path: {one for one in _ours(path) if one != path} for path in MODULES if path.name != "__init__.py"
    }
    while free := [path for path, targets in graph.items() if not targets & graph.keys()]:
        for path in free:
            del graph[path]
    assert not graph, sorted(str(path.relative_to(PACKAGE)) for path in graph)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_a_library_is_named_in_its_home_only(module: Path) -> None:
    """HTTP, Airflow and the data libraries each have few folders that know them."""
    place = _place(module)
    for name in _imports(module):
        homes = HOMES.get(name.split(".")[0])
        if homes is not None and not place.startswith("sandbox"):
            assert {place, module.relative_to(PACKAGE).as_posix()} & homes, f"{module}: {name}"


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
        "import coveo_provider.operators, coveo_provider.hooks.coveo, coveo_provider.decorators.coveo\n"
        "from coveo_provider.documents import AccessRule, DocumentMapping, IdentityGraph, PermissionColumns",
        "-W",
        "error::FutureWarning",
    )
    assert not loaded & {"pandas", "polars", "pyarrow", "numpy", "requests", "openlineage"}


def test_the_operators_and_groups_load_no_library() -> None:
    """Beside Airflow and the standard library, all operators and task groups load modules of ours only."""
    # Airflow itself takes its parts up when they are asked for; libraries that it has loaded anyway cost nothing.
    ours = "import coveo_provider.operators, coveo_provider.task_groups"
    added = _modules_after(f"import airflow.sdk\n{ours}") - _modules_after("import airflow.sdk")

    assert {f"{PACKAGE.name}.operators.verify", f"{PACKAGE.name}.task_groups.secured"} <= added
    assert {name.split(".")[0] for name in added} - sys.stdlib_module_names <= {PACKAGE.name, "airflow"}


def test_the_package_itself_loads_nothing() -> None:
    """Airflow imports the package while it is half loaded itself."""
    loaded = _modules_after("import coveo_provider, coveo_provider.get_provider_info")
    assert not loaded & {"airflow", "pandas", "polars", "pyarrow", "numpy", "requests"}
    ours = {name for name in loaded if name.startswith("coveo_provider")}
    assert ours == {"coveo_provider", "coveo_provider.get_provider_info"}
