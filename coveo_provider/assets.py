"""
Assets: what other DAGs are scheduled on. ``coveo://<organization>/<source>`` is the content of one source.

A URI has one spelling. The scheme and the organization are lower case: organization ids are part of host names
at Coveo (``{organization}.org.coveo.com``), which know no case. The source id keeps its case. Both stand as one
segment, percent-encoded as in the API's own paths. No port, user, query, and nothing below the source.

Airflow loads this module to check ``coveo://`` URIs while it may be half loaded itself, so Airflow is imported
by the function that needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit

from coveo_provider.api.routes import segment
from coveo_provider.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Asset

SCHEME = "coveo"

ANY_REFRESH = "coveo"
"""
Name of the asset alias every refresh belongs to.

A DAG with ``schedule=[AssetAlias("coveo")]`` runs after the refresh of any source by any DAG of the deployment; it
must not refresh one itself, as it would run for ever.
"""


def coveo_asset(organization_id: str, source_id: str, *, extra: dict[str, Any] | None = None) -> Asset:
    """
    Return the asset that is the content of a source; its name and its URI are the same.

    Use it rather than ``Asset("coveo://…")``, whose name would keep a spelling of its own: events go to the
    asset of the very same name *and* URI.

    :param organization_id: the login of the connection
    :param source_id: the source. Both are plain texts: a schedule is not templated
    :param extra: what to store with the asset
    :raises ConfigurationError: one of them is no id

    >>> coveo_asset("MyOrg", "abc-MyOrg").uri
    'coveo://myorg/abc-MyOrg'
    """
    from airflow.sdk import Asset

    uri = _spelled(organization_id, source_id).geturl()
    return Asset(name=uri, uri=uri, extra=extra)


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """
    Return a ``coveo://`` URI in its one spelling. Airflow calls it for every asset, while it parses DAG files.

    :raises ConfigurationError: it names no source; a ``ValueError``, as Airflow expects
    """
    host = uri.netloc.rpartition("@")[2]  # what precedes it may be a password
    shown = uri._replace(netloc=host, query="", fragment="").geturl()
    expected = f"the asset {shown!r} is no {SCHEME}://<organization>/<source>"
    if "@" in uri.netloc or ":" in uri.netloc or uri.query or uri.fragment:
        raise ConfigurationError(f"{expected}: leave user, port, query and fragment out")
    if not uri.netloc or not uri.path.strip("/"):
        raise ConfigurationError(f"{expected}: the {'source' if uri.netloc else 'organization'} is missing")
    try:
        return _spelled(
            unquote(uri.netloc, errors="strict"), unquote(uri.path.removeprefix("/"), errors="strict")
        )
    except ConfigurationError as error:
        raise ConfigurationError(f"{expected}: {error}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{expected}: it is percent-encoded, and not as UTF-8") from None


def openlineage_name(organization_id: str, source_id: str) -> tuple[str, str]:
    """
    Return what OpenLineage calls a source, spelled as its asset is: ``coveo://<organization>``, and a name.

    :raises ConfigurationError: one of them is no id
    """
    uri = _spelled(organization_id, source_id)
    return f"{uri.scheme}://{uri.netloc}", uri.path.removeprefix("/")


def asset_to_openlineage(asset: Asset, lineage_context: Any) -> Any:
    """Return the asset of a source as OpenLineage's dataset, for the inlets and outlets of any task."""
    from airflow.providers.common.compat.openlineage.facet import Dataset

    uri = sanitize_uri(urlsplit(asset.uri))
    return Dataset(namespace=f"{uri.scheme}://{uri.netloc}", name=uri.path.removeprefix("/"))


def _spelled(organization_id: str, source_id: str) -> SplitResult:
    for name, value in (("organization_id", organization_id), ("source_id", source_id)):
        segment(name, value)
        if "/" in value or "{{" in value:
            raise ConfigurationError(f"{name} must be one plain id, without slash or template, not {value!r}")
    host, path = segment("organization_id", organization_id.lower()), segment("source_id", source_id)
    return SplitResult(SCHEME, host, f"/{path}", "", "")
