"""
How the URI of a file is read, everywhere: as the storage library that Airflow uses reads it, which is literally.

``#``, ``?``, ``%20``, ``*`` and blanks are characters of a name, as they are in names of files and of objects in a
bucket. Only an ``http`` or ``https`` address is a URL, with a query, a fragment and percent-encoding.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from urllib.parse import unquote

from coveo_provider.errors import DatasetError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
_LOCAL = frozenset({"", "file", "local"})
_WEB = frozenset({"http", "https"})
_SECRET = 4  # characters of a query's value that are worth hiding
_SIGNED = re.compile(r"\?(?=.*(?:sig|token|secret|key|passw|credential)[^=&]*=)", re.IGNORECASE | re.DOTALL)
_USER = re.compile(r"(?<=://)[^/?#]*@")


class MissingFile(FileNotFoundError):
    """A file is missing; the message follows that word, and tells of another spelling that is there, if any."""


def parts_of(uri: str) -> tuple[str, str, str]:
    """
    Return the scheme of a URI in lower case, what stands before the first ``/`` of the path, and the path.

    A path without a scheme has neither of the first two.

    :raises DatasetError: it has a scheme and no place, as ``s3:key``
    """
    match = _SCHEME.fullmatch(uri)
    if match is None:
        return "", "", uri
    scheme, rest = match[1].lower(), match[2]
    if rest.startswith("//"):
        place, slash, path = rest[2:].partition("/")
        return scheme, place, slash + path
    if scheme in _LOCAL and rest.startswith("/"):  # as Java writes it: file:/data/x
        return scheme, "", rest
    what = "file:///path" if scheme in _LOCAL or len(scheme) == 1 else f"{scheme}://place/path"
    raise DatasetError(f"{uri!r} is no URI of a file or folder: expected {what}")


def local_path(uri: str) -> str | None:
    """
    Return the absolute path on this machine that a URI or path names; ``None`` when it lies on another storage.

    :raises DatasetError: it names a host, or the path begins with ``~`` or holds a null character
    """
    scheme, place, path = parts_of(uri)
    if scheme not in _LOCAL:
        return None
    if place and not place.endswith("@"):  # file://connection@/path is Airflow's
        raise DatasetError(f"{uri}: names the host {place}; a local file is file:///path, with three slashes")
    if path.startswith("~"):
        raise DatasetError(f"{uri!r} begins with ~, which stands for no folder here; write the whole path")
    if not path or "\0" in path:
        raise DatasetError(f"{uri!r} is no URI of a file or folder: expected file:///path")
    return "/" + os.path.join(os.getcwd(), path).strip("/")


def encoded_place(uri: str, exists: Callable[[str], bool]) -> str | None:
    """
    Return the folder (or file) that is there percent-decoded only, where something is about to be written to a URI.

    :param exists: whether something lies at a URI
    """
    while not is_url(uri) and (decoded := unquote(uri)) != uri:
        if exists(uri):
            return None
        if exists(decoded):
            return decoded
        uri = uri.rpartition("/")[0]
    return None


def is_url(uri: str) -> bool:
    """Return whether an address is a URL of the web, which has a query and is percent-encoded."""
    return uri.partition(":")[0].strip().lower() in _WEB


def file_name(uri: str) -> str:
    """Return the name of the file that a URI leads to, as it is written there."""
    if is_url(uri):
        return re.split(r"[?#]", uri.partition("://")[2], maxsplit=1)[0].partition("/")[2].rpartition("/")[2]
    return without_query(uri).rstrip("/").rpartition("/")[2]


def without_query(uri: str) -> str:
    """Return what names a file for good: a URI without the query of a URL, or one that holds a signature."""
    start = _query_start(uri)
    return uri if start is None else uri[:start]


def other_spelling(uri: str, exists: Callable[[str], bool]) -> str:
    """
    Return what to say of a missing file whose name is there percent-decoded, or without blanks around it.

    :param exists: whether something lies at a URI
    """
    if is_url(uri):
        return ""
    for other, problem in (
        (unquote(uri), "names are read literally, and %XX is not decoded (pathlib's as_uri() encodes them)"),
        (uri.strip(), "there are blanks or line ends around it"),
    ):
        if other != uri and exists(other):
            return f": {problem}. {shown_uri(other)!r} exists, so spell it like that"
    return ""


def shown_uri(uri: str) -> str:
    """Return a URI as errors name it: without a password, and without a query that may hold a signature."""
    bare = without_query(uri)
    if secret := _secret_user(uri):
        bare = bare.replace(f"{secret}@", "…@", 1)
    return bare if _query_start(uri) is None else f"{bare}?…"


def shown_path(path: str) -> str:
    """Return a path of this machine as errors name it, whatever bytes it has."""
    return shown_uri(os.fsencode(path).decode("utf-8", "backslashreplace"))


def holds_password(uri: str) -> bool:
    """Return whether something stands before the host that is no mere name of a connection."""
    return bool(_secret_user(uri))


def without_secrets(uri: str, text: str) -> str:
    """Return what was said about a URI without what :func:`shown_uri` hides."""
    start = _query_start(uri)
    user, query = _secret_user(uri), "" if start is None else uri[start + 1 :]
    secrets_in = [user, user.partition(":")[2], query, *(pair.partition("=")[2] for pair in query.split("&"))]
    text = text.replace(uri, shown_uri(uri))
    for secret in sorted({*secrets_in, *map(unquote, secrets_in)}, key=len, reverse=True):
        if len(secret) >= _SECRET:
            text = text.replace(secret, "…")
    return text


def _query_start(uri: str) -> int | None:
    """Return where a query begins that is not to be shown."""
    if is_url(uri):
        return uri.find("?") if "?" in uri else None
    match = None if uri.partition(":")[0].lower() in _LOCAL or "://" not in uri else _SIGNED.search(uri)
    return None if match is None else match.start()


def _secret_user(uri: str) -> str:
    """Return what stands before the host, unless it only names a connection, as in ``s3://aws@bucket``."""
    match = _USER.search(uri)
    user = match[0].removesuffix("@") if match else ""
    return user if ":" in user or is_url(uri) else ""
