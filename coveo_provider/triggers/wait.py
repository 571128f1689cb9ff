"""Waits, in the triggerer, until the service takes calls again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent


class CoveoWaitTrigger(BaseTrigger):
    """
    Waits, and hands on what the task had done before.

    It counts seconds rather than to a moment: the clocks of worker and triggerer may differ by hours. When the
    triggerer is restarted meanwhile, it counts anew.

    :param seconds: how long
    :param progress: JSON for the task that goes on; in the event, as ``dag.test()`` loses arguments of a deferral
    """

    def __init__(self, *, seconds: float, progress: dict[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seconds = seconds
        self.progress = progress

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and its arguments."""
        return f"{__name__}.{type(self).__name__}", {"seconds": self.seconds, "progress": self.progress}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then tell the task to go on."""
        await asyncio.sleep(self.seconds)
        yield TriggerEvent({"progress": self.progress})  # type: ignore[no-untyped-call]
