"""What two Airflow Variables say of a source: which run holds it, and which loaded it last."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Holder:
    """
    What a claim says: whose it is.

    :param dag_id: the DAG
    :param run_id: its run
    :param source_id: the source
    :param since: when it was claimed, in ISO 8601
    :param status: the source's status that the run opened, and ``IDLE`` is to end; empty when it opened none
    :param closing: the stream whose close was sent; empty when none was
    """

    dag_id: str
    run_id: str
    source_id: str
    since: str
    status: str = ""
    closing: str = ""


@dataclass(frozen=True)
class LastLoad:
    """
    What stays known of a source: its last load, and who owns its content.

    :param number: how many loads were begun: each has a number of its own
    :param dag_id: the DAG of the last
    :param run_id: its run
    :param since: when it began, in ISO 8601
    :param run_after: the run's place in time, in ISO 8601: of two runs the later one has the newer data
    :param ended: whether it came to its end
    :param owner: what alone may delete items for their age, or by comparison; empty while nothing did
    :param owned_since: when that was first done, in ISO 8601
    :param by: the task of the run that loads all of it at once; empty when tasks do so one after the other
    """

    number: int
    dag_id: str
    run_id: str
    since: str
    run_after: str = ""
    ended: bool = False
    owner: str = ""
    owned_since: str = ""
    by: str = ""


def variable_name(push_url: str, organization_id: str, source_id: str, *, prefix: str = "coveo_load") -> str:
    """Return the name of a Variable on a source: the same for all spellings of a host, an organization."""
    url = urlsplit(push_url)
    host = (url.hostname or "").rstrip(".").lower()
    port = url.port or {"https": 443, "http": 80}.get(url.scheme.lower())
    key = "\n".join(
        (f"{url.scheme.lower()}://{host}:{port}{url.path.rstrip('/')}", organization_id.lower(), source_id)
    )
    return f"{prefix}__{hashlib.sha256(key.encode()).hexdigest()[:24]}"


def now_text() -> str:
    """Return this moment in ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def moment_text(moment: Any) -> str:
    """Return a moment in UTC, so that two of them compare as texts; empty when it is none."""
    if not isinstance(moment, datetime):
        return ""
    return moment.astimezone(timezone.utc).isoformat(timespec="microseconds")
