"""``@task.coveo``: what a function returns is pushed to a Push source."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import AssetAlias, Context
from airflow.sdk.bases.decorator import DecoratedOperator, TaskDecorator, task_decorator_factory

from coveo_provider._compat import determine_kwargs
from coveo_provider.assets import ANY_REFRESH
from coveo_provider.errors import ConfigurationError, DatasetError
from coveo_provider.operators.at_once import Source, Verification, end_of, ended
from coveo_provider.operators.push import CoveoPushBatchOperator
from coveo_provider.operators.support.ending import EndingOperator
from coveo_provider.operators.support.followers import kinds_after
from coveo_provider.operators.support.ready_documents import ready_documents

if TYPE_CHECKING:
    from coveo_provider.documents.mapping.document_mapping import DocumentMapping

_KEYS = ("documents", "deletions")


class CoveoDecoratedOperator(DecoratedOperator, CoveoPushBatchOperator):
    """
    Call a function, and push what it returns to a Push source; the function's arguments are those of any ``@task``.

    It returns documents: a DataFrame (of pandas or polars, or an Arrow table), an iterable of DataFrames such as a
    generator, which are taken one after the other, or a list of rows; or ``{"documents": …, "deletions": …}``, of
    which one may be left out. All of it is checked before anything is sent.

    The task waits until all is indexed, on its worker, unless a task that ends the load follows it. After a wait
    for a quota or for another run, the function is called again; unless it returns the same, all is sent again.

    :param python_callable: the function
    :param op_args: its positional arguments (templated)
    :param op_kwargs: its named arguments (templated)
    :param source_id: a Push source (templated)
    :param mapping: how the columns of DataFrames or rows become those of documents
    :param deletions: ids, or rows with ``documentId`` and ``deleteChildren``, where the function returns none; they
        are deleted after the push (templated)
    :param verify: ``"auto"`` verifies where the key may read the source's log, and says so where it may not;
        ``True`` fails there; ``False`` does not look (templated)
    :param max_rejected: how many items may be refused: a share below 1, or a number (templated)
    :param timeout: the longest wait for the index, in seconds
    :param coveo_conn_id: connection to the organization that owns the source (templated)
    :return: a report: that of :class:`~coveo_provider.operators.CoveoPushBatchOperator`, with ``verified``,
        ``indexed``, ``deleted``, ``refused`` and ``reasons``; the ids that were sent are in it only where nothing
        was verified
    """

    custom_operator_name = "@task.coveo"
    ends = True
    reports_run = True
    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        *("source_id", "deletions", "verify", "max_rejected", "coveo_conn_id"),
    )

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        verify: bool | str = "auto",
        max_rejected: float | str = 0,
        timeout: float = 3_600.0,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("multiple_outputs", None)  # what it returns is the report
        super().__init__(python_callable=python_callable, op_args=op_args, op_kwargs=op_kwargs, **kwargs)
        self.verify: Any = verify
        self.max_rejected = max_rejected
        self.timeout = timeout
        if (alias := AssetAlias(ANY_REFRESH)) not in self.outlets:
            self.outlets = [*self.outlets, alias]

    def is_exclusive(self, context: Context) -> bool:
        """Return whether the run needs the source for itself: it begins and ends a load."""
        return self.exclusive is not False

    def act(self, context: Context) -> dict[str, Any]:
        """Call the function, push what it returns, and verify that."""
        documents, deletions = self._returned(context)
        with ready_documents(documents, self.mapping, stream=False, log=self.log) as ready:
            report = self.sent(context, ready.value, deletions)
            self.lineage = ready.lasting(self.lineage)
            if any(issubclass(kind, EndingOperator) for kind in kinds_after(self, context)):
                return ready.told(report, ids=True)
            source = Source(self.coveo_conn_id, self.source_id, self.max_block_seconds)
            verification = Verification(
                self.verify,
                self.max_rejected,
                self.timeout,
                outlets=self.outlets,
                exclusive=self.exclusive,
            )
            end = end_of(source, verification, ready)
            told = ended(end, context, report, ready)
            self.outlets = end.outlets
            return told

    def _returned(self, context: Context) -> tuple[Any, Any]:
        """Return the documents and the deletions that the function returns."""
        function = self.python_callable
        arguments = determine_kwargs(function, self.op_args, {**context, **self.op_kwargs})
        returned = function(*self.op_args, **arguments)
        name = f"the function {getattr(function, '__name__', 'given to @task.coveo')}"
        if inspect.isawaitable(returned):
            raise ConfigurationError(f"{name} is asynchronous: @task.coveo calls ordinary functions")
        if returned is None:
            raise DatasetError(
                f"{name} returned None: expected a DataFrame, an iterable of DataFrames, a list of rows, or "
                "{'documents': …, 'deletions': …}. To send nothing, raise AirflowSkipException"
            )
        if not isinstance(returned, Mapping):
            return returned, self.deletions
        if not returned or not set(returned) <= set(_KEYS):
            raise DatasetError(
                f"{name} returned a dict with the keys {', '.join(map(repr, list(returned)[:5])) or '(none)'}: "
                "expected documents, deletions or both. A single document is a list of one row: [{…}]"
            )
        if returned.get("deletions") is None:
            return returned.get("documents"), self.deletions
        if self.deletions is not None:
            raise ConfigurationError(
                f"{name} returned deletions, and @task.coveo has others as its argument: give them in one place"
            )
        return returned.get("documents"), returned["deletions"]


def coveo_task(
    python_callable: Callable[..., Any] | None = None,
    *,
    source_id: str = "",
    mapping: DocumentMapping | None = None,
    **kwargs: Any,
) -> TaskDecorator:
    """
    Make a function a task that pushes what it returns: ``@task.coveo(source_id=…)``.

    Other items of the source stay, also those that are gone from the data (docs/deletions.md).

    :param python_callable: the function
    :param source_id: a Push source
    :param mapping: how the columns of DataFrames or rows become those of documents
    :param kwargs: other arguments of :class:`CoveoDecoratedOperator`
    """
    if not source_id:
        raise ConfigurationError("@task.coveo needs to know where to: @task.coveo(source_id='myorg-a1b2c3')")
    if "documents" in kwargs:
        raise ConfigurationError("@task.coveo pushes what the function returns: documents is not an argument")
    kwargs.pop("multiple_outputs", None)
    return task_decorator_factory(
        python_callable=python_callable,
        multiple_outputs=False,
        decorated_operator_class=CoveoDecoratedOperator,
        source_id=source_id,
        mapping=mapping,
        **kwargs,
    )
