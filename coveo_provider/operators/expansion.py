"""Security identities of any number: pushed, and those that a push did not renew disabled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context, XComArg

from coveo_provider._compat import WAITS
from coveo_provider.documents.contract import DEFAULT_CHUNK_BYTES, Section
from coveo_provider.errors import ConfigurationError, SafetyStop
from coveo_provider.operators.support.approvals import AskingOperator, Doubts
from coveo_provider.operators.support.claims import Claim
from coveo_provider.operators.support.datasets import open_parts
from coveo_provider.operators.support.ending import after_every_part_only
from coveo_provider.operators.support.identity_basis import read_identity_basis
from coveo_provider.operators.support.sending import send_chunks
from coveo_provider.operators.support.states import owner_of_state
from coveo_provider.operators.support.storage import list_parts
from coveo_provider.operators.support.values import number
from coveo_provider.scratch import ScratchFolder

if TYPE_CHECKING:
    from coveo_provider.documents.encoding.chunks import Chunk, ChunkWriter
    from coveo_provider.report import IdentityReport

_STEP = "disabling older identities"
_CHANGES = "sending the changes of identities"


class CoveoSecurityExpansionOperator(AskingOperator):
    """
    Push groups with their members, aliases, granted identities and identities to disable, of any number.

    Everything is encoded and checked before the first container is sent. A push replaces what is known of an
    identity, so a group must carry its complete member list: one that stands twice is refused by name, or
    merged when asked. With ``delete_older`` the identities that this expansion did not renew are disabled at
    the end, once all containers were accepted; an empty expansion never disables everybody.

    With ``state``, ``members`` and ``mappings`` are all that the provider is to hold, and only what changed since
    the last push is sent: a group with its whole list of members, and whoever is gone to be disabled. A first push
    sends all and disables the rest; so does one after a push that failed, when what was remembered is lost or
    damaged, or when the provider holds fewer than were pushed.

    Push identities first, then the items whose permissions name them.

    :param provider_id: the provider (templated)
    :param members: URI of a dataset, or a list of its parts: Parquet with ``name``, ``type`` (``USER``,
        ``GROUP``, ``VIRTUAL_GROUP``), and ``members`` and ``wellKnowns`` as lists of the same (templated)
    :param mappings: the same for aliases: ``name``, ``type``, ``mappings`` as a list of ``name``, ``type`` and
        ``provider``, and ``wellKnowns`` (templated)
    :param deleted: the same for identities to disable: ``name``, ``type`` (templated)
    :param duplicates: what becomes of an identity that stands twice: ``refuse`` or ``merge``
    :param case_sensitive: whether the provider tells names apart that differ in case only
    :param delete_older: whether to disable what was not renewed
    :param queue_delay: minutes the service waits before it disables (templated)
    :param min_identities: with ``delete_older``, the fewest identities there may be (templated)
    :param max_shrink: with ``delete_older``, share of the identities held now that may go, between 0 and 1;
        ``None`` does not look. Needs Security identity providers (View) (templated)
    :param state: URI of a folder that outlives runs, one for each provider; that of a source's documents will do,
        too (templated)
    :param full: with ``state``, whether to send everything this time (templated)
    :param on_doubt: what to do beyond these bounds: ``"fail"``, or ``"ask"`` a person in Required Actions
    :param answer_within: how long an answer is waited for; without one the task stops
    :param max_chunk_bytes: the most a container may take, in bytes, envelope included
    :param coveo_conn_id: connection to the organization that owns the provider; its key needs Security
        identity providers (Edit) (templated)
    :return: a report: ``parts``, ``members``, ``mappings``, ``deleted``, ``bytes``, ``chunks``, and
        ``ordering_id``, the mark before the first push; with ``state`` also ``full``, ``reason`` and ``unchanged``
    """

    documentation = "https://docs.coveo.com/en/55/"
    template_fields: Sequence[str] = (
        "provider_id",
        "members",
        "mappings",
        "deleted",
        "queue_delay",
        "min_identities",
        "max_shrink",
        "state",
        "full",
        "coveo_conn_id",
    )

    def __init__(
        self,
        *,
        provider_id: str,
        members: str | Sequence[str | XComArg] | XComArg | None = None,
        mappings: str | Sequence[str | XComArg] | XComArg | None = None,
        deleted: str | Sequence[str | XComArg] | XComArg | None = None,
        duplicates: str = "refuse",
        case_sensitive: bool = False,
        delete_older: bool = False,
        queue_delay: int | str = 15,
        min_identities: int | str = 1,
        max_shrink: float | str | None = None,
        state: str | XComArg | None = None,
        full: bool | str = False,
        max_chunk_bytes: int = DEFAULT_CHUNK_BYTES,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.provider_id = provider_id
        self.members: Any = members
        self.mappings: Any = mappings
        self.deleted: Any = deleted
        self.duplicates = duplicates
        self.case_sensitive = case_sensitive
        self.delete_older = delete_older
        self.queue_delay = queue_delay
        self.min_identities = min_identities
        self.max_shrink = max_shrink
        self.state: Any = state
        self.full = full
        self.max_chunk_bytes = max_chunk_bytes

    def is_exclusive(self, context: Context) -> bool:
        """Return whether no other run may push identities meanwhile: with a state, which tells what is held."""
        return True

    def act(self, context: Context) -> dict[str, Any]:
        """Encode and check everything, push container after container, then disable what is older."""
        from coveo_provider.documents.encoding.chunks import ChunkWriter

        if self.state is not None and (self.deleted is not None or self.duplicates != "refuse"):
            raise ConfigurationError(
                f"task {self.task_id}: with state, members and mappings are all that the provider is to hold, each "
                "identity once: deleted is found by comparison, and duplicates='merge' is not possible"
            )
        datasets = {"members": self.members, "mappings": self.mappings, "deleted": self.deleted}
        uris = {kind: list_parts(uri, kind) for kind, uri in datasets.items() if uri is not None}
        if not uris:
            raise ConfigurationError(
                f"task {self.task_id}: name members, mappings, deleted or several of them"
            )
        if self.duplicates not in {"refuse", "merge"}:
            raise ConfigurationError(f"duplicates must be refuse or merge, not {self.duplicates!r}")
        if self.state is not None:
            return self._by_state(context, uris)
        if self.delete_older:
            Claim(self, context).refuse_owned(_STEP)
        with ChunkWriter(self.max_chunk_bytes) as writer:
            chunks = self._spooled(writer, uris)
            report = self._push(context, chunks, uris, _kept(chunks), delete_older=self.delete_older)
        return report.as_json()

    def _by_state(self, context: Context, uris: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """Send what changed, while no other run pushes identities of the provider."""
        claim = Claim(self, context)
        claim.join(_CHANGES)
        try:
            claim.own(owner_of_state(self.state), _CHANGES)
            report = self._send_changes(context, uris)
        except WAITS:  # for a person's answer: what it is about must not change meanwhile
            raise
        except BaseException:
            claim.release(with_status=True)
            raise
        claim.release(with_status=True)
        return report

    def _send_changes(self, context: Context, uris: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        from coveo_provider.documents.encoding.chunks import ChunkWriter
        from coveo_provider.identities.batches import spool_identities
        from coveo_provider.identities.changes import changed_parts
        from coveo_provider.identities.columns import IdentityKind

        with (
            open_parts(uris.get("members", [])) as members,
            open_parts(uris.get("mappings", [])) as mappings,
            ScratchFolder("identities") as scratch,
            ChunkWriter(self.max_chunk_bytes) as writer,
        ):
            datasets = {IdentityKind.MEMBERS: members, IdentityKind.MAPPINGS: mappings}
            basis = read_identity_basis(self, context, datasets)
            self.log.info("%s", basis.told())
            with changed_parts(basis.changes, datasets, self.case_sensitive, Path(scratch)) as changed:
                sent = datasets if basis.full else changed
                chunks = spool_identities(
                    writer,
                    members=sent[IdentityKind.MEMBERS],
                    mappings=sent[IdentityKind.MAPPINGS],
                    deleted=sent.get(IdentityKind.DELETED, []),
                    case_sensitive=self.case_sensitive,
                    log=self.log.info,
                )
            report = self._push(
                context,
                chunks,
                uris,
                basis.current.identities,
                delete_older=basis.full,
                before=basis.announce,
            )
            basis.remember()
        return {
            **report.as_json(),
            "full": basis.full,
            "reason": basis.reason,
            "unchanged": len(basis.survey)
            - (len(basis.survey) if basis.full else len(basis.changes.changed)),
        }

    def _spooled(self, writer: ChunkWriter, uris: Mapping[str, Sequence[str]]) -> list[Chunk]:
        """Return chunks of all datasets, checked to their end."""
        from coveo_provider.identities.batches import spool_identities

        with (
            open_parts(uris.get("members", [])) as members,
            open_parts(uris.get("mappings", [])) as mappings,
            open_parts(uris.get("deleted", [])) as deleted,
        ):
            return spool_identities(
                writer,
                members=members,
                mappings=mappings,
                deleted=deleted,
                duplicates="merge" if self.duplicates == "merge" else "refuse",
                case_sensitive=self.case_sensitive,
                log=self.log.info,
            )

    def _push(
        self,
        context: Context,
        chunks: Sequence[Chunk],
        uris: Mapping[str, Sequence[str]],
        identities: int,
        *,
        delete_older: bool,
        before: Callable[[], None] = lambda: None,
    ) -> IdentityReport:
        """
        Push chunks, then disable what is older.

        :param identities: how many the provider is to hold
        :param before: called once nothing is doubtful, before anything is sent
        """
        from coveo_provider.report import IdentityReport

        client = self.client
        accepted = self.checkpoint.report_of(chunks)
        if accepted:
            report = IdentityReport(**accepted)
        else:
            if delete_older or self.state is not None:
                # Looked at before the first push: afterwards the new ones count too.
                refuse_doubtful_identities(self, context, identities, _STEP)
            before()
            parts = [uri for each in uris.values() for uri in each]
            mark = client.identity_mark(self.provider_id) if chunks or delete_older else 0
            report = IdentityReport(parts, ordering_id=mark)
        send_chunks(
            self,
            chunks,
            report,
            to=f"provider {self.provider_id}",
            container=client.create_file_container,
            submit=partial(client.push_identities, self.provider_id),
        )
        if delete_older:
            delay = number(self.queue_delay, int, "queue_delay", default=15)
            client.disable_identities_older_than(self.provider_id, report.ordering_id, queue_delay=delay)
            self.log.info(
                "Disabling identities of provider %s older than %s", self.provider_id, report.ordering_id
            )
        return report


class CoveoDeleteOlderIdentitiesOperator(AskingOperator):
    """
    Disable the identities of a provider that an expansion did not renew.

    For expansions made of several tasks; one task can do it by itself with ``delete_older=True``. It checks
    first what was pushed, as :class:`~coveo_provider.operators.source.CoveoDeleteOlderOperator` does.

    :param provider_id: the provider (templated)
    :param reports: the reports of all expansions: ``expansion.output`` (templated)
    :param ordering_id: the mark; the smallest of the reports when left out (templated)
    :param queue_delay: minutes the service waits before it disables (templated)
    :param min_identities: the fewest identities there may be (templated)
    :param max_shrink: share of the identities held now that may go; ``None`` does not look (templated)
    :param on_doubt: what to do beyond these bounds: ``"fail"``, or ``"ask"`` a person in Required Actions
    :param answer_within: how long an answer is waited for; without one the task stops
    :param coveo_conn_id: connection to the organization that owns the provider (templated)
    :return: a report: ``identities`` that were pushed, and ``ordering_id``, the mark
    """

    documentation = "https://docs.coveo.com/en/33/"
    template_fields: Sequence[str] = (
        "provider_id",
        "reports",
        "ordering_id",
        "queue_delay",
        "min_identities",
        "max_shrink",
        "coveo_conn_id",
    )

    def __init__(
        self,
        *,
        provider_id: str,
        reports: Any,
        ordering_id: int | str | XComArg | None = None,
        queue_delay: int | str = 15,
        min_identities: int | str = 1,
        max_shrink: float | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.provider_id = provider_id
        self.reports = reports
        self.ordering_id: Any = ordering_id
        self.queue_delay = queue_delay
        self.min_identities = min_identities
        self.max_shrink = max_shrink

    def act(self, context: Context) -> dict[str, Any]:
        """Check what was pushed, then disable what is older."""
        from coveo_provider.api.client import checked_ordering_id
        from coveo_provider.safety import each_report

        after_every_part_only(self, _STEP)
        reports = list(each_report(self.reports, owner=f"provider {self.provider_id}", step=_STEP))
        try:
            identities = sum(report["members"] + report["mappings"] for report in reports)
            marks = [report["ordering_id"] for report in reports]
        except (KeyError, TypeError):
            raise SafetyStop(
                f"provider {self.provider_id}: {_STEP} needs the reports of all expansions. Nothing was disabled"
            ) from None
        refuse_doubtful_identities(self, context, identities, _STEP)
        mark = checked_ordering_id(self.ordering_id or min(marks, default=None))
        delay = number(self.queue_delay, int, "queue_delay", default=15)
        self.client.disable_identities_older_than(self.provider_id, mark, queue_delay=delay)
        self.log.info("Disabling identities of provider %s older than %s", self.provider_id, mark)
        return {"identities": identities, "ordering_id": mark}


def refuse_doubtful_identities(
    operator: CoveoSecurityExpansionOperator | CoveoDeleteOlderIdentitiesOperator,
    context: Context,
    identities: int,
    step: str,
) -> None:
    """
    Refuse to disable identities when the load that is to take their place looks too small.

    :raises SafetyStop: says both numbers
    """
    from coveo_provider.safety import IDENTITIES, refuse_doubtful

    doubts = Doubts(operator, context)
    refuse_doubtful(
        source_id=operator.provider_id,
        step=step,
        documents=identities,
        min_documents=number(operator.min_identities, int, "min_identities", default=1),
        max_shrink=number(operator.max_shrink, float, "max_shrink", default=None),
        count_held=lambda: operator.client.count_identities(operator.provider_id),
        words=IDENTITIES,
        doubt=doubts.add,
    )
    doubts.settle(step)


def _kept(chunks: Sequence[Chunk]) -> int:
    """Return how many identities chunks hold, those to disable left out."""
    return sum(chunk.counts[section] for chunk in chunks for section in (Section.MEMBERS, Section.MAPPINGS))
