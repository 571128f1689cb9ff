"""What all operators share: the connection, and what a failure means to Airflow."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, Context

from coveo_provider._compat import AirflowFailException
from coveo_provider.errors import CoveoError
from coveo_provider.hooks.coveo import CoveoHook

if TYPE_CHECKING:
    from coveo_provider.api.client import CoveoClient


class CoveoOperator(BaseOperator):
    """
    A task that talks to Coveo.

    A failure that a later try could mend (throttling, a fault of the network or of the service) fails the
    try, and Airflow retries it as the task says. Anything else fails the task at once.
    """

    ui_color = "#e3f1fb"

    def __init__(self, *, coveo_conn_id: str = CoveoHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.coveo_conn_id = coveo_conn_id

    @cached_property
    def client(self) -> CoveoClient:
        """The client of the connection; made by the running task, never while a DAG is parsed."""
        return CoveoHook(self.coveo_conn_id).client

    def execute(self, context: Context) -> Any:
        """Do the task's work, and tell Airflow whether to try again when it fails."""
        try:
            return self.act(context)
        except CoveoError as error:
            if error.transient:
                raise
            raise AirflowFailException(f"{type(error).__name__}: {error}") from error

    def act(self, context: Context) -> Any:
        """Do the task's work."""
        raise NotImplementedError
