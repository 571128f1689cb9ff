"""
LDIF (RFC 2849), as ``ldapsearch``, ``ldifde`` and servers write it → entries, one at a time.

The package ``ldif`` reads a damaged base64 value as an empty one and names no line, and its check of a DN takes
time that doubles with each ``+`` in it. So the few rules are written out here; the tests compare with what it does.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO

from coveo_provider.documents.contract import MIB
from coveo_provider.documents.extracts.source_files import SourceFile
from coveo_provider.identities.directories.entries import (
    Attributes,
    Entry,
    EntryKind,
    GroupReference,
    is_disabled_account,
    refuse,
    truth_of,
)
from coveo_provider.identities.directories.names import canonical_dn, domain_of, first_value, parsed_dn

DEFAULTS = Attributes(name="sAMAccountName", group_name="cn", emails=("mail",))

_LONGEST_LINE = 64 * MIB
_NAMED = 3
_LDAPSEARCH = b"# extended LDIF"
"""What a search of ldapsearch begins with that also writes its result."""
_GROUPS = frozenset(
    {
        "group",
        "groupofnames",
        "groupofuniquenames",
        "groupofmembers",
        "groupofentries",
        "posixgroup",
        "groupofurls",
    }
)
_USERS = frozenset(
    {
        "user",
        "person",
        "inetorgperson",
        "organizationalperson",
        "posixaccount",
        "account",
        "residentialperson",
    }
)
_OTHERS = frozenset(
    {
        "computer",
        "contact",
        "device",
        "iphost",
        "publicfolder",
        "msds-managedserviceaccount",
        "msds-groupmanagedserviceaccount",
        "msds-delegatedmanagedserviceaccount",
    }
)
_DELETED = re.compile(r"\\0ADEL:", re.IGNORECASE)
"""In the DN of what Active Directory keeps of a deleted entry."""
_MEMBERS = ("member", "uniquemember")
_OPTIONAL_ID = re.compile(r"#'[01]*'B$")
_READ = {
    *("objectclass", *_MEMBERS, "memberuid", "memberof", "memberurl", "uid"),
    *("useraccountcontrol", "nsaccountlock", "primarygroupid", "primarygrouptoken", "objectsid"),
}


@dataclass
class Record:
    """
    One entry of a file.

    :param where: the file and the line it begins in
    :param values: of attributes, whose names are in lower case
    """

    where: str
    dn: str
    values: dict[str, list[bytes]] = field(default_factory=dict)

    def texts(self, attribute: str) -> list[str]:
        """
        Return the values of an attribute that are not blank.

        :raises DatasetError: one is no UTF-8
        """
        texts = (_text(value, attribute, self.where) for value in self.values.get(attribute.lower(), ()))
        return [text for text in texts if text]

    def text(self, attribute: str) -> str | None:
        """Return the first value of an attribute; ``None`` where there is none."""
        return next(iter(self.texts(attribute)), None)


def ldif_entries(files: Iterable[SourceFile], attributes: Attributes) -> Iterator[Entry]:
    """
    Return the users and groups of LDIF files, in bounded memory.

    :raises DatasetError: names file and line of what is damaged, incomplete, or no export
    """
    wanted = {
        *_READ,
        attributes.name.lower(),
        attributes.group_name.lower(),
        *map(str.lower, attributes.emails),
    }
    for file in files:
        with file.text() as stream:
            for record in records(stream, file.name, wanted.__contains__):
                yield _entry(record, attributes)


def records(
    stream: IO[bytes], name: str, is_wanted: Callable[[str], bool] = lambda _: True
) -> Iterator[Record]:
    """
    Return the records of one file.

    :param is_wanted: told an attribute's name in lower case, whether its values are needed
    :raises DatasetError: as :func:`ldif_entries`
    """
    record: Record | None = None
    passed_over, ended, empty = False, True, True
    for number, line in _lines(stream, name):
        if line.startswith(b"#"):
            if line.rstrip() == _LDAPSEARCH:
                _refuse_no_result(ended, f"{name}, line {number:,}")
                ended = False
            continue
        if not line:
            if record is not None:
                yield record
            record, passed_over = None, False
            continue
        where = f"{name}, line {number:,}"
        attribute, colon, rest = line.partition(b":")
        if not colon:
            what = (
                "a change, not an entry. Export what the directory holds"
                if line == b"-"
                else f"{line[:60]!r}, expected attribute: value"
            )
            refuse(where, f"is {what}")
        empty = empty and attribute.strip() == b"version"
        key, *options = attribute.decode("utf-8", "replace").strip().lower().split(";")
        if record is None:
            ended = _ends_search(key, rest, ended)
            passed_over = _is_no_entry(key, rest, where) or passed_over
            if not passed_over and key == "dn":
                record = Record(where, _text(_value(rest, key, where), key, where))
            elif not passed_over and key != "version":
                refuse(where, f"is {key!r}, expected dn at the beginning of an entry")
            continue
        if key == "changetype" and _value(rest, key, where).strip().lower() == b"add":
            continue  # which ldifde writes in every entry of an export
        if key in {"changetype", "control"}:
            refuse(
                where,
                "is a change, not an entry. Export what the directory holds, as ldapsearch or ldifde does",
            )
        if key == "dn":
            refuse(where, "begins an entry within another one; expected a blank line before it")
        if is_wanted(key):
            _refuse_range(options, key, where, record.dn)
            record.values.setdefault(key, []).append(_value(rest, key, where))
    _refuse_no_result(ended, name)
    if empty:
        refuse(name, "holds no entry, nor the result of a search that found none. Did the export fail?")
    if record is not None:
        yield record


def _lines(stream: IO[bytes], name: str) -> Iterator[tuple[int, bytes]]:
    """
    Return lines that were folded as one each, with the number of the first.

    :raises DatasetError: the last line has no end, which each has (RFC 2849), so the file was cut off in it
    """
    number = first = 0
    ending = b""
    pieces: list[bytes] = []
    while raw := stream.readline(_LONGEST_LINE + 1):
        number += 1
        if len(raw) > _LONGEST_LINE:
            refuse(f"{name}, line {number:,}", f"is longer than {_LONGEST_LINE:,} bytes")
        if number == 1:
            if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
                refuse(name, "is UTF-16; convert it, such as with iconv -f UTF-16 -t UTF-8")
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        line, ending = raw.rstrip(b"\r\n"), raw[-1:]
        if line[:1] in {b" ", b"\t"} and pieces and pieces[0]:
            pieces.append(line[1:])
            continue
        if pieces:
            yield first, b"".join(pieces)
        pieces, first = [line.strip() and line], number
    if ending not in b"\r\n":
        refuse(
            f"{name}, line {number:,}",
            "has no end of line, as a file that is cut off: export it anew, or add one",
        )
    if pieces:
        yield first, b"".join(pieces)


def _ends_search(key: str, rest: bytes, ended: bool) -> bool:
    """Return whether a search came to its end: its result was written, and no page is left to ask for."""
    if key == "pagedresults":
        return rest.strip().endswith(b"cookie=")
    return ended or key == "result"


def _refuse_no_result(ended: bool, where: str) -> None:
    if not ended:
        refuse(
            where,
            "the result of the search is not there, or tells of another page: the export is cut off, and who is "
            "missing would lose all access. Export it anew",
        )


def _is_no_entry(key: str, rest: bytes, where: str) -> bool:
    """Return whether a block is what ldapsearch says besides, and refuse an export that it calls incomplete."""
    if key == "result":
        code = rest.strip().partition(b" ")
        if code[0] != b"0":
            refuse(
                where,
                f"the search ended with {rest.strip().decode('utf-8', 'replace')!r}: the export is "
                "incomplete, and who "
                "is missing would lose all access. Export it in pages: ldapsearch -E pr=1000/noprompt",
            )
        return True
    return key in {"search", "ref"}


def _value(rest: bytes, key: str, where: str) -> bytes:
    if rest[:1] == b"<":
        refuse(
            where, f"the value of {key} stands in another file, which is not read; export it with its values"
        )
    if rest[:1] != b":":
        return rest.lstrip(b" ")
    try:
        return base64.b64decode(rest[1:].strip(), validate=True)
    except binascii.Error:
        refuse(where, f"the value of {key} is no base64: the file is damaged or cut off")


def _text(value: bytes, key: str, where: str) -> str:
    try:
        return value.decode().strip()
    except UnicodeDecodeError:
        refuse(where, f"a value of {key} is no UTF-8")


def _refuse_range(options: list[str], key: str, where: str, dn: str) -> None:
    """Refuse a list of which Active Directory gives some 1,500 values at a time."""
    for option in options:
        if option.startswith("range=") and option != "range=0-*":
            refuse(
                where,
                f"{dn} has {key};{option}: only some of its values were exported (Active Directory gives "
                "1,500 at a "
                "time), and who is missing would lose access. Export them all, such as by memberOf of the "
                "users",
            )


def _entry(record: Record, attributes: Attributes) -> Entry:
    where, dn = record.where, record.dn
    kind = _kind(record)
    key = _canonical(dn, "dn", where)
    keys = [key]
    domain = domain_of(key)
    rid = _relative_id(record) if kind is EntryKind.GROUP else None
    if rid is not None:
        keys.append(f"rid:{domain}:{rid}")
    if kind is EntryKind.USER:
        keys += [f"uid:{uid.lower()}" for uid in record.texts("uid")]
    members = [
        _canonical(_OPTIONAL_ID.sub("", value) if attribute == "uniquemember" else value, attribute, where)
        for attribute in _MEMBERS
        for value in record.texts(attribute)
    ]
    members += [f"uid:{uid.lower()}" for uid in record.texts("memberuid")]
    if kind is EntryKind.GROUP and not members and record.texts("memberurl"):
        refuse(
            where,
            f"{dn} is a dynamic group: its members are a search (memberURL), which only the server can do",
        )
    primary = record.text("primarygroupid") if kind is EntryKind.USER else None
    return Entry(
        where=where,
        kind=kind,
        label=dn,
        keys=tuple(keys),
        name=_name(record, kind, attributes),
        emails=next((tuple(found) for each in attributes.emails if (found := record.texts(each))), ()),
        disabled=_is_disabled(record),
        members=tuple(members),
        groups=tuple(group_at(value, attributes.group_name, where) for value in record.texts("memberof")),
        primary_group=None if primary is None else f"rid:{domain}:{primary}",
    )


def group_at(dn: str, group_name: str, where: str) -> GroupReference:
    """
    Return the group that a DN in ``memberOf`` names, with the name that can be read off it.

    :raises DatasetError: it is no DN
    """
    key = _canonical(dn, "memberof", where)
    attribute, value = first_value(dn)
    if group_name.lower() in {"dn", "distinguishedname"}:
        return GroupReference(key, dn)
    return GroupReference(key, value if attribute == group_name.lower() else None)


def _kind(record: Record) -> EntryKind:
    classes = {one.lower() for one in record.texts("objectclass")}
    if not classes:
        refuse(record.where, f"{record.dn} has no objectClass, which tells users from groups; export it, too")
    return EntryKind.OTHER if _DELETED.search(record.dn) else kind_of(classes)


def kind_of(classes: set[str]) -> EntryKind:
    """Return what an entry with these object classes, in lower case, is."""
    if classes & _OTHERS:
        return EntryKind.OTHER
    if classes & _GROUPS:
        return EntryKind.GROUP
    return EntryKind.USER if classes & _USERS else EntryKind.UNKNOWN


def _name(record: Record, kind: EntryKind, attributes: Attributes) -> str | None:
    """Return the one value of the attribute that names; of several that by which the DN names the entry."""
    if kind not in {EntryKind.USER, EntryKind.GROUP}:
        return None
    attribute = attributes.group_name if kind is EntryKind.GROUP else attributes.name
    if attribute.lower() in {"dn", "distinguishedname"}:
        return record.dn
    values = list(dict.fromkeys(record.texts(attribute)))
    if len(values) < 2:
        return values[0] if values else None
    if naming := dict(parsed_dn(record.dn)[0]).get(attribute.lower()):
        return next((one for one in values if one.casefold() == naming.casefold()), naming)
    listed = ", ".join(values[:_NAMED])
    return refuse(
        record.where,
        f"{record.dn} has several values of {attribute} ({listed}), and which is its name is not known: choose an "
        "attribute with one",
    )


def _is_disabled(record: Record) -> bool | None:
    told = []
    if (flags := record.text("useraccountcontrol")) is not None:
        told.append(is_disabled_account(record.where, flags))
    if (lock := record.text("nsaccountlock")) is not None:
        told.append(truth_of(record.where, "nsAccountLock", lock))
    # A server that has only the lock writes it for those who are, or once were, locked.
    return any(told) if any(told) or flags is not None else None


def relative_id(sid: str) -> str | None:
    """Return the last number of the SID of something in a domain; ``None`` of another text."""
    return sid.rpartition("-")[2] if sid.startswith("S-1-5-21-") else None


def _relative_id(record: Record) -> str | None:
    """Return the last number of a group's SID, by which users name their primary group."""
    if token := record.text("primarygrouptoken"):
        return token
    for value in record.values.get("objectsid", ()):
        if (rid := relative_id(value.decode("ascii", "replace"))) is not None:
            return rid
        # One of a domain: revision 1, authority 5, and 21 as the first of five numbers of four bytes.
        if len(value) == 28 and value[:2] == b"\x01\x05" and value[8:12] == b"\x15\0\0\0":
            return str(int.from_bytes(value[-4:], "little"))
    return None


def _canonical(dn: str, attribute: str, where: str) -> str:
    try:
        return canonical_dn(dn)
    except ValueError as error:
        refuse(where, f"{attribute} {dn!r} is no distinguished name: {error}")
