"""The few names that moved between Airflow 3.1, 3.2 and 3.3."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk.bases.decorator import determine_kwargs
    from airflow.sdk.exceptions import (
        AirflowFailException,
        AirflowSkipException,
        AirflowTaskTimeout,
        DownstreamTasksSkipped,
        TaskAwaitingInput,
        TaskDeferred,
    )
else:
    try:  # 3.2 and later
        from airflow.sdk.exceptions import (
            AirflowFailException,
            AirflowSkipException,
            AirflowTaskTimeout,
            DownstreamTasksSkipped,
            TaskDeferred,
        )
    except ImportError:  # 3.1
        from airflow.exceptions import (
            AirflowFailException,
            AirflowSkipException,
            AirflowTaskTimeout,
            DownstreamTasksSkipped,
            TaskDeferred,
        )
    try:  # 3.3 and later: a task waits for a person's answer without a trigger
        from airflow.sdk.exceptions import TaskAwaitingInput
    except ImportError:
        TaskAwaitingInput = None
    try:  # 3.2 and later
        from airflow.sdk.bases.decorator import determine_kwargs
    except ImportError:  # 3.1
        from airflow.utils.operator_helpers import determine_kwargs

WAITS: tuple[type[BaseException], ...] = tuple(
    kind for kind in (TaskDeferred, TaskAwaitingInput) if kind is not None
)
"""What a task raises to give its worker back and to go on later."""

__all__ = [
    "WAITS",
    "AirflowFailException",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "DownstreamTasksSkipped",
    "TaskAwaitingInput",
    "TaskDeferred",
    "determine_kwargs",
]
