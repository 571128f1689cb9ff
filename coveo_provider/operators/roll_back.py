"""A former load of a source, chosen to be loaded again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import Context, XComArg

from coveo_provider.documents.changes.state import LoadRecord
from coveo_provider.documents.contract import counted
from coveo_provider.documents.uris import shown_uri
from coveo_provider.errors import ConfigurationError, DatasetError, SafetyStop
from coveo_provider.links import SOURCE_LINKS
from coveo_provider.operators.support.approvals import STOP, AskingOperator, Question, ask
from coveo_provider.operators.support.claims import SourceOperator
from coveo_provider.operators.support.datasets import remembered_dataset
from coveo_provider.operators.support.paths import folder_of
from coveo_provider.operators.support.states import state_at

PREVIOUS = "previous"


class CoveoChooseLoadOperator(AskingOperator, SourceOperator):
    """
    Choose a former load of a source, and return its datasets: what loads them again rolls the source back.

    The state remembers the last 20 loads. Their datasets are kept by whoever keeps the staging area; one that is
    gone, or was written again since, cannot be chosen, and the question says so.

    ::

        choose = CoveoChooseLoadOperator(task_id="choose", source_id=…, state=…)
        catalog_refresh(source_id=…, state=…, documents=choose.output, plan=True, approve="always")

    :param source_id: the source (templated)
    :param state: URI of the folder that the diff and the last step of its loads are given (templated)
    :param load: ``previous``, the newest one of other content than the last; or a run id, or ``<DAG>/<run id>``.
        Empty asks a person in Airflow's Required Actions (templated)
    :param answer_within: how long an answer is waited for; without one the task stops
    :param coveo_conn_id: connection to the organization that owns the source (templated)
    :return: URIs of the folders of the load's datasets, to be given as ``documents``
    :raises SafetyStop: there is no such load, its dataset is gone, or the answer was to stop
    """

    template_fields: Sequence[str] = ("source_id", "state", "load", "coveo_conn_id")
    operator_extra_links = SOURCE_LINKS
    documentation = "https://docs.coveo.com/en/90/"

    def __init__(
        self, *, source_id: str, state: str | XComArg, load: str | XComArg = "", **kwargs: Any
    ) -> None:
        super().__init__(on_doubt="ask", **kwargs)
        self.source_id = source_id
        self.state: Any = state
        self.load: Any = load

    def act(self, context: Context) -> list[str]:
        """List the loads, choose one or let it be chosen, and return where its datasets lie."""
        loads = state_at(self.state).loads()
        if not loads:
            raise SafetyStop(
                f"source {self.source_id}: no load is remembered in {shown_uri(str(self.state))}. Name the "
                "state of the tasks that load it; loads are remembered from this version of the provider on"
            )
        wanted = str(self.load or "").strip()
        chosen = self._named(wanted, loads) if wanted else self._asked(context, loads)
        if fault := _fault(chosen):
            raise SafetyStop(
                f"source {self.source_id}: the load of {_text(chosen)} cannot be rolled back to: {fault}"
            )
        self.log.info("Rolling source %s back to the load of %s", self.source_id, _text(chosen))
        return [folder_of(dataset.manifest) for dataset in chosen.datasets]

    def _named(self, wanted: str, loads: Sequence[LoadRecord]) -> LoadRecord:
        if wanted == PREVIOUS:
            before = [load for load in loads if load.sha256s != loads[0].sha256s]
            if before:
                return before[0]
            raise SafetyStop(
                f"source {self.source_id}: no load is remembered that made it anything else than what it is now"
            )
        found = [load for load in loads if wanted in {load.run_id, f"{load.dag_id}/{load.run_id}"}]
        if not found:
            known = ", ".join(load.run_id for load in loads[:5])
            raise ConfigurationError(
                f"load is {wanted!r}, and no load of source {self.source_id} is of that run. Remembered are {known}"
            )
        return found[0]

    def _asked(self, context: Context, loads: Sequence[LoadRecord]) -> LoadRecord:
        faults = [_fault(load) for load in loads]
        listed = list(zip(range(1, len(loads) + 1), loads, faults, strict=True))
        # Airflow draws few options as buttons in one row, so they are short; the list tells them apart.
        options = {_option(at, load): load for at, load, fault in listed if not fault}
        if not options:
            raise SafetyStop(
                f"source {self.source_id}: of {counted(len(loads), 'load')} that are remembered none can be rolled "
                f"back to: {faults[0]}"
            )
        lines = ["The loads of the source, the newest first; the first is what it holds now.", ""]
        for at, load, fault in listed:
            lines.append(f"{at}. {_text(load)}{f': cannot be chosen, {fault}' if fault else ''}")
        lines += ["", f"Nothing is sent by the choice itself. **{STOP}** lets the task fail."]
        question = Question("load", {}, f"source {self.source_id}: which load to roll back to?")
        answer = ask(
            self,
            context,
            [question],
            subject=f"Source {self.source_id}: which load to roll back to?",
            body="\n".join(lines),
            options=[*options, STOP],
        )
        return options[answer]


def _option(at: int, load: LoadRecord) -> str:
    """Return a load in the list of loads, as it is chosen: ``2: 2026-11-27 10:50:08 UTC``."""
    return f"{at}: {_moment(load)}"


def _moment(load: LoadRecord) -> str:
    return f"{load.finished_at[:19].replace('T', ' ')} UTC"


def _text(load: LoadRecord) -> str:
    return f"{_moment(load)}, {counted(load.rows, 'document')}, run {load.run_id or 'unknown'}"


def _fault(load: LoadRecord) -> str:
    """Return why a load cannot be rolled back to; empty when it can."""
    if not load.datasets:
        return "it is not remembered what it loaded"
    try:
        for record in load.datasets:
            remembered_dataset(record)
    except DatasetError as error:
        return str(error)
    return ""
