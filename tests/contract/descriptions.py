"""Coveo's published descriptions, and what they say against a request or an answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml
from openapi_core import OpenAPI
from openapi_core.configurations import Config
from openapi_core.datatypes import RequestParameters
from openapi_core.validation.schemas.exceptions import InvalidSchemaValue
from openapi_schema_validator import OAS30Validator
from werkzeug.datastructures import Headers, ImmutableMultiDict

from tests.contract.deviations import DEVIATIONS, PLATFORM_DEVIATIONS, amend, operations
from tests.contract.openapi3 import to_openapi3
from tests.contract.recorder import Exchange

FOLDER = Path(__file__).parent
PLATFORM_FILES = (
    "sources.openapi.yml",
    "security-providers.openapi.yml",
    "source-logs.swagger.yml",
    "fields.openapi.yml",
)


class Description:
    """
    A published description, ready to validate by.

    :param document: the description in OpenAPI 3.0
    :param complete: whether an answer must have every key that is described, and a refusal a described status
    """

    def __init__(self, document: dict[str, Any], *, complete: bool) -> None:
        _open_plain_objects(document)
        self.document = document
        self.complete = complete
        server = urlsplit(document["servers"][0]["url"])
        self._host, self.base = f"{server.scheme}://{server.netloc}", server.path
        self._openapi = OpenAPI.from_dict(
            document,
            config=Config(
                additional_properties_default_policy="forbid",
                response_properties_default_policy="required" if complete else "optional",
            ),
        )
        self.calls = {(method.upper(), path): operation for method, path, operation in operations(document)}

    def call_of(self, method: str, path: str) -> tuple[str, str] | None:
        """Return the method and the path template of the call a request makes; ``None`` when it is none."""
        if not path.startswith(f"{self.base}/"):
            return None
        parts = path[len(self.base) :].split("/")
        found = [
            (method, template)
            for known, template in self.calls
            if known == method and _fits(template.split("/"), parts)
        ]
        # A literal beats a parameter, as OpenAPI has it: …/stream/open is no stream of the name "open".
        return min(found, key=lambda call: call[1].count("{"), default=None)

    def request_errors(self, exchange: Exchange) -> list[str]:
        """Return what is wrong with a request."""
        call = self.call_of(exchange.method, exchange.path)
        if call is None:
            return [f"{exchange.method} {exchange.path} is no call of the description"]
        found = self._openapi.iter_request_errors(self._request(exchange))
        described = {one["name"]: one for one in self._parameters(call) if one["in"] == "query"}
        names = [name for name, _ in exchange.query]
        odd = [f"query parameter {name!r} is not described" for name in sorted({*names} - {*described})]
        odd += [
            f"query parameter {name!r} stands twice" for name in sorted({*names}) if names.count(name) > 1
        ]
        for name, value in exchange.query:  # the validator takes "yes" and "1" as well
            kind = described.get(name, {}).get("schema", {}).get("type")
            if kind == "boolean" and value not in {"true", "false"}:
                odd.append(f"query parameter {name!r} is {value!r}, and no boolean")
        return [*map(_told, found), *odd]

    def answer_errors(self, exchange: Exchange) -> list[str]:
        """Return what is wrong with an answer."""
        call = self.call_of(exchange.method, exchange.path)
        if call is None:
            return [f"{exchange.method} {exchange.path} is no call of the description"]
        found = map(_told, self._openapi.iter_response_errors(self._request(exchange), _Answer(exchange)))
        response = self.calls[call]["responses"].get(str(exchange.status), {"content": None})
        odd = []
        if "content" not in response and exchange.answer not in {b"", b"{}", b"null"}:
            # {} and null stand for none (docs/api-notes.md, "Success answers").
            odd.append("there is a body, and none is described")
        return [*found, *odd]

    def value_errors(self, name: str, value: Any) -> list[str]:
        """Return what is wrong with a JSON value that should be of the model ``name``."""
        schema = {
            "$ref": f"#/components/schemas/{name}",
            "components": {"schemas": _closed(self.document["components"]["schemas"])},
        }
        return [
            f"{'/'.join(map(str, error.absolute_path))}: {error.message}"
            for error in OAS30Validator(schema).iter_errors(value)
        ]

    def _parameters(self, call: tuple[str, str]) -> list[dict[str, Any]]:
        item = self.document["paths"][call[1]]
        return [*self.calls[call].get("parameters", []), *item.get("parameters", [])]

    def _request(self, exchange: Exchange) -> _Request:
        return _Request(self._host, exchange)


class _Request:
    """A request as the validator reads it, at the address the description names."""

    def __init__(self, host: str, exchange: Exchange) -> None:
        self.host_url, self.path = host, exchange.path
        self.method = exchange.method.lower()
        self.body: bytes | None = exchange.body or None
        headers = Headers(list(exchange.headers))
        self.content_type = headers.get("Content-Type", "").lower()
        self.parameters = RequestParameters(
            query=ImmutableMultiDict(exchange.query), header=headers, cookie=ImmutableMultiDict(), path={}
        )


class _Answer:
    def __init__(self, exchange: Exchange) -> None:
        self.status_code, self.data = exchange.status, exchange.answer
        self.headers = Headers(list(exchange.answer_headers))
        self.content_type = self.headers.get("Content-Type", "").lower()


@lru_cache
def push() -> Description:
    """Return the Push and Stream APIs' description, with the deviations of the reference."""
    return Description(amend(to_openapi3(read("push.swagger.yml")), DEVIATIONS), complete=True)


