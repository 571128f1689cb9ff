"""A security provider, which identities belong to: made, and linked to sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import Context

from coveo_provider.errors import ConfigurationError
from coveo_provider.operators.support.base import CoveoOperator


class CoveoSecurityProviderOperator(CoveoOperator):
    """
    Make sure that a security provider exists, is linked to sources, and leads to other providers.

    What the provider has already is kept: no other source is unlinked, no setting is lost.

    :param provider_id: the provider (templated)
    :param source_ids: sources whose items name its identities (templated)
    :param cascades_to: providers that aliases of its identities lead to (templated)
    :param case_sensitive: whether names that differ in case are different; ``None`` leaves it as it is
    :param coveo_conn_id: connection to the organization that owns it; its key needs Security identity
        providers (View, Create) (templated)
    :return: ``provider_id``, and whether it was ``changed``
    """

    documentation = "https://docs.coveo.com/en/85/"
    template_fields: Sequence[str] = ("provider_id", "source_ids", "cascades_to", "coveo_conn_id")

    def __init__(
        self,
        *,
        provider_id: str,
        source_ids: Sequence[str] = (),
        cascades_to: Sequence[str] = ("Email Security Provider",),
        case_sensitive: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.provider_id = provider_id
        self.source_ids = source_ids
        self.cascades_to = cascades_to
        self.case_sensitive = case_sensitive

    def act(self, context: Context) -> dict[str, Any]:
        """Look the provider up, and create it or add what is missing."""
        changed = self.client.ensure_security_provider(
            self.provider_id,
            source_ids=_names(self.source_ids, "source_ids"),
            cascades_to=_names(self.cascades_to, "cascades_to"),
            case_sensitive=self.case_sensitive,
        )
        self.log.info(
            "Security provider %s %s",
            self.provider_id,
            "was created or changed" if changed else "is as wanted",
        )
        return {"provider_id": self.provider_id, "changed": changed}


def _names(value: Any, argument: str) -> list[str]:
    names = [value] if isinstance(value, str) else list(value)
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise ConfigurationError(f"{argument} must hold names, found {value!r}")
    return names
