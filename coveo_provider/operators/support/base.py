"""What all operators share: the connection, what a failure means to Airflow, and waiting without a worker."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.configuration import conf
from airflow.sdk import BaseOperator, Context

from coveo_provider._compat import AirflowFailException
from coveo_provider.errors import ConfigurationError, CoveoError, SourceBusy, Throttled
from coveo_provider.hooks.coveo import CoveoHook

if TYPE_CHECKING:
    from coveo_provider.api.client import CoveoClient

_BURST_SECONDS = 300.0  # the longest window of the documented quotas below a day (stream-api.md section 5)
_TURN_SECONDS = 60.0  # until a task looks again whether another run is still loading its source
_MAX_QUEUED = 12 * 60  # times: half a day
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

    longest_wait: ClassVar[float | None] = None
    """A wait over this many seconds is of no use to the task: it fails instead."""

    def __init__(
        self,
        *,
        coveo_conn_id: str = CoveoHook.default_conn_name,
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
        return CoveoHook(self.coveo_conn_id, max_block_seconds=wait).client

    @cached_property
    def progress(self) -> dict[str, Any]:
        """What this try had done before it waited, as JSON; empty when it has not waited."""
        return {}

    def execute(self, context: Context) -> Any:
        """Do the task's work, and tell Airflow whether to try again when it fails."""
        try:
            return self.act(context)
        except Throttled as error:
            if self.deferrable:
                self._wait(error)
            raise
        except SourceBusy as error:
            if self.deferrable:
                self._queue(error)
            raise
        except CoveoError as error:
            if error.transient:
                raise
            raise AirflowFailException(f"{type(error).__name__}: {error}") from error

    def resume(self, context: Context, event: Any = None) -> Any:
        """Go on after a wait; without a word of what was done before, from the start."""
        told = event.get("progress") if isinstance(event, dict) else None
        self.progress = told if isinstance(told, dict) else {}
        return self.execute(context)

    def act(self, context: Context) -> Any:
        """Do the task's work."""
        raise NotImplementedError

    def _subject(self, said: str) -> str:
        """Return which source or provider a task was about, where a message does not say it."""
        for kind in ("source", "provider"):
            name = getattr(self, f"{kind}_id", None)
            if isinstance(name, str) and name and name not in said:
                return f" ({kind} {name})"
        return ""

    def _wait(self, error: Throttled) -> None:
        """Hand a long wait to the triggerer; return when this one is not to be waited for."""
        seconds, waits = error.retry_after, int(self.progress.get("waits", 0))
        if seconds is None:  # first it is taken for a burst; one that outlasts that for a day's quota
            seconds = error.day_left if self.progress.get("blind") and error.day_left else _BURST_SECONDS
        if seconds <= self.max_block_seconds or waits >= _MAX_WAITS:
            return
        if self.longest_wait is not None and seconds > self.longest_wait:
            self.log.warning("A wait of %.0f s is longer than this task can use", seconds)
            return
        self.log.info("Throttled: the worker is given back for %.0f s", seconds)
        self._defer(seconds, {**self.progress, "waits": waits + 1, "blind": error.retry_after is None})

    def _queue(self, error: SourceBusy) -> None:
        """Let the triggerer wait for the run that is loading the source; return when that has taken too long."""
        queued = int(self.progress.get("queued", 0))
        if queued < _MAX_QUEUED:
            self.log.info("The worker is given back for %.0f s: %s", _TURN_SECONDS, error)
            self._defer(_TURN_SECONDS, {**self.progress, "queued": queued + 1})

    def _defer(self, seconds: float, progress: dict[str, Any]) -> NoReturn:
        from coveo_provider.triggers.wait import CoveoWaitTrigger

        self.defer(trigger=CoveoWaitTrigger(seconds=seconds, progress=progress), method_name="resume")
        raise AssertionError  # `defer` raises
