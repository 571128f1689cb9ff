"""The formats of exports: by which name users call them, and what reads them. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coveo_provider.documents.extracts.source_files import GZ, SourceFile
from coveo_provider.errors import ConfigurationError
from coveo_provider.identities.directories.entries import Attributes, Entry, attributes_of

if TYPE_CHECKING:
    from coveo_provider.identities.directories.tables import TableOptions

FORMATS = ("ldif", "memberof_csv", "scim", "entra")
_SUFFIXES = {".ldif": "ldif", ".ldf": "ldif", ".csv": "memberof_csv"}


def format_of(names: Sequence[str], given: str) -> str:
    """
    Return the format of files: the one given, or what their suffixes say.

    :raises ConfigurationError: it is none, or the suffixes say nothing or several things
    """
    if given in FORMATS:
        return given
    known = ", ".join(FORMATS)
    if given != "auto":
        raise ConfigurationError(f"unknown format {given!r}: expected auto or one of {known}")
    found = set()
    for name in names:
        plain = name.lower().removesuffix(GZ)
        kind = next((kind for suffix, kind in _SUFFIXES.items() if plain.endswith(suffix)), None)
        if kind is None:
            raise ConfigurationError(
                f"format: what wrote {name} cannot be told by its name (JSON is SCIM's or Entra's): say one "
                f"of {known}"
            )
        found.add(kind)
    if len(found) != 1:
        raise ConfigurationError(
            f"format: the files are of several formats ({', '.join(sorted(found))}); export one"
        )
    return found.pop()


@dataclass(frozen=True)
class Export:
    """
    Files that a directory was exported to.

    :param files: all of them, of one moment
    :param kind: one of :data:`FORMATS`
    :param name: attribute of a user's name; the format's own when ``None``
    :param group_name: attribute of a group's name
    :param email: attribute of the address, or several in order of preference
    :param table: how CSV is read
    """

    files: Sequence[SourceFile]
    kind: str
    name: str | None = None
    group_name: str | None = None
    email: str | Iterable[str] | None = None
    table: TableOptions | None = field(default=None)

    def reader(self) -> Callable[[], Iterable[Entry]]:
        """
        Return what reads the entries, from the start each time it is called.

        :raises ConfigurationError: an attribute is no name, or an option is for another format
        """
        if self.kind == "memberof_csv":
            from coveo_provider.identities.directories import tables

            options = self.table or tables.TableOptions()
            options.check()
            attributes = self._attributes(tables.DEFAULTS)
            return lambda: tables.table_entries(self.files, attributes, options)
        if self.kind == "ldif":
            from coveo_provider.identities.directories import ldif

            attributes = self._attributes(ldif.DEFAULTS)
            return lambda: ldif.ldif_entries(self.files, attributes)
        from coveo_provider.identities.directories import json_pages

        if self.kind == "scim":
            attributes = self._attributes(json_pages.SCIM_DEFAULTS)
            return lambda: json_pages.ScimPages(attributes).entries(self.files)
        attributes = self._attributes(json_pages.ENTRA_DEFAULTS)
        return lambda: json_pages.EntraPages(attributes).entries(self.files)

    def _attributes(self, defaults: Attributes) -> Attributes:
        return attributes_of(defaults, self.name, self.group_name, self.email)
