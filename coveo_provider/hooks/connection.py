"""What the hook and all operators share: an Airflow connection of type ``coveo`` becomes a client."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.log import mask_secret

from coveo_provider.errors import AccessDenied, ConfigurationError, CoveoError

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from coveo_provider.api.client import CoveoClient

_OPTIONS = ("region", "environment", "push_url", "platform_url")


class ConnectionHook(BaseHook):
    """
    Turns an Airflow connection of type ``coveo`` into a :class:`~coveo_provider.api.client.CoveoClient`.

    The connection: organization id = login, API key = password, base URL override = host; in extra
    ``region`` (us, ca, eu, au), ``environment`` (production, hipaa), ``push_url``, ``platform_url``,
    ``timeout`` (seconds) and ``verify`` (true, false, or the path of a CA bundle); a port is part of the
    override, and 0 is none. Any other name in extra
    is refused: were a misspelt ``region`` overlooked, the key would go to another region's host.

    :param coveo_conn_id: the connection's id
    :param max_block_seconds: a wait that the API asks for is slept through up to this long, in seconds; beyond, the
        call fails with :class:`~coveo_provider.errors.Throttled`
    """

    conn_name_attr = "coveo_conn_id"
    default_conn_name = "coveo_default"
    conn_type = "coveo"
    hook_name = "Coveo"

    def __init__(self, coveo_conn_id: str = default_conn_name, *, max_block_seconds: float = 60.0) -> None:
        super().__init__()
        self.coveo_conn_id = coveo_conn_id
        self.max_block_seconds = max_block_seconds

    @cached_property
    def client(self) -> CoveoClient:
        """
        The client of the connection's organization.

        :raises ConfigurationError: names the field of the connection that is missing or wrong
        """
        return self._client_of(self.get_connection(self.coveo_conn_id))

    async def aget_client(self) -> CoveoClient:
        """
        Return a client in the triggerer, where a connection can only be read without blocking.

        Its calls block: make them by ``asyncio.to_thread``.

        :raises ConfigurationError: names the field of the connection that is missing or wrong
        """
        return self._client_of(await self.aget_connection(self.coveo_conn_id))

    def get_conn(self) -> CoveoClient:
        """Return the client."""
        return self.client

    def _client_of(self, connection: Connection) -> CoveoClient:
        from coveo_provider.api import retries
        from coveo_provider.api.client import CoveoClient

        if connection.password:
            mask_secret(connection.password)
        try:
            extra = _extra(connection)
            if not connection.login:
                raise ConfigurationError("the organization id is missing: put it into the login")
            if not connection.password:
                raise ConfigurationError("the API key is missing: put it into the password")
            options: dict[str, Any] = {name: str(extra[name]).strip() for name in _OPTIONS if extra.get(name)}
            return CoveoClient(
                connection.login.strip(),
                connection.password,
                base_url=_base_url(connection.schema, connection.host, connection.port),
                timeout=_timeout(extra.get("timeout")),
                verify=_verify(extra.get("verify")),
                register_secret=mask_secret,
                policy=retries.RetryPolicy(max_block_seconds=self.max_block_seconds),
                **options,
            )
        except ConfigurationError as error:
            raise ConfigurationError(f"connection {self.coveo_conn_id!r}: {error}") from None

    def test_connection(self) -> tuple[bool, str]:
        """Make one cheap read, and say which organization answered and which privilege is missing."""
        try:
            count = self.client.count_sources()
        except AccessDenied as error:
            return False, (
                f"Organization {self.client.organization_id} answered, and the API key lacks the privilege "
                "Sources (View), or is one of another organization. Pushing needs Organization (View) and "
                f"Sources (Edit), which this test cannot see. {error}"
            )
        except CoveoError as error:
            return False, str(error)
        except Exception as error:  # noqa: BLE001  the form shows a sentence, never a traceback
            return False, f"{type(error).__name__}: connection {self.coveo_conn_id!r} could not be read"
        return (
            True,
            f"Organization {self.client.organization_id} answered; sources that the key can see: {count:,}",
        )

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return labels and placeholders for Airflow 3.1; later ones read the provider info."""
        from coveo_provider.get_provider_info import get_provider_info

        behaviour: dict[str, Any] = get_provider_info()["connection-types"][0]["ui-field-behaviour"]
        return behaviour

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the form's own fields for Airflow 3.1; later ones read the provider info."""
        from flask_babel import lazy_gettext
        from wtforms import StringField

        from coveo_provider.get_provider_info import get_provider_info

        fields = get_provider_info()["connection-types"][0]["conn-fields"]
        return {
            name: StringField(lazy_gettext(field["label"]), description=field["description"])
            for name, field in fields.items()
        }


def _base_url(scheme: str | None, host: str | None, port: int | None) -> str | None:
    """
    Return the override in the connection's host, which the URI form splits into scheme, host and port.

    Port 0 is none: Airflow 3.3 tests no connection whose port is not set.

    :raises ConfigurationError: the port has no host, or the host a port already
    """
    if not host:
        if port:
            raise ConfigurationError(
                f"port {port} has no host: put the host into the Base URL override, or make the port 0"
            )
        return None
    url = host if "://" in host or not scheme else f"{scheme}://{host}"
    found = re.fullmatch(r"((?:[^/]+//)?[^/]*?)(:\d+)?(/.*)?", url.strip()) if port else None
    if found is None:
        return url
    server, own, path = found.groups()
    if own not in {None, f":{port}"}:
        raise ConfigurationError(f"port {port} is not the one in the Base URL override: make the port 0")
    return f"{server}:{port}{path or ''}"


def _extra(connection: Connection) -> dict[str, Any]:
    """Return what stands in extra, in which every name must be known."""
    import json

    from coveo_provider.get_provider_info import get_provider_info

    try:
        extra = json.loads(connection.extra) if connection.extra and connection.extra.strip() else None
    except ValueError:
        raise ConfigurationError("extra is no JSON: put a JSON object into it, or nothing") from None
    if not isinstance(extra, (dict, type(None))):
        raise ConfigurationError(f"extra is {type(extra).__name__}: put a JSON object into it, or nothing")
    names = list(get_provider_info()["connection-types"][0]["conn-fields"])
    for name in extra or {}:
        if name not in names:
            nearest = get_close_matches(name.lower().rpartition("__")[2], names, n=1, cutoff=0.5)
            hint = f" Did you mean {nearest[0]}?" if nearest else ""
            raise ConfigurationError(
                f"extra has {name[:50]!r}, which means nothing here.{hint} Its names are {', '.join(names)}"
            )
    return extra or {}


def _timeout(value: Any) -> float:
    try:
        return 60.0 if value in (None, "") else float(value)
    except (TypeError, ValueError):
        raise ConfigurationError(f"timeout must be a number of seconds, not {value!r}") from None


def _verify(value: Any) -> bool | str:
    """Return true, false, or the path of a CA bundle, from what a form or JSON may hold."""
    if value is None or value == "":
        return True
    if isinstance(value, bool):
        return value
    text = str(value).strip()
    if text.lower() in {"true", "1", "yes"}:
        return True
    if text.lower() in {"false", "0", "no"}:
        return False
    from pathlib import Path

    if not Path(text).exists():
        raise ConfigurationError(f"verify must be true, false or the path of a CA bundle, not {value!r}")
    return text
