"""
Rows for the sample DAGs, from real texts that every machine with Python has.

In a DAG of yours a query, an API or a file share stands here.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any


def installed_distributions() -> list[dict[str, Any]]:
    """Return what the metadata of every installed distribution says, each name once, in order."""
    found = {
        distribution.name.lower(): distribution
        for distribution in metadata.distributions()
        if distribution.name
    }
    return [_distribution(found[name]) for name in sorted(found)]


def _distribution(distribution: metadata.Distribution) -> dict[str, Any]:
    says: Any = distribution.metadata
    classifiers = says.get_all("Classifier") or []
    links = dict(link.split(", ", 1) for link in says.get_all("Project-URL") or [] if ", " in link)
    return {
        "name": distribution.name,
        "version": distribution.version,
        "summary": says.get("Summary"),
        "description": says.get("Description") or says.get_payload() or None,
        "author": says.get("Author") or says.get("Author-email"),
        "license": says.get("License-Expression") or (says.get("License") or "")[:80] or None,
        "keywords": says.get("Keywords"),
        "classifiers": classifiers,
        "topics": [c.removeprefix("Topic :: ") for c in classifiers if c.startswith("Topic :: ")],
        "url": says.get("Home-page") or links.get("Homepage") or links.get("Source"),
        "files": [
            {"path": str(file), "bytes": file.size}
            for file in distribution.files or []
            if file.suffix == ".py"
        ],
    }


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
