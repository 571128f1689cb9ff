"""CSV with ``memberOf`` → entries: one row a user, or one row for each group that a user is in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from coveo_provider.documents.extracts.formats import Csv
from coveo_provider.documents.extracts.readers import Batch, ReadOptions, read_batches
from coveo_provider.documents.extracts.source_files import SourceFile
from coveo_provider.errors import ConfigurationError, DatasetError
from coveo_provider.identities.directories.entries import (
    Attributes,
    Entry,
    EntryKind,
    GroupReference,
    is_disabled_account,
    refuse,
    truth_of,
)
from coveo_provider.identities.directories.ldif import group_at, kind_of, relative_id
from coveo_provider.identities.directories.names import (
    canonical_dn,
    domain_of,
    first_value,
    is_dn,
    parsed_dn,
)

DEFAULTS = Attributes(name="sAMAccountName", group_name="cn", emails=("mail", "EmailAddress"))

_ENABLED = ("enabled", "accountenabled", "active")
_DISABLED = ("disabled", "accountdisabled", "nsaccountlock")
_DN = ("distinguishedname", "dn")
_SID = ("objectsid", "sid")
_BEGINS_DN = re.compile(r"(?:cn|ou|uid)\s*=", re.IGNORECASE)
_TYPE_NAME = re.compile(r"(?:System|Microsoft)\.[\w.]+(?:\[\]|Collection.*)")
"""What PowerShell writes in place of several values."""


@dataclass(frozen=True)
class TableOptions:
    """
    How a table of memberships is read.

    :param member_of: the column of groups
    :param separator: between the groups of one value
    :param csv_separator: between the values of a row; found out when ``None``
    :param csv_encoding: UTF-8 when ``None``
    :param case_sensitive: whether groups that are named, not by DN, may differ in case only
    """

    member_of: str = "memberOf"
    separator: str = ";"
    csv_separator: str | None = None
    csv_encoding: str | None = None
    case_sensitive: bool = False

    def check(self) -> None:
        """
        Check the options by themselves.

        :raises ConfigurationError: one is wrong
        """
        for name in ("member_of", "separator"):
            if not isinstance(value := getattr(self, name), str) or not value:
                raise ConfigurationError(f"{name} must be a text, not {value!r}")


def table_entries(
    files: Sequence[SourceFile], attributes: Attributes, options: TableOptions
) -> Iterator[Entry]:
    """
    Return the users, and the groups that have rows of their own, of CSV files, in bounded memory.

    :raises DatasetError: a column is missing, or names file and row of what is wrong
    """
    options.check()
    csv = Csv(separator=options.csv_separator, encoding=options.csv_encoding)
    for batch in read_batches(files, ReadOptions(file_format="csv", formats=(csv,))):
        yield from _Rows(batch, attributes, options).entries()


class _Rows:
    """The rows of a batch."""

    def __init__(self, batch: Batch, attributes: Attributes, options: TableOptions) -> None:
        self._batch, self._attributes, self._options = batch, attributes, options
        self._columns: dict[str, Any] = {}
        for each in _names(batch.rows):
            if (former := self._columns.setdefault(str(each).strip().lower(), each)) != each:
                raise DatasetError(
                    f"{batch.file}: columns {former!r} and {each!r} are the same; keep the one meant"
                )
        self._split = re.compile(r"(?<!\\)" + re.escape(options.separator))
        wanted = {"name": attributes.name, "member_of": options.member_of}
        missing = [
            f"{column!r} ({argument}=)"
            for argument, column in wanted.items()
            if column.lower() not in self._columns
        ]
        if not any(email.lower() in self._columns for email in attributes.emails):
            missing.append(f"{' or '.join(map(repr, attributes.emails))} (email=)")
        if missing:
            raise DatasetError(
                f"{batch.file}: missing columns: {', '.join(missing)}; the file has: "
                f"{', '.join(map(str, self._columns.values()))}"
            )

    def entries(self) -> Iterator[Entry]:
        needed = {
            *(
                self._attributes.name.lower(),
                self._options.member_of.lower(),
                self._attributes.group_name.lower(),
                *("objectclass", "useraccountcontrol", "primarygroupid", "primarygrouptoken", *_SID),
            ),
            *(*map(str.lower, self._attributes.emails), *_ENABLED, *_DISABLED, *_DN),
        }
        texts = {key: _texts(self._batch.rows, name) for key, name in self._columns.items() if key in needed}
        for position, values in enumerate(zip(*texts.values(), strict=True)):
            yield self._entry(
                f"{self._batch.file}, row {self._batch.first_row + position:,}",
                {key: value for key, value in zip(texts, values, strict=True) if value},
            )

    def _entry(self, where: str, row: dict[str, str]) -> Entry:
        kind = EntryKind.USER
        if "objectclass" in self._columns:
            classes = {one.strip().lower() for one in re.split(r"[;,|]", row.get("objectclass", ""))} - {""}
            if not classes:
                refuse(where, "objectClass is empty, which tells users from groups")
            kind = kind_of(classes)
        name = row.get(self._attributes.name.lower())
        dn = next((row[key] for key in _DN if key in row), None)
        if name is None and dn is None:
            refuse(where, f"{self._attributes.name} is empty, so who it is about is not known")
        called = self._group_name(row, dn) or name if kind is EntryKind.GROUP else name
        keys = [] if dn is None else [_canonical(dn, where)]
        keys += [f"{kind.name}:{self._folded(each)}" for each in (name, called) if each is not None]
        domain = domain_of(keys[0]) if dn is not None else ""
        if kind is EntryKind.GROUP and (rid := _relative_id(row)) is not None:
            keys.append(f"rid:{domain}:{rid}")
        primary = row.get("primarygroupid") if kind is EntryKind.USER else None
        return Entry(
            where=where,
            kind=kind,
            label=dn or name or "",
            keys=tuple(dict.fromkeys(keys)),
            name=called,
            emails=next(((row[key],) for key in map(str.lower, self._attributes.emails) if key in row), ()),
            disabled=_disabled(row, where),
            groups=tuple(
                self._group(text.strip(), where)
                for text in self._split.split(row.get(self._options.member_of.lower(), ""))
                if text.strip()
            ),
            primary_group=None if primary is None else f"rid:{domain}:{primary}",
        )

    def _group_name(self, row: dict[str, str], dn: str | None) -> str | None:
        """Return what a group is called where it has no row: by the attribute itself, or as its DN has it."""
        wanted = self._attributes.group_name.lower()
        if dn is None or wanted in row or wanted in _DN:
            return row.get(wanted, dn if wanted in _DN else None)
        attribute, value = first_value(dn)
        return value if attribute == wanted else None

    def _group(self, text: str, where: str) -> GroupReference:
        if _TYPE_NAME.fullmatch(text):
            refuse(
                where,
                f"{self._options.member_of} is {text!r}, which PowerShell writes in place of several values; join "
                f"them: @{{n='memberOf'; e={{$_.memberOf -join ';'}}}}",
            )
        if _BEGINS_DN.match(text) or ("=" in text and is_dn(text)):
            if is_dn(text) and _are_several(text):
                refuse(
                    where,
                    f"{self._options.member_of} holds {text!r}, which are several names: they are not separated by "
                    f"{self._options.separator!r} (member_of_separator=)",
                )
            return group_at(text, self._attributes.group_name, where)
        return GroupReference(f"{EntryKind.GROUP.name}:{self._folded(text)}", text)

    def _folded(self, name: str) -> str:
        return name if self._options.case_sensitive else name.lower()


def _are_several(dn: str) -> bool:
    """Return whether what can be read as one DN is several: it has ``=`` within a value, or ``CN`` after ``DC``."""
    attributes = [attribute for rdn in parsed_dn(dn) for attribute, _ in rdn]
    anew = "dc" in attributes and "cn" in attributes[attributes.index("dc") :]
    return anew or ('"' not in dn and len(re.findall(r"(?<!\\)=", dn)) > len(attributes))


def _relative_id(row: dict[str, str]) -> str | None:
    if token := row.get("primarygrouptoken"):
        return token
    return next((rid for key in _SID if (rid := relative_id(row.get(key, ""))) is not None), None)


def _disabled(row: dict[str, str], where: str) -> bool | None:
    told = [not truth_of(where, key, row[key]) for key in _ENABLED if key in row]
    told += [truth_of(where, key, row[key]) for key in _DISABLED if key in row]
    if flags := row.get("useraccountcontrol"):
        told.append(is_disabled_account(where, flags))
    return any(told) if told else None


def _canonical(dn: str, where: str) -> str:
    try:
        return canonical_dn(dn)
    except ValueError as error:
        refuse(where, f"{dn!r} is no distinguished name: {error}")


def _names(rows: Any) -> list[Any]:
    return list(rows.column_names if hasattr(rows, "column_names") else rows.columns)


def _texts(rows: Any, name: Any) -> list[str]:
    """Return a column's values as they stand in the file; empty where there are none."""
    if hasattr(rows, "column_names"):
        values = rows.column(name).to_pylist()
        return ["" if value is None else str(value).strip() for value in values]
    column = rows[name]
    return ["" if gone else str(value).strip() for value, gone in zip(column, column.isna(), strict=True)]
