"""Who may read what lies in which folder, by a table."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from coveo_provider.documents.permissions.models import PermissionIdentity, Permissions, PermissionSet
from coveo_provider.documents.permissions.posix import Owned
from coveo_provider.errors import ConfigurationError, DatasetError


@dataclass(frozen=True)
class FolderPermissions:
    """
    Permissions of files by a table of folders and the groups that may read what lies in them.

    The entry of the nearest folder above a file decides, alone. One that has no groups lets nobody see its files,
    and a file without any entry is refused; ``""`` is the root, and so the entry of all others. A folder that only
    nearly has the name of an entry (``HR``, where ``hr`` stands in the table) is refused too: the entry further up,
    which may be that of all, is hardly what was meant.

    :param groups: path of the folder below the root to names of groups; or the URI of a CSV file with the columns
        ``folder`` and ``group``, a row for each group of a folder
    :param security_provider: where the groups are defined; ``None`` is the source's first provider
    :raises ConfigurationError: it is neither, or a folder stands twice in it

    >>> FolderPermissions({"": ["Employees"], "hr": ["HR"], "hr/forms": ["Employees"]})
    """

    groups: Mapping[str, Sequence[str]] | str
    security_provider: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.groups, str):
            if not self.groups.strip():
                raise ConfigurationError("FolderPermissions: the URI of the table is empty")
            return
        if not isinstance(self.groups, Mapping) or not self.groups:
            raise ConfigurationError(
                "FolderPermissions: groups must be a table such as {'hr': ['HR']}, or the URI of a CSV file, not "
                f"{self.groups!r}"
            )
        table: dict[str, tuple[str, ...]] = {}
        for folder, groups in self.groups.items():
            name = _name(folder)
            if isinstance(groups, str) or not all(isinstance(one, str) and one.strip() for one in groups):
                raise ConfigurationError(
                    f"FolderPermissions: {folder!r} must have a list of names of groups, not {groups!r}"
                )
            if name in table:
                raise ConfigurationError(
                    f"FolderPermissions: the folder {folder!r} stands twice in the table"
                )
            table[name] = tuple(groups)
        object.__setattr__(self, "groups", table)

    def with_rows(self, rows: Iterable[Mapping[Any, Any]], where: str) -> FolderPermissions:
        """
        Return these permissions with the table that the rows of a CSV file make.

        :raises DatasetError: a column is missing, a row has no group or too many values, or its folder cannot lie
            below a root
        """
        table: dict[str, list[str]] = {}
        for number, row in enumerate(rows):
            folder, group = row.get("folder"), row.get("group")
            if folder is None or not group or not group.strip():
                raise DatasetError(
                    f"{where}, row {number:,}: expected the columns folder and group, with a name in the latter"
                )
            if None in row or len(f"{folder}{group.strip()}".splitlines()) > 1:
                raise DatasetError(
                    f"{where}, row {number:,}: has more values than the table has columns, or a line break in one. "
                    f"Is a quote left open, or a comma not quoted, near {folder[:40]!r}?"
                )
            table.setdefault(folder.strip("/"), []).append(group.strip())
        if not table:
            raise DatasetError(f"{where}: holds no rows; nobody would see a file")
        try:
            return FolderPermissions(table, self.security_provider)
        except ConfigurationError as error:
            raise DatasetError(f"{where}: {error}") from None

    def of(self, path: str, owned: Sequence[Owned] = ()) -> Permissions:
        """
        Return the permissions of a file.

        :param path: below the root
        :param owned: whose it is, which says nothing here
        :raises DatasetError: as :meth:`entry_of`
        """
        groups = self._table[self.entry_of(path)]
        allowed = tuple(PermissionIdentity.group(one, self.security_provider) for one in groups)
        return Permissions([PermissionSet(allowed_permissions=allowed)])

    def entry_of(self, path: str) -> str:
        """
        Return the folder of the table that decides who may see a file.

        :param path: of the file, below the root
        :raises DatasetError: neither its folder nor one above it has an entry, or one has nearly an entry's name
        """
        folder = path
        while folder:
            folder = folder.rpartition("/")[0]
            if folder in self._table:
                return folder
            if (meant := self._spellings.get(_plain(folder))) is not None:
                raise DatasetError(
                    f"{path}: FolderPermissions has an entry {meant!r}, and none for the folder {folder!r}. "
                    "Spell it as the share does, or give each of them an entry"
                )
        raise DatasetError(
            f"{path}: no folder above it stands in the table of FolderPermissions. Add it, or '' for all others"
        )

    def refuse_entry(self, path: str) -> None:
        """
        Refuse a file that has the name of an entry, or nearly: it would be seen by those of the folder above.

        :param path: below the root
        :raises DatasetError: it has
        """
        if (meant := self._spellings.get(_plain(path))) is not None:
            raise DatasetError(
                f"{path}: is a file, and FolderPermissions has an entry {meant!r}. Entries are folders, and that "
                "of the folder above would decide who sees it. Put it into a folder of its own, or leave it out "
                "with exclude"
            )

    def without_files(self, used: Iterable[str]) -> list[str]:
        """
        Return the folders of the table that decide about no file.

        :param used: those that do
        """
        return sorted(set(self._table).difference(used))

    @property
    def _table(self) -> Mapping[str, Sequence[str]]:
        return {} if isinstance(self.groups, str) else self.groups

    @cached_property
    def _spellings(self) -> Mapping[str, str]:
        return {_plain(folder): folder for folder in self._table}


def _name(folder: object) -> str:
    """Return the path of a folder below the root, as it stands before the files in it."""
    name = folder.strip("/") if isinstance(folder, str) else None
    if name is None or "://" in name or (name and not {"", ".", ".."}.isdisjoint(name.split("/"))):
        raise ConfigurationError(
            f"FolderPermissions: {folder!r} must be the path of a folder below the root, such as 'hr/forms'"
        )
    return name


def _plain(folder: str) -> str:
    """Return what spellings of a folder have in common that a reader takes for the same."""
    if not folder.isascii():  # characters of the category Cf have no width
        folder = "".join(one for one in folder if unicodedata.category(one) != "Cf")
    names = unicodedata.normalize("NFKC", folder).replace("\\", "/").casefold().split("/")
    return "/".join(name.strip().rstrip(".") for name in names).strip("/")
