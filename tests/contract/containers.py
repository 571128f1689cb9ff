"""What was uploaded, and for which call: the model its JSON must be of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote

from tests.contract.descriptions import Description
from tests.contract.recorder import Exchange

MODELS = {
    "/documents/batch": "BatchDocumentBody",
    "/permissions/batch": "BatchIdentityBody",
    "/stream/open": "LoadBody",
    "/chunk": "LoadBody",
    "/stream/update": "UpdateBody",
    "/stream/merge": "MergeBody",
}
"""The end of a call's path → the model of the container it submits, or hands out."""


def uploads(exchanges: Iterable[Exchange]) -> dict[str, bytes]:
    """Return what lies in each container, by its id."""
    return {
        unquote(one.path).rsplit("/", 1)[-1]: one.body
        for one in exchanges
        if one.uploads and one.status == 200
    }


def submissions(exchanges: Iterable[Exchange]) -> dict[str, str]:
    """Return the model of each container, by its id: of those submitted, and of those that belong to a stream."""
    found = {}
    for one in exchanges:
        model = next((name for end, name in MODELS.items() if one.path.endswith(end)), None)
        if model == "LoadBody":
            found[str(json.loads(one.answer)["fileId"])] = model
        elif model is not None:
            found[dict(one.query)["fileId"]] = model
    return found


def container_errors(description: Description, exchanges: Iterable[Exchange]) -> list[str]:
    """Return what is wrong with the containers, one that no call explains among it."""
    exchanges = list(exchanges)
    models, contents = submissions(exchanges), uploads(exchanges)
    documents = [json.loads(contents[file_id]) for file_id in models if file_id in contents]
    documents += [json.loads(one.body) for one in exchanges if one.method == "PUT" and _is_item(one)]
    named = set(_attachments(documents))
    errors = []
    for file_id, content in contents.items():
        if file_id in models:
            found = description.value_errors(models[file_id], json.loads(content))
            errors += [f"{models[file_id]} {one}" for one in found]
        elif file_id not in named:
            errors.append(f"container {file_id} was uploaded, and neither submitted nor named by an item")
    return errors


def _is_item(exchange: Exchange) -> bool:
    return exchange.path.endswith("/documents")


def _attachments(value: Any) -> Iterator[str]:
    """Return the containers that items name as their content: what lies in them is no JSON."""
    if isinstance(value, dict):
        if isinstance(named := value.get("compressedBinaryDataFileId"), str):
            yield named
        for part in value.values():
            yield from _attachments(part)
    elif isinstance(value, list):
        for part in value:
            yield from _attachments(part)
