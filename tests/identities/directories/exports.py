"""Exports as directories write them."""

from __future__ import annotations

import base64
import io
import struct
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO

from coveo_provider.documents.extracts.source_files import SourceFile
from coveo_provider.identities.directories.census import Census, Rules, census_of
from coveo_provider.identities.directories.formats import Export
from coveo_provider.identities.directories.tables import TableOptions

DOMAIN = "DC=acme,DC=example"


def sid(number: int) -> str:
    """Return a SID of the domain in base64, as LDIF has it."""
    return base64.b64encode(b"\x01\x05\0\0\0\0\0\x05" + struct.pack("<5I", 21, 1, 2, 3, number)).decode()


def user(name: str, *lines: str, mail: str | None = "", flags: int = 512, ou: str = "People") -> str:
    """Return a user of Active Directory in LDIF; ``mail`` is made of the name when empty."""
    address = f"{name}@acme.example" if mail == "" else mail
    return "\n".join(
        [
            f"dn: CN={name.title()},OU={ou},{DOMAIN}",
            *("objectClass: top", "objectClass: person", "objectClass: user"),
            f"sAMAccountName: {name}",
            *([] if address is None else [f"mail: {address}"]),
            f"userAccountControl: {flags}",
            *lines,
            "",
        ]
    )


def group(name: str, *members: str, lines: Iterable[str] = ()) -> str:
    """Return a group of Active Directory in LDIF; members are DNs, or names of people and ``@groups``."""
    return "\n".join(
        [
            f"dn: CN={name},OU=Groups,{DOMAIN}",
            *("objectClass: top", "objectClass: group", f"cn: {name}"),
            *(f"member: {dn_of(one)}" for one in members),
            *lines,
            "",
        ]
    )


def dn_of(name: str) -> str:
    """Return the DN of a person, or of a group that is written ``@name``."""
    if "=" in name:
        return name
    if name.startswith("@"):
        return f"CN={name[1:]},OU=Groups,{DOMAIN}"
    return f"CN={name.title()},OU=People,{DOMAIN}"


def ldif(*entries: str) -> str:
    """Return an export of these entries."""
    return "\n".join(["version: 1", "", *entries])


def source(text: str | bytes, name: str = "export.ldif") -> SourceFile:
    """Return a file of this text."""
    data = text if isinstance(text, bytes) else text.encode()

    def opener() -> AbstractContextManager[IO[bytes]]:
        return nullcontext(io.BytesIO(data))

    return SourceFile(name, opener)


def census(
    *texts: str | bytes,
    kind: str = "ldif",
    file: str = "export.ldif",
    rules: Rules | None = None,
    table: TableOptions | None = None,
    user_name: str | None = None,
    group_name: str | None = None,
    email: str | Sequence[str] | None = None,
) -> Census:
    """Return what an export of some files says."""
    files = [source(text, file) for text in texts]
    export = Export(files, kind, user_name, group_name, email, table)
    return census_of(export.reader(), rules or Rules(merge=kind == "memberof_csv"))


def groups_of(found: Census) -> dict[str, set[str]]:
    """Return the members of each group by name, those that are groups with an ``@``."""
    people, groups = found.people["name"].to_list(), found.groups["name"].to_list()
    members: dict[str, set[str]] = {name: set() for name in groups}
    for outer, inner, is_group in found.memberships.rows():
        members[groups[outer]].add(f"@{groups[inner]}" if is_group else people[inner])
    return members


def addresses_of(found: Census) -> dict[str, list[str]]:
    """Return the addresses of each user by name."""
    return dict(found.people.select("name", "emails").rows())


def written(folder: Path, text: str, name: str = "export.ldif") -> str:
    """Write an export to a folder and return its URI."""
    path = folder / name
    path.write_text(text)
    return path.as_uri()
