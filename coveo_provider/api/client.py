"""The client, with one short method for each call: for notebooks, tests and the hook."""

from __future__ import annotations

from coveo_provider.api.arguments import checked_ordering_id
from coveo_provider.api.identities import IdentityCalls
from coveo_provider.api.item_access import ItemAccessCalls
from coveo_provider.api.items import ItemCalls
from coveo_provider.api.providers import ProviderCalls
from coveo_provider.api.source_logs import SourceLogCalls
from coveo_provider.api.sources import SourceCalls
from coveo_provider.api.streams import CollectionCalls, StreamCalls

__all__ = ["CoveoClient", "checked_ordering_id"]


class CoveoClient(
    ItemCalls,
    StreamCalls,
    CollectionCalls,
    IdentityCalls,
    ProviderCalls,
    SourceCalls,
    SourceLogCalls,
    ItemAccessCalls,
):
    """
    Calls the Push and Stream APIs of one organization, and asks platform and source logs what a load has to know.

    Every method returns a typed value, or raises a :class:`~coveo_provider.errors.CoveoError`.

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
    1767225600000
    """
