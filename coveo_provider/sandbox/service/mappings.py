"""
Mapping rules: which metadata fills a field of another name.

They are kept and shown, and do nothing: the index keeps metadata under its own keys
(``docs/api-notes.md, "Fields"``). A rule is ``{"id", "type", "field", "content"}``; its type is that of the items
it is for, None for a common one.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

from coveo_provider.sandbox.service.errors import invalid_json

Rule = dict[str, Any]
_READ = re.compile(r"%\[([^\]]+)\]")


def read_rule(body: Any, kind: str | None = None, rule_id: str | None = None) -> Rule:
    """Read ``{"field", "content"}``; 400 when it is none. A rule without an id gets one."""
    if not isinstance(body, dict) or not isinstance(body.get("field"), str) or not body["field"]:
        raise invalid_json("a mapping rule has a 'field', which is a string.")
    content = body.get("content")
    if not isinstance(content, list) or not content or not all(isinstance(one, str) for one in content):
        raise invalid_json("the 'content' of a mapping rule is an array of strings, and not empty.")
    return {"id": rule_id or uuid.uuid4().hex[:26], "type": kind, "field": body["field"], "content": content}


def read_configuration(body: dict[str, Any]) -> list[Rule]:
    """Read ``{"common": {"rules"}, "types": [{"type", "rules"}]}``."""
    common, types = body.get("common", {}), body.get("types", [])
    if not isinstance(common, dict) or not isinstance(types, list):
        raise invalid_json("'common' is an object, 'types' is an array.")
    rules = [read_rule(one) for one in _rules(common)]
    for one in types:
        if not isinstance(one, dict) or not isinstance(one.get("type"), str) or not one["type"]:
            raise invalid_json("an entry of 'types' has a 'type', which is a string.")
        rules += [read_rule(rule, one["type"]) for rule in _rules(one)]
    return rules


def _rules(body: dict[str, Any]) -> list[Any]:
    rules = body.get("rules", [])
    if not isinstance(rules, list):
        raise invalid_json("'rules' is an array.")
    return rules


def configuration(rules: list[Rule]) -> dict[str, Any]:
    """Give all rules of a source, the common ones apart from those of a type."""
    types = dict.fromkeys(one["type"] for one in rules if one["type"])
    return {
        "common": {"rules": of_type(rules, None)},
        "types": [{"id": kind, "type": kind, "rules": of_type(rules, kind)} for kind in types],
    }


def of_type(rules: list[Rule], kind: str | None) -> list[dict[str, Any]]:
    """Give the rules of a type, None for the common ones, as a call answers them."""
    return [answer(one) for one in rules if one["type"] == kind]


def fields_filled(rules: list[Rule]) -> dict[str, list[tuple[str, bool]]]:
    """Give for each key that rules read, ``%[key]``, in lower case, the fields, and whether it fills them alone."""
    filled: dict[str, list[tuple[str, bool]]] = {}
    for one in rules:
        for text in one["content"]:
            for key in _READ.findall(text):
                alone = _READ.fullmatch(text) is not None
                filled.setdefault(key.lower(), []).append((one["field"].lower(), alone))
    return filled


def answer(rule: Rule) -> dict[str, Any]:
    """Give one rule as a call answers it."""
    return {key: rule[key] for key in ("id", "field", "content")}


def read_models(models: Any) -> list[Rule]:
    """Read the ``mappings`` of a source's model, where ``field`` is ``fieldName`` and ``content`` is ``rules``."""
    if not isinstance(models, list) or not all(isinstance(one, dict) for one in models):
        raise invalid_json("'mappings' is an array of objects.")
    for one in models:
        for key in ("id", "type"):
            if (value := one.get(key)) is not None and (type(value) is not str or not value):
                raise invalid_json(f"the '{key}' of a mapping rule is a string, and not empty.")
    return [
        read_rule(
            {"field": one.get("fieldName"), "content": one.get("rules")}, one.get("type"), one.get("id")
        )
        for one in models
    ]


def models(rules: list[Rule]) -> list[dict[str, Any]]:
    """Give rules as a source's model has them."""
    described = []
    for one in rules:
        model = {"id": one["id"], "kind": "COMMON", "fieldName": one["field"], "rules": one["content"]}
        described.append(model | ({"kind": "MAPPING", "type": one["type"]} if one["type"] else {}))
    return described
