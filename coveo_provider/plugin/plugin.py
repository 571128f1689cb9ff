"""
What Airflow loads: a tab on the page of a run, an entry in the menu, and the pages behind them.

Every component of Airflow imports this module, workers and DAG processor included, so it imports nothing but
Airflow's base class. What draws the pages is imported by the first request, which the API server alone gets.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from airflow.plugins_manager import AirflowPlugin

PREFIX = "/coveo"
_FAILED = b"The pages of Coveo cannot be shown: the log of the API server says why. No DAG depends on them.\n"

log = logging.getLogger(__name__)


class LazyPages:
    """An ASGI application that builds the pages' own at the first request, and says so when it cannot."""

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if self._app is None:
            try:
                self._app = await asyncio.to_thread(_build)  # other requests go on meanwhile
            except Exception:
                log.exception("The pages of Coveo cannot be built")
                await _refuse(scope, send)
                return
        await self._app(scope, receive, send)


def _build() -> Any:
    from coveo_provider.plugin.site import build

    return build()


async def _refuse(scope: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": _FAILED})


class CoveoPlugin(AirflowPlugin):
    """The tab "Coveo" of a DAG run, "Coveo sources" under Browse, and what both show."""

    name = "coveo"
    fastapi_apps = [{"app": LazyPages(), "url_prefix": PREFIX, "name": "Coveo"}]  # noqa: RUF012
    # The addresses are relative to Airflow's own, which may lie below a path. Ids stand in the path, where
    # Airflow 3.1, which does not encode them, can put the "+" of a run's id.
    external_views = [  # noqa: RUF012
        {
            "name": "Coveo",
            "href": "coveo/dags/{DAG_ID}/runs/{RUN_ID}",
            "destination": "dag_run",
            "url_route": "coveo-load",
        },
        {
            "name": "Coveo sources",
            "href": "coveo/",
            "destination": "nav",
            "category": "browse",
            "url_route": "coveo-sources",
        },
    ]
