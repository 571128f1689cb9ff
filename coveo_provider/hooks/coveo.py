"""What a notebook, a script or a ``@task`` asks of Coveo: a client, and whole loads in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coveo_provider.errors import ConfigurationError
from coveo_provider.hooks.connection import ConnectionHook

if TYPE_CHECKING:
    from coveo_provider.documents.mapping.document_mapping import DocumentMapping


class CoveoHook(ConnectionHook):
    """
    Makes the index hold what a DataFrame holds, in one call.

    Each method does what the operators do, with their checks, guards, claims and reports, one step after the other;
    it returns once Coveo's log shows that all is indexed. ``client`` is for anything else
    (:class:`~coveo_provider.api.client.CoveoClient`). Documents are

    * a DataFrame of pandas or polars, or an Arrow table;
    * an iterable of these, such as a generator: each is written to disk as it comes, so one is in memory at a time;
    * a list of rows (dicts);
    * or URIs of a documents dataset, which :class:`~coveo_provider.operators.CoveoTransformOperator` wrote.

    In a task of a DAG run, the run claims the source; in a notebook nothing keeps two loads of a source apart. All
    waits hold the worker: nothing is deferred. Errors are those of :mod:`coveo_provider.errors`.

    Arguments that methods share:

    * ``mapping``: a :class:`~coveo_provider.documents.DocumentMapping` that makes documents of rows;
    * ``verify``: ``"auto"`` verifies where the key may read the source's log, and says so where it may not;
      ``True`` fails there; ``False`` does not look;
    * ``max_rejected``: how many items may be refused, a share below 1 or a number;
    * ``timeout``: the longest wait for the index, in seconds;
    * ``visibility``: ``"unchecked"`` sends permissions without asking whether the source is secured.

    The report that they return is that of the operator that sends, with ``verified`` (``items``, ``counts`` or
    ``nothing``), ``indexed``, ``deleted``, ``refused`` and ``reasons``. The ids that were sent are in it only where
    nothing was verified.

    :param coveo_conn_id: the connection's id
    :param max_block_seconds: a wait that the API asks for is slept through up to this long, in seconds; beyond, the
        call fails with :class:`~coveo_provider.errors.Throttled`
    """

    def push(
        self,
        documents: Any,
        source_id: str,
        *,
        mapping: DocumentMapping | None = None,
        deletions: Any = None,
        verify: bool | str = "auto",
        max_rejected: float = 0,
        timeout: float = 3_600.0,
        visibility: str = "checked",
    ) -> dict[str, Any]:
        """
        Push documents to a Push source, which keeps its other items.

        :param documents: what to push; ``None`` for deletions only
        :param source_id: a Push source
        :param deletions: ids to delete afterwards, or rows with ``documentId`` and ``deleteChildren``
        :return: a report, as :class:`~coveo_provider.operators.CoveoPushBatchOperator` returns
        :raises DataError: names what is wrong with a frame or row; nothing was sent
        :raises VerificationFailed: something is missing in the index after the wait, or too much was refused
        :raises SourceBusy: another DAG run is loading the source
        """
        from coveo_provider.operators import at_once

        if documents is None and deletions is None:
            raise ConfigurationError("there is nothing to push: documents and deletions are both None")
        return at_once.push(
            self._source(source_id, visibility),
            documents,
            deletions,
            mapping,
            at_once.Verification(verify, max_rejected, timeout),
            log=self.log,
        )

    def update(
        self,
        source_id: str,
        *,
        documents: Any = None,
        partial_updates: Any = None,
        deletions: Any = None,
        mapping: DocumentMapping | None = None,
        verify: bool | str = "auto",
        max_rejected: float = 0,
        timeout: float = 3_600.0,
        visibility: str = "checked",
    ) -> dict[str, Any]:
        """
        Add, replace, change and delete items of a Catalog source, which keeps its other items.

        :param source_id: a Catalog source
        :param documents: what to add or replace, as a whole
        :param partial_updates: a frame or rows with ``documentId``, ``operator``, ``field`` and ``value``
        :param deletions: ids to delete, or rows with ``documentId`` and ``deleteChildren``
        :return: a report, as :class:`~coveo_provider.operators.CoveoUpdateStreamOperator` returns
        :raises DataError: names what is wrong with a frame or row; nothing was sent
        :raises VerificationFailed: something is missing in the index after the wait, or too much was refused
        :raises SourceBusy: another DAG run is loading the source
        """
        from coveo_provider.operators import at_once

        if documents is None and partial_updates is None and deletions is None:
            raise ConfigurationError(
                "there is nothing to send: documents, partial_updates and deletions are all None"
            )
        return at_once.update(
            self._source(source_id, visibility),
            documents,
            partial_updates,
            deletions,
            mapping,
            at_once.Verification(verify, max_rejected, timeout),
            log=self.log,
        )

    def delete(
        self, ids: Any, source_id: str, *, verify: bool | str = "auto", timeout: float = 3_600.0
    ) -> dict[str, Any]:
        """
        Delete items of a Push source by their ids. Those of a Catalog source: ``update(source_id, deletions=ids)``.

        :param ids: a list or a column of ids, or rows with ``documentId`` and ``deleteChildren``; none is no fault
        :param source_id: a Push source
        :return: a report, as :meth:`push` returns
        :raises VerificationFailed: something is still in the index after the wait
        """
        if ids is None:
            raise ConfigurationError("there is nothing to delete: ids is None")
        return self.push(None, source_id, deletions=ids, verify=verify, timeout=timeout)

    def load(
        self,
        documents: Any,
        source_id: str,
        *,
        mapping: DocumentMapping | None = None,
        min_documents: int = 1,
        max_shrink: float | None = None,
        queue_delay: int = 15,
        content_owner: str = "",
        verify: bool | str = "auto",
        max_rejected: float = 0,
        timeout: float = 3_600.0,
        visibility: str = "checked",
    ) -> dict[str, Any]:
        """
        Make documents the whole content of a source: what is not among them is gone afterwards.

        A Catalog source gets a stream, which is closed in the end; a Push source is set to ``REBUILD``, pushed to,
        cleared of older items, and set back to ``IDLE`` whatever happened. The key needs Sources (View).

        :param documents: all that the source is to hold
        :param source_id: a Catalog or a Push source
        :param min_documents: the fewest documents the load may have; 0 sets no bound, and no documents are refused
            all the same
        :param max_shrink: share of the items held now that may go, between 0 and 1; ``None`` does not look
        :param queue_delay: minutes the service waits before it deletes older items of a Push source; the call waits
            as long
        :param content_owner: what decides what the source holds; by default the DAG and the task. Another that
            loads all of the source is refused
        :return: a report, with the ``ordering_id`` of the load
        :raises DataError: names what is wrong with a frame or row; the index is as it was
        :raises SafetyStop: the load looks wrong, or the content belongs to another; the index holds all it held
        :raises VerificationFailed: the index does not hold what it has to after the wait
        :raises SourceBusy: another DAG run is loading the source
        """
        from coveo_provider.operators import at_once

        guards = {"min_documents": min_documents, "max_shrink": max_shrink, "content_owner": content_owner}
        return at_once.load(
            self._source(source_id, visibility),
            documents,
            mapping,
            guards,
            at_once.Verification(verify, max_rejected, timeout, queue_delay),
            log=self.log,
        )

    def verify(
        self,
        report: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        *,
        whole: bool = False,
        max_rejected: float = 0,
        timeout: float = 3_600.0,
        queue_delay: int = 0,
    ) -> dict[str, Any]:
        """
        Wait until what was sent is indexed, and what was deleted is gone; for loads that did not verify it.

        :param report: what :meth:`push` or :meth:`update` returned with ``verify=False``, or an operator that
            sends; or a list of such reports of one source
        :param whole: whether they are all of the source's content, so that it holds these items and no others
        :param queue_delay: minutes that the service waits before the load's deletions
        :return: the sum of the reports, with what was found
        :raises ConfigurationError: it is no such report, or one that was verified
        :raises AccessDenied: the key may not read the source's log
        :raises VerificationFailed: something is missing after the wait, or too much was refused
        """
        from coveo_provider.operators import at_once

        return at_once.verify(
            self._source(_source_of(report), "checked"),
            report,
            at_once.Verification(True, max_rejected, timeout, queue_delay),
            whole=whole,
        )

    def _source(self, source_id: str, visibility: str) -> Any:
        from coveo_provider.operators import at_once

        return at_once.Source(self.coveo_conn_id, source_id, self.max_block_seconds, visibility)


def _source_of(reports: Any) -> str:
    """
    Return the source of reports.

    :raises ConfigurationError: they are none that can be verified
    """
    each = (
        [reports]
        if isinstance(reports, Mapping)
        else list(reports)
        if isinstance(reports, (list, tuple))
        else []
    )
    if not each or not all(isinstance(one, Mapping) and one.get("source_id") for one in each):
        raise ConfigurationError("report must be what push or update returned, or a list of such reports")
    for one in each:
        if one.get("verified") in {"items", "counts"}:
            raise ConfigurationError(
                f"the report of source {one['source_id']} was verified already: its items were found "
                f"(verified={one['verified']!r})"
            )
    return str(each[0]["source_id"])
