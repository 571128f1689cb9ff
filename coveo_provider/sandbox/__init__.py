"""
A strict stand-in for Coveo's cloud, on one loopback port.

``Sandbox.start()`` serves the Push, Stream, Source Logs and Platform calls, security included, and the upload
addresses of file containers. It imports nothing of the rest of ``coveo_provider`` and nothing of Airflow:
routes and limits are written out here a second time, from the published API pages, so that a mistake in the
client cannot hide in both.

The names below load on first use, because pytest imports this package in every run of every project that
has the distribution installed (entry point ``pytest11``).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coveo_provider.sandbox.http.faults import (
        Answer,
        Cut,
        Dates,
        Duplicate,
        ExpireUpload,
        Slow,
        Stall,
        Truncate,
    )
    from coveo_provider.sandbox.sandbox import Sandbox
    from coveo_provider.sandbox.service.clock import Clock
    from coveo_provider.sandbox.service.indexing.source_log import LogDelivery
    from coveo_provider.sandbox.service.limits import Limits
    from coveo_provider.sandbox.service.quotas import Quotas
    from coveo_provider.sandbox.service.records import (
        Activity,
        Call,
        IdentityLogEntry,
        IdentityView,
        LogEntry,
        QuotaUse,
        SourceView,
    )

_HOME = {
    "Activity": "service.records",
    "Answer": "http.faults",
    "Call": "service.records",
    "Clock": "service.clock",
    "Cut": "http.faults",
    "Dates": "http.faults",
    "Duplicate": "http.faults",
    "ExpireUpload": "http.faults",
    "IdentityLogEntry": "service.records",
    "IdentityView": "service.records",
    "Limits": "service.limits",
    "LogDelivery": "service.indexing.source_log",
    "LogEntry": "service.records",
    "QuotaUse": "service.records",
    "Quotas": "service.quotas",
    "Sandbox": "sandbox",
    "Slow": "http.faults",
    "SourceView": "service.records",
    "Stall": "http.faults",
    "Truncate": "http.faults",
}

__all__ = [
    "Activity",
    "Answer",
    "Call",
    "Clock",
    "Cut",
    "Dates",
    "Duplicate",
    "ExpireUpload",
    "IdentityLogEntry",
    "IdentityView",
    "Limits",
    "LogDelivery",
    "LogEntry",
    "QuotaUse",
    "Quotas",
    "Sandbox",
    "Slow",
    "SourceView",
    "Stall",
    "Truncate",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"coveo_provider.sandbox.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
