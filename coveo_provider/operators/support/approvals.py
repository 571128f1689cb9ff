"""
A task that stops on doubt, or asks a person, and goes on or stops as answered.

The question stands in Airflow's Required Actions. Until it is answered the task holds no worker; the process that
goes on is a new one. So what was asked travels with the wait, and what was answered is an XCom of the task's own,
``coveo_approvals``, which tasks after it read: a list of ``task_id``, ``guard``, ``numbers``, ``question``,
``answer``, ``by`` and ``at``, with ``about`` where the answer holds for one comparison only.

An approval holds for the numbers it was given for; a task that finds others stops. One that is cleared asks again;
a retry does so on Airflow 3.1 and 3.2, where nothing of a task outlives its try.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from coveo_provider._compat import TaskAwaitingInput, TaskDeferred
from coveo_provider.documents.contract import counted
from coveo_provider.errors import ConfigurationError, SafetyStop
from coveo_provider.operators.support.base import CoveoOperator
from coveo_provider.operators.support.checkpoints import Checkpoint
from coveo_provider.operators.support.followers import tasks_before
from coveo_provider.planning.summary import summary_of

if TYPE_CHECKING:
    from coveo_provider.safety import Doubt

APPLY, STOP = "Apply", "Stop"

APPROVALS = "coveo_approvals"
"""The XCom that holds what was answered; on Airflow 3.3 also an entry of the task's state store."""

PLAN = "coveo_plan"
"""The XCom that holds the plan of a load."""
_MAY_BE_LESS = "held"  # to take away from fewer items than was approved is less than was approved

Approval = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """
    What a person is asked.

    :param guard: the argument that made it doubtful: ``max_shrink``; or another name for the question
    :param numbers: the counts it is about: the answer holds for these alone
    :param question: a sentence
    :param about: fingerprint of what was compared: other documents may have the same numbers. Empty, any
    """

    guard: str
    numbers: Mapping[str, int]
    question: str
    about: str = ""


