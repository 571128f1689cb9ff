"""The platform's calls on the mapping rules of a source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coveo_provider.sandbox.calls import source_calls
from coveo_provider.sandbox.service import mappings
from coveo_provider.sandbox.service.errors import not_found

if TYPE_CHECKING:
    from coveo_provider.sandbox.calls.request import Request
    from coveo_provider.sandbox.service.state import State


def get_mappings(state: State, request: Request) -> object:
    """Give all rules of a source."""
    return mappings.configuration(source_calls.find(state, request).mappings)


def put_mappings(state: State, request: Request) -> object:
    """Replace all rules of a source; those that are left out are gone."""
    source = source_calls.find(state, request)
    request.flag("rebuild")
    source.mappings = mappings.read_configuration(request.json(state.limits.request_bytes))
    state.sources.save(source)
    return {}


def list_common(state: State, request: Request) -> object:
    """List the rules for items of every type."""
    return mappings.of_type(source_calls.find(state, request).mappings, None)


def add_common(state: State, request: Request) -> object:
    """Add a rule for items of every type."""
    source = source_calls.find(state, request)
    request.flag("rebuild")
    rule = mappings.read_rule(request.json(state.limits.request_bytes))
    source.mappings = [*source.mappings, rule]
    state.sources.save(source)
    return mappings.answer(rule)


def put_common(state: State, request: Request) -> object:
    """Change a rule for items of every type."""
    source, rule_id = source_calls.find(state, request), request.values["rule"]
    request.flag("rebuild")
    if all((one["id"], one["type"]) != (rule_id, None) for one in source.mappings):
        raise not_found(f"The mapping rule '{rule_id}' does not exist.")
    rule = mappings.read_rule(request.json(state.limits.request_bytes), rule_id=rule_id)
    source.mappings = [
        rule if (one["id"], one["type"]) == (rule_id, None) else one for one in source.mappings
    ]
    state.sources.save(source)
    return mappings.answer(rule)
