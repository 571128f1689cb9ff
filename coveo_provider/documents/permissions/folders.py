"""Who may read what lies in which folder, by a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from coveo_provider.documents.permissions.models import PermissionIdentity, Permissions, PermissionSet
from coveo_provider.documents.permissions.posix import Owned
from coveo_provider.errors import ConfigurationError, DatasetError


@dataclass(frozen=True)
class FolderPermissions:
    """
    Permissions of files by a table of folders and the groups that may read what lies in them.

    The entry of the nearest folder above a file decides, alone. One that has no groups lets nobody see its files,
    and a file without any entry is refused; ``""`` is the root, and so the entry of all others.

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
        folders = [folder.strip("/") for folder in self.groups]
        for folder, groups in self.groups.items():
            if isinstance(groups, str) or not all(isinstance(one, str) and one.strip() for one in groups):
                raise ConfigurationError(
                    f"FolderPermissions: {folder!r} must have a list of names of groups, not {groups!r}"
                )
            if folders.count(folder.strip("/")) > 1:
                raise ConfigurationError(
                    f"FolderPermissions: the folder {folder!r} stands twice in the table"
                )

    def with_rows(self, rows: Iterable[Mapping[str, str | None]], where: str) -> FolderPermissions:
        """
        Return these permissions with the table that the rows of a CSV file make.

        :raises DatasetError: a column is missing, or a row has no group
        """
        table: dict[str, list[str]] = {}
        for number, row in enumerate(rows):
            folder, group = row.get("folder"), row.get("group")
            if folder is None or not group or not group.strip():
                raise DatasetError(
                    f"{where}, row {number:,}: expected the columns folder and group, with a name in the latter"
                )
            table.setdefault(folder.strip("/"), []).append(group)
        if not table:
            raise DatasetError(f"{where}: holds no rows; nobody would see a file")
        return FolderPermissions(table, self.security_provider)

    def of(self, path: str, owned: Sequence[Owned] = ()) -> Permissions:
        """
        Return the permissions of a file.

        :param path: below the root
        :param owned: whose it is, which says nothing here
        :raises DatasetError: neither its folder nor one above it has an entry
        """
        table = {} if isinstance(self.groups, str) else self._by_folder(self.groups)
        folder = path
        while folder:
            folder = folder.rpartition("/")[0]
            if (groups := table.get(folder)) is not None:
                allowed = tuple(PermissionIdentity.group(one, self.security_provider) for one in groups)
                return Permissions([PermissionSet(allowed_permissions=allowed)])
        raise DatasetError(
            f"{path}: no folder above it stands in the table of FolderPermissions. Add it, or '' for all others"
        )

    @staticmethod
    def _by_folder(groups: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
        return {folder.strip("/"): names for folder, names in groups.items()}