@lru_cache
def platform(file: str) -> Description:
    """
    Return one of the other descriptions: of sources, of security providers, or of the logs.

    The sandbox answers with what clients read of these large models, and they describe no refusal, or not all:
    what is there must be as described, but not everything must be there.
    """
    document = read(file)
    document = to_openapi3(document) if "swagger" in document else document
    return Description(amend(document, PLATFORM_DEVIATIONS), complete=False)


def platform_of(exchange: Exchange) -> Description:
    """Return the one of the other descriptions that has the call of an exchange."""
    (known,) = (one for one in map(platform, PLATFORM_FILES) if one.call_of(exchange.method, exchange.path))
    return known


def read(file: str) -> dict[str, Any]:
    """Return a published description as it was published."""
    document: dict[str, Any] = yaml.safe_load((FOLDER / file).read_text())
    return document


def _fits(template: Sequence[str], parts: Sequence[str]) -> bool:
    return len(template) == len(parts) and all(
        bool(part) if wanted.startswith("{") else wanted == unquote(part)
        for wanted, part in zip(template, parts, strict=True)
    )


def _told(error: BaseException) -> str:
    """Return an error with the reasons under it, which the validator keeps to itself."""
    reasons: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        found: Iterable[Any] = cause.schema_errors if isinstance(cause, InvalidSchemaValue) else ()
        reasons += [f"{'/'.join(map(str, one.absolute_path))}: {one.message}" for one in found]
        cause = cause.__cause__
    return f"{error}: {'; '.join(reasons) or error.__cause__}"


def _open_plain_objects(value: Any) -> None:
    """Let an object of which no key is described have any; all other objects are closed."""
    if isinstance(value, dict):
        if value.get("type") == "object" and not {"properties", "additionalProperties"} & set(value):
            value["additionalProperties"] = True
        for part in value.values():
            _open_plain_objects(part)
    elif isinstance(value, list):
        for part in value:
            _open_plain_objects(part)


def _closed(value: Any) -> Any:
    """Return a copy of schemas in which an object has no key that is not described."""
    if isinstance(value, dict):
        copy = {key: _closed(part) for key, part in value.items()}
        if "properties" in copy and copy.get("type") == "object":
            copy.setdefault("additionalProperties", False)
        return copy
    return [_closed(part) for part in value] if isinstance(value, list) else value
