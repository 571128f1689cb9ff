"""A file share, made into a documents dataset."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from coveo_provider.documents.contents.roots import checked_roots
from coveo_provider.documents.contract import PERMISSIONS, column_named, counted
from coveo_provider.documents.dataset.files import is_local
from coveo_provider.documents.dataset.manifest import DEFAULT_PART_BYTES, DatasetKind
from coveo_provider.documents.extracts.source_files import BATCH_ROWS
from coveo_provider.documents.uris import holds_password, shown_uri
from coveo_provider.errors import ConfigurationError, DatasetError
from coveo_provider.operators.support.base import CoveoOperator
from coveo_provider.operators.support.dataset_writing import Recipe
from coveo_provider.operators.support.lineage import Lineage, data_at, data_written
from coveo_provider.operators.support.mapped_tasks import mappable
from coveo_provider.operators.support.output_folders import prepared_output
from coveo_provider.operators.support.paths import folder_at, library_missing, misspelt
from coveo_provider.operators.support.storage import open_file

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

    from coveo_provider.documents.extracts.file_walk import FoundFile, Wanted
    from coveo_provider.documents.extracts.readers import Batch
    from coveo_provider.documents.extracts.share import Share
    from coveo_provider.documents.extracts.transformation import Transform
    from coveo_provider.documents.mapping.document_mapping import DocumentMapping
    from coveo_provider.documents.permissions.folders import FolderPermissions
    from coveo_provider.documents.permissions.posix import PosixPermissions

EXCLUDE = (
    ".*",
    "~$*",
    "Thumbs.db",
    "desktop.ini",
    "lost+found",
    "$RECYCLE.BIN",
    "System Volume Information",
)
"""What is passed over unless told otherwise: hidden files, those that Office holds open, and the systems' own."""


_LIST = re.compile(r"""\s*[\[(]\s*["']""")  # the text that a template makes of a list


