"""What all operators share: the connection, what a failure means to Airflow, and waiting without a worker."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.configuration import conf
from airflow.sdk import BaseOperator, Context

from coveo_provider._compat import (
    AirflowFailException,
    AirflowSkipException,
    AirflowTaskTimeout,
    DownstreamTasksSkipped,
)
from coveo_provider.errors import ConfigurationError, CoveoError, SourceBusy, Throttled
from coveo_provider.hooks.connection import ConnectionHook
from coveo_provider.links import LINKS
from coveo_provider.operators.support.checkpoints import Checkpoint, Progress
from coveo_provider.operators.support.lineage import Lineage, as_openlineage, is_listened_to

if TYPE_CHECKING:
    from coveo_provider.api.client import CoveoClient

_BURST_SECONDS = (
    300.0  # the longest window of the documented quotas below a day (docs/api-notes.md, "Quotas")
)
_TURN_SECONDS = 60.0  # until a task looks again whether another run is still loading its source
_MAX_TURNS = 12 * 60  # half a day
_MAX_WAITS = 50  # of one try, that a service which never takes a call does not keep a task alive for ever


class CoveoOperator(BaseOperator):
    """
    A task that talks to Coveo.

    A failure that a later try could mend (throttling, a fault of the network or of the service) fails the
    try, and Airflow retries it as the task says. Anything else fails the task at once. A wait that the API asks for
    is slept through up to ``max_block_seconds``; a longer one is handed to Airflow's triggerer when ``deferrable``,
    and the task goes on afterwards with what was not done yet.

    :param coveo_conn_id: the connection
    :param deferrable: whether long waits give the worker's slot back; by default ``[operators] default_deferrable``
    :param max_block_seconds: the longest wait that is slept through, in seconds
    """

    ui_color = "#e3f1fb"
    operator_extra_links = LINKS

    documentation: ClassVar[str]
    """Coveo's page on what the task does or, where it calls no API, on what it prepares."""

    longest_wait: ClassVar[float | None] = None
    """A wait over this many seconds is of no use to the task: it fails instead."""

    reports_run: ClassVar[bool] = False
    """Whether the task ends a load, and leaves its report."""

    checkpoint = Checkpoint()
    """What this try had done before it waited."""

    progress = Progress({})
    """Keeps that for a retry after a crash, where Airflow can."""

    lineage = Lineage()
    """What OpenLineage is told when the task ends, well or not."""

    def __init__(
        self,
        *,
        coveo_conn_id: str = ConnectionHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        max_block_seconds: float = 60.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.coveo_conn_id = coveo_conn_id
        self.deferrable = deferrable
        self.max_block_seconds = max_block_seconds

    @cached_property
    def client(self) -> CoveoClient:
        """The client of the connection; made by the running task, never while a DAG is parsed."""
        wait = self.max_block_seconds
        if isinstance(wait, bool) or not isinstance(wait, (int, float)) or not 0 <= wait <= 86_400:
            raise ConfigurationError(f"max_block_seconds must be seconds from 0 to a day, not {wait!r}")
        return ConnectionHook(self.coveo_conn_id, max_block_seconds=wait).client

    def execute(self, context: Context) -> Any:
        """Do the task's work, and tell Airflow whether to try again when it fails."""
        # Read when Arrow is imported, later: its own allocator keeps some 30 MB that were freed.
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
        self.progress = Progress(context)
        if self.checkpoint == Checkpoint():
            self.checkpoint = self.progress.load()
        try:
            return self.act(context)
        except CoveoError as error:
            if self.deferrable and isinstance(error, Throttled):
                self._wait_for_quota(error)
            if self.deferrable and isinstance(error, SourceBusy):
                self._wait_for_turn(error)
            self._fail(error)
        except (AirflowSkipException, DownstreamTasksSkipped):  # of a function of the user, of a plan
            raise
        except Exception as error:
            self.log.error("%s", " ".join(_sentence(error).split()))
            raise

    def resume(self, context: Context, event: Any = None) -> Any:
        """Go on after a wait: from the checkpoint in the trigger's event, else from the start."""
        self.checkpoint = Checkpoint.from_json(event.get("checkpoint") if isinstance(event, dict) else None)
        return self.execute(context)

    def on_kill(self) -> None:
        """
        End the task where it stands: nothing more is sent, and what it wrote for that is deleted.

        Airflow calls it while the task works, when a person or the scheduler ends it or its worker is shut down,
        and goes on with the task if it returns; and after ``execution_timeout``, when the task has ended already.
        """
        if not isinstance(sys.exc_info()[1], AirflowTaskTimeout):
            raise SystemExit(128 + signal.SIGTERM)

    def act(self, context: Context) -> Any:
        """Do the task's work."""
        raise NotImplementedError

    def told(self, make: Callable[[], Lineage]) -> Lineage:
        """
        Return what OpenLineage is to be told; nothing when nobody listens, or when that fails.

        :param make: returns it
        """
        try:
            return make() if is_listened_to() else Lineage()
        except Exception as error:  # noqa: BLE001  its text may hold an address, so only its kind is logged
            self.log.warning("OpenLineage is told nothing of this task, because of %s", type(error).__name__)
            return Lineage()

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return what the task read and wrote. OpenLineage's provider asks for it, if there is one."""
        return as_openlineage(self.lineage)

    def _fail(self, error: CoveoError) -> NoReturn:
        """Fail the try, and say why before Airflow prints a traceback, which is kept short."""
        sentence = _sentence(error)
        self.log.error("%s", sentence)
        if error.transient:
            raise error.with_traceback(None) from None
        raise AirflowFailException(sentence) from None

    def _wait_for_quota(self, error: Throttled) -> None:
        """Hand a long wait to the triggerer; return when this one is not to be waited for."""
        before, seconds = self.checkpoint, error.retry_after
        if seconds is None:  # first it is taken for a burst; one that outlasts that for a day's quota
            seconds = error.day_left if before.length_unknown and error.day_left else _BURST_SECONDS
        if seconds <= self.max_block_seconds or before.waits >= _MAX_WAITS:
            return
        if self.longest_wait is not None and seconds > self.longest_wait:
            self.log.warning("A wait of %.0f s is longer than this task can use", seconds)
            return
        self.log.info("Throttled: the worker is given back for %.0f s", seconds)
        unknown = error.retry_after is None
        waited = before.waited_seconds + seconds
        done = replace(before, waits=before.waits + 1, waited_seconds=waited, length_unknown=unknown)
        self._defer(seconds, done)

    def _wait_for_turn(self, error: SourceBusy) -> None:
        """Let the triggerer wait for the run that is loading the source; return when that has taken too long."""
        turns = self.checkpoint.turns
        if turns < _MAX_TURNS:
            self.log.info("The worker is given back for %.0f s: %s", _TURN_SECONDS, error)
            self._defer(_TURN_SECONDS, replace(self.checkpoint, turns=turns + 1))

    def _defer(self, seconds: float, checkpoint: Checkpoint) -> NoReturn:
        from coveo_provider.triggers.wait import CoveoWaitTrigger

        trigger = CoveoWaitTrigger(seconds=seconds, checkpoint=checkpoint.as_json())
        self.defer(trigger=trigger, method_name="resume")
        raise AssertionError  # `defer` raises


def _sentence(error: Exception) -> str:
    """Return what happened: an exception's notes, the last of which tells the place, its kind and its text."""
    notes = reversed(getattr(error, "__notes__", []))
    return ": ".join([*notes, f"{type(error).__name__}: {error}"])
