"""The plan of a load in a few lines of Markdown, for the person who is asked whether to go on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_DOCUMENTS = ("now", "before", "new", "changed", "unchanged", "gone", "again")


def summary_of(plan: Any) -> str:
    """
    Return what a plan says in Markdown; empty when there is none.

    :param plan: what the task that plans left in the XCom ``coveo_plan``
    """
    if not isinstance(plan, Mapping):
        return ""
    blocks = [_table("Documents", plan.get("documents") or {})]
    if plan.get("everything"):
        blocks.append(f"Everything is sent: {plan.get('reason') or 'it was asked for'}.")
    blocks.append("\n".join(_items(plan)))
    return "\n\n".join(filter(None, blocks))


def _items(plan: Mapping[str, Any]) -> Iterator[str]:
    by, access = plan.get("by") or {}, plan.get("access") or {}
    for value in by.get("values") or []:
        counts = {name: value.get(name) for name in ("new", "changed", "gone")}
        yield f"- {by.get('column')} **{value.get('value')}**: {_listed(counts)}"
    seen = {name: access.get(name) for name in ("new_public", "no_longer_public", "permissions_changed")}
    if any(seen.values()):
        yield f"- Who can see what: {_listed(seen)}"


def _table(title: str, counts: Mapping[str, Any]) -> str:
    named = [(name, counts.get(name)) for name in _DOCUMENTS if isinstance(counts.get(name), int)]
    if not named:
        return ""
    heads = "".join(f" {name} |" for name, _ in named)
    cells = "".join(f" {count:,} |" for _, count in named)
    return f"| {title} |{heads}\n|---|{'---:|' * len(named)}\n| |{cells}"


def _listed(counts: Mapping[str, Any]) -> str:
    known = {name: count for name, count in counts.items() if isinstance(count, int)}
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in known.items())
