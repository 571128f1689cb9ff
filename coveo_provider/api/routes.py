"""
The table of calls: each call of the APIs once, with what its repetition and its privileges depend on.

The paths are those of Coveo's published descriptions, of which ``tests/contract`` keeps copies to compare with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from urllib.parse import quote

from coveo_provider.errors import ConfigurationError

PUSH_PRIVILEGES = "Organization (View) and Sources (Edit)"
"""What pushing, deleting and setting the status need (docs 133)."""

IDENTITY_PRIVILEGES = "Organization (View) and Security identity providers (Edit)"
"""What pushing and disabling security identities need (docs 33, docs 85)."""


class Host(Enum):
    """Which of the two hosts serves a call, and under which prefix: each has two."""

    PUSH = "/push/v1/organizations/{organization_id}"
    LOGS = "/logs/v1/organizations/{organization_id}"
    PLATFORM = "/rest/organizations/{organization_id}"
    ACCOUNT = "/rest"


@dataclass(frozen=True)
class Route:
    """
    One call of the API.

    :param method: HTTP method
    :param path: path below the host's prefix, with ``{names}`` to fill
    :param replay: whether the very same request may be sent again when its answer was lost and it may
        have been carried out. Calls that submit a file container may not: a forwarded container is
        deleted (docs 43), so the loader uploads again instead
    :param privileges: what the key needs, in the words of the Administration Console
    """

    method: str
    path: str
    replay: bool = True
    privileges: str = PUSH_PRIVILEGES
    host: Host = Host.PUSH

    def at(self, **names: str) -> Route:
        """
        Return the call with ``names`` percent-encoded into its path.

        :raises ConfigurationError: one of them would change the path
        """
        filled = self.path.format(**{name: segment(name, value) for name, value in names.items()})
        return replace(self, path=filled)


def segment(name: str, value: str) -> str:
    """Return ``value`` as one percent-encoded path segment, refusing those that would change the path."""
    if not isinstance(value, str) or not value.strip() or value in {".", ".."}:
        raise ConfigurationError(f"{name} must name something, not {value!r}")
    return percent_encoded(name, value)


def percent_encoded(name: str, value: str) -> str:
    """Return ``value`` with everything but letters, digits and ``_.-~`` percent-encoded."""
    try:
        return quote(value, safe="")
    except UnicodeEncodeError:
        raise ConfigurationError(f"{name} is no Unicode text: {value[:200]!r}") from None


SET_STATUS = Route("POST", "/sources/{source_id}/status")
PUT_ITEM = Route("PUT", "/sources/{source_id}/documents")
DELETE_ITEM = Route("DELETE", "/sources/{source_id}/documents")
PUSH_BATCH = Route("PUT", "/sources/{source_id}/documents/batch", replay=False)
DELETE_OLDER = Route("DELETE", "/sources/{source_id}/documents/olderthan")
CREATE_FILE = Route("POST", "/files", privileges="Organization (View)")


@dataclass(frozen=True)
class StreamRoutes:
    """
    The calls of the Stream API on one source or data collection: they differ in the beginning of the path.

    :param owner_id: the source or data collection
    :param owner: the same with its kind, for messages
    """

    owner_id: str
    owner: str
    open: Route
    chunk: Route
    close: Route
    update: Route
    merge: Route
    delete_older: Route

    @classmethod
    def of_source(cls, source_id: str) -> StreamRoutes:
        """Return the calls on a stream source."""
        base = f"/sources/{segment('source_id', source_id)}/stream"
        return cls._below(base, source_id, f"source {source_id}")

    @classmethod
    def of_collection(cls, collection_id: str) -> StreamRoutes:
        """Return the calls on a data collection."""
        base = f"/data-collections/{segment('collection_id', collection_id)}/stream"
        return cls._below(base, collection_id, f"data collection {collection_id}")

    @classmethod
    def _below(cls, base: str, owner_id: str, owner: str) -> StreamRoutes:
        return cls(
            owner_id=owner_id,
            owner=owner,
            open=Route("POST", f"{base}/open"),
            chunk=Route("POST", f"{base}/{{stream_id}}/chunk"),
            close=Route("POST", f"{base}/{{stream_id}}/close"),
            update=Route("PUT", f"{base}/update", replay=False),
            merge=Route("PUT", f"{base}/merge", replay=False),
            delete_older=Route("POST", f"{base}/deleteolderthan/{{mark}}"),
        )


GET_SOURCE = Route("GET", "/sources/{source_id}", privileges="Sources (View)", host=Host.PLATFORM)
LIST_SOURCES = Route("GET", "/sources/pages", privileges="Sources (View)", host=Host.PLATFORM)
CREATE_SOURCE = Route(
    "POST", "/sources", replay=False, privileges="Sources (Create)", host=Host.PLATFORM
)  # sent twice, it may make two of one name
ADD_MAPPING = Route(
    "POST",
    "/sources/{source_id}/mappings/common/rules",
    replay=False,
    privileges="Sources (Edit)",
    host=Host.PLATFORM,
)
SEARCH_FIELDS = Route("POST", "/indexes/fields/search", privileges="Fields (View)", host=Host.PLATFORM)
CREATE_FIELDS = Route(
    "POST", "/indexes/fields/batch/create/results", privileges="Fields (Create)", host=Host.PLATFORM
)  # sent twice, it tells of each that it exists
UPDATE_FIELDS = Route(
    "PUT", "/indexes/fields/batch/update/results", privileges="Fields (Edit)", host=Host.PLATFORM
)

EVALUATE_PRIVILEGE = Route("POST", "/privilege/evaluate", privileges="", host=Host.ACCOUNT)

PUT_IDENTITY = Route("PUT", "/providers/{provider_id}/permissions", privileges=IDENTITY_PRIVILEGES)
PUT_ALIAS = Route("PUT", "/providers/{provider_id}/mappings", privileges=IDENTITY_PRIVILEGES)
DISABLE_IDENTITY = Route("DELETE", "/providers/{provider_id}/permissions", privileges=IDENTITY_PRIVILEGES)
PUSH_IDENTITIES = Route(
    "PUT", "/providers/{provider_id}/permissions/batch", replay=False, privileges=IDENTITY_PRIVILEGES
)
DISABLE_OLDER = Route(
    "DELETE", "/providers/{provider_id}/permissions/olderthan", privileges=IDENTITY_PRIVILEGES
)

GET_PROVIDER = Route(
    "GET",
    "/securityproviders/{provider_id}",
    privileges="Security identity providers (View)",
    host=Host.PLATFORM,
)
CREATE_PROVIDER = Route(
    "POST",
    "/securityproviders",
    privileges="Security identity providers (Create)",
    host=Host.PLATFORM,
)
UPDATE_PROVIDER = Route(
    "PUT",
    "/securityproviders/{provider_id}",
    privileges="Security identity providers (Create)",
    host=Host.PLATFORM,
)

ITEM_PERMISSIONS = Route(
    "GET",
    "/indexes/{index_id}/documents/{document_id}/permissions",
    privileges="Sources (View) and Security identity providers (View)",
    host=Host.PLATFORM,
)
EFFECTIVE_PERMISSIONS = replace(ITEM_PERMISSIONS, path=f"{ITEM_PERMISSIONS.path}/effective")
IDENTITY_PARENTS = Route(
    "POST",
    "/securitycache/entities/{provider_id}/members/parents",
    privileges="Security identity providers (View)",
    host=Host.PLATFORM,
)

LOG_PRIVILEGES = "Organization (View) and Sources (View)"
"""What reading the source logs needs. Uncertain: no page says (``docs/api-notes.md``, "Source logs")."""

READ_LOGS = Route("POST", "", privileges=LOG_PRIVILEGES, host=Host.LOGS)
COUNT_LOGS = Route("POST", "/facetsStats", privileges=LOG_PRIVILEGES, host=Host.LOGS)
