"""
The sources that a DAG's author declares as outlets of the task that ends a load: ``outlets=[coveo_asset(…)]``.

Airflow's page of the asset shows such a task as its producer, before the first run too. Airflow itself would emit
an event of the asset whenever the task succeeds, without any extra, and to nobody who is scheduled on the alias: so
the task emits the one event of the load in its place.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from airflow.sdk import Context

from coveo_provider.assets import SCHEME, coveo_asset, sanitize_uri
from coveo_provider.errors import ConfigurationError
from coveo_provider.operators.support.followers import argument_of, kind_of, tasks_after


def is_source(outlet: Any) -> bool:
    """Tell whether an outlet, an asset or a reference to one, is a source of Coveo."""
    return _uri(outlet).startswith(f"{SCHEME}://")


def is_own(outlet: Any, uri: str) -> bool:
    """Tell whether an outlet is the asset of a URI."""
    try:
        return is_source(outlet) and sanitize_uri(urlsplit(_uri(outlet))).geturl() == uri
    except ConfigurationError:  # only a reference is not spelled by Airflow
        return False


def refuse_foreign_outlets(operator: Any, context: Context) -> None:
    """
    Refuse, before anything is sent, that the task which ends the load declares another source as its outlet.

    :param operator: any task of the load, a ``SourceOperator``
    :param context: the running task's
    :raises ConfigurationError: names the task, the outlet, and what belongs there
    """
    instance: Any = context.get("ti")
    if operator.ends:
        _refuse_foreign(operator, operator, mapped=getattr(instance, "map_index", -1) >= 0)
    if not operator.source_id or not operator.has_dag():
        return
    for task in tasks_after(operator, context):
        known = isinstance(argument_of(task, "source_id"), str)
        if known and _ends(task) and _connection(task, context) == operator.coveo_conn_id:
            _refuse_foreign(operator, task, mapped=task.is_mapped)


def _refuse_foreign(operator: Any, task: Any, *, mapped: bool) -> None:
    """Refuse outlets of a task that works on an operator's source; a mapped one has those of all instances."""
    outlets = task.outlets if isinstance(task.outlets, (list, tuple, set)) else [task.outlets]
    if not (declared := [outlet for outlet in outlets if is_source(outlet)]):
        return
    organization, source = operator.client.organization_id, operator.source_id
    try:
        own = coveo_asset(organization, source).uri
    except ConfigurationError:  # no URI can hold its id
        own = ""
    foreign = [_uri(outlet) for outlet in declared if not is_own(outlet, own)]
    if foreign and not (mapped and len(foreign) < len(declared)):
        raise ConfigurationError(
            f"task {task.task_id}: its outlet {foreign[0]} is not what it loads, source {source} of organization "
            f"{organization}. Declare outlets=[coveo_asset({organization!r}, {source!r})], or none"
        )


def _uri(outlet: Any) -> str:
    """Return the URI of an asset or of a reference, which may be by name."""
    return str(getattr(outlet, "uri", None) or getattr(outlet, "name", ""))


def _ends(task: Any) -> bool:
    return bool(getattr(kind_of(task), "ends", False))


def _connection(task: Any, context: Context) -> Any:
    """Return the connection of a task that has not run yet."""
    given = argument_of(task, "coveo_conn_id")
    return task.render_template(given, context) if isinstance(given, str) else given
