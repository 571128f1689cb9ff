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
    :param checkpoint: what the task had done before, as JSON, for when it goes on; it comes in the event, as
        ``dag.test()`` loses arguments of a deferral
    """

    def __init__(self, *, seconds: float, checkpoint: dict[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seconds = seconds
        self.checkpoint = checkpoint

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and its arguments."""
        arguments = {"seconds": self.seconds, "checkpoint": self.checkpoint}
        return f"{__name__}.{type(self).__name__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then tell the task to go on."""
        await asyncio.sleep(self.seconds)
        yield TriggerEvent({"checkpoint": self.checkpoint})  # type: ignore[no-untyped-call]
