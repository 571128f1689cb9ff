"""
Runs take turns on a source, and each knows whether it is the newest that loaded it.

Coveo's APIs have no lock. Two loads of one source at once leave a mixture that neither of them holds: what one
pushes after the other's mark survives the other's deletion of older items. And a task of an older run that is
cleared would send old versions over newer ones. So the task that begins a load claims the source for its DAG
run, in Airflow Variables that all workers see, and what ends the load gives it back:

* ``coveo_load__…`` stands while a run loads the source;
* ``coveo_source__…`` stays: which run loaded it last, whether that has ended, and who owns its content.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from airflow.sdk import Context, Variable

from coveo_provider._compat import WAITS, AirflowSkipException
from coveo_provider.errors import CoveoError, SafetyStop, SourceBusy
from coveo_provider.operators.support.base import CoveoOperator
from coveo_provider.operators.support.followers import kinds_before
from coveo_provider.operators.support.load_records import (
    Holder,
    LastLoad,
    moment_text,
    now_text,
    variable_name,
)
from coveo_provider.operators.support.outlets import refuse_foreign_outlets

if TYPE_CHECKING:
    from coveo_provider.api.client import CoveoClient

PAUSE = 1.0
"""Seconds between writing a claim and looking whether it stands: longer than Airflow takes to write a Variable."""

_SLOW = 0.2
"""Seconds: where reading or writing a Variable takes longer, a multiple of it is waited."""

_PREFIXES = {
    "source": ("coveo_load", "coveo_source"),
    "provider": ("coveo_load_provider", "coveo_provider"),
}
_CURES = {
    "source": (
        "Load all of a source by one group: with state, documents takes several datasets. Where both hold the "
        "same, give both the same content_owner=…"
    ),
    "provider": "Push all identities of a provider with one state",
}

T = TypeVar("T")


class ProviderOperator(Protocol):
    """A task that pushes all identities of a provider."""

    provider_id: Any

    @property
    def log(self) -> Any:
        """Its logger."""

    @property
    def client(self) -> CoveoClient:
        """The client of its connection."""

    def is_exclusive(self, context: Context) -> bool:
        """Return whether the task's run needs the claim on its provider."""


