"""A configuration file of the sandbox (TOML): sources, security providers, keys and fields to start with."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from coveo_provider.sandbox.service.quotas import PRESETS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_TYPES: dict[str, tuple[type, ...]] = {
    "organization": (str,),
    "api_key": (str,),
    "port": (int,),
    "database": (str,),
    "scale": (int, float),
    "real_delays": (bool,),
    "strict_fields": (bool,),
    "tls": (bool,),
    "quotas": (str,),
    "sources": (dict,),
    "providers": (dict,),
    "keys": (dict,),
    "fields": (dict,),
}
_SOURCE = {
    "kind": str,
    "visibility": str,
    "push_enabled": bool,
    "stream_enabled": bool,
    "catalog_configuration": bool,
}
_PROVIDER = {"sources": list, "cascades_to": list, "case_sensitive": bool}


class ConfigError(ValueError):
    """The file cannot be used; the message names the file, the key, and what was expected."""


def read(path: str) -> dict[str, Any]:
    """
    Read a file into its settings, named as the options of ``coveo-sandbox``.

    ``sources`` and ``providers`` are by id, each with the settings of :meth:`Sandbox.add_source` and
    :meth:`Sandbox.add_security_provider`; ``keys`` are keys with lists of privileges; ``fields`` are by name, each
    a ``FieldModel`` of the API.

    :raises ConfigError: it cannot be read, or a setting is unknown or of another type
    """
    try:
        settings = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    try:
        return _checked(settings)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _checked(settings: dict[str, Any]) -> dict[str, Any]:
    for key, value in settings.items():
        if key not in _TYPES:
            raise ConfigError(f"there is no setting {key}; known are {', '.join(_TYPES)}")
        if not _is(value, *_TYPES[key]):
            raise ConfigError(f"{key} is {_names(*_TYPES[key])}, not {value!r}")
    if settings.get("quotas", "off") not in PRESETS:
        raise ConfigError(f"quotas is one of {', '.join(PRESETS)}, not {settings['quotas']!r}")
    _check_each(settings, "sources", lambda what, one: _check_table(what, one, _SOURCE))
    _check_each(settings, "providers", lambda what, one: _check_table(what, one, _PROVIDER))
    _check_each(settings, "keys", _check_texts)
    _check_each(settings, "fields", lambda what, one: _check_type(what, one, dict))
    return settings


def _check_each(settings: dict[str, Any], key: str, check: Callable[[str, Any], None]) -> None:
    for name, value in settings.get(key, {}).items():
        check(f"{key}.{name}", value)


def _check_table(what: str, table: Any, types: Mapping[str, type]) -> None:
    _check_type(what, table, dict)
    for key, value in table.items():
        if key not in types:
            raise ConfigError(f"{what} has no setting {key}; known are {', '.join(types)}")
        _check_type(f"{what}.{key}", value, types[key])
        if types[key] is list:
            _check_texts(f"{what}.{key}", value)


def _check_texts(what: str, value: Any) -> None:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ConfigError(f"{what} is an array of strings, not {value!r}")


def _check_type(what: str, value: Any, wanted: type) -> None:
    if not _is(value, wanted):
        raise ConfigError(f"{what} is {_names(wanted)}, not {value!r}")


def _is(value: Any, *types: type) -> bool:
    """Whether a value is of one of these types; true and false are no numbers."""
    return isinstance(value, types) and (bool in types or not isinstance(value, bool))


def _names(*types: type) -> str:
    words = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}
    return " or ".join(words.get(one, "a table" if one is dict else "an array") for one in types)
