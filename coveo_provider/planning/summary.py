"""A plan in words: a line for the log, and Markdown for the person who is asked whether to go on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_COUNTS = ("now", "before", "new", "changed", "unchanged", "gone", "again")
_FEW = 5


def told(plan: Mapping[str, Any]) -> str:
    """Return what a plan says, in one sentence."""
    documents, sends = plan["documents"], plan["sends"]
    words = f"{documents['new']:,} new, {documents['changed']:,} changed, {documents['gone']:,} gone, "
    words += f"{documents['unchanged']:,} as before"
    if documents["again"]:
        words += f", {documents['again']:,} of an unfinished load"
    what = f"everything is sent ({plan['reason']})" if plan["everything"] else "the changes are sent"
    return f"Plan for source {plan['source_id']}: {words}; {what}: about {sends['bytes']:,} bytes"


def summary_of(plan: Any) -> str:
    """
    Return what a plan says in Markdown; empty when there is none.

    :param plan: what :class:`~coveo_provider.operators.plan.CoveoPlanOperator` returned, or anything
    """
    if not isinstance(plan, Mapping):
        return ""
    blocks = [
        _table(plan.get("documents")),
        _rollback(plan.get("rollback")),
        f"Everything is sent: {plan.get('reason')}." if plan.get("everything") else "",
        _groups(plan.get("by")),
        _fields(plan.get("fields")),
        _examples(plan.get("sample")),
        _access(plan.get("access")),
        _without_field(plan.get("without_field")),
        _effort(plan.get("sends")),
    ]
    return "\n\n".join(block for block in blocks if block)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _rows(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _table(documents: Any) -> str:
    counts = {name: count for name in _COUNTS if isinstance(count := _mapping(documents).get(name), int)}
    if not counts:
        return ""
    heads = "|".join(f" {name} " for name in counts)
    cells = "|".join(f" {count:,} " for count in counts.values())
    return f"|{heads}|\n|{'---:|' * len(counts)}\n|{cells}|"


def _rollback(load: Any) -> str:
    if not isinstance(load, Mapping):
        return ""
    return f"This is a **roll-back** to the load that ended at {_text(load.get('finished_at'))}."


def _groups(by: Any) -> str:
    lines = []
    for one in _rows(_mapping(by).get("values"))[:_FEW]:
        counts = _counts({name: one.get(name) for name in ("new", "changed", "gone")})
        lines.append(f"- {_text(by.get('column'))} **{_text(one.get('value')) or 'without'}**: {counts}")
    return "\n".join(lines)


def _fields(fields: Any) -> str:
    rows = _rows(_mapping(fields).get("counts"))
    if not rows:
        return ""
    looked_at, of = fields.get("looked_at"), fields.get("of")
    where = "" if looked_at == of else f" (of {looked_at:,} of {of:,} that were looked at)"
    names = [
        f"{_text(row.get('field'))} {sum(int(row.get(how) or 0) for how in ('changed', 'added', 'removed')):,}"
        for row in rows[:_FEW]
    ]
    return f"Fields that change{where}: {_few(names, len(rows) + int(fields.get('more') or 0))}"


def _examples(sample: Any) -> str:
    lines = []
    for document in _rows(_mapping(sample).get("documents"))[:_FEW]:
        changes = [
            f"{_text(one.get('field'))}: {_text(one.get('before'))} → {_text(one.get('after'))}"
            for one in _rows(document.get("changes"))[:3]
        ]
        lines.append(f"- `{_text(document.get('documentId'))}` {'; '.join(changes)}")
    return "\n".join(lines)


def _access(access: Any) -> str:
    found = _mapping(access)
    names = ("new_public", "no_longer_public", "permissions_changed")
    words = _counts({name: found.get(name) for name in names})
    lines = [f"Who may see what: {words}"] if any(found.get(name) for name in names) else []
    for how in ("gains", "loses"):
        rows = _rows(found.get(how))
        if rows:
            each = [f"{_text(one.get('who'))} {_number(one.get('documents'))}" for one in rows[:_FEW]]
            lines.append(f"- {how}: {_few(each, len(rows))}")
    return "\n".join(lines)


def _without_field(found: Any) -> str:
    names = [_text(name) for name in _mapping(found).get("names") or ()]
    if not names:
        return ""
    return (
        "Metadata without a field, which the service drops: "
        f"{_few(names[:_FEW], len(names) + int(found.get('more') or 0))}"
    )


def _effort(sends: Any) -> str:
    found = _mapping(sends)
    if not isinstance(found.get("bytes"), int):
        return ""
    seconds = found.get("seconds")
    words = f"Sends about {found['bytes']:,} bytes; containers: {_number(found.get('containers'))}"
    words += f"; calls: {_number(found.get('calls'))}"
    long_enough = isinstance(seconds, (int, float)) and seconds >= 1
    return f"{words}; seconds: about {seconds:,.0f}" if long_enough else words


def _counts(counts: Mapping[str, Any]) -> str:
    known = [
        f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items() if isinstance(count, int)
    ]
    return ", ".join(known)


def _few(words: Iterable[str], of: int) -> str:
    listed = list(words)
    more = f" and {of - len(listed):,} more" if of > len(listed) else ""
    return f"{', '.join(listed)}{more}"


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "?"


def _text(value: Any) -> str:
    """Return a value so that Markdown shows it as it stands, in one short line."""
    text = "" if value is None else " ".join(str(value).split())[:80]
    return "".join(f"\\{one}" if one in "\\`*_[]<>|#" else one for one in text)
