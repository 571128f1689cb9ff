"""Who may see a page: whoever may read the XCom of the DAG it is about, by Airflow's own rules."""

from __future__ import annotations

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import HTTPException, Request


def require(request: Request, user: BaseUser, dag_id: str) -> None:
    """
    Do nothing if a user may read what the runs of a DAG pass on.

    :raises HTTPException: 403, the user may not
    """
    # A DAG that is named here is looked up with its team, in each version of Airflow.
    requires_access_dag("GET", DagAccessEntity.XCOM, dag_id)(request, user)


class Readable:
    """Which DAGs a user may read, each asked for once."""

    def __init__(self, request: Request, user: BaseUser) -> None:
        self._request, self._user = request, user
        self._known: dict[str, bool] = {}

    def __contains__(self, dag_id: object) -> bool:
        if not isinstance(dag_id, str):
            return False
        if dag_id not in self._known:
            try:
                require(self._request, self._user, dag_id)
                self._known[dag_id] = True
            except HTTPException:
                self._known[dag_id] = False
        return self._known[dag_id]
