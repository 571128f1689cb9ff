"""Who may read a file of a POSIX file system, as ``permissions`` of a document."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from coveo_provider.documents.permissions.models import PermissionIdentity, Permissions, PermissionSet
from coveo_provider.documents.uris import shown_path
from coveo_provider.errors import ConfigurationError, DatasetError

_ACL = "system.posix_acl_access"
_NO_LISTS = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOENT}  # of the file system; or it is gone
_READ, _ENTER = 4, 1  # of three bits: of the owner, the group, all others
_NAME = "{name}"


@dataclass(frozen=True)
class Owned:
    """
    Whose a file or folder is.

    :param user: the owner's number
    :param group: the group's
    :param mode: the permission bits
    """

    user: int
    group: int
    mode: int

    @classmethod
    def by(cls, status: os.stat_result, path: str) -> Owned:
        """
        Return whose a file or folder is, as far as its owner, group and mode say all of it.

        :raises DatasetError: it has an access control list besides
        """
        names: Callable[[str], list[str]] | None = getattr(os, "listxattr", None)
        try:
            listed = _ACL in names(path) if names is not None else False
        except OSError as error:
            if error.errno not in _NO_LISTS:
                raise DatasetError(
                    f"{shown_path(path)}: its access control list cannot be looked at: {type(error).__name__}"
                ) from None
            listed = False
        if listed:
            raise DatasetError(
                f"{shown_path(path)} has an access control list, which owner, group and mode do not tell. Give "
                "permissions by a table of folders (FolderPermissions), or leave it out with exclude"
            )
        return cls(status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))


def owners_text(owned: Sequence[Owned]) -> str:
    """Return in one text whose a file is, after the folders above it."""
    return "/".join(f"{one.user}:{one.group}:{one.mode:o}" for one in owned)


def refuse_other_owners(path: str, file: os.stat_result, owners: str) -> None:
    """
    Make sure that a file and the folders above it are whose they were.

    Who may see its document was decided by that; what is written into a file once it is private is not for them.

    :param path: of the file
    :param file: what the file says that is open
    :param owners: whose it was, as :func:`owners_text` has it
    :raises DatasetError: they are not
    """
    above: list[Owned] = []
    folder = path
    for _ in range(owners.count("/")):
        folder = os.path.dirname(folder)
        above.insert(0, Owned.by(os.stat(folder), folder))
    if owners_text([*above, Owned.by(file, path)]) != owners:
        raise DatasetError(
            f"{shown_path(path)} has another owner, group or mode than when it was listed, or a folder above "
            "it has, so who may see it is not known. Nothing of it was sent; list the share again"
        )


@dataclass(frozen=True)
class PosixPermissions:
    """
    Permissions of files as their owner, group and mode tell them, and those of the folders above up to the root.

    A user must be allowed to read the file and to enter each of the folders. Numbers without a name on the worker
    stay numbers. Where an owner or group may less than all others, they are denied; an owner who is in a denied
    group sees nothing, even where the mode would let him.

    :param everyone: the name of the group that "others" are; ``None`` when nobody is, so that only owner and group
        see a file
    :param user: how an owner's name becomes that of an identity, such as ``{name}@example.com``
    :param group: the same for a group
    :param security_provider: where the identities are defined; ``None`` is the source's first provider
    :raises ConfigurationError: a form has no ``{name}``
    """

    everyone: str | None
    user: str = _NAME
    group: str = _NAME
    security_provider: str | None = None

    def __post_init__(self) -> None:
        for argument in ("user", "group"):
            form = getattr(self, argument)
            if not isinstance(form, str) or _NAME not in form:
                raise ConfigurationError(
                    f"PosixPermissions: {argument} must hold {_NAME}, as {_NAME}@example.com does, not {form!r}"
                )

    def of(self, path: str, owned: Sequence[Owned]) -> Permissions:
        """
        Return the permissions of a file.

        :param path: below the root; it says nothing here
        :param owned: the folders from the root on, and last the file
        """
        *folders, file = owned
        sets = [self._set(one, _ENTER) for one in folders]
        sets.append(self._set(file, _READ))
        return Permissions(dict.fromkeys(one for one in sets if one is not None))

    def _set(self, owned: Owned, need: int) -> PermissionSet | None:
        """Return whom a file or folder lets in; ``None`` for a folder that everybody may enter."""
        owner, group, others = (bool(owned.mode & need << shift) for shift in (6, 3, 0))
        enter = need == _ENTER
        if enter and owner and group and others:
            return None
        named = {
            PermissionIdentity.user(
                self.user.replace(_NAME, _user(owned.user)), self.security_provider
            ): owner,
            PermissionIdentity.group(
                self.group.replace(_NAME, _group(owned.group)), self.security_provider
            ): group,
        }
        allowed = [identity for identity, may in named.items() if may]
        if others and self.everyone is not None and not enter:
            allowed.append(PermissionIdentity.group(self.everyone, self.security_provider))
        denied = [identity for identity, may in named.items() if not may and (others or group)]
        return PermissionSet(enter and others, tuple(allowed), tuple(denied))


@lru_cache(maxsize=65_536)
def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


@lru_cache(maxsize=65_536)
def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
