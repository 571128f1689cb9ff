"""Where requests go: the hosts of each region and environment, and URL overrides of them."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from enum import Enum
from urllib.parse import SplitResult, urlsplit

from coveo_provider.api.types import member_of
from coveo_provider.errors import ConfigurationError

# Stricter than RFC 3986, so that no two parsers can disagree on where a request goes.
_URL = re.compile(r"[!-~]+")
_COPIED_ALONG = re.compile(r"(/push/v1|/rest|/)+$")
_NETLOC = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][A-Za-z0-9._-]*)(:[0-9]{1,5})?")


class Region(str, Enum):
    """Where an organization's data resides (``docs/api-notes.md``, "Hosts and keys")."""

    US = "us"
    CANADA = "ca"
    EUROPE = "eu"
    AUSTRALIA = "au"


class Environment(str, Enum):
    """Which of Coveo's clouds serves an organization."""

    PRODUCTION = "production"
    HIPAA = "hipaa"


@dataclass(frozen=True)
class Endpoints:
    """
    The two base URLs, without trailing slash: of the Push and Stream APIs, and of the platform.

    >>> Endpoints.of(region="eu").push_url
    'https://api-eu.cloud.coveo.com'
    """

    push_url: str
    platform_url: str

    @classmethod
    def of(
        cls,
        *,
        region: str = Region.US.value,
        environment: str = Environment.PRODUCTION.value,
        base_url: str | None = None,
        push_url: str | None = None,
        platform_url: str | None = None,
    ) -> Endpoints:
        """
        Return the endpoints of a region and an environment, with any override in place of them.

        :param base_url: replaces both hosts, for the sandbox or a gateway in front of Coveo
        :param push_url: replaces the host of the Push and Stream APIs
        :param platform_url: replaces the host of the platform
        :raises ConfigurationError: an unknown region or environment, or a URL a key must not travel to
        """
        where = member_of(Region, "region", region), member_of(Environment, "environment", environment)
        push, platform = push_url or base_url, platform_url or base_url
        if not push or not platform:
            api_host, platform_host = _hosts(*where)
            push, platform = push or f"https://{api_host}", platform or f"https://{platform_host}"
        return cls(push_url=safe_url(push, "push_url"), platform_url=safe_url(platform, "platform_url"))


def _hosts(region: Region, environment: Environment) -> tuple[str, str]:
    if environment is Environment.HIPAA:
        if region is not Region.US:
            raise ConfigurationError(
                f"environment hipaa has no region {region.value}: leave the region at us, or set push_url "
                "and platform_url"
            )
        return "apihipaa.cloud.coveo.com", "platformhipaa.cloud.coveo.com"
    suffix = "" if region is Region.US else f"-{region.value}"
    return f"api{suffix}.cloud.coveo.com", f"platform{suffix}.cloud.coveo.com"


def safe_url(url: str, name: str) -> str:
    """
    Return ``url`` as scheme, host and port, refusing one over which a key would travel in clear.

    A path is kept, but for a trailing ``/push/v1`` or ``/rest``, which people copy along.

    :raises ConfigurationError: no http(s) URL, or ``http://`` to a host that is not loopback
    """
    text = url.strip().rstrip("/") if isinstance(url, str) else ""
    if "://" not in text:
        text = f"https://{text}"
    parts = split_url(text)
    if parts is None:
        raise ConfigurationError(
            f"{name} must be a plain URL such as https://api.cloud.coveo.com, without user, password and "
            "other than ASCII characters"
        )
    if "?" in text or "#" in text:
        raise ConfigurationError(f"{name} must be a plain URL, without query and fragment")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ConfigurationError(
            f"{name} is http://{parts.hostname}: an API key never travels in clear. Use https://, or a "
            "loopback address such as http://127.0.0.1 for the sandbox"
        )
    return f"{parts.scheme}://{parts.netloc}{_COPIED_ALONG.sub('', parts.path)}"


def split_url(url: str) -> SplitResult | None:
    """Return the pieces of an http(s) URL, or ``None`` for anything that is not plainly one."""
    if not _URL.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        complete = parts.scheme in {"http", "https"} and _NETLOC.fullmatch(parts.netloc) and parts.hostname
        if not complete or parts.port == 0:  # a port out of range raises
            return None
    except ValueError:
        return None
    return parts


def is_loopback(host: str) -> bool:
    """Whether ``host`` can only be this machine."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
