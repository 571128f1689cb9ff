"""
Links from a task to Coveo's documentation and its Administration Console (``docs/api-notes.md``, "Console links").

The console has a page per organization for sources and for logs; how to address one source there is not
documented, so the links lead to the pages, on which a source is found by its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from airflow.sdk import BaseOperatorLink

from coveo_provider.api.routes import segment
from coveo_provider.hooks.connection import ConnectionHook

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

_CLOUD = ".cloud.coveo.com"


class CoveoDocsLink(BaseOperatorLink):
    """The page of Coveo's documentation that a task is about, as its class names it; no call is made for it."""

    name = "Coveo docs"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the URL; empty of an operator that names none."""
        return getattr(operator, "documentation", "")


class _ConsoleLink(BaseOperatorLink):
    """
    A page of the console, computed on the worker when the task ends; no call is made for it.

    Empty without a connection, and where the platform's URL is not one of Coveo's own: a sandbox and a gateway
    have no console.
    """

    page: ClassVar[str]

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the URL, or an empty text."""
        try:
            client = ConnectionHook(getattr(operator, ConnectionHook.conn_name_attr)).client
            console = urlsplit(client.endpoints.platform_url)
            if not (console.hostname or "").endswith(_CLOUD):
                return ""
            organization = segment("organization_id", client.organization_id)
            return f"{console.scheme}://{console.netloc}/admin/#/{organization}/{self.page}/"
        except Exception:  # noqa: BLE001  a link is no reason to say anything about a task that ended
            return ""


class CoveoSourcesLink(_ConsoleLink):
    """The organization's sources: what they hold, their status and their last activity."""

    name = "Coveo Sources"
    page = "content/sources"


class CoveoLogBrowserLink(_ConsoleLink):
    """The organization's Log Browser: which items were indexed, which were not, and why."""

    name = "Coveo Log Browser"
    page = "logs/browser"


LINKS: tuple[BaseOperatorLink, ...] = (CoveoDocsLink(),)
"""The links of every task."""

SOURCE_LINKS: tuple[BaseOperatorLink, ...] = (CoveoSourcesLink(), CoveoLogBrowserLink(), *LINKS)
"""The links of every task that works on a source."""
