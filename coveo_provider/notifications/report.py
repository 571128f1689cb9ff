"""
The reports of a run, by any of Airflow's notifiers: SMTP, Slack, Teams, an HTTP call.

What is sent is written by templates, which a user replaces by naming the values in a notifier's own fields.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.configuration import conf
from airflow.sdk import BaseNotifier

from coveo_provider.operators.support.run_reports import REPORT

if TYPE_CHECKING:
    from airflow.sdk import Context
    from jinja2 import Environment

Report = Mapping[str, Any]

SUBJECT = (
    "{{ dag_id }}: "
    "{% for one in reports %}{{ one.source_id }} {{ 'failed' if one.failure else 'verified' }}"
    "{{ ', ' if not loop.last }}{% else %}no load ended{% endfor %}"
)
TEXT = """\
{% for one in reports -%}
Source {{ one.source_id }} ({{ one.organization_id }}): {{ one.failure or "the index equals what was sent" }}
  sent      {{ count(one.sent.documents) }} documents, {{ count(one.sent.partial_updates) }} updates of fields, \
{{ count(one.sent.deletions) }} deletions
  indexed   {{ count(one.outcome.indexed) }}, deleted {{ count(one.outcome.deleted) }}, \
refused {{ count(one.outcome.refused) }}, unknown {{ count(one.outcome.unknown) }}
  source    {{ count(one.source.before) }} items before, {{ count(one.source.after) }} after
{%- for reason in one.outcome.reasons %}
  refused   {{ line(reason) }}
{%- endfor %}
{%- if one.outcome.refused_file %}
  list      {{ one.outcome.refused_file }}
{%- endif %}
{%- for answer in one.approvals %}
  asked     {{ line(answer) }}
{%- endfor %}

{% else -%}
No load of this run ended with a report.

{% endfor -%}
{{ url or (dag_id ~ ", " ~ run_id) }}
"""
HTML = """\
{% for one in reports %}<h3>Source {{ one.source_id }}</h3>
<p><b>{{ one.failure or "The index equals what was sent." }}</b></p>
<table cellpadding="4">
<tr><td>sent</td><td>{{ count(one.sent.documents) }} documents,
{{ count(one.sent.partial_updates) }} updates of fields, {{ count(one.sent.deletions) }} deletions</td></tr>
<tr><td>indexed</td><td>{{ count(one.outcome.indexed) }}, deleted {{ count(one.outcome.deleted) }},
refused {{ count(one.outcome.refused) }}, unknown {{ count(one.outcome.unknown) }}</td></tr>
<tr><td>source</td><td>{{ count(one.source.before) }} items before, {{ count(one.source.after) }} after</td></tr>
{% for reason in one.outcome.reasons %}<tr><td>refused</td><td>{{ line(reason) }}</td></tr>
{% endfor %}{% if one.outcome.refused_file %}<tr><td>list</td><td>{{ one.outcome.refused_file }}</td></tr>
{% endif %}{% for answer in one.approvals %}<tr><td>asked</td><td>{{ line(answer) }}</td></tr>
{% endfor %}</table>
{% else %}<p>No load of this run ended with a report.</p>
{% endfor %}<p>{% if url %}<a href="{{ url }}">{{ dag_id }}, {{ run_id }}</a>{% else %}{{ dag_id }}, {{ run_id }}\
{% endif %}</p>
"""


class CoveoReportNotifier(BaseNotifier):
    """
    Gives a notifier of Airflow the reports of a run's loads, and lets it send them.

    In the wrapped notifier's templated fields stand ``coveo_subject``, ``coveo_text`` and ``coveo_html``, and for
    texts of your own ``coveo_reports`` (a list of the reports, as the XCom ``coveo_report`` holds them) and
    ``coveo_url`` (the run's page in Airflow; empty where ``[api] base_url`` is not set)::

        CoveoReportNotifier(SmtpNotifier(to="…", subject="{{ coveo_subject }}", html_content="{{ coveo_html }}"))

    Use it as a callback of a DAG or of the task that ends a load, for success and for failure.

    :param notifier: the one that sends
    """

    def __init__(self, notifier: BaseNotifier) -> None:
        super().__init__()
        self.notifier = notifier

    def notify(self, context: Context) -> None:
        """Send the reports of the context's run; a run without one is told as such."""
        values = report_texts(context)
        # A notifier renders its fields in place, and a callback is used again.
        copy.copy(self.notifier)({**context, **{f"coveo_{name}": value for name, value in values.items()}})


def report_texts(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the reports of a run come to: ``subject``, ``text``, ``html``, ``reports`` and ``url``."""
    run: Any = context.get("dag_run")
    values: dict[str, Any] = {
        "reports": list(_reports(context)),
        "dag_id": str(getattr(run, "dag_id", "") or getattr(context.get("dag"), "dag_id", "")),
        "run_id": str(context.get("run_id") or getattr(run, "run_id", "")),
    }
    values["url"] = _url(values["dag_id"], values["run_id"])
    return {
        **values,
        "subject": _environment(html=False).from_string(SUBJECT).render(values),
        "text": _environment(html=False).from_string(TEXT).render(values),
        "html": _environment(html=True).from_string(HTML).render(values),
    }


def _reports(context: Mapping[str, Any]) -> Iterator[Report]:
    """Return the reports of the run's loads, in the order of the DAG's tasks."""
    instance, dag = context.get("ti"), context.get("dag")
    if instance is None or dag is None:
        return
    for task in dag.tasks:
        if getattr(getattr(task, "operator_class", type(task)), "reports_run", False):
            found = instance.xcom_pull(task_ids=task.task_id, key=REPORT)
            # Of a mapped task there is one for each of its instances.
            yield from (
                one for one in (found if isinstance(found, list) else [found]) if isinstance(one, dict)
            )


def _url(dag_id: str, run_id: str) -> str:
    base = conf.get("api", "base_url", fallback="") or ""
    if not base or not dag_id or not run_id:
        return ""
    return f"{base.rstrip('/')}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"


@cache
def _environment(*, html: bool) -> Environment:
    from jinja2 import Environment

    made = Environment(autoescape=html)  # noqa: S701  mail subjects and chats take plain text
    made.globals.update(count=_count, line=_line)
    return made


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "?"


def _line(value: Any) -> str:
    """Return a reason or an answer as a line of text."""
    return (
        ", ".join(f"{name} {one}" for name, one in value.items())
        if isinstance(value, Mapping)
        else str(value)
    )
