"""The name that a component of the cluster goes by, in place of the name of the host that all share."""

from __future__ import annotations

import os


def worker_name() -> str:
    """Return the worker's name, where there is one."""
    return os.environ.get("WORKER_NAME", "airflow")
