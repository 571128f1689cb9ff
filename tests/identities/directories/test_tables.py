"""CSV of memberships: one row a user or one a group, DNs or names, quoted as tools quote them."""

from __future__ import annotations

import pytest

from coveo_provider.errors import CoveoError
from coveo_provider.identities.directories.tables import TableOptions
from tests.identities.directories.exports import addresses_of, census, groups_of

_STAFF = "CN=Staff,OU=Groups,DC=acme,DC=example"
_EMEA = "CN=Sales\\, EMEA,OU=Groups,DC=acme,DC=example"
_HEAD = "SamAccountName,mail,Enabled,MemberOf\n"


def test_a_row_a_user() -> None:
    """As Get-ADUser | Export-Csv writes it, with the groups joined."""
    text = (
        f'{_HEAD}ann,ann@x.example,True,"{_STAFF};{_EMEA}"\n'
        f'bob,bob@x.example,False,"{_STAFF}"\ncleo,cleo@x.example,True,\n'
    )

    found = census(text, kind="memberof_csv", file="users.csv")

    assert groups_of(found) == {"Staff": {"ann"}, "Sales, EMEA": {"ann"}}
    assert addresses_of(found) == {"ann": ["ann@x.example"], "cleo": ["cleo@x.example"]}


def test_a_row_a_membership() -> None:
    text = "login,address,team\n007,j@x.example,Spies\n007,j@x.example,Drivers\nmary,m@x.example,SPIES\n"

    found = census(
        text,
        kind="memberof_csv",
        file="users.csv",
        user_name="login",
        email="address",
        table=TableOptions(member_of="team"),
    )

    assert groups_of(found) == {"Spies": {"007", "mary"}, "Drivers": {"007"}}


def test_groups_with_rows_of_their_own() -> None:
    """As Get-ADObject tells them: objectClass says which rows are groups, and what they are in."""
    text = (
        "ObjectClass,SamAccountName,DistinguishedName,mail,userAccountControl,memberOf\n"
        f'user,ann,"CN=Ann,DC=acme,DC=example",ann@x.example,512,"{_STAFF}"\n'
        f'user,bob,"CN=Bob,DC=acme,DC=example",bob@x.example,514,"{_STAFF}"\n'
        f'group,Staff,"{_STAFF}",,,"{_EMEA}"\n'
        f'group,"Sales, EMEA","{_EMEA}",,,\n'
        f'computer,PC,"CN=PC,DC=acme,DC=example",,512,"{_STAFF}"\n'
    )
    found = census(text, kind="memberof_csv", file="all.csv")

    assert groups_of(found) == {"Staff": {"ann"}, "Sales, EMEA": {"@Staff"}}


def test_names_that_differ_in_case_only_where_the_provider_tells_them_apart() -> None:
    from coveo_provider.identities.directories.census import Rules

    text = "sAMAccountName,mail,memberOf\nann,a@x.example,Team\nbob,b@x.example,TEAM\n"
    found = census(
        text,
        kind="memberof_csv",
        file="users.csv",
        table=TableOptions(case_sensitive=True),
        rules=Rules(case_sensitive=True, merge=True),
    )
    assert groups_of(found) == {"Team": {"ann"}, "TEAM": {"bob"}}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("SamAccountName,memberOf\nann,HR\n", r"missing columns: 'mail' or 'EmailAddress' \(email=\)"),
        ("user,mail,groups\nann,a@x,HR\n", r"'sAMAccountName' \(name=\), 'memberOf' \(member_of=\)"),
        (f"{_HEAD}ann,a@x.example,perhaps,HR\n", "row 0: enabled is 'perhaps'"),
        (f"{_HEAD},a@x.example,True,HR\n", "row 0: sAMAccountName is empty"),
        (f"{_HEAD}ann,a@x.example,True,HR\nann,b@x.example,True,IT\n", "several rows that differ"),
        (f"{_HEAD}ann,a@x.example,True,HR\nann,a@x.example,False,IT\n", "several rows that differ"),
        (f"{_HEAD}ann,a@x.example,True,\n", "0 groups"),
        (f'{_HEAD}ann,a@x.example,True,"{_STAFF};CN=Staff,OU=Old,DC=acme"\n', "would both be 'Staff'"),
        (_HEAD, "."),
    ],
)
def test_what_is_refused(text: str, says: str) -> None:
    with pytest.raises(CoveoError, match=says):
        census(text, kind="memberof_csv", file="users.csv")