class CoveoListFilesOperator(CoveoOperator):
    """
    Make a documents dataset of the files below a folder, and return its parts to map over.

    A file is a document: its ``documentId`` is ``id_prefix`` and the path below the root, each name percent-encoded
    once; ``contentUri`` names the file, which the task that sends the dataset reads. ``title`` is its name, and
    there are ``fileExtension``, ``size`` (bytes), ``date`` (written last) and ``parentId``, the folder. Given to
    ``incremental_push`` with a ``state``, a file that did not change is neither read nor sent, and one that is
    gone is deleted.

    A folder that cannot be listed fails the task, as its files would look deleted. Links are passed over, and
    pipes, sockets and devices always. Memory is bounded by the names in the largest folder. It calls no API and
    needs no connection to Coveo.

    :param root: URI of the folder, on any storage that ``ObjectStoragePath`` lists (templated)
    :param output: URI of a folder for the dataset. What an earlier try wrote there is replaced; a folder with other
        files in it is refused (templated)
    :param include: patterns of the files that are wanted, as in a ``.gitignore`` file: ``*.pdf``, ``/reports/**``;
        by default all (templated)
    :param exclude: the same of files and folders that are not; by default hidden files, those that Office holds
        open, and what the systems keep on a share for themselves (:data:`EXCLUDE`) (templated)
    :param min_bytes: smaller files are passed over
    :param max_bytes: larger files are passed over; those of which more than 256 MB is left when compressed cannot
        be sent
    :param newer_than: files written before are passed over: a moment, or how long before the task's start
        (templated)
    :param older_than: files written after are passed over; the same (templated)
    :param id_prefix: what a ``documentId`` begins with, such as ``file://share/``; by default the root's own URI,
        without a connection's name (templated)
    :param permissions: who may see a file: :class:`~coveo_provider.documents.PosixPermissions` reads owner, group
        and mode, :class:`~coveo_provider.documents.FolderPermissions` a table of folders and groups; by default
        documents have none
    :param transform: a function that gets a DataFrame of these columns and returns one, to change them or add to
        them
    :param mapping: how the columns become those of the dataset, applied after ``transform``
    :param follow_links: whether links of a local share are what they lead to, as long as that lies in
        ``content_roots``. Not together with ``permissions``: whoever may make a link would decide who sees its file
    :param content_stamp: what tells one state of a file from another, as in
        :class:`~coveo_provider.operators.transform.CoveoTransformOperator`: ``time`` or ``hash``
    :param content_roots: URI of the folder, or a list of those, below which the files must lie that ``contentUri``
        names; by default the root (templated)
    :param stream: whether it is meant for a stream source, whose items may have 3 MB, or a Push source with 5 MiB
    :param part_bytes: the most a part may have when encoded, in bytes, 1 MiB to 256 MiB
    :param batch_rows: the most files in memory at once
    :return: URIs of the parts, in order; lists of them where there are more than Airflow maps over
        (``[core] max_map_length``)
    """

    documentation = "https://docs.coveo.com/en/78/"
    template_fields: Sequence[str] = (
        "root",
        "output_uri",
        "include",
        "exclude",
        "newer_than",
        "older_than",
        "id_prefix",
        "content_roots",
    )

    def __init__(
        self,
        *,
        root: str,
        output: str,
        include: str | Sequence[str] = (),
        exclude: str | Sequence[str] = EXCLUDE,
        min_bytes: int = 0,
        max_bytes: int | None = None,
        newer_than: timedelta | datetime | str | None = None,
        older_than: timedelta | datetime | str | None = None,
        id_prefix: str | None = None,
        permissions: PosixPermissions | FolderPermissions | None = None,
        transform: Transform | None = None,
        mapping: DocumentMapping | None = None,
        follow_links: bool = False,
        content_stamp: str = "time",
        content_roots: str | Sequence[str] | None = None,
        stream: bool = False,
        part_bytes: int = DEFAULT_PART_BYTES,
        batch_rows: int = BATCH_ROWS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.root = root
        self.output_uri = output  # Airflow's own ``output`` is what the task returns
        self.include = include
        self.exclude = exclude
        self.min_bytes = min_bytes
        self.max_bytes = max_bytes
        self.newer_than = newer_than
        self.older_than = older_than
        self.id_prefix = id_prefix
        self.permissions = permissions
        self.transform = transform
        self.mapping = mapping
        self.follow_links = follow_links
        self.content_stamp = content_stamp
        self.content_roots = content_roots
        self.stream = stream
        self.part_bytes = part_bytes
        self.batch_rows = batch_rows

    def act(self, context: Context) -> list[str] | list[list[str]]:
        """List, map and check batch by batch, then complete the manifest."""
        from coveo_provider.documents.extracts.share import Share, prefix_of
        from coveo_provider.documents.permissions.folders import FolderPermissions

        wanted = self._wanted()
        recipe = Recipe(
            self.mapping,
            self.transform,
            DatasetKind.DOCUMENTS.value,
            self.stream,
            self.part_bytes,
            self.content_stamp,
            checked_roots(self.content_roots or self.root, "content_roots"),
            content_links=self.follow_links,
        )
        folder = self._folder()
        permissions = self._permissions(folder)
        share = Share(
            self.root, self._checked_prefix() or prefix_of(self.root), permissions, self._batch_rows()
        )
        manifest = recipe.manifest()
        output = prepared_output(self.output_uri, manifest, sources=self.root)
        manifest = recipe.write(
            output,
            manifest,
            share.batches(self._files(folder, wanted, recipe.content_roots)),
            self.log,
            empty=f"source: of the files below {shown_uri(self.root)}, {_told(wanted)}, the folder holds",
            known_stamps=lambda: share.stamps,
            finish=lambda batch, documents: _protected(batch, documents, share),
        )
        if passed := _told(wanted):
            self.log.info("Passed over: %s", passed)
        if isinstance(permissions, FolderPermissions) and (idle := permissions.without_files(share.entries)):
            self.log.warning(
                "FolderPermissions: no file lies in %s. Is it misspelt, or not a path below the root? Files that "
                "were meant are seen by those of the folder above",
                ", ".join(map(repr, idle[:5])) + (f" and {len(idle) - 5:,} more" if len(idle) > 5 else ""),
            )
        self.lineage = self.told(lambda: Lineage([data_at(self.root)], [data_written(str(output), manifest)]))
        return mappable([str(output / part.name) for part in manifest.parts])

    def get_openlineage_facets_on_start(self) -> Any:
        """Return what the task is about to read and write."""
        from coveo_provider.operators.support.lineage import as_openlineage

        return as_openlineage(
            self.told(lambda: Lineage([data_at(self.root)], [data_at(str(self.output_uri))]))
        )

    def _folder(self) -> ObjectStoragePath:
        if holds_password(self.root):
            raise ConfigurationError(
                f"root: {shown_uri(self.root)} holds a password, which would stand in every row of the dataset. "
                "Name an Airflow connection instead, as in sftp://my_connection@/share"
            )
        folder = folder_at(self.root, "root")
        try:
            is_folder = folder.is_dir()
        except ImportError as error:
            raise library_missing(self.root, "root", error) from None
        if not is_folder:
            what = "is a file" if folder.exists() else "is missing"
            raise DatasetError(f"root: {shown_uri(self.root)} {what}, expected a folder{misspelt(self.root)}")
        return folder

    def _checked_prefix(self) -> str:
        prefix = self.id_prefix or ""
        if re.search(r"[A-Za-z0-9]\Z", prefix):
            raise ConfigurationError(
                f"id_prefix: {prefix!r} would run into the names of the files, as in '{prefix}hr/a.txt'. End it "
                f"with a mark: '{prefix}/'"
            )
        return prefix

    def _files(self, folder: ObjectStoragePath, wanted: Wanted, roots: Sequence[str]) -> Iterator[FoundFile]:
        from coveo_provider.documents.extracts.file_walk import local_files, stored_files
        from coveo_provider.documents.permissions.posix import PosixPermissions

        if is_local(folder):
            owners = isinstance(self.permissions, PosixPermissions)
            return local_files(
                folder.path, wanted, follow_links=self.follow_links, owners=owners, roots=roots
            )
        return stored_files(folder.fs, folder.path, wanted)

    def _permissions(self, folder: ObjectStoragePath) -> PosixPermissions | FolderPermissions | None:
        """Return the permissions, with the table that lies in a file."""
        from coveo_provider.documents.permissions.folders import FolderPermissions
        from coveo_provider.documents.permissions.posix import PosixPermissions

        if self.follow_links and self.permissions is not None:
            raise ConfigurationError(
                "follow_links and permissions do not go together: who may see the folder of a link need not be "
                "allowed to see what it leads to, and whoever may make a link would decide it. Leave follow_links "
                "out, and list the other folder as a share of its own"
            )
        if isinstance(self.permissions, PosixPermissions) and not is_local(folder):
            raise ConfigurationError(
                f"permissions: {shown_uri(self.root)} has no owners, groups and modes; PosixPermissions is for "
                "folders of the worker. Give a table of folders: FolderPermissions"
            )
        if isinstance(self.permissions, FolderPermissions):
            return self._table(self.permissions, folder)
        if not isinstance(self.permissions, (PosixPermissions, type(None))):
            raise ConfigurationError(
                "permissions must be PosixPermissions(everyone=…) or FolderPermissions({'hr': ['HR']}), not "
                f"{self.permissions!r}"
            )
        return self.permissions

    def _table(self, permissions: FolderPermissions, folder: ObjectStoragePath) -> FolderPermissions:
        """Return permissions with the table that lies in a file, none of whose folders is a whole path."""
        where = "permissions"
        if isinstance(permissions.groups, str):
            import csv
            import io

            where = shown_uri(permissions.groups)
            with open_file(permissions.groups) as file:
                rows = csv.DictReader(io.TextIOWrapper(file, "utf-8-sig", newline=""), strict=True)
                try:
                    names = [name for name in rows.fieldnames or () if name in ("folder", "group")]
                    if len(names) > 2:
                        raise DatasetError(f"{where}: the column {names[-1]!r} stands twice in it")
                    permissions = permissions.with_rows(rows, where)
                except (UnicodeDecodeError, csv.Error) as error:
                    raise DatasetError(f"{where}: expected a CSV file in UTF-8; {error}") from None
        top = folder.path.strip("/")
        for entry in permissions.groups:
            if top and f"{entry}/".startswith(f"{top}/") and not (folder / entry).exists():
                raise ConfigurationError(
                    f"{where}: the folder {entry!r} begins with the root, and would be looked for below it. Write "
                    f"{entry[len(top) :].strip('/')!r}"
                )
        return permissions

    def _wanted(self) -> Wanted:
        from coveo_provider.documents.extracts.file_walk import Wanted

        for argument in ("min_bytes", "max_bytes"):
            size = getattr(self, argument)
            if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 0):
                raise ConfigurationError(f"{argument} must be a number of bytes, not {size!r}")
        if not isinstance(self.follow_links, bool):
            raise ConfigurationError(f"follow_links must be True or False, not {self.follow_links!r}")
        now = datetime.now(timezone.utc)
        return Wanted(
            _patterns(self.include, "include"),
            _patterns(self.exclude, "exclude"),
            self.min_bytes,
            self.max_bytes,
            _moment(self.newer_than, "newer_than", now),
            _moment(self.older_than, "older_than", now),
        )

    def _batch_rows(self) -> int:
        rows = self.batch_rows
        if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
            raise ConfigurationError(f"batch_rows must be a whole number, 1 or more, not {rows!r}")
        return rows