class Claim:
    """
    The claim of a task's run on a source.

    It stands while its run is queued or running; what an ended run left behind is taken over. A Variable cannot be
    written on condition that it is not there, so whoever finds the source free writes, waits a moment and looks: of
    two runs that begin at once the one that wrote last goes on, and says so in the second Variable. Where
    Variables are slow, the wait is longer, and both are looked at again.

    When Variables cannot be read or written, the load goes on without a claim, and a warning is logged. Outside of
    a DAG run, and with ``exclusive=False``, nothing of this happens.

    :param operator: the task's operator: one of a source, or one that pushes the identities of a provider
    :param context: the task's
    """

    def __init__(self, operator: SourceOperator | ProviderOperator, context: Context) -> None:
        self._log = operator.log
        self._context = context
        of: Any = operator
        self._kind = "source" if hasattr(of, "source_id") else "provider"
        self._id = of.source_id if self._kind == "source" else of.provider_id
        self._what = f"{self._kind} {self._id}"
        self._taken = False
        self._slowest = 0.0
        run: Any = context.get("dag_run")
        self._on = run is not None and context.get("ti") is not None and operator.is_exclusive(context)
        self._own = (str(run.dag_id), str(run.run_id)) if run is not None else ("", "")
        if not self._on:
            return
        self._begins = self._kind != "source" or not any(
            kind.begins for kind in kinds_before(operator, context) if _is_ours(kind)
        )
        self._run_after = moment_text(getattr(run, "run_after", None) or getattr(run, "logical_date", None))
        client = operator.client
        self._organization = client.organization_id
        key = (client.endpoints.push_url, client.organization_id, self._id)
        load, record = _PREFIXES[self._kind]
        self.name = variable_name(*key, prefix=load)
        self.record_name = variable_name(*key, prefix=record)

    @property
    def load(self) -> str:
        """A name for the load: the run, and which of the source's loads it is; empty outside of a run."""
        if self._own == ("", ""):
            return ""
        name = "/".join(self._own)
        with self._going_on():
            record = self._record() if self._on else None
            if record is not None and self._is_own(record):
                name = f"{name}#{record.number}"
        return name

    @contextmanager
    def begun(self, step: str, status: str = "") -> Iterator[None]:
        """
        Take the claim to begin a load; when that comes to nothing, give it back.

        Where a task before this one begins the load, it goes on with that.

        :param step: what is about to be done: ``opening a stream``
        :param status: the source's status that is about to be opened
        :raises SourceBusy: another run is loading the source
        :raises SafetyStop: another run loaded the source since this one did; nothing was sent
        """
        if self._on:
            with self._going_on():
                self._enter(step, status, anew=self._begins)
        try:
            yield
        except AirflowSkipException:  # there is nothing to load
            self.release()
            raise
        except WAITS:  # for a person's answer: what it is about must not change meanwhile
            raise
        except BaseException:
            if self._taken:
                self.release(with_status=True)
            raise

    def join(self, step: str) -> None:
        """
        Make sure that the run is the one that loads the source, and that no other loaded it since.

        A task with nothing before it that begins a load begins one.

        :param step: what is about to be done: ``closing the stream``
        :raises SourceBusy: another run is loading the source, and this one has not begun
        :raises SafetyStop: another run loaded the source since this one did; nothing was sent
        """
        if self._on:
            with self._going_on():
                self._enter(step, anew=False)

    def own(self, owner: str, step: str) -> None:
        """
        Make sure that nothing else decides what the source holds, and remember this as what does.

        :param owner: what decides: a state's folder, or a group of tasks
        :raises SafetyStop: something else does
        """
        if not self._on or not owner:
            return
        with self._going_on():
            record = self._record()
            if record is None:
                return
            if record.owner and record.owner != owner:
                raise SafetyStop(
                    f"{self._what}: its content belongs to {record.owner}, since {record.owned_since}, and "
                    f"{step} by {owner} would delete what that loaded. Nothing was removed. "
                    f"{_CURES[self._kind]}; if the first is no longer used, delete the Variable {self.record_name}"
                )
            if not record.owner:
                self._write_record(replace(record, owner=owner, owned_since=now_text()))

    def alone(self, by: str) -> None:
        """
        Make sure that no other task of the run loads all of the source, and remember this one as the one that does.

        Mapped tasks of which each loads a share would leave the share of the last.

        :param by: the task, with its place among mapped ones
        :raises SafetyStop: another does; nothing was sent
        """
        if not self._on or not by:
            return
        with self._going_on():
            record = self._record()
            if record is None or not self._is_own(record):
                return
            if record.by and record.by != by:
                raise SafetyStop(
                    f"{self._what}: task {record.by} of this run loads all of its content, and {by} would "
                    "put its own in place of that. This task sent and removed nothing. Load all of a source by one "
                    f"task: documents may be a list of DataFrames. If {record.by} is no longer meant, delete the "
                    f"Variable {self.record_name}"
                )
            if not record.by:
                self._write_record(replace(record, by=by))

    def refuse_owned(self, step: str) -> None:
        """
        Make sure that nothing keeps an account of what is held, which a step without it would not be in.

        :raises SafetyStop: something does
        """
        if not self._on:
            return
        with self._going_on():
            record = self._record()
            if record is not None and record.owner:
                self.own("a task without it", step)

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
            mine = holder is not None and self._is_own(holder)
            if mine and holder is not None and holder.status and not with_status:
                return
            record = self._record()
            if record is not None and self._is_own(record) and not record.ended:
                self._write_record(replace(record, ended=True))
            if mine:
                Variable.delete(self.name)

    def of_another(self) -> Holder | LastLoad | None:
        """Return what says that another run is loading the source now."""
        other = None
        if self._on:
            with self._going_on():
                other = self._other(self._read(), self._record())
        return other

    @contextmanager
    def stale(self) -> Iterator[Holder | None]:
        """
        Give the claim of a run that opened a status and ended without ending it; ``None`` when there is none.

        Inside, no other run begins a load of the source; afterwards that load counts as ended, and its claim is
        gone. Unlike all else here it does not go on without Variables: what they raise is passed on.
        """
        start = time.monotonic()
        left = self._left() if self._on else None
        if left is None:
            yield None
            return
        mine = replace(left, dag_id=self._own[0], run_id=self._own[1])
        self._write(mine)
        self._pause(start)
        found = self._read()
        if found == left:
            raise LookupError("it was written, and is not there")
        if found != mine or self._other(None, self._record()) is not None:  # a run has begun meanwhile
            if found == mine:
                Variable.delete(self.name)
            yield None
            return
        try:
            yield left
        except BaseException:
            self._write(left)
            raise
        record = self._record()
        if record is not None and not record.ended:
            self._write_record(replace(record, ended=True))
        if self._read() == mine:
            Variable.delete(self.name)

    def _left(self) -> Holder | None:
        """Return the claim of a run that opened a status and is no more, unless another run loads the source."""
        holder = self._read()
        if holder is None or not holder.status or self._is_own(holder):
            return None
        return holder if self._other(holder, self._record()) is None else None

    def _enter(self, step: str, status: str = "", *, anew: bool) -> None:
        """
        Take the claim, or find that it is the run's; a task that may not begin a load does neither after another's.

        :param anew: whether this is where a load begins, were it one of older data
        """
        record = self._record()
        if record is not None and not self._is_own(record) and not anew:
            older = self._run_after and record.run_after and self._run_after < record.run_after
            if not self._begins or older:
                raise self._outdated(record, step)
        self._take(status)

    def _take(self, status: str = "") -> None:
        start = time.monotonic()
        holder, record = self._read(), self._record()
        if holder is not None and self._is_own(holder) and record is not None and self._is_own(record):
            if status and holder.status != status:
                self._write(replace(holder, status=status))
            if record.ended:
                self._write_record(replace(record, ended=False))
            return
        self._refuse_busy(holder, record)
        if holder is not None and not self._is_own(holder):
            self._log.info(
                "DAG %s, run %s, ended without giving %s back: its claim %s is taken over",
                holder.dag_id,
                holder.run_id,
                self._what,
                self.name,
            )
        now = now_text()
        self._write(Holder(*self._own, self._id, now, status))
        self._pause(start)
        written, record = self._read(), self._record()
        if written is None:
            raise LookupError("it was written, and is not there")
        if not self._is_own(written):
            raise self._busy(written)
        self._refuse_busy(None, record)
        if record is None or not self._is_own(record):
            known = record or LastLoad(0, "", "", "")
            dag_id, run_id = self._own
            record = replace(
                known,
                number=known.number + 1,
                dag_id=dag_id,
                run_id=run_id,
                since=now,
                run_after=self._run_after,
                by="",
            )
        self._write_record(replace(record, ended=False))
        self._taken = True

    def _pause(self, since: float) -> None:
        """Wait until what another run wrote at the same time can be read, as slow as Variables are."""
        taken = time.monotonic() - since
        time.sleep(max(PAUSE, 4.0, 3 * taken) if PAUSE and self._slowest > _SLOW else PAUSE)

    def _refuse_busy(self, holder: Holder | None, record: LastLoad | None) -> None:
        if (other := self._other(holder, record)) is not None:
            raise self._busy(other)

    def _other(self, holder: Holder | None, record: LastLoad | None) -> Holder | LastLoad | None:
        if record is not None and not record.ended and not self._is_own(record) and self._active(record):
            return record
        return holder if holder is not None and not self._is_own(holder) and self._active(holder) else None

    def _busy(self, holder: Holder | LastLoad) -> SourceBusy:
        return SourceBusy(self._id, holder.dag_id, holder.run_id, holder.since, self.name, self._kind)

    def _outdated(self, record: LastLoad, step: str) -> CoveoError:
        cure = (
            "To load this run's data again, clear the run from its first task; otherwise leave it"
            if self._kind == "source"
            else "To push what is known now, start a new run"
        )
        return SafetyStop(
            f"{self._what}: DAG {record.dag_id}, run {record.run_id}, began a load of its own at "
            f"{record.since}, after this run's, so {step} would put old content over new. This task sent and "
            f"removed nothing. {cure}"
        )

    def _is_own(self, holder: Holder | LastLoad) -> bool:
        return (holder.dag_id, holder.run_id) == self._own

    def _active(self, holder: Holder | LastLoad) -> bool:
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
        return self._parsed(self.name, Holder)

    def _record(self) -> LastLoad | None:
        return self._parsed(self.record_name, LastLoad)

    def _parsed(self, name: str, kind: Callable[..., T]) -> T | None:
        text = self._timed(lambda: Variable.get(name, default=None))
        try:
            return None if text is None else kind(**json.loads(text))
        except (TypeError, ValueError):
            self._log.warning("The Variable %s is not what this provider wrote, and is replaced", name)
            return None

    def _write(self, holder: Holder) -> None:
        self._put(self.name, holder, f"is being loaded: DAG {holder.dag_id}")

    def _write_record(self, record: LastLoad) -> None:
        self._put(self.record_name, record, f"was loaded last by DAG {record.dag_id}")

    def _put(self, name: str, value: Holder | LastLoad, what: str) -> None:
        text = json.dumps(asdict(value))
        description = f"{self._kind.capitalize()} {self._id} of {self._organization} {what}"
        self._timed(lambda: Variable.set(name, text, description=description))

    def _timed(self, call: Callable[[], T]) -> T:
        start = time.monotonic()
        try:
            return call()
        finally:
            self._slowest = max(self._slowest, time.monotonic() - start)

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        """Go on without a claim when Variables cannot be had: a load is worth more than its guard."""
        try:
            yield
        except CoveoError:
            raise
        except Exception as error:  # noqa: BLE001  each secrets backend has its own
            self._log.warning(
                "%s %s is not guarded against other runs, as the Variable %s cannot be used: %s. Set "
                "max_active_runs=1, and exclusive=False to be told no more",
                self._kind.capitalize(),
                self._id,
                self.name,
                error,
            )


class SourceOperator(CoveoOperator):
    """
    A task that works on a source, which runs load in turns.

    :param exclusive: whether no other run may be loading the source meanwhile; by default so, as far as the task
        belongs to a load
    """

    begins: ClassVar[bool] = False
    """Whether such a task begins a load, which those after it go on with."""

    ends: ClassVar[bool] = False
    """Whether such a task ends a load, or a step towards that."""

    source_id: Any

    def __init__(self, *, exclusive: bool | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.exclusive = exclusive

    def is_exclusive(self, context: Context) -> bool:
        """Return whether the task's run needs the claim on its source."""
        return self.exclusive is not False

    def claim(self, context: Context) -> Claim:
        """
        Return the claim of the task's run on its source.

        :raises ConfigurationError: the task that ends the load declares another source as its outlet
        """
        refuse_foreign_outlets(self, context)
        return Claim(self, context)


def _is_ours(kind: type[Any]) -> bool:
    return issubclass(kind, SourceOperator)
