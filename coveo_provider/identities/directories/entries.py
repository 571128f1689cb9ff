"""What an export says of one user or group, whatever its format. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, NoReturn

from coveo_provider.errors import ConfigurationError, DatasetError


class EntryKind(IntEnum):
    """
    What an entry is.

    :attr:`OTHER` may be a member of groups, such as a computer, and sees nothing. Who is :attr:`UNKNOWN` may see
    something: somebody of another domain, or of a class without a meaning here. As a member it counts as one that
    the export does not hold.
    """

    USER = 0
    GROUP = 1
    OTHER = 2
    UNKNOWN = 3


class GroupReference(NamedTuple):
    """
    A group that somebody is in.

    :param key: as the group's own :attr:`Entry.keys` spell it
    :param name: what it is called where it has no entry of its own; ``None`` when that is not known
    """

    key: str
    name: str | None


@dataclass(frozen=True)
class Entry:
    """
    A user or a group.

    :param where: file and line or record, for errors
    :param label: its DN or id, for people
    :param keys: what memberships name it by, its own key first
    :param name: of the identity; ``None`` when the entry does not tell
    :param emails: its addresses
    :param disabled: whether its account is; ``None`` where the export does not tell
    :param members: keys of who is in it
    :param groups: what it is in
    :param primary_group: key of the group that it is in without being listed there, as Active Directory has it
    """

    where: str
    kind: EntryKind
    label: str
    keys: tuple[str, ...]
    name: str | None
    emails: tuple[str, ...] = ()
    disabled: bool | None = None
    members: tuple[str, ...] = ()
    groups: tuple[GroupReference, ...] = ()
    primary_group: str | None = None


@dataclass(frozen=True)
class Attributes:
    """
    Which attributes, columns or keys an export's identities are made of.

    :param name: of a user's name
    :param group_name: of a group's name
    :param emails: of addresses; the first of them that an entry has
    """

    name: str
    group_name: str
    emails: tuple[str, ...]


def attributes_of(
    defaults: Attributes, name: str | None, group_name: str | None, email: str | Iterable[str] | None
) -> Attributes:
    """
    Return which attributes to use: those given, else the format's own.

    :raises ConfigurationError: one of them is no name
    """
    emails = (email,) if isinstance(email, str) else tuple(email or defaults.emails)
    chosen = Attributes(name or defaults.name, group_name or defaults.group_name, emails)
    for argument, value in (
        ("name", chosen.name),
        ("group_name", chosen.group_name),
        *(("email", e) for e in emails),
    ):
        if not isinstance(value, str) or not value.strip():
            raise ConfigurationError(f"{argument} must be the name of an attribute, not {value!r}")
    return chosen


def refuse(where: str, problem: str) -> NoReturn:
    """
    Refuse an export.

    :raises DatasetError: always
    """
    raise DatasetError(f"{where}: {problem}")


def truth_of(where: str, attribute: str, text: str) -> bool:
    """
    Return what a text says that is true or false, as ``TRUE`` of LDAP and ``True`` of PowerShell.

    :raises DatasetError: it is neither: whether somebody has access must not be guessed
    """
    known = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
    if (value := known.get(text.strip().lower())) is None:
        refuse(where, f"{attribute} is {text!r}, expected true or false")
    return value


_ACCOUNT_DISABLED = 2


def is_disabled_account(where: str, flags: str) -> bool:
    """
    Return whether Active Directory's ``userAccountControl`` says that an account is disabled.

    :raises DatasetError: it is no number
    """
    try:
        return bool(int(flags, 0) & _ACCOUNT_DISABLED)
    except ValueError:
        refuse(where, f"userAccountControl is {flags!r}, expected a number")