class AskingOperator(CoveoOperator):
    """
    A task with guards: what it finds doubtful stops it, or is asked of a person.

    :param on_doubt: what to do when a guard finds the numbers doubtful: ``"fail"``, or ``"ask"`` in Airflow's
        Required Actions, and go on or stop as answered
    :param answer_within: how long an answer is waited for; without one the task stops
    :raises ConfigurationError: one of them is something else
    """

    def __init__(
        self, *, on_doubt: str = "fail", answer_within: timedelta = timedelta(days=1), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if on_doubt not in ("fail", "ask"):
            raise ConfigurationError(f'on_doubt must be "fail" or "ask", not {on_doubt!r}')
        if not isinstance(answer_within, timedelta) or answer_within <= timedelta(0):
            raise ConfigurationError(f"answer_within must be a timedelta above 0, not {answer_within!r}")
        self.on_doubt = on_doubt
        self.answer_within = answer_within

    @property
    def longest_answer(self) -> timedelta:
        """How long an answer is waited for: not longer than the wait is of use to the task."""
        if self.longest_wait is None:
            return self.answer_within
        return min(self.answer_within, timedelta(seconds=self.longest_wait))

    def answered(
        self,
        context: Context,
        event: Mapping[str, Any] | None = None,
        asked: Sequence[Mapping[str, Any]] = (),
        checkpoint: Mapping[str, Any] | None = None,
    ) -> Any:
        """Go on with what was approved; stop when it was not, or when nobody answered in time."""
        event = event or {}
        self.checkpoint = Checkpoint.from_json(checkpoint)
        answer = next(iter(event.get("chosen_options") or []), None)
        questions = " ".join(str(one["question"]) for one in asked)
        if answer is None:
            why = f"nobody answered within {_in_words(self.longest_answer)}"
            if event.get("error_type", "timeout") != "timeout":
                why = f"the answer cannot be used ({event.get('error')})"
            self._fail(SafetyStop(f"{questions} It was asked whether to go on, and {why}. {_AS_IT_WAS}"))
        by, at = _responder(event), _moment(event.get("responded_at"))
        given = [{"task_id": self.task_id, **one, "answer": answer, "by": by, "at": at} for one in asked]
        self._keep(context, [*_own(context), *given])
        self.log.info("%s answered %s at %s: %s", by, answer, at, questions)
        if answer == STOP:
            self._fail(SafetyStop(f"{questions} {by} answered {STOP} at {at}. {_AS_IT_WAS}"))
        return self.execute(context)

    def _keep(self, context: Context, approvals: list[Approval]) -> None:
        """Keep what was answered for the tasks that follow, and where Airflow can do so, for the next try."""
        instance: Any = context["ti"]
        instance.xcom_push(APPROVALS, approvals)
        if (store := _store(context)) is None:
            return
        try:
            store.set(APPROVALS, {"max_tries": instance.max_tries, "approvals": approvals})
        except Exception as error:  # noqa: BLE001  each backend has its own; the answer itself is kept
            self.log.warning("Should this try fail, the next one asks again: %s", error)


_AS_IT_WAS = (
    "Nothing was removed. Once the extract is right, clear the run from its first task; to be asked again, clear "
    "this one"
)


class Doubts:
    """
    What a task finds doubtful before a step; settled once, as it can ask one question only.

    :param operator: the task's
    :param context: the task's
    :param about: fingerprint of what was compared, which an answer then is for
    """

    def __init__(self, operator: AskingOperator, context: Context, about: str = "") -> None:
        self._operator = operator
        self._context = context
        self._about = about
        self._asked: list[Question] = []

    def add(self, doubt: Doubt) -> None:
        """
        Take a doubt down, or stop because of it.

        :raises SafetyStop: nobody is to be asked
        """
        if self._operator.on_doubt != "ask":
            doubt.stop()
        self._asked.append(Question(doubt.guard, doubt.numbers, doubt.found, self._about))

    def always(self, question: Question) -> None:
        """Take down what a person is asked in any case."""
        self._asked.append(question)

    def settle(self, step: str, plan: Any = None) -> None:
        """
        Return when all doubts were approved for these very numbers; otherwise ask, which ends this process.

        :param step: what is about to be done: ``closing the stream``
        :param plan: of the load; by default what a task before this one planned
        :raises SafetyStop: nobody can be asked
        """
        operator = self._operator
        known = _known(operator, self._context) if self._asked else []
        _refuse_outdated(self._asked, known)
        asked = [one for one in self._asked if _answer_to(one, known, (APPLY,)) is None]
        if not asked:
            return
        numbers = {name: count for one in asked for name, count in one.numbers.items()}
        owner = asked[0].question.partition(":")[0]
        subject = f"{owner[:1].upper()}{owner[1:]}: {_listed(numbers)}. Go on with {step}?"
        found = [one.question.removeprefix(f"{owner}: ") for one in asked]
        paragraphs = [
            f"**{operator.task_id}** waits before {step}:",
            "\n".join(f"- {one[:1].upper()}{one[1:]}" for one in found),
            summary_of(plan or plan_before(operator, self._context)),
            f"**{APPLY}** goes on, with these very numbers only. **{STOP}** lets the task fail, and nothing is "
            f"removed. Without an answer within {_in_words(operator.longest_answer)} it fails, too.",
        ]
        ask(operator, self._context, asked, subject=subject, body="\n\n".join(filter(None, paragraphs)))


def ask(
    operator: AskingOperator,
    context: Context,
    asked: Sequence[Question],
    *,
    subject: str,
    body: str,
    options: Sequence[str] = (APPLY, STOP),
) -> str:
    """
    Return what a person answered to a question; the first time, ask and wait, which ends this process.

    Once it is answered the task runs again from its start, and this returns; ``Stop`` fails it before. A task
    instance has one question: text and options must be the same whenever it asks.

    :param asked: what the answer is about
    :param subject: the question in one line
    :param body: what is needed to decide, in Markdown
    :param options: what may be answered; one that is ``Stop`` fails the task
    :raises SafetyStop: nobody can be asked: the task runs outside of a DAG run, or Airflow would show what this
        task asked before, with other numbers
    """
    known = _known(operator, context)
    answers = [_answer_to(one, known, options) for one in asked]
    if answers and all(answers):
        return str(answers[-1])
    _request(context, asked, subject, body, options)
    operator.log.info("Waiting in Required Actions for an answer: %s", subject)
    raise _waiting(operator, context, asked, options)


def approvals_before(operator: Any, context: Context) -> list[Approval]:
    """
    Return what people answered in this run before a task, on its source or in its group, and to the task itself.

    In the order of the answers.

    :param operator: one that has a ``source_id``
    """
    if context.get("ti") is None:
        return []
    ids = _askers(operator, context)
    group = operator.task_id.rpartition(".")[0]
    for task in operator.get_flat_relatives(upstream=True):
        arguments = getattr(task, "partial_kwargs", None) or vars(task)
        if "provider_id" in arguments and task.task_id.rpartition(".")[0] == group:
            ids.append(task.task_id)
    # Airflow logs an error for an XCom that is not there: who never asks has none.
    own = _own(context) if isinstance(operator, AskingOperator) else []
    found = [*_pulled(context, dict.fromkeys(ids)), *own]
    return sorted(found, key=lambda approval: str(approval.get("at")))


def _known(operator: AskingOperator, context: Context) -> list[Approval]:
    """Return what was answered to the task, and on its source, or its provider, before it."""
    return [*_pulled(context, _askers(operator, context)), *_own(context)]


def _askers(operator: Any, context: Context) -> list[str]:
    """Return the ids of the tasks before an operator that may have asked about what it works on."""
    if context.get("ti") is None:
        return []
    owner = "source_id" if hasattr(operator, "source_id") else "provider_id"
    before = tasks_before(operator, context, owner)
    return [task_id for task_id, kind in before if issubclass(kind, AskingOperator)]


def _pulled(context: Context, task_ids: Iterable[str]) -> list[Approval]:
    ids, instance = list(task_ids), context.get("ti")
    if not ids or instance is None:
        return []
    pulled: Any = instance.xcom_pull(task_ids=ids, key=APPROVALS)
    return [approval for each in pulled or [] for approval in each or []]


def _own(context: Context) -> list[Approval]:
    """Return what was answered to this task since it was last cleared."""
    instance: Any = context.get("ti")
    if instance is None:
        return []
    found = instance.xcom_pull(key=APPROVALS, map_indexes=instance.map_index)
    if found is None and (store := _store(context)) is not None:
        kept = store.get(APPROVALS)
        if isinstance(kept, dict) and kept.get("max_tries") == instance.max_tries:  # a clear raises it
            found = kept["approvals"]
            instance.xcom_push(APPROVALS, found)
    return list(found or [])


def _store(context: Context) -> Any:
    """Return what outlives a try of the task: Airflow has it since 3.3."""
    return context.get("task_state_store")


def _answer_to(question: Question, known: Iterable[Approval], options: Sequence[str]) -> str | None:
    """Return the last answer to a question, if it was given for these numbers."""
    answers = [
        str(one["answer"])
        for one in known
        if one["guard"] == question.guard and one["answer"] in options and one["answer"] != STOP
        if _covers(one["numbers"], question.numbers) and _is_about(one, question)
    ]
    return answers[-1] if answers else None


def _is_about(approval: Approval, question: Question) -> bool:
    return not question.about or approval.get("about", question.about) == question.about


def _refuse_outdated(asked: Iterable[Question], known: Sequence[Approval]) -> None:
    """
    Refuse to go by an answer to a comparison that has become another one.

    :raises SafetyStop: what was compared has changed since it was asked
    """
    for question in asked:
        answers = [one for one in known if one["guard"] == question.guard and one["answer"] == APPLY]
        if answers and not _is_about(answers[-1], question):
            raise SafetyStop(
                f"{question.question} {answers[-1]['by']} answered {APPLY} at {answers[-1]['at']}, and the source "
                "was loaded since it was asked, or the dataset was written again: other documents than those shown "
                "would change. Nothing was removed. Start a new run, which asks anew"
            )


def _covers(approved: Mapping[str, int], numbers: Mapping[str, int]) -> bool:
    return all(
        name in approved and (count == approved[name] or (name == _MAY_BE_LESS and count < approved[name]))
        for name, count in numbers.items()
    )


def plan_before(operator: Any, context: Context) -> Any:
    """Return the plan of the load, if a task before this one made one."""
    if context.get("ti") is None or not hasattr(operator, "source_id"):
        return None
    ids = [name for name, kind in tasks_before(operator, context) if getattr(kind, "plans", False)]
    plans = [context["ti"].xcom_pull(task_ids=name, key=PLAN) for name in ids]
    return next((plan for plan in plans if plan), None)


def _request(
    context: Context, asked: Sequence[Question], subject: str, body: str, options: Sequence[str]
) -> None:
    """
    Put a question into Required Actions.

    ``upsert_hitl_detail`` of Airflow does the same, but drops the answer, which tells what people will read: of a
    task instance Airflow keeps the text of the first question for good, also when it is cleared.

    :raises SafetyStop: people would read another question, or there is no Airflow around the task
    """
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import CreateHITLDetailPayload

    comms = getattr(task_runner, "SUPERVISOR_COMMS", None)
    questions = " ".join(one.question for one in asked)
    instance: Any = context.get("ti")
    # Before 3.3 a trigger waits, and `dag.test()` runs it where it cannot see the answer.
    alone = TaskAwaitingInput is None and type(comms).__name__ == "InProcessSupervisorComms"
    if comms is None or alone or getattr(instance, "id", None) is None:
        raise SafetyStop(
            f'{questions} on_doubt="ask" needs a DAG run of a scheduler to ask in, and this task runs outside of '
            "one. Nothing was removed"
        )
    payload = CreateHITLDetailPayload(
        ti_id=instance.id, options=list(options), subject=subject, body=body, params={}, assigned_users=[]
    )
    shown = comms.send(payload)
    if (shown.subject, shown.body, list(shown.options)) != (subject, body, list(options)):
        raise SafetyStop(
            f"{questions} It cannot be asked whether to go on: in this run the task asked something else "
            "before, and Airflow keeps on showing that. Nothing was removed. Start a new run, which asks anew"
        )


def _waiting(
    operator: AskingOperator, context: Context, asked: Sequence[Question], options: Sequence[str]
) -> BaseException:
    """Return what gives the worker back until there is an answer, when it is raised."""
    kwargs = {
        "asked": [{**asdict(one), "numbers": dict(one.numbers)} for one in asked],
        "checkpoint": operator.checkpoint.as_json(),
    }
    within = operator.longest_answer
    if TaskAwaitingInput is not None:
        return TaskAwaitingInput(method_name="answered", kwargs=kwargs, timeout=within)
    from airflow.providers.standard.triggers.hitl import HITLTrigger

    instance: Any = context["ti"]
    trigger = HITLTrigger(
        ti_id=instance.id,
        options=list(options),
        params={},
        timeout_datetime=datetime.now(timezone.utc) + within,
    )
    return TaskDeferred(trigger=trigger, method_name="answered", kwargs=kwargs)


def _responder(event: Mapping[str, Any]) -> str:
    """Return who answered; versions of Airflow's standard provider differ in whether they tell."""
    user = event.get("responded_by_user") or {}
    return str(user.get("name") or user.get("id") or "somebody")


def _moment(value: Any) -> str:
    moment = value if isinstance(value, datetime) else datetime.now(timezone.utc)
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _listed(numbers: Mapping[str, int]) -> str:
    """Return counts in words: ``500 documents, 1,000 held``."""
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in numbers.items())


def _in_words(duration: timedelta) -> str:
    """Return a duration as people say it: ``1 day``, ``45 minutes``."""
    seconds = int(duration.total_seconds())
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            return counted(seconds // size, unit)
    return counted(seconds, "second")
