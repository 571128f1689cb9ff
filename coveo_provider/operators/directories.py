"""An export of a directory, made into the datasets of identities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context, ObjectStoragePath, XComArg

from coveo_provider.documents.dataset.files import copied, replace
from coveo_provider.documents.dataset.manifest import MANIFEST, DatasetKind, Manifest, PartEntry
from coveo_provider.documents.extracts.source_files import SourceFile
from coveo_provider.errors import ConfigurationError
from coveo_provider.operators.support.base import CoveoOperator
from coveo_provider.operators.support.output_folders import prepared_output
from coveo_provider.operators.support.storage import list_files, open_file
from coveo_provider.operators.support.values import number
from coveo_provider.scratch import ScratchFolder

if TYPE_CHECKING:
    from coveo_provider.identities.directories.census import Census

_PART = "part-00000.parquet"


class CoveoTransformIdentitiesOperator(CoveoOperator):
    """
    Make the datasets of members and mappings of what a directory exported, and return where they lie.

    ``ids.output["members"]`` and ``ids.output["mappings"]`` are what
    :func:`~coveo_provider.task_groups.secured_push`,
    :class:`~coveo_provider.operators.CoveoSecurityExpansionOperator` and
    :class:`~coveo_provider.operators.CoveoCheckAccessOperator` take.

    Groups keep the groups in them, which Coveo resolves. Users get their e-mail address as the alias by which
    Coveo knows who searches. Disabled users are left out, of groups too. An export that is cut off, contradicts
    itself, or would take everybody's access is refused, with file and line. It calls no API and needs no
    connection.

    :param source: URI of a file or folder, or a list of them: one whole export, of one moment (templated)
    :param output: URI of a folder for both datasets, ``members`` and ``mappings``. What an earlier try wrote
        there is replaced (templated)
    :param format: ``ldif``, ``memberof_csv``, ``scim`` (2.0) or ``entra`` (Microsoft Graph); ``auto`` goes by the
        suffix of LDIF and CSV
    :param name: attribute, column or key that is a user's name in the permissions of items; by default
        ``sAMAccountName`` (LDIF, CSV), ``userName`` (SCIM), ``userPrincipalName`` (Entra). ``dn`` of LDIF is the DN
    :param group_name: likewise of a group; by default ``cn`` (LDIF; CSV, of its DN where there is no such column),
        ``displayName`` (SCIM, Entra)
    :param email: likewise of the address, or several in order of preference; by default ``mail`` (LDIF, Entra),
        ``mail`` or ``EmailAddress`` (CSV), ``emails`` (SCIM)
    :param member_of: column of CSV with the groups
    :param member_of_separator: between the groups of one value
    :param csv_separator: between the values of CSV; found out by default
    :param csv_encoding: of CSV; by default UTF-8
    :param max_unknown: share of the memberships that may name somebody or a group whom the export does not hold,
        between 0 and 1; these are left out. By default there may be none, as an export that is cut off looks like
        that (templated)
    :param case_sensitive: whether the provider tells names apart that differ in case only
    :param alias_provider: the provider that the addresses belong to
    :return: ``members`` and ``mappings``, the URIs of the datasets; ``counts`` and ``warnings``
    """

    documentation = "https://docs.coveo.com/en/107/"
    template_fields: Sequence[str] = ("source", "output_uri", "max_unknown")

    def __init__(
        self,
        *,
        source: str | Sequence[str | XComArg] | XComArg,
        output: str | XComArg,
        format: str = "auto",
        name: str | None = None,
        group_name: str | None = None,
        email: str | Sequence[str] | None = None,
        member_of: str = "memberOf",
        member_of_separator: str = ";",
        csv_separator: str | None = None,
        csv_encoding: str | None = None,
        max_unknown: float | str = 0.0,
        case_sensitive: bool = False,
        alias_provider: str = "Email Security Provider",
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"multiple_outputs": True, **kwargs})  # so that output["members"] is one of them
        self.source: Any = source
        self.output_uri: Any = output  # Airflow's own ``output`` is what the task returns
        self.format = format
        self.name = name
        self.group_name = group_name
        self.email = email
        self.member_of = member_of
        self.member_of_separator = member_of_separator
        self.csv_separator = csv_separator
        self.csv_encoding = csv_encoding
        self.max_unknown = max_unknown
        self.case_sensitive = case_sensitive
        self.alias_provider = alias_provider

    def act(self, context: Context) -> dict[str, Any]:
        """Read and check the export, and only then write both datasets."""
        from coveo_provider.identities.directories.census import Rules, census_of
        from coveo_provider.identities.directories.formats import Export, format_of
        from coveo_provider.identities.directories.tables import TableOptions
        from coveo_provider.identities.directories.writing import write_mappings, write_members

        uris = list_files(self.source, "source")
        kind = format_of(uris, self.format)
        table = TableOptions(
            self.member_of,
            self.member_of_separator,
            self.csv_separator,
            self.csv_encoding,
            self.case_sensitive,
        )
        if kind != "memberof_csv" and table != TableOptions(case_sensitive=self.case_sensitive):
            raise ConfigurationError(
                f"member_of and csv_… are for format memberof_csv, and these files are {kind}"
            )
        export = Export(
            [SourceFile(uri, partial(open_file, uri)) for uri in uris],
            kind,
            self.name,
            self.group_name,
            self.email,
            table,
        )
        share = number(self.max_unknown, float, "max_unknown", default=0.0)
        rules = Rules(self.case_sensitive, share, merge=kind == "memberof_csv")
        folders = {
            kind: prepared_output(
                f"{str(self.output_uri).rstrip('/')}/{kind.value}", Manifest(kind), sources=self.source
            )
            for kind in (DatasetKind.MEMBERS, DatasetKind.MAPPINGS)
        }
        census = census_of(export.reader(), rules)
        self._tell(census)
        _write(
            folders[DatasetKind.MEMBERS],
            DatasetKind.MEMBERS,
            len(census.groups),
            partial(write_members, census),
        )
        _write(
            folders[DatasetKind.MAPPINGS],
            DatasetKind.MAPPINGS,
            len(census.people),
            partial(write_mappings, census, provider=self.alias_provider),
        )
        return {
            **{kind.value: str(folder) for kind, folder in folders.items()},
            "counts": census.counts,
            "warnings": census.warnings,
        }

    def _tell(self, census: Census) -> None:
        for warning in census.warnings:
            self.log.warning("%s%s", warning[:1].upper(), warning[1:])
        found = [f"{count:,} {name.replace('_', ' ')}" for name, count in census.counts.items() if count]
        self.log.info("Found %s", ", ".join(found))


def _write(folder: ObjectStoragePath, kind: DatasetKind, rows: int, write: Callable[[Path], None]) -> None:
    """Write the one part of a dataset, then its manifest."""
    with ScratchFolder("identities") as scratch:
        path = Path(scratch) / _PART
        write(path)
        stored = copied(path, folder / _PART)
    part = PartEntry(_PART, rows, stored.size, stored.sha256, encoded_bytes=0)
    replace(folder / MANIFEST, Manifest(kind, complete=True, sha256=stored.sha256, parts=(part,)).as_json())
