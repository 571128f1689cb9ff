"""What a provider holds according to a state, and what makes it hold the datasets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from airflow.sdk import Context

from coveo_provider.documents.contract import counted
from coveo_provider.errors import AccessDenied, ConfigurationError, DatasetError, SafetyStop
from coveo_provider.operators.support.claims import ProviderOperator
from coveo_provider.operators.support.paths import folder_at
from coveo_provider.operators.support.states import run_key
from coveo_provider.operators.support.storage import files_in
from coveo_provider.operators.support.values import truth

if TYPE_CHECKING:
    from coveo_provider.identities.changes import Datasets, IdentityChanges, Survey
    from coveo_provider.identities.state import IdentityState, LastPush, PendingPush


class StatefulOperator(ProviderOperator, Protocol):
    """A task that pushes what changed among the identities of a provider."""

    state: Any
    full: Any
    case_sensitive: bool


@dataclass(frozen=True)
class IdentityBasis:
    """
    What a push goes by.

    :param reason: why everything is sent; empty when what changed is
    :param survey: the rows of both datasets
    :param changes: what to send; with a reason, all of it
    """

    state: IdentityState
    current: LastPush
    reason: str
    survey: Survey
    changes: IdentityChanges
    pending: tuple[PendingPush, ...]
    own: PendingPush

    @property
    def full(self) -> bool:
        """Whether everything is sent."""
        return bool(self.reason)

    def told(self) -> str:
        """Return what is about to be sent, in words."""
        if self.full:
            return f"Sending all {counted(self.current.identities, 'identity')}, as {self.reason}"
        if not len(self.changes):
            return f"None of {counted(self.current.identities, 'identity')} changed since the last push"
        return (
            f"Of {counted(self.current.identities, 'identity')}, {len(self.changes.changed):,} changed, "
            f"{len(self.changes.emptied):,} lost their members or addresses, and {len(self.changes.gone):,} "
            "are gone"
        )

    def announce(self) -> None:
        """Remember the push before anything of it is sent."""
        if self.full or len(self.changes):
            self.state.announce(self.own)

    def remember(self) -> None:
        """
        Remember what the provider holds, once all of it was accepted.

        :raises SafetyStop: another push came between, and what is held is not known
        """
        if not self.full and not len(self.changes) and not self.pending:
            return
        if (self.full or len(self.changes)) and not self.state.is_announced(self.own):
            self.state.announce(self.own)  # so that the next push sends everything
            raise SafetyStop(
                f"provider {self.current.provider_id}: another push with this state came between, so what "
                "the provider "
                "holds now is not known. Nothing was remembered: the next run sends everything"
            )
        self.state.remember(
            self.current, self.survey, [*(one for one in self.pending if one.key != self.own.key), self.own]
        )


def read_identity_basis(operator: StatefulOperator, context: Context, datasets: Datasets) -> IdentityBasis:
    """
    Return what datasets of all of a provider's identities change in it.

    :raises DatasetError: one is not what it should be
    :raises ConfigurationError: the state is no URI
    """
    from coveo_provider.identities.changes import changes_between, content_of, count_of, survey_of
    from coveo_provider.identities.state import LastPush, PendingPush

    state = identity_state_at(operator.state)
    survey = survey_of(datasets, operator.case_sensitive)
    current = LastPush(
        organization=operator.client.organization_id,
        push_url=operator.client.endpoints.push_url,
        provider_id=operator.provider_id,
        case_sensitive=operator.case_sensitive,
        content=content_of(survey),
        identities=count_of(survey),
    )
    former, reason = _former(state, current)
    pending = tuple(state.pending())
    if truth(operator.full, "full"):
        reason = "it was asked for"
    elif not reason and not all(one.settled_by(current.content) for one in pending):
        reason = "a push of others, or of all, was begun, and did not come to its end"
    reason = reason or _too_few(operator, state.last())
    return IdentityBasis(
        state=state,
        current=current,
        reason=reason,
        survey=survey,
        changes=changes_between(survey.clear() if former is None else former, survey),
        pending=pending,
        own=PendingPush(run_key(context), current.content, full=bool(reason)),
    )


def identity_state_at(uri: Any) -> IdentityState:
    """
    Return the state of identities in a folder, which need not be there yet.

    :raises ConfigurationError: it is no URI
    """
    from coveo_provider.identities.state import IdentityState

    if not isinstance(uri, str) or not uri.strip():
        raise ConfigurationError(f"state must be the URI of a folder, not {uri!r}")
    folder = folder_at(uri, "state")
    return IdentityState(folder, files_in(folder) if folder.is_dir() else ())


def _former(state: IdentityState, current: LastPush) -> tuple[Survey | None, str]:
    """Return what is remembered, or why everything has to be sent."""
    try:
        last = state.last()
        if last is None:
            return None, "nothing is remembered"
        if reason := last.unlike(current):
            return None, reason
        return state.survey(last), ""
    except DatasetError as error:
        return None, f"what was remembered cannot be used ({error})"


def _too_few(operator: StatefulOperator, last: LastPush | None) -> str:
    """Return why everything has to be sent when the provider holds fewer identities than were pushed."""
    if last is None:
        return ""
    try:
        held = operator.client.count_identities(operator.provider_id)
    except AccessDenied:
        operator.log.warning(
            "How many identities provider %s holds is not known, as the key may not view it",
            operator.provider_id,
        )
        return ""
    if held is None or held >= last.identities:
        return ""
    return f"the provider holds {held:,} identities, and {last.identities:,} were pushed"
