"""
Runs take turns on a source.

Coveo's APIs have no lock. Two loads of one source at once leave a mixture that neither of them holds: what one
pushes after the other's mark survives the other's deletion of older items. So the task that begins a load claims
the source for its DAG run, in an Airflow Variable that all workers see, and what ends the load gives it back.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from typing import Any

from airflow.sdk import Context, Variable

from coveo_provider._compat import AirflowSkipException
from coveo_provider.errors import CoveoError, SafetyStop, SourceBusy
from coveo_provider.operators.support.base import CoveoOperator

PAUSE = 1.0
"""Seconds between writing a claim and looking whether it stands: longer than Airflow takes to write a Variable."""


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


class Claim:
    """
    The claim of a task's run on a source.

    It stands while its run is queued or running; what an ended run left behind is taken over. A Variable cannot be
    written on condition that it is not there, so whoever finds the source free writes, waits a moment and looks: of
    two runs that begin at once the one that wrote last goes on.

    When Variables cannot be read or written, the load goes on without a claim, and a warning is logged. Outside of
    a DAG run, and with ``exclusive=False``, nothing of this happens.

    :param operator: the task's operator
    :param context: the task's
    """

    def __init__(self, operator: SourceOperator, context: Context) -> None:
        self._log = operator.log
        self._context = context
        self._source = operator.source_id
        self._taken = False
        run = context.get("dag_run")
        self._on = run is not None and context.get("ti") is not None and operator.is_exclusive(context)
        if not self._on:
            return
        self._own = (str(run.dag_id), str(run.run_id)) if run is not None else ("", "")
        client = operator.client
        self._organization = client.organization_id
        self.name = variable_name(client.endpoints.push_url, client.organization_id, operator.source_id)

    @contextmanager
    def begun(self, status: str = "") -> Iterator[None]:
        """
        Take the claim to begin a load; when that comes to nothing, give it back.

        :param status: the source's status that is about to be opened
        :raises SourceBusy: another run is loading the source
        """
        self.take(status)
        try:
            yield
        except AirflowSkipException:  # there is nothing to load
            self.release()
            raise
        except BaseException:
            if self._taken:
                self.release(with_status=True)
            raise

    def take(self, status: str = "") -> None:
        """
        Take the claim, unless it is the run's already.

        :param status: the source's status that is about to be opened
        :raises SourceBusy: another run is loading the source
        """
        if not self._on:
            return
        with self._going_on():
            self._take(status)

    def check(self, step: str) -> None:
        """
        Make sure that no other run began a load since this one did.

        Where there is no claim, as when the last tasks of an old run are cleared, it is taken.

        :param step: what is about to be done: ``closing the stream``
        :raises SafetyStop: one did; nothing was removed
        """
        if not self._on:
            return
        with self._going_on():
            holder = self._read()
            if (
                holder is not None
                and not self._is_own(holder)
                and (self._active(holder) or self._is_later(holder))
            ):
                raise SafetyStop(
                    f"source {self._source}: DAG {holder.dag_id}, run {holder.run_id}, began a load of its own at "
                    f"{holder.since}, so {step} would mix the two. Nothing was removed. When that run has ended, "
                    "start this load again from its first task"
                )
            self._take()

    def closing(self, stream_id: str) -> bool:
        """
        Remember, beyond the life of this worker, that the close of a stream is sent now.

        :return: whether an earlier try of this run had come that far
        """
        before = False
        if self._on:
            with self._going_on():
                holder = self._read()
                if holder is not None and self._is_own(holder):
                    before = holder.closing == stream_id
                    self._write(replace(holder, closing=stream_id))
        return before

    def release(self, *, with_status: bool = False) -> None:
        """
        Give the run's claim back, if it has it.

        :param with_status: also when the run opened a status of the source; otherwise ``IDLE`` is to follow
        """
        if not self._on:
            return
        with self._going_on():
            holder = self._read()
            if holder is not None and self._is_own(holder) and (with_status or not holder.status):
                Variable.delete(self.name)

    def of_another(self) -> Holder | None:
        """Return the claim of another run that is loading the source now."""
        if not self._on:
            return None
        with self._going_on():
            holder = self._read()
            if holder is not None and not self._is_own(holder) and self._active(holder):
                return holder
        return None

    def _take(self, status: str = "") -> None:
        holder = self._read()
        if holder is not None and self._is_own(holder):
            if status and holder.status != status:
                self._write(replace(holder, status=status))
            return
        if holder is not None:
            if self._active(holder):
                raise self._busy(holder)
            self._log.info(
                "DAG %s, run %s, ended without giving source %s back: its claim %s is taken over",
                holder.dag_id,
                holder.run_id,
                self._source,
                self.name,
            )
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        self._write(Holder(*self._own, self._source, now, status))
        time.sleep(PAUSE)
        written = self._read()
        if written is None:
            raise LookupError("it was written, and is not there")
        if not self._is_own(written):
            raise self._busy(written)
        self._taken = True

    def _busy(self, holder: Holder) -> SourceBusy:
        return SourceBusy(self._source, holder.dag_id, holder.run_id, holder.since, self.name)

    def _is_own(self, holder: Holder) -> bool:
        return (holder.dag_id, holder.run_id) == self._own

    def _is_later(self, holder: Holder) -> bool:
        """Tell whether a claim was taken after this run began, or was cleared to run again."""
        run: Any = self._context["dag_run"]
        try:
            return run.start_date is None or datetime.fromisoformat(holder.since) > run.start_date
        except (ValueError, TypeError):
            return True

    def _active(self, holder: Holder) -> bool:
        """Tell whether a run is queued or running; on doubt it is."""
        try:
            count: int = self._context["ti"].get_dr_count(
                holder.dag_id, run_ids=[holder.run_id], states=["queued", "running"]
            )
        except Exception as error:  # noqa: BLE001  of the supervisor, the server or the way between
            self._log.warning(
                "Whether run %s of DAG %s still runs is not known: %s", holder.run_id, holder.dag_id, error
            )
            return True
        return count > 0

    def _read(self) -> Holder | None:
        text = Variable.get(self.name, default=None)
        try:
            return None if text is None else Holder(**json.loads(text))
        except (TypeError, ValueError):
            self._log.warning("The Variable %s is no claim, and is replaced", self.name)
            return None

    def _write(self, holder: Holder) -> None:
        description = f"Source {self._source} of {self._organization} is being loaded: DAG {holder.dag_id}"
        Variable.set(self.name, json.dumps(asdict(holder)), description=description)

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        """Go on without a claim when Variables cannot be had: a load is worth more than its guard."""
        try:
            yield
        except CoveoError:
            raise
        except Exception as error:  # noqa: BLE001  each secrets backend has its own
            self._log.warning(
                "Source %s is not guarded against other runs, as the Variable %s cannot be used: %s. Set "
                "max_active_runs=1, and exclusive=False to be told no more",
                self._source,
                self.name,
                error,
            )


class SourceOperator(CoveoOperator):
    """
    A task that works on a source, which runs load in turns.

    :param exclusive: whether no other run may be loading the source meanwhile; by default so, as far as the task
        belongs to a load
    """

    source_id: str

    def __init__(self, *, exclusive: bool | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.exclusive = exclusive

    def is_exclusive(self, context: Context) -> bool:
        """Return whether the task's run needs the claim on its source."""
        return self.exclusive is not False

    def claim(self, context: Context) -> Claim:
        """Return the claim of the task's run on its source."""
        return Claim(self, context)


def variable_name(push_url: str, organization_id: str, source_id: str) -> str:
    """Return the name of the Variable that holds the claim on a source."""
    key = "\n".join((push_url, organization_id.lower(), source_id))
    return f"coveo_load__{hashlib.sha256(key.encode()).hexdigest()[:24]}"
