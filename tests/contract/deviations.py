"""
Where the published descriptions differ from what is true: each deviation once, with where that is noted.

Everything else is validated as it stands, and strictly: a key, a query parameter or a status that a description
does not name is an error, and an answer of the Push and Stream APIs has every key it names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.contract.openapi3 import JSON, METHODS

Schema = dict[str, Any]

_SCALAR: list[Schema] = [{"type": kind} for kind in ("string", "number", "boolean")]
_LIST: Schema = {"type": "array", "items": {"anyOf": _SCALAR}}
_DICTIONARY: Schema = {"type": "object", "additionalProperties": {"anyOf": [*_SCALAR, _LIST]}}
_MARK = r"^[1-9][0-9]{12}$"
_COMPRESSIONS = ["UNCOMPRESSED", "ZLIB", "GZIP", "LZMA", "DEFLATE"]


@dataclass(frozen=True)
class Deviation:
    """
    One disagreement, and which side is taken.

    :param published: what the description says
    :param truth: what is true
    :param section: the section of docs/api-notes.md that says so
    :param amend: changes the converted description
    """

    published: str
    truth: str
    section: str
    amend: Callable[[dict[str, Any]], None]


def amend(described: dict[str, Any], deviations: Iterable[Deviation]) -> dict[str, Any]:
    """Change a description in OpenAPI 3.0 as the deviations say, and return it."""
    for deviation in deviations:
        deviation.amend(described)
    return described


def operations(described: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Return method, path and operation of every call."""
    for path, item in described["paths"].items():
        for method in METHODS:
            if method in item:
                yield method, path, item[method]


def _bearer(described: dict[str, Any]) -> None:
    """Ask for the header an OAuth2 token and an API key both travel in."""
    for scheme in described["components"]["securitySchemes"].values():
        scheme.clear()
        scheme.update(type="http", scheme="bearer")


def _shard(described: dict[str, Any]) -> None:
    for _, _, operation in operations(described):
        for parameter in operation["parameters"]:
            if parameter["name"] == "shard":
                parameter["in"] = "query"
                parameter["schema"]["pattern"] = "^[A-Za-z0-9]{1,10}$"


def _request_id(described: dict[str, Any]) -> None:
    del described["components"]["schemas"]["CatalogStreamOutArgs"]["properties"]["requestId"]["requestId"]


def _empty_bodies(described: dict[str, Any]) -> None:
    for _, _, operation in operations(described):
        if "requestBody" not in operation:
            empty = {"type": "object", "maxProperties": 0}
            operation["requestBody"] = {"content": {JSON: {"schema": empty}}}


def _too_large(described: dict[str, Any]) -> None:
    for _, _, operation in operations(described):
        operation["responses"]["413"] = operation["responses"]["412"]


def _marks(described: dict[str, Any]) -> None:
    for _, _, operation in operations(described):
        for parameter in operation["parameters"]:
            if parameter["name"] == "orderingId":
                parameter["schema"].update(minimum=10**12, maximum=10**13 - 1)
            elif parameter["name"] == "epochMilliseconds":
                parameter["schema"]["pattern"] = _MARK
    described["components"]["schemas"]["CatalogStreamOutArgs"]["properties"]["orderingId"]["pattern"] = _MARK


def _metadata(described: dict[str, Any]) -> None:
    document = described["components"]["schemas"]["DocumentBody"]
    document["additionalProperties"] = {"anyOf": [*_SCALAR, _LIST, _DICTIONARY]}


def _levels(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    sets = {"type": "array", "items": {"$ref": "#/components/schemas/PermissionSetsModel"}}
    schemas["PermissionLevelModel"] = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "permissionSets": sets},
        "required": ["permissionSets"],
    }
    level = {"type": "array", "items": {"$ref": "#/components/schemas/PermissionLevelModel"}}
    schemas["DocumentBody"]["properties"]["permissions"] = {"anyOf": [sets, level]}


