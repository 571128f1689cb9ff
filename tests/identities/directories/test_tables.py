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


@pytest.mark.parametrize(
    ("columns", "group_name", "called"),
    [
        (("sAMAccountName", "DistinguishedName"), None, "Human Resources"),
        (("sAMAccountName", "DistinguishedName", "cn"), None, "Human Resources"),
        (("sAMAccountName", "DistinguishedName"), "sAMAccountName", "hr-1"),
        (("sAMAccountName", "DistinguishedName", "displayName"), "displayName", "HR"),
        (("sAMAccountName",), None, "hr-1"),
    ],
)
def test_a_group_has_one_name_with_a_row_and_without(
    columns: tuple[str, ...], group_name: str | None, called: str
) -> None:
    """The permissions know it by that name, whether or not its row is among those exported."""
    dn = '"CN=Human Resources,DC=acme"'
    group = {"sAMAccountName": "hr-1", "DistinguishedName": dn, "cn": "Human Resources", "displayName": "HR"}
    user = {
        "sAMAccountName": "ann",
        "DistinguishedName": '"CN=Ann,DC=acme"',
        "cn": "Ann",
        "displayName": "Ann",
    }
    inside = dn if "DistinguishedName" in columns else "hr-1"
    text = "\n".join(
        [
            ",".join(["objectClass", "mail", "memberOf", *columns]),
            ",".join(["user", "a@x.example", inside, *(user[one] for one in columns)]),
            ",".join(["group", "", "", *(group[one] for one in columns)]),
        ]
    )
    found = census(text, kind="memberof_csv", file="all.csv", group_name=group_name)
    assert groups_of(found) == {called: {"ann"}}


@pytest.mark.parametrize("column", ["objectSid", "SID", "primaryGroupToken"])
def test_the_primary_group_is_told_by_its_number(column: str) -> None:
    """Nobody has Domain Users in memberOf."""
    number = "513" if column == "primaryGroupToken" else "S-1-5-21-1-2-3-513"
    text = (
        f"ObjectClass,SamAccountName,DistinguishedName,mail,primaryGroupID,memberOf,{column}\n"
        f'user,ann,"CN=Ann,DC=acme",ann@x.example,513,"{_STAFF}",\n'
        f'user,bob,"CN=Bob,DC=acme",bob@x.example,514,"{_STAFF}",\n'
        f'group,Staff,"{_STAFF}",,,,\ngroup,du,"CN=Domain Users,DC=acme",,,,{number}\n'
    )
    found = census(text, kind="memberof_csv", file="all.csv")
    assert groups_of(found) == {"Staff": {"ann", "bob"}, "Domain Users": {"ann"}}
    assert found.counts["without_primary_group"] == 1


@pytest.mark.parametrize("separator", ["|", " | ", ",", ", ", " ", "\n", "; ", ";"])
def test_names_that_are_not_separated_as_said_are_refused(separator: str) -> None:
    """Read as one name they would be one group, and the others would lose a member."""
    text = f'{_HEAD}ann,ann@x.example,True,"{separator.join([_STAFF, _EMEA])}"\n'
    if separator.strip() == ";":
        assert len(groups_of(census(text, kind="memberof_csv", file="users.csv"))) == 2
        return
    with pytest.raises(CoveoError, match=r"row 0: .*several names.*member_of_separator"):
        census(text, kind="memberof_csv", file="users.csv")


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
        (f"{_HEAD}ann,a@x.example,True,HR\nbob,b@x.example,,HR\n", "bob.*does not tell whether"),
        (f"enabled,{_HEAD}False,ann,a@x.example,True,HR\n", "'enabled' and 'Enabled' are the same"),
        (
            f"{_HEAD}ann,a@x.example,True,Microsoft.ActiveDirectory.Management.ADPropertyValueCollection\n",
            "row 0: memberOf is .*join",
        ),
        (
            f'{_HEAD}ann,a@x.example,True,"CN=Staff,OU=Groups,DC"\n',
            "row 0: memberof .* is no distinguished name",
        ),
        (f"{_HEAD}ann,a@x.example,True,System.String[]\n", "row 0: memberOf is .*join"),
        (f'{_HEAD}ann,a@x.example,True,"{_STAFF};CN=Staff,OU=Old,DC=acme"\n', "would both be 'Staff'"),
        (_HEAD, "."),
    ],
)
def test_what_is_refused(text: str, says: str) -> None:
    with pytest.raises(CoveoError, match=says):
        census(text, kind="memberof_csv", file="users.csv")
