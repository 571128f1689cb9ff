"""
Swagger 2.0 → OpenAPI 3.0, for the keywords that Coveo's descriptions use; an unknown one is an error.

The validator speaks OpenAPI 3 only. What changes is the place of things, never what they say:

* ``host``, ``basePath``, ``schemes`` → ``servers``; ``definitions`` → ``components/schemas``, and every ``$ref``
* ``securityDefinitions`` → ``components/securitySchemes``, an OAuth2 flow under its new name
* ``type``, ``format``, ``enum``, … of a parameter or header → its ``schema``
* the parameter ``in: body`` → ``requestBody``, with the media types of ``consumes``
* ``schema`` of a response → ``content``, with the media types of ``produces``
"""

from __future__ import annotations

from typing import Any

JSON = "application/json"
METHODS = ("get", "put", "post", "delete", "options", "head", "patch")

_IN_SCHEMA = ("type", "format", "enum", "default", "minimum", "maximum", "minLength", "maxLength", "pattern")
_FLOWS = {"implicit": "implicit", "accessCode": "authorizationCode", "application": "clientCredentials"}
_KEPT_OF_A_PARAMETER = ("name", "in", "required", "description", "deprecated")
_KEPT_OF_AN_OPERATION = (
    "summary",
    "description",
    "tags",
    "externalDocs",
    "operationId",
    "security",
    "deprecated",
)


def to_openapi3(swagger: dict[str, Any]) -> dict[str, Any]:
    """
    Return a description in Swagger 2.0 as one in OpenAPI 3.0; what is given is left as it was.

    :raises ValueError: it uses a keyword that is not converted here
    """
    if swagger.get("swagger") != "2.0":
        raise ValueError("not a Swagger 2.0 description")
    base = f"{swagger['host']}{swagger.get('basePath', '')}".rstrip("/")
    schemes = {
        name: _security_scheme(scheme) for name, scheme in swagger.get("securityDefinitions", {}).items()
    }
    described = {
        "openapi": "3.0.3",
        "info": dict(swagger["info"]),
        "servers": [{"url": f"{scheme}://{base}"} for scheme in swagger.get("schemes", ["https"])],
        "paths": {path: _path_item(operations) for path, operations in swagger["paths"].items()},
        "components": {"schemas": swagger.get("definitions", {}), "securitySchemes": schemes},
    }
    moved: dict[str, Any] = _moved(described)
    return moved


def _path_item(operations: dict[str, Any]) -> dict[str, Any]:
    if unknown := set(operations) - set(METHODS):
        raise ValueError(f"a path with {sorted(unknown)} is not converted")
    return {method: _operation(operation) for method, operation in operations.items()}


def _operation(operation: dict[str, Any]) -> dict[str, Any]:
    converted = {
        key: value for key, value in operation.items() if key in _KEPT_OF_AN_OPERATION or key.startswith("x-")
    }
    left = set(operation) - set(converted) - {"consumes", "produces", "parameters", "responses", "schemes"}
    if left:
        raise ValueError(f"an operation with {sorted(left)} is not converted")
    given = operation.get("parameters", [])
    converted["parameters"] = [_parameter(one) for one in given if one["in"] != "body"]
    for body in (one for one in given if one["in"] == "body"):
        converted["requestBody"] = {
            "required": body.get("required", False),
            "content": {kind: {"schema": body["schema"]} for kind in operation.get("consumes", [JSON])},
        }
    kinds = operation.get("produces", [JSON])
    converted["responses"] = {
        str(status): _response(response, kinds) for status, response in operation["responses"].items()
    }
    return converted


def _parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    known = (*_IN_SCHEMA, *_KEPT_OF_A_PARAMETER)
    if unknown := {key for key in parameter if key not in known and not key.startswith("x-")}:
        raise ValueError(f"a parameter with {sorted(unknown)} is not converted")
    kept = {key: parameter[key] for key in _KEPT_OF_A_PARAMETER if key in parameter}
    return {**kept, "schema": _schema_of(parameter)}


def _response(response: dict[str, Any], kinds: list[str]) -> dict[str, Any]:
    if unknown := set(response) - {"description", "schema", "headers"}:
        raise ValueError(f"a response with {sorted(unknown)} is not converted")
    converted: dict[str, Any] = {"description": response.get("description", "")}
    if "schema" in response:
        converted["content"] = {kind: {"schema": response["schema"]} for kind in kinds}
    if "headers" in response:
        converted["headers"] = {
            name: {"schema": _schema_of(header)} for name, header in response["headers"].items()
        }
    return converted


def _schema_of(described: dict[str, Any]) -> dict[str, Any]:
    return {key: described[key] for key in _IN_SCHEMA if key in described}


def _security_scheme(scheme: dict[str, Any]) -> dict[str, Any]:
    if scheme["type"] != "oauth2":
        raise ValueError(f"a security scheme of type {scheme['type']} is not converted")
    flow = {key: scheme[key] for key in ("authorizationUrl", "tokenUrl", "scopes") if key in scheme}
    return {"type": "oauth2", "flows": {_FLOWS[scheme["flow"]]: flow}}


def _moved(value: Any) -> Any:
    """Return a copy in which every reference leads to where its schema is now."""
    if isinstance(value, dict):
        return {
            key: part.replace("#/definitions/", "#/components/schemas/") if key == "$ref" else _moved(part)
            for key, part in value.items()
        }
    return [_moved(part) for part in value] if isinstance(value, list) else value
