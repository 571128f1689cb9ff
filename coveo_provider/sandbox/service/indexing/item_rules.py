"""
What one item must be before it is indexed (docs 78, 162).

The same rules serve the inline call, where a broken one is an HTTP answer, and a container's entries, where
it is a log entry: :class:`ItemRefused` carries what either needs.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any

from coveo_provider.sandbox.service import jsontext
from coveo_provider.sandbox.service.limits import Limits
from coveo_provider.sandbox.service.security import item_permissions
from coveo_provider.sandbox.service.security.item_permissions import Named

RESERVED = {
    name.lower(): name
    for name in (
        "compressedBinaryData",
        "compressedBinaryDataFileId",
        "compressionType",
        "data",
        "documentId",
        "fileExtension",
        "orderingId",
        "parentId",
        "permissions",
    )
}
BODIES = ("data", "compressedBinaryData", "compressedBinaryDataFileId")
# The pages spell these differently, and both spellings are taken (docs/api-notes.md, "Compression").
COMPRESSION_TYPES = {
    spelling: spelling.upper()
    for spelling in (
        *("UNCOMPRESSED", "ZLIB", "GZIP", "LZMA", "DEFLATE"),
        *("Uncompressed", "ZLib", "GZip", "Deflate"),
    )
}
# Where in the pipeline, and what a reader of the log should know.
Warned = tuple[str, str]
# docs 2036; where the sandbox is strict about fields, the field itself is looked at instead.
DICTIONARY: Warned = ("MAPPING", "an object is only indexed into a dictionary field")
_SCALARS = frozenset((str, int, float, bool))
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[^\s]")


class ItemRefused(Exception):
    """An item that will not be indexed: ``result`` as the log spells it, and at which ``task``."""

    def __init__(
        self, message: str, *, result: str = "ERROR", task: str = "CONSUMING", uri: str = ""
    ) -> None:
        super().__init__(message)
        self.message, self.result, self.task, self.uri = message, result, task, uri


@dataclass(frozen=True)
class Item:
    """
    An item that passed.

    :param body: its JSON: metadata keys as pushed, reserved keys in the API's spelling, numbers untouched
    :param file_id: container with its content, if it has one
    :param warnings: (task, text) of what a reader of the log should know
    :param named: identities its permissions name, when its source takes its security from them
    """

    uri: str
    body: bytes
    file_id: str | None = None
    warnings: tuple[Warned, ...] = ()
    named: frozenset[Named] = frozenset()


@dataclass(frozen=True)
class Rules:
    """
    How strict to be, by source and call.

    :param stream: the item goes to a stream source, which needs no body and has its own size limit
    :param visibility: that of the source; ``SECURED`` takes its security from the items
    """

    stream: bool
    visibility: str
    limits: Limits

    @property
    def secured(self) -> bool:
        """Whether the permissions of items matter."""
        return self.visibility == "SECURED"

    def check_size(self, size: int, uri: str) -> None:
        """Refuse an entry of a stream by its size in bytes."""
        if self.stream and size > self.limits.stream_item_bytes:
            raise ItemRefused(
                f"the item has {size} bytes; the limit is {self.limits.stream_item_bytes}",
                result="REJECTED",
                uri=uri,
            )


def read_item(text: bytes, rules: Rules, *, uri: str | None = None, compression: str | None = None) -> Item:
    """
    Check one item's JSON and give it as it will be stored.

    :param uri: the documentId of an inline call, which its body may leave out
    :param compression: the compressionType of an inline call
    :raises ItemRefused: when a rule is broken
    """
    try:
        value = jsontext.parse(text)
    except jsontext.BadJsonError as error:
        raise ItemRefused(f"invalid JSON: {error}", uri=uri or uri_of(text)) from None
    if type(value) is not dict:
        raise ItemRefused("an item is a JSON object", uri=uri or "")
    return check_item(value, text, rules, uri=uri, compression=compression)


def check_item(
    value: dict[str, Any], text: bytes, rules: Rules, *, uri: str | None, compression: str | None
) -> Item:
    """Check a parsed item; ``text`` is the JSON it was read from."""
    keys = _read_keys(value, rules.limits)
    given = keys.own.get("documentId")
    if keys.repeated:
        raise ItemRefused("two keys are equal but for case", uri=uri or (given if type(given) is str else ""))
    document_id = _document_id(given, uri)
    rules.check_size(len(text), document_id)
    if keys.problem:
        raise ItemRefused(keys.problem, uri=document_id)
    warnings = _check_reserved(keys.own, document_id, rules)
    named = _check_permissions(keys.own, document_id, rules)
    if not rules.stream and len(text) >= rules.limits.inline_bytes:
        # No page refuses it inside a container, and the old SDK sends such (docs/api-notes.md, "Limits";
        # probe: batch-item-size).
        why = f"the item has {len(text)} bytes; content of {rules.limits.inline_bytes} goes into its own container"
        warnings += (("CONSUMING", why),)
    if "permissions" in keys.own and not rules.secured:
        why = f"the source is {rules.visibility}: what its items say about permissions is ignored"
        warnings += (("CONSUMING", why),)
    if keys.dictionaries:
        warnings += (DICTIONARY,)
    added = {}
    if given is None:
        added["documentId"] = document_id
    if compression and "compressionType" not in keys.own:
        added["compressionType"] = compression
    if added or keys.respell:
        text = _respelled(text, added)
    return Item(document_id, text, keys.own.get("compressedBinaryDataFileId"), warnings, named)


@dataclass
class _Keys:
    """
    What an item's keys say.

    :param own: values of the reserved keys, in the API's spelling
    :param respell: some reserved key is spelled otherwise
    :param repeated: two keys are equal but for case
    :param dictionaries: some metadata value is an object
    :param problem: what is wrong with a metadata value; empty when nothing is
    """

    own: dict[str, Any]
    respell: bool = False
    repeated: bool = False
    dictionaries: bool = False
    problem: str = ""


def _read_keys(value: dict[str, Any], limits: Limits) -> _Keys:
    keys = _Keys({}, repeated=len({key.lower() for key in value}) != len(value))
    for key, content in value.items():
        name = RESERVED.get(key.lower())
        if name is not None:
            keys.own[name] = content
            keys.respell = keys.respell or name != key
        elif type(content) not in _SCALARS:
            keys.problem = keys.problem or _metadata_problem(key, content, limits)
            keys.dictionaries = keys.dictionaries or type(content) is dict
    return keys


def _respelled(text: bytes, added: dict[str, str]) -> bytes:
    """Write an item's JSON anew with reserved keys in the API's spelling, and what a call says beside it."""
    texts = {RESERVED.get(key.lower(), key): raw for key, raw in jsontext.members(text).items()}
    return jsontext.join({**{key: jsontext.dumps(one) for key, one in added.items()}, **texts})


def uri_of(text: bytes) -> str:
    """Find the documentId of an item that is refused for something else; empty when there is none."""
    try:
        own = {key.lower(): value for key, value in jsontext.members(text).items()}.get("documentid")
        value = jsontext.parse(own) if own else ""
    except jsontext.BadJsonError:
        return ""
    return value if isinstance(value, str) else ""


def entry(text: bytes) -> dict[str, Any]:
    """
    Read an entry of ``delete`` or ``partialUpdate``, keys in lower case, as the case of keys is free.

    :raises ItemRefused: when it is not an object, or names a key twice
    """
    try:
        value = jsontext.parse(text)
    except jsontext.BadJsonError as error:
        raise ItemRefused(f"invalid JSON: {error}", uri=uri_of(text)) from None
    if type(value) is not dict:
        raise ItemRefused("an entry is a JSON object")
    lowered = {key.lower(): content for key, content in value.items()}
    if len(lowered) != len(value):
        raise ItemRefused("two keys are equal but for case", uri=uri_of(text))
    return lowered


def read_deletion(text: bytes) -> tuple[str, bool]:
    """
    Read an entry of ``delete``: the documentId, and whether the children go as well.

    :raises ItemRefused: when it is none
    """
    lowered = entry(text)
    uri, children = lowered.get("documentid"), lowered.get("deletechildren", False)
    if not isinstance(uri, str) or not uri:
        raise ItemRefused("documentId is required and is a string")
    if not isinstance(children, bool):
        raise ItemRefused("deleteChildren is true or false", uri=uri)
    return uri, children


def _document_id(given: Any, uri: str | None) -> str:
    if given is None and uri is not None:
        return check_uri(uri)
    if type(given) is not str or not given:
        raise ItemRefused("documentId is required and is a string", uri=uri or "")
    if uri is not None and given != uri:
        # docs/api-notes.md, "Documents and ids": the body's own documentId must match the query's.
        raise ItemRefused(f"documentId is {given!r} in the body and {uri!r} in the query", uri=uri)
    return check_uri(given)


def check_uri(uri: str) -> str:
    """Refuse what is not a URI: accepted by HTTP, never indexed (docs 78)."""
    if not _URI.match(uri):
        raise ItemRefused("the documentId is not a URI: it has no scheme", result="REJECTED", uri=uri)
    try:
        uri.encode()
    except UnicodeEncodeError:
        raise ItemRefused("the documentId is not Unicode text") from None
    return uri


def metadata_problem(key: str, content: Any, limits: Limits) -> str:
    """Say what is wrong with a metadata value (docs 162); empty when nothing is."""
    return "" if type(content) in _SCALARS else _metadata_problem(key, content, limits)


def _metadata_problem(key: str, content: Any, limits: Limits) -> str:
    if type(content) is list:
        return "" if all(type(part) in _SCALARS for part in content) else f"{key!r} nests beyond one array"
    if type(content) is dict:
        if len(content) > limits.dictionary_pairs:
            return f"{key!r} has {len(content)} pairs; the limit is {limits.dictionary_pairs}"
        return "" if all(type(part) in _SCALARS for part in content.values()) else f"{key!r} nests too deeply"
    return f"{key!r} is null; leave the key out instead"


def _check_reserved(own: dict[str, Any], uri: str, rules: Rules) -> tuple[Warned, ...]:
    if "orderingId" in own:
        raise ItemRefused("orderingId is a reserved key and belongs in the query", uri=uri)
    for name, content in own.items():
        if name != "permissions" and type(content) is not str:
            raise ItemRefused(f"{name} must be a string", uri=uri)
    if own.get("compressionType", "ZLIB") not in COMPRESSION_TYPES:
        raise ItemRefused(f"unknown compressionType {own['compressionType']!r}", uri=uri)
    if not own.get("fileExtension", ".").startswith("."):
        raise ItemRefused("fileExtension includes the leading dot", uri=uri)
    bodies = [name for name in BODIES if name in own]
    if len(bodies) > 1:
        raise ItemRefused(f"{' and '.join(bodies)} exclude each other", uri=uri)
    if bodies == ["compressedBinaryData"]:
        try:
            base64.b64decode(own["compressedBinaryData"], validate=True)
        except (binascii.Error, ValueError):
            raise ItemRefused("compressedBinaryData is not Base64", task="PROCESSING", uri=uri) from None
    if not bodies and not rules.stream:
        # docs 78 requires exactly one, samples have none (docs/api-notes.md, "Documents and ids").
        return (("PROCESSING", "the item has no data, compressedBinaryData or compressedBinaryDataFileId"),)
    return ()


def _check_permissions(own: dict[str, Any], uri: str, rules: Rules) -> frozenset[Named]:
    """Check form and number; whether the identities exist is the security cache's business."""
    if "permissions" not in own:
        if rules.secured:
            # docs 78: the HTTP call succeeds and the item fails at the Consuming stage.
            raise ItemRefused("the source is secured and the item has no permissions", uri=uri)
        return frozenset()
    try:
        named = item_permissions.read(own["permissions"], rules.limits.permissions)
    except item_permissions.MalformedError as error:
        raise ItemRefused(str(error), uri=uri) from None
    except item_permissions.TooManyError as error:
        raise ItemRefused(str(error), result="REJECTED", uri=uri) from None
    return named if rules.secured else frozenset()
