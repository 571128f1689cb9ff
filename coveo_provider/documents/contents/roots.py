"""
Where the files may lie that documents name as their content: an allow-list of folders.

Without one, whoever writes the table of documents chooses which of the worker's files are indexed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from urllib.parse import unquote

from coveo_provider.documents.uris import is_url, local_path, parts_of, shown_uri
from coveo_provider.errors import ConfigurationError, DatasetError

_NEVER = ("/proc", "/sys", "/dev")
_EXCEPT = "/dev/shm"  # noqa: S108  a file system in memory, of ordinary files
_STEPS = frozenset({".", ".."})
DELETED = " (deleted)"
"""What Linux writes behind the path of an open file that has no name any more."""


class OutsideRoots(ValueError):
    """A file lies where none may be read; the message follows its URI."""


def checked_roots(roots: object, argument: str) -> tuple[str, ...]:
    """
    Return an allow-list as a tuple of URIs of folders.

    :param roots: a URI, or a list of them; ``None`` for no list
    :param argument: what it is called, for the error
    :raises ConfigurationError: it is neither, or names no folder
    """
    if roots is None:
        return ()
    texts = [roots] if isinstance(roots, (str, os.PathLike)) else roots
    if not isinstance(texts, Sequence) or isinstance(texts, (bytes, bytearray)):
        raise ConfigurationError(f"{argument} must be the URI of a folder, or a list of them, not {roots!r}")
    found = []
    for one in texts:
        root = str(one).strip()
        try:
            parts_of(root)
        except DatasetError as error:
            raise ConfigurationError(f"{argument}: {error}") from None
        if not root or _has_steps(root):
            raise ConfigurationError(
                f"{argument} holds {shown_uri(str(one))!r}, expected the URI of a folder"
            )
        found.append(root)
    return tuple(dict.fromkeys(found))


def refuse_outside(uri: str, roots: Sequence[str]) -> None:
    """
    Make sure that a URI names a file below one of some folders, by its text alone.

    :param roots: URIs of folders; none at all allows every place
    :raises OutsideRoots: it does not
    """
    if not roots:
        return
    if _has_steps(uri):
        raise OutsideRoots(
            'leads through "." or "..", which an allow-list cannot follow. Name the file itself'
        )
    place = _place(uri)
    if place is None or not any(_is_below(place, root) for root in map(_place, roots) if root is not None):
        raise _outside(roots)


def refuse_place(real: str, roots: Sequence[str]) -> None:
    """
    Make sure that a file of this machine, links resolved, may be read.

    :param real: its path, without any link in it
    :param roots: URIs of folders, of which those of this machine count; none at all allows every place but those
        where the system tells of itself
    :raises OutsideRoots: it may not
    """
    for never in _NEVER:
        if _below(real, never) and not _below(real, _EXCEPT):
            raise OutsideRoots(f"lies in {never}, where the system tells of itself; no content is read there")
    folders = [os.path.realpath(path) for root in roots if (path := local_path(root)) is not None]
    if roots and not any(_below(real, folder) for folder in folders):
        raise _outside(roots, f"leads to {real}, which ")


def refuse_link(path: str, real: str, roots: Sequence[str]) -> None:
    """
    Make sure that no link below the folders that may be read leads to a file of this machine.

    :param path: its path, as a document names it
    :param real: the same, links resolved
    :param roots: URIs of folders, which may be links themselves
    :raises OutsideRoots: one does
    """
    path = os.path.normpath(path)
    for root in roots:
        folder = os.path.normpath(local_path(root) or "")
        if not _below(path, folder):
            continue
        expected = os.path.normpath(f"{os.path.realpath(folder)}/{path[len(folder.rstrip('/')) :]}")
        if real in (expected, f"{expected}{DELETED}"):
            return
    raise OutsideRoots(
        f"is, or lies behind, a link that leads to {real}, whose readers may be others. Links of the share were "
        "passed over when it was listed: this one was made since. List the share again"
    )


def _outside(roots: Sequence[str], what: str = "") -> OutsideRoots:
    shown = ", ".join(shown_uri(root) for root in roots[:3]) + (", …" if len(roots) > 3 else "")
    return OutsideRoots(
        f"{what}lies outside of what may be read: {shown}. The list is content_roots: of the task that made the "
        "dataset, or of the section [coveo] of Airflow's configuration"
    )


def _has_steps(uri: str) -> bool:
    path = uri.partition("://")[2] if "://" in uri else uri
    if is_url(uri):
        path = unquote(re.split(r"[?#]", path, maxsplit=1)[0])
    return not _STEPS.isdisjoint(path.replace("\\", "/").split("/"))


def _place(uri: str) -> tuple[str, str, str] | None:
    """Return the scheme of a URI, its place, and its path; ``None`` where it names none."""
    try:
        local = local_path(uri)
        if local is not None:
            return "file", "", local
        scheme, place, path = parts_of(uri)
    except DatasetError:
        return None
    if is_url(uri):
        place, path = place.lower(), unquote(re.split(r"[?#]", path, maxsplit=1)[0])
    return scheme, place, path


def _is_below(place: tuple[str, str, str], root: tuple[str, str, str]) -> bool:
    return place[:2] == root[:2] and _below(place[2], root[2])


def _below(path: str, folder: str) -> bool:
    folder = folder.rstrip("/")
    return not folder or path == folder or path.startswith(f"{folder}/")
