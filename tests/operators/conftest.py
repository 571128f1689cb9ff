"""Running one operator as a task does."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator


def run(operator: BaseOperator) -> Any:
    """Execute an operator outside of any DAG run."""
    return operator.execute({})
