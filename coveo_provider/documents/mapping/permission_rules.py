"""Rules of a :class:`DocumentMapping` that make ``permissions`` out of columns (docs 107 and 25)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coveo_provider.documents.permissions.spelling import IdentityType
from coveo_provider.errors import MappingError

if TYPE_CHECKING:
    import pyarrow as pa

    from coveo_provider.documents.mapping.rows import Rows

_IDENTITIES = {
    "allowed_users": ("allowedPermissions", IdentityType.USER),
    "allowed_groups": ("allowedPermissions", IdentityType.GROUP),
    "denied_users": ("deniedPermissions", IdentityType.USER),
    "denied_groups": ("deniedPermissions", IdentityType.GROUP),
}


@dataclass(frozen=True)
class PermissionColumns:
    """
    One permission set, made from columns that hold lists of names, or names in one text.

    A row whose columns are all empty has a set that allows nobody: never one that is public.

    :param allowed_users: column of users who see the document
    :param allowed_groups: column of groups whose members see it
    :param denied_users: column of users who do not
    :param denied_groups: column of groups whose members do not
    :param allow_anonymous: ``True``, or a column of booleans, where documents are public; empty is false
    :param security_provider: where the identities are defined; ``None`` is the source's first provider
    :param separator: what stands between names in one text

    >>> DocumentMapping(
    ...     document_id="file://{path:uri}",
    ...     fields={"permissions": PermissionColumns(allowed_groups="groups", denied_users="blocked")},
    ... )
    """

    allowed_users: str | None = None
    allowed_groups: str | None = None
    denied_users: str | None = None
    denied_groups: str | None = None
    allow_anonymous: bool | str = False
    security_provider: str | None = None
    separator: str = ";"

    def columns(self) -> list[str]:
        """
        Return the columns it needs.

        :raises MappingError: none is named, or the separator is empty
        """
        if not self.separator:
            raise MappingError("PermissionColumns: the separator is empty")
        named = [column for column in (*self._sources().values(), self.allow_anonymous) if column]
        if not named:
            raise MappingError("PermissionColumns: no column is named, so nobody could see a document")
        return [column for column in named if isinstance(column, str)]

    def build(self, rows: Rows) -> pa.Array:
        """
        Return ``permissions`` for each row: the simplified model, of one set.

        :raises MappingError: a value is neither a text nor a list of texts
        """
        from coveo_provider.documents.mapping.permission_columns import side_by_side

        return side_by_side([self.sets(rows, provided=bool(self.security_provider))])

    def sets(self, rows: Rows, *, provided: bool) -> pa.Array:
        """
        Return one permission set for each row.

        :param provided: whether identities have a place for a security provider
        """
        from coveo_provider.documents.mapping.permission_columns import flags, identities, names_in, sets

        by_key: dict[str, list[pa.Array]] = {"allowedPermissions": [], "deniedPermissions": []}
        for parameter, column in self._sources().items():
            if column is not None:
                key, kind = _IDENTITIES[parameter]
                by_key[key].append((names_in(rows, column, self.separator), kind.value))
        provider = (self.security_provider or None, provided)
        lists = {key: identities(found, len(rows), *provider) for key, found in by_key.items()}
        return sets(flags(rows, self.allow_anonymous), **lists)

    def _sources(self) -> dict[str, str | None]:
        return {name: getattr(self, name) for name in _IDENTITIES}


@dataclass(frozen=True)
class PermissionLevels:
    """
    The complete model: levels by name, first one first, each of one set or several.

    >>> PermissionLevels(
    ...     {
    ...         "File": PermissionColumns(denied_users="blocked"),
    ...         "Folder": [PermissionColumns(allowed_groups="readers")],
    ...     }
    ... )

    :param levels: name of a level to its set, or to several
    """

    levels: Mapping[str, PermissionColumns | Sequence[PermissionColumns]]

    def columns(self) -> list[str]:
        """
        Return the columns it needs.

        :raises MappingError: there is no level, or one has no set
        """
        if not self.levels or not all(sets for _, sets in self._sets()):
            raise MappingError("PermissionLevels: expected one level at least, and a set in each")
        return list(
            dict.fromkeys(column for _, sets in self._sets() for each in sets for column in each.columns())
        )

    def build(self, rows: Rows) -> pa.Array:
        """
        Return ``permissions`` for each row: the complete model.

        :raises MappingError: a value is neither a text nor a list of texts
        """
        from coveo_provider.documents.mapping.permission_columns import levels, side_by_side

        provided = any(each.security_provider for _, sets in self._sets() for each in sets)
        return side_by_side(
            [
                levels(name, side_by_side([each.sets(rows, provided=provided) for each in sets]))
                for name, sets in self._sets()
            ]
        )

    def _sets(self) -> list[tuple[str, tuple[PermissionColumns, ...]]]:
        return [
            (name, (sets,) if isinstance(sets, PermissionColumns) else tuple(sets))
            for name, sets in self.levels.items()
        ]
