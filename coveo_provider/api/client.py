"""
:class:`CoveoClient`: one short method per call of the Push and Stream APIs.

For notebooks, tests and :class:`~coveo_provider.hooks.coveo.CoveoHook`. It returns typed values, never raw
responses, and raises what :mod:`coveo_provider.errors` draws.
"""

from __future__ import annotations

from coveo_provider.api.arguments import checked_ordering_id
from coveo_provider.api.data_collections import CollectionCalls
from coveo_provider.api.items import ItemCalls
from coveo_provider.api.platform import PlatformCalls
from coveo_provider.api.security import SecurityCalls
from coveo_provider.api.streams import StreamCalls

__all__ = ["CoveoClient", "checked_ordering_id"]


class CoveoClient(ItemCalls, StreamCalls, CollectionCalls, SecurityCalls, PlatformCalls):
    """
    Calls the Push and Stream APIs of one organization.

    :param organization_id: the organization's id, as after ``#/`` in the Administration Console
    :param api_key: an API key or OAuth2 access token
    :param region: ``us``, ``ca``, ``eu`` or ``au``
    :param environment: ``production`` or ``hipaa``
    :param base_url: replaces both hosts, e.g. that of the sandbox
    :param push_url: replaces the host of the Push and Stream APIs
    :param platform_url: replaces the host of the platform
    :param timeout: seconds to wait for each read, and for each block of an upload to be taken
    :param verify: whether to verify certificates, or the path of a CA bundle
    :param policy: what is sent again, and how patiently
    :param register_secret: called with the signature of each of the first 200 upload addresses it is given
    :raises ConfigurationError: something is missing or unknown, or a key would travel in clear

    >>> client = CoveoClient("acme", "xx…", region="eu")
    >>> client.set_source_status("acme-files", SourceStatus.REBUILD)
    1767225599000
    """