def _protected(batch: Batch, documents: Any, share: Share) -> Any:
    """
    Return documents with what their permissions were decided by.

    :raises DatasetError: a function or mapping dropped the permissions, so that everybody would see them
    """
    if share.permissions is None:
        return documents
    name = column_named(PERMISSIONS, documents.column_names)
    lost = len(documents) if name is None else documents.column(name).null_count
    if lost:
        raise DatasetError(
            f"{batch.where}: transform or mapping left {counted(lost, 'document')} without permissions, which "
            "everybody could see. Keep the column: keep=('permissions', …) in the mapping"
        )
    return share.with_owners(documents)


def _patterns(patterns: Any, argument: str) -> list[str]:
    found = [patterns] if isinstance(patterns, str) else list(patterns)
    for one in found:
        if not isinstance(one, str) or not one.strip():
            raise ConfigurationError(f"{argument} must hold patterns such as '*.pdf', not {one!r}")
        if len(one.splitlines()) > 1 or _LIST.match(one) or one.startswith(("./", "../", "!./")):
            raise ConfigurationError(
                f"{argument}: {one!r} is no pattern that names a file. Give several as a list, each of a path "
                "below the root, as '/reports/**'; a list in a template needs render_template_as_native_obj"
            )
    return found


def _moment(value: Any, argument: str, now: datetime) -> datetime | None:
    """Return the moment that an argument tells; a text is one in ISO 8601."""
    if value is None or value == "":
        return None
    if isinstance(value, timedelta):
        return now - value
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
        except ValueError:
            value = None
    if not isinstance(value, datetime):
        raise ConfigurationError(
            f"{argument} must be a timedelta or a moment such as 2026-01-31T00:00:00Z, not "
            f"{getattr(value, 'isoformat', lambda: repr(value))()}"
        )
    return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value


def _told(wanted: Wanted) -> str:
    """Return what was passed over, in words."""
    return ", ".join(f"{counted(count, 'time')} {why}" for why, count in wanted.passed_over.items() if count)
