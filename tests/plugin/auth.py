"""Airflow's own manager of users, with two of them who may not see everything."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager


class ChoosyAuthManager(SimpleAuthManager):
    """``bob`` may not read the DAG ``salaries``; ``cid`` reads DAGs, and not what their runs pass on."""

    def is_authorized_dag(
        self, *, user: Any, access_entity: Any = None, details: Any = None, **more: Any
    ) -> bool:
        if user.username == "bob" and (details is None or details.id == "salaries"):
            return False
        if user.username == "cid" and access_entity == DagAccessEntity.XCOM:
            return False
        return bool(
            super().is_authorized_dag(user=user, access_entity=access_entity, details=details, **more)
        )
