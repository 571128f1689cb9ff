"""
The endpoint table: each call of the API once, with what its safety depends on.

Paths are those of ``contract/push.swagger.yml`` and ``contract/sources.openapi.yml``; see push-api.md
section 2, stream-api.md section 2 and platform-api.md section 3 of the reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from urllib.parse import quote

from coveo_provider.errors import ConfigurationError

PUSH_PRIVILEGES = "Organization (View) and Sources (Edit)"
"""What pushing, deleting and setting the status need (platform-api.md section 2)."""

IDENTITY_PRIVILEGES = "Organization (View) and Security identity providers (Edit)"
"""What pushing and disabling security identities need (platform-api.md section 2)."""


class Host(Enum):
    """Which of the two hosts serves a call, and under which prefix."""

    PUSH = "/push/v1/organizations/{organization_id}"
    PLATFORM = "/rest/organizations/{organization_id}"


@dataclass(frozen=True)
class Route:
    """
    One call of the API.

    :param method: HTTP method
    :param path: path below the host's prefix, with ``{names}`` to fill
    :param replay: whether the very same request may be sent again when its answer was lost and it may
        have been carried out. Calls that submit a file container may not: a forwarded container is
        deleted, so the loader uploads again instead (limits-and-errors.md section 4)
    :param privileges: what the key needs, in the words of the Administration Console
    """

    method: str
    path: str
    replay: bool = True
    privileges: str = PUSH_PRIVILEGES
    host: Host = Host.PUSH

    def fill(self, **names: str) -> str:
        """Return the path with ``names`` percent-encoded into it; the prefix is not part of it."""
        return self.path.format(**{name: segment(name, value) for name, value in names.items()})


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

OPEN_STREAM = Route("POST", "/sources/{source_id}/stream/open")
REQUEST_CHUNK = Route("POST", "/sources/{source_id}/stream/{stream_id}/chunk")
CLOSE_STREAM = Route("POST", "/sources/{source_id}/stream/{stream_id}/close")
UPDATE_STREAM = Route("PUT", "/sources/{source_id}/stream/update", replay=False)
MERGE_STREAM = Route("PUT", "/sources/{source_id}/stream/merge", replay=False)
DELETE_STREAM_OLDER = Route("POST", "/sources/{source_id}/stream/deleteolderthan/{mark}")

OPEN_COLLECTION = Route("POST", "/data-collections/{collection_id}/stream/open")
REQUEST_COLLECTION_CHUNK = Route("POST", "/data-collections/{collection_id}/stream/{stream_id}/chunk")
CLOSE_COLLECTION = Route("POST", "/data-collections/{collection_id}/stream/{stream_id}/close")
UPDATE_COLLECTION = Route("PUT", "/data-collections/{collection_id}/stream/update", replay=False)
MERGE_COLLECTION = Route("PUT", "/data-collections/{collection_id}/stream/merge", replay=False)
DELETE_COLLECTION_OLDER = Route("POST", "/data-collections/{collection_id}/stream/deleteolderthan/{mark}")

GET_SOURCE = Route("GET", "/sources/{source_id}", privileges="Sources (View)", host=Host.PLATFORM)
LIST_SOURCES = Route("GET", "/sources/pages", privileges="Sources (View)", host=Host.PLATFORM)

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
