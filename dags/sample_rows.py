"""
Rows for the sample DAGs, from real texts that every machine with Python has.

In a DAG of yours a query, an API or a file share stands here.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata, util
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

from airflow.sdk import ObjectStoragePath


def write(rows: list[dict[str, Any]], context: Mapping[str, Any]) -> str:
    """Write a line of JSON for each row to a file of the DAG run, ``limit`` at most, and return its URI."""
    folder: Any = ObjectStoragePath(context["params"]["staging"])
    folder = folder / context["dag"].dag_id / context["run_id"]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "raw.ndjson").open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows[: context["params"]["limit"]])
    return str(folder / "raw.ndjson")


def installed_distributions() -> list[dict[str, Any]]:
    """Return what the metadata of every installed distribution says, each name once, in order."""
    distributions = {
        distribution.name.lower(): distribution
        for distribution in metadata.distributions()
        if distribution.name
    }
    return [_distribution(distributions[name]) for name in sorted(distributions)]


def _distribution(distribution: metadata.Distribution) -> dict[str, Any]:
    says: Any = distribution.metadata
    classifiers = says.get_all("Classifier") or []
    links = dict(link.split(", ", 1) for link in says.get_all("Project-URL") or [] if ", " in link)
    subjects = [name.removeprefix("Topic :: ") for name in classifiers if name.startswith("Topic :: ")]
    return {
        "name": distribution.name,
        "version": distribution.version,
        "summary": says.get("Summary"),
        "description": says.get("Description") or says.get_payload() or None,
        "author": says.get("Author") or says.get("Author-email"),
        "license": says.get("License-Expression") or (says.get("License") or "")[:80] or None,
        "keywords": says.get("Keywords"),
        "classifiers": classifiers,
        "topics": subjects,
        "url": says.get("Home-page") or links.get("Homepage") or links.get("Source"),
        "files": _python_files(distribution),
    }


def _python_files(distribution: metadata.Distribution) -> list[dict[str, Any]]:
    files = distribution.files or []
    return [{"path": str(file), "bytes": file.size} for file in files if file.suffix == ".py"]


def python_topics() -> list[dict[str, Any]]:
    """Return the reference texts of the language, as ``help()`` shows them."""
    return [{"path": f"topic/{name}", "parent": None, "text": text} for name, text in sorted(topics.items())]


def python_modules() -> list[dict[str, Any]]:
    """Return the documentation of every module of the standard library, and of what stands in it."""
    names = sorted(name for name in sys.stdlib_module_names if not name.startswith("_"))
    return [row for name in names for row in _module(name)]


def _module(name: str) -> Iterator[dict[str, Any]]:
    try:
        spec = util.find_spec(name)
        tree = ast.parse(Path(spec.origin or "").read_bytes()) if spec else ast.Module([], [])
    except (OSError, SyntaxError, ValueError):
        return  # built into the interpreter, or not on this platform
    if text := ast.get_docstring(tree):
        yield {"path": f"module/{name}", "parent": None, "text": text}
        inside = {n.name: n for n in tree.body if isinstance(n, (ast.ClassDef, ast.FunctionDef))}
        for node in inside.values():
            if doc := ast.get_docstring(node):
                yield {"path": f"module/{name}/{node.name}", "parent": f"module/{name}", "text": doc}


PEOPLE = {
    "ann": "boss",
    "bob": "hr",
    "cleo": "hr",
    "dan": "platform",
    "eva": "search",
    "fay": "sales",
    "max": "sales",
}
GROUPS = {  # nested: group → the groups in it
    "everybody": ["leads", "hr", "engineering", "sales"],
    "engineering": ["platform", "search"],
    "leads": ["boss"],
}
PAPERS = [  # path, text, allowed groups, allowed users, denied users
    ("handbook", "How we work together.", ["everybody"], [], []),
    ("engineering/design", "How the search works.", ["engineering", "leads"], [], []),
    ("hr/salaries", "Who earns what.", ["hr", "leads"], [], ["bob"]),
    ("sales/forecast", "What we hope to sell.", ["sales"], ["eva"], ["max"]),
]


def organisation() -> dict[str, list[dict[str, Any]]]:
    """Return a small organisation: its groups with their members, and its people with their e-mail addresses."""
    teams = {team: [person for person, of in PEOPLE.items() if of == team] for team in set(PEOPLE.values())}
    names = sorted({*teams, *GROUPS})
    return {
        "members": [
            {
                "name": name,
                "type": "GROUP",
                "members": [
                    *({"name": person, "type": "USER"} for person in teams.get(name, [])),
                    *({"name": group, "type": "GROUP"} for group in GROUPS.get(name, [])),
                ],
            }
            for name in names
        ],
        "mappings": [
            {
                "name": person,
                "type": "USER",
                "mappings": [
                    {
                        "name": f"{person}@acme.example",
                        "type": "USER",
                        "provider": "Email Security Provider",
                    }
                ],
            }
            for person in PEOPLE
        ],
    }


def papers() -> list[dict[str, Any]]:
    """Return the organisation's papers, with who may see them."""
    names = ("path", "text", "groups", "users", "denied")
    return [dict(zip(names, paper, strict=True)) for paper in PAPERS]