def _required(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    for name, keys in {
        "Identity": ["name", "type"],
        "MappedIdentity": ["name", "type"],
        "BaseIdentityBody": ["identity"],
        "IdentityBody": ["identity"],
        "MappedIdentityBody": ["identity", "mappings"],
        "PermissionIdentityModel": ["identity"],
    }.items():
        schemas[name]["required"] = keys


def _entries(described: dict[str, Any]) -> None:
    keys: dict[str, Schema] = {
        "documentId": {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9+.-]*:"},
        "compressionType": {"type": "string", "enum": _COMPRESSIONS},
    }
    schemas = described["components"]["schemas"]
    document = schemas["DocumentBody"]
    schemas["DocumentEntry"] = {
        **document,
        "properties": {**document["properties"], **keys},
        "required": ["documentId"],
    }
    schemas["DeletionEntry"] = {
        "type": "object",
        "properties": {"documentId": keys["documentId"], "deleteChildren": {"type": "boolean"}},
        "required": ["documentId"],
    }


def _partial_updates(described: dict[str, Any]) -> None:
    values: dict[str, Schema] = {
        "fieldValueReplace": {"anyOf": [*_SCALAR, _LIST, _DICTIONARY, {"enum": [None], "nullable": True}]},
        "arrayAppend": _LIST,
        "arrayRemove": _LIST,
        "dictionaryPut": _DICTIONARY,
        "dictionaryRemove": {
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        },
    }
    kinds = [
        {
            "type": "object",
            "properties": {
                "documentId": {"type": "string"},
                "operator": {"type": "string", "enum": [operator]},
                "field": {"type": "string", "minLength": 1},
                "value": value,
            },
            "required": ["documentId", "operator", "field", "value"],
        }
        for operator, value in values.items()
    ]
    described["components"]["schemas"]["InlineUpdateModel"] = {"oneOf": kinds}


def _containers(described: dict[str, Any]) -> None:
    def body(**arrays: str) -> Schema:
        return {
            "type": "object",
            "minProperties": 1,
            "properties": {
                key: {"type": "array", "minItems": 1, "items": {"$ref": f"#/components/schemas/{name}"}}
                for key, name in arrays.items()
            },
        }

    documents, deletions = {"addOrUpdate": "DocumentEntry"}, {"delete": "DeletionEntry"}
    described["components"]["schemas"].update(
        BatchDocumentBody=body(**documents, **deletions),
        LoadBody=body(**documents),
        UpdateBody=body(**documents, partialUpdate="InlineUpdateModel", **deletions),
        MergeBody=body(addOrMerge="DocumentEntry"),
        BatchIdentityBody=body(
            members="IdentityBody", mappings="MappedIdentityBody", deleted="BaseIdentityBody"
        ),
    )


def _tags(described: dict[str, Any]) -> None:
    described.pop("tags", None)


def _json_answers(described: dict[str, Any]) -> None:
    for _, _, operation in operations(described):
        for response in operation["responses"].values():
            if "*/*" in response.get("content", {}):
                response["content"] = {JSON: response["content"]["*/*"]}


def _any_model(value: Any) -> None:
    if isinstance(value, dict):
        if "oneOf" in value:
            value["anyOf"] = value.pop("oneOf")
        for part in value.values():
            _any_model(part)
    elif isinstance(value, list):
        for part in value:
            _any_model(part)


def _source_filter(described: dict[str, Any]) -> None:
    model = described["components"]["schemas"].get("GetLogsOrFacetsRequestBodyModel", {})
    if "properties" in model:
        model["properties"]["sourceIds"] = model["properties"]["sourcesIds"]


DEVIATIONS = (
    Deviation(
        "every call asks for an OAuth2 token",
        "an API key is taken as well, in the same header, Authorization: Bearer",
        "Hosts and keys",
        _bearer,
    ),
    Deviation(
        "shard is a parameter of a path that has no place for it",
        "it can only be a query parameter, of 1 to 10 letters and digits",
        "Streams",
        _shard,
    ),
    Deviation(
        "the description of requestId stands under a keyword that is none",
        "it says nothing that could be validated",
        "Streams",
        _request_id,
    ),
    Deviation(
        "calls without a model have no request body",
        "they take {}, and nothing else",
        "Success answers",
        _empty_bodies,
    ),
    Deviation(
        "413 is not among the statuses",
        "above a limit it is the answer",
        "Errors and retries",
        _too_large,
    ),
    Deviation(
        "orderingId is any integer, epochMilliseconds any text",
        "both have 13 digits, as has the orderingId of an answer",
        "Ordering ids and marks",
        _marks,
    ),
    Deviation(
        "metadata values are strings",
        "numbers, booleans, arrays of these and flat objects (dictionary fields) are taken, as a note says",
        "Metadata",
        _metadata,
    ),
    Deviation(
        "permissions are sets (the simplified model)",
        "levels of sets (the complete model) are taken as well",
        "Permissions",
        _levels,
    ),
    Deviation(
        "no key of a body is required",
        "an identity has name and type, a body has its identity, aliases and permissions name whom they mean",
        "Security identities",
        _required,
    ),
    Deviation(
        "DocumentBody has neither documentId nor compressionType",
        "the entries of a container have: documentId, required and a URI, and compressionType",
        "Documents and ids",
        _entries,
    ),
    Deviation(
        "the entries of partialUpdate are any objects",
        "an operator, a field, and a value of the operator's type",
        "Updates and partial updates",
        _partial_updates,
    ),
    Deviation(
        "what a container holds is not described",
        "it holds arrays of the models that are",
        "Documents and ids",
        _containers,
    ),
)
"""Those of the Push description."""

PLATFORM_DEVIATIONS = (
    DEVIATIONS[0],
    Deviation(
        "a tag stands twice", "OpenAPI forbids it, and nothing is validated by it", "Hosts and keys", _tags
    ),
    Deviation("answers are of any media type", "they are JSON", "Hosts and keys", _json_answers),
    Deviation(
        "a source is of exactly one of the models",
        "the models overlap: a Push source is of three, an empty answer of all",
        "Hosts and keys",
        _any_model,
    ),
    Deviation(
        "the log is filtered by sourcesIds",
        "Coveo's own platform client says sourceIds; both are sent, as nothing tells which one counts",
        "Source logs",
        _source_filter,
    ),
)
"""Those of the descriptions of sources, security providers and logs, each in one of them at least."""
