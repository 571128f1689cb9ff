"""Rules of a :class:`DocumentMapping` that make ``permissions`` out of columns (docs 107 and 25)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coveo_provider.documents.permissions.spelling import IdentityType
from coveo_provider.documents.values.json_values import is_absent
from coveo_provider.errors import MappingError

if TYPE_CHECKING:
    import pandas as pd

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

    :param allowed_users: column of users who see the document; likewise the next three
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

    def build(self, frame: pd.DataFrame) -> pd.Series[Any]:
        """
        Return ``permissions`` for each row: the simplified model, of one set.

        :raises MappingError: a value is neither a text nor a list of texts
        """
        return _series([[each] for each in self.sets(frame)], frame)

    def sets(self, frame: pd.DataFrame) -> list[dict[str, Any]]:
        """Return one permission set for each row."""
        flags = self._flags(frame)
        sets: list[dict[str, Any]] = [
            {"allowAnonymous": flag, "allowedPermissions": [], "deniedPermissions": []} for flag in flags
        ]
        provider = {"securityProvider": self.security_provider} if self.security_provider else {}
        for parameter, column in self._sources().items():
            if column is None:
                continue
            key, kind = _IDENTITIES[parameter]
            for row, value in enumerate(frame[column].tolist()):
                for name in self._names(value, column, row):
                    sets[row][key].append({"identity": name, "identityType": kind.value, **provider})
        return sets

    def _sources(self) -> dict[str, str | None]:
        return {name: getattr(self, name) for name in _IDENTITIES}

    def _flags(self, frame: pd.DataFrame) -> list[bool]:
        column = self.allow_anonymous
        if isinstance(column, bool):
            return [column] * len(frame)
        flags = []
        for row, value in enumerate(frame[column].astype(object).tolist()):
            if is_absent(value):
                flags.append(False)
            elif isinstance(value, bool) or type(value).__name__ in {"bool", "bool_"}:
                flags.append(bool(value))
            else:
                raise MappingError(
                    f"row {row:,}: column {column!r} holds {value!r}, expected true or false: whether a "
                    "document is public is not guessed"
                )
        return flags

    def _names(self, value: Any, column: str, row: int) -> list[str]:
        if is_absent(value):
            return []
        if isinstance(value, str):
            value = value.split(self.separator)
        if isinstance(value, Mapping) or not isinstance(value, Iterable):
            raise MappingError(f"row {row:,}: column {column!r} holds {value!r}, expected names")
        names = []
        for name in value:
            if not isinstance(name, str):
                raise MappingError(f"row {row:,}: column {column!r} holds the name {name!r}, expected a text")
            if name.strip() and name.strip() not in names:
                names.append(name.strip())
        return names


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

    def build(self, frame: pd.DataFrame) -> pd.Series[Any]:
        """
        Return ``permissions`` for each row: the complete model.

        :raises MappingError: a value is neither a text nor a list of texts
        """
        by_level = [
            [
                {"name": name, "permissionSets": list(sets)}
                for sets in zip(*(each.sets(frame) for each in columns), strict=True)
            ]
            for name, columns in self._sets()
        ]
        return _series([list(levels) for levels in zip(*by_level, strict=True)], frame)

    def _sets(self) -> list[tuple[str, tuple[PermissionColumns, ...]]]:
        return [
            (name, (sets,) if isinstance(sets, PermissionColumns) else tuple(sets))
            for name, sets in self.levels.items()
        ]


def _series(values: list[Any], frame: pd.DataFrame) -> pd.Series[Any]:
    import pandas as pd

    column: pd.Series[Any] = pd.Series(values, index=frame.index, dtype=object)
    return column
