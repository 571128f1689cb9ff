"""LDIF: every spelling of a value is read, and nothing that is cut off, damaged or unclear is."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ldif import LDIFWriter  # type: ignore[import-untyped]

from coveo_provider.errors import DatasetError
from coveo_provider.identities.directories.census import Rules
from coveo_provider.identities.directories.ldif import records
from tests.identities.directories.exports import (
    DOMAIN,
    addresses_of,
    census,
    group,
    groups_of,
    ldif,
    sid,
    user,
)

_TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=90).filter(
    lambda text: text == text.strip() and "\0" not in text
)
_ENTRIES = st.lists(
    st.dictionaries(st.sampled_from(["mail", "cn", "memberOf"]), st.lists(_TEXTS, min_size=1, max_size=3)),
    min_size=1,
    max_size=4,
)


@given(entries=_ENTRIES, ending=st.sampled_from([b"\n", b"\r\n"]))
@settings(max_examples=120, deadline=None)
def test_what_another_library_writes_is_read(entries: list[dict[str, list[str]]], ending: bytes) -> None:
    """Folded, in base64, with either line end: names and values come out as they went in."""
    file = io.BytesIO()
    writer: Any = LDIFWriter(file, line_sep=ending)
    for number, entry in enumerate(entries):
        writer.unparse(f"cn={number}", entry)
    file.seek(0)

    read = list(records(file, "export.ldif"))

    assert [one.dn for one in read] == [f"cn={number}" for number in range(len(entries))]
    for one, entry in zip(read, entries, strict=True):
        assert {key: [value.decode() for value in values] for key, values in one.values.items()} == {
            key.lower(): values for key, values in entry.items()
        }


def test_groups_in_groups_and_disabled_users() -> None:
    """A group within a group stays one, and who is disabled is in none."""
    found = census(
        ldif(
            user("ann", "memberOf: cn=staff , ou=GROUPS," + DOMAIN),
            user("bob", flags=514),
            user("cleo"),
            group("HR", "cleo", "bob"),
            group("Staff", "@HR", "bob"),
            group("Round", "@Round", "@HR"),
            group("Nobody"),
        )
    )

    assert groups_of(found) == {
        "HR": {"cleo"},
        "Staff": {"ann", "@HR"},
        "Round": {"@Round", "@HR"},
        "Nobody": set(),
    }
    assert addresses_of(found) == {"ann": ["ann@acme.example"], "cleo": ["cleo@acme.example"]}
    assert found.counts["disabled"] == 1
    assert found.counts["empty_groups"] == 1


def test_the_primary_group_is_told_by_its_number() -> None:
    """Active Directory lists nobody in Domain Users: the end of its SID says who is."""
    people = [user("ann", "primaryGroupID: 513"), user("bob", "primaryGroupID: 514"), group("HR", "ann")]

    found = census(ldif(*people, group("Domain Users", lines=[f"objectSid:: {sid(513)}"])))

    assert groups_of(found)["Domain Users"] == {"ann"}
    assert found.counts["without_primary_group"] == 1
    assert any("primary group" in one for one in found.warnings)


def test_what_ldapsearch_says_besides_is_passed_over() -> None:
    """Comments, references and a result without an error are no entries."""
    text = ldif(
        "# search reference\nref: ldap://dns.acme.example/\n",
        user("ann"),
        group("HR", "ann"),
        "# search result\nsearch: 2\nresult: 0 Success\n",
    )
    assert groups_of(census(text)) == {"HR": {"ann"}}


def test_an_export_of_ldifde_says_add_in_every_entry() -> None:
    text = ldif(user("ann"), group("HR", "ann"))
    written = text.replace("\nobjectClass: ", "\nchangetype: add\nobjectClass: ")
    assert written.count("changetype: add") >= 2
    assert groups_of(census(written)) == {"HR": {"ann"}}


def test_groups_that_only_their_members_name() -> None:
    """Without entries of groups, memberOf tells them, and that groups in them are not known."""
    found = census(ldif(user("ann", f"memberOf: CN=Sales\\, EMEA,OU=Groups,{DOMAIN}")))

    assert groups_of(found) == {"Sales, EMEA": {"ann"}}
    assert "memberOf" in found.warnings[0]


def test_some_groups_may_be_known_from_memberof_when_told_so() -> None:
    """Of other domains, for instance: whom they are known to hold is in them."""
    people = (user("ann", f"memberOf: CN=Far,{DOMAIN}"), group("HR", "ann"))
    found = census(ldif(*people), rules=Rules(max_unknown=0.5))
    assert groups_of(found) == {"HR": {"ann"}, "Far": {"ann"}}


def test_posix_groups_name_users_by_uid() -> None:
    text = (
        f"dn: uid=ann,{DOMAIN}\nobjectClass: posixAccount\nuid: ann\nmail: a@x.example\n\n"
        f"dn: cn=dev,{DOMAIN}\nobjectClass: posixGroup\ncn: dev\nmemberUid: ann\n"
    )
    assert groups_of(census(text, user_name="uid")) == {"dev": {"ann"}}


_GOOD = (user("ann"), group("HR", "ann"))
_FOREIGN = f"CN=S-1-5-21-9,CN=ForeignSecurityPrincipals,{DOMAIN}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (ldif(*_GOOD, "dn: CN=x\nchangetype: delete\n"), r"line \d+: is a change"),
        (ldif(*_GOOD, "search: 2\nresult: 4 Size limit exceeded\n"), "incomplete"),
        (
            ldif(user("ann"), "dn: CN=Big,DC=x\nobjectClass: group\ncn: Big\nmember;range=0-1499: CN=a\n"),
            "range=0-1499",
        ),
        (ldif(*_GOOD, "dn: CN=x\nmail:: ab%c\n"), "no base64"),
        (ldif(*_GOOD, "dn: CN=x\nmail:< file:///etc/passwd\n"), "another file"),
        (ldif(*_GOOD, "dn: CN=x\nmail ann\n"), "expected attribute: value"),
        (ldif(*_GOOD, "mail: ann\n"), "expected dn"),
        (ldif(*_GOOD, "dn: CN=x\nmail: a\ndn: CN=y\n"), "blank line"),
        (ldif(*_GOOD, "dn: CN=x\nmail: a\n"), "no objectClass"),
        (ldif(*_GOOD, "dn: CN=x\nobjectClass: group\nmember: Ann Lee\n"), "no distinguished name"),
        (ldif(*_GOOD, "dn: CN=\\FF,DC=x\nobjectClass: group\n"), r"line \d+: dn .*no distinguished name"),
        (ldif(*_GOOD, "dn: CN=x\nobjectClass: groupOfURLs\nmemberURL: ldap:///x\n"), "dynamic"),
        (ldif(*_GOOD, user("ann")), "twice"),
        (ldif(*_GOOD, user("ann", ou="Other")), "would both be 'ann'"),
        (ldif(*_GOOD, user("ANN", ou="Other").replace("Ann", "Bob")), "tells them apart"),
        (
            ldif(*_GOOD, user("bob").replace("sAMAccountName: bob\n", "")),
            "no value of the attribute that name=",
        ),
        (ldif(*_GOOD, group("IT", "zoe")), "1 of 2 memberships name somebody"),
        (
            ldif(
                *_GOOD,
                f"dn: {_FOREIGN}\nobjectClass: foreignSecurityPrincipal\n",
                group("IT", "ann", _FOREIGN),
            ),
            "1 of 3 memberships name somebody",
        ),
        (
            ldif(*_GOOD, f"dn: CN=Zoe,OU=People,{DOMAIN}\nobjectClass: acmePerson\n", group("IT", "zoe")),
            "1 of 2 memberships name somebody",
        ),
        (
            ldif(user("ann", f"memberOf: CN=IT,OU=Groups,{DOMAIN}"), group("HR", "ann")),
            "'IT': which groups are in them is not known, while the export holds other groups",
        ),
        (
            ldif(*_GOOD, user("bob").replace("userAccountControl: 512\n", "")),
            "CN=Bob.*does not tell whether the account is disabled, while others do",
        ),
        (ldif(*_GOOD, user("bob", "sAMAccountName: rob")), r"several values of sAMAccountName \(bob, rob\)"),
        (
            ldif(*(one.replace("mail: ", "proxyAddresses: SMTP:") for one in _GOOD)).replace(
                "proxyAddresses", "mail"
            ),
            "e-mail address",
        ),
        (ldif(user("ann"), group("HR")), "0 memberships"),
        (ldif(user("ann")), "0 groups"),
        (ldif(user("ann", mail=None), group("HR", "ann")), "e-mail address"),
        (ldif(user("ann", flags=514), group("HR", "ann")), "all 1 user are disabled"),
        ("", "holds no entry"),
        (ldif(*_GOOD).encode("utf-16").decode("latin-1"), "UTF-16"),
        (
            ldif(*_GOOD, user("bob", "userAccountControl: x").replace("userAccountControl: 512\n", "")),
            "a number",
        ),
    ],
)
def test_what_is_refused(text: str, says: str) -> None:
    """Each would take somebody's access, or give it to another: the run stops, and says where."""
    with pytest.raises(DatasetError, match=says):
        census(text.encode("latin-1") if says == "UTF-16" else text)


_EXPORT = ldif(*_GOOD, group("Größe", "ann", "@HR"))


@given(place=st.integers(1, len(_EXPORT.encode()) - 1))
@settings(max_examples=60, deadline=None)
def test_a_file_that_ends_within_a_line_is_refused(place: int) -> None:
    """Whichever value the cut went through: what is left of it may be the name of somebody else."""
    text = _EXPORT.encode()[:place]
    if not text.endswith(b"\n"):
        with pytest.raises(DatasetError, match="has no end of line, as a file that is cut off"):
            list(records(io.BytesIO(text), "export.ldif"))


_HEAD = "# extended LDIF\n#\n# LDAPv3\n\n"
_RESULT = "# search result\nsearch: 2\nresult: 0 Success\n"
_PAGE = f"{_RESULT}control: 1.2.840.113556.1.4.319 false MAUCAQAEAA==\npagedresults: cookie="


@pytest.mark.parametrize(
    ("texts", "whole"),
    [
        ((_HEAD, *_GOOD), False),
        ((_HEAD, _GOOD[0], _HEAD, _GOOD[1], _RESULT), False),
        ((_HEAD, _GOOD[0], f"{_PAGE}AAAA=\n"), False),
        ((_HEAD, _GOOD[0], f"{_PAGE}AAAA=\n", _GOOD[1], f"{_PAGE}\n\n# numEntries: 2\n"), True),
        ((_HEAD, _GOOD[0], _RESULT, _HEAD, _GOOD[1], _RESULT), True),
        ((_HEAD.replace("extended LDIF", ""), *_GOOD), True),  # with -L it writes no result
    ],
)
def test_a_search_that_did_not_come_to_its_end_is_refused(texts: tuple[str, ...], whole: bool) -> None:
    """A connection that broke between two entries leaves whole lines, and no result after them."""
    if whole:
        assert groups_of(census("\n".join(texts))) == {"HR": {"ann"}}
        return
    with pytest.raises(DatasetError, match="the export is cut off"):
        census("\n".join(texts))


@pytest.mark.parametrize("text", ["", "\n", "version: 1\n\n", "# dc1.acme.example\n"])
def test_one_of_several_files_that_is_empty_is_refused(text: str) -> None:
    """The other one holds together; who or what was to be in this one would lose access."""
    people = ldif(user("ann", f"memberOf: CN=IT,OU=Groups,{DOMAIN}"))
    with pytest.raises(DatasetError, match="holds no entry, nor the result"):
        census(people, text)
    assert groups_of(census(people, _RESULT)) == {"IT": {"ann"}}


@pytest.mark.parametrize(
    "line", ["dn: CN=Zo\xeb,DC=acme\n", "dn: CN=x\nobjectClass: user\nmail: zo\xeb@x.y\n"]
)
def test_what_is_no_utf_8_is_refused(line: str) -> None:
    with pytest.raises(DatasetError, match=r"line \d+: a value of (dn|mail) is no UTF-8"):
        census(f"{ldif(*_GOOD)}\n{line}".encode("latin-1"))


def test_who_was_deleted_is_nobody() -> None:
    """Active Directory keeps a deleted account as it was, enabled, and shows it to a search for such."""
    gone = user("zoe", ou="x").replace("CN=Zoe,OU=x", "CN=Zoe\\0ADEL:2a9e,CN=Deleted Objects")
    assert addresses_of(census(ldif(*_GOOD, gone))) == {"ann": ["ann@acme.example"]}


def test_of_several_values_that_of_the_dn_is_the_name() -> None:
    """In which order a server gives them is its own affair; the permissions know one."""
    for order in ("cn: Humans\ncn: HR\n", "cn: HR\ncn: Humans\n"):
        assert groups_of(census(ldif(_GOOD[0], _GOOD[1].replace("cn: HR\n", order)))) == {"HR": {"ann"}}


def test_a_lock_that_some_once_had() -> None:
    """389 Directory and FreeIPA write it for those who are, or were, locked; all others are enabled."""
    people = [user(name).replace("userAccountControl: 512\n", "") for name in ("ann", "bob", "cleo")]
    people[1] += "nsAccountLock: FALSE\n"
    people[2] += "nsAccountLock: TRUE\n"
    assert set(addresses_of(census(ldif(*people, group("HR", "ann", "bob", "cleo"))))) == {"ann", "bob"}


def test_members_beyond_the_export_are_left_out_when_told_so() -> None:
    """Whoever is not in the export is named, and left out up to the share that was allowed."""
    text = ldif(*_GOOD, group("IT", "ann", f"CN=S-1-5-21-9,CN=ForeignSecurityPrincipals,{DOMAIN}"))

    found = census(text, rules=Rules(max_unknown=0.5))

    assert groups_of(found)["IT"] == {"ann"}
    assert "foreignsecurityprincipals" in "".join(found.warnings)


def test_people_without_or_with_a_shared_address_are_told() -> None:
    found = census(
        ldif(user("ann"), user("bob", mail="ANN@acme.example"), user("cleo", mail=None), group("HR", "ann"))
    )

    assert addresses_of(found)["cleo"] == []
    assert found.counts["without_email"] == 1
    assert any("cleo" in one and "see nothing" in one for one in found.warnings)
    assert any("'ann'" in one and "'bob'" in one and "each of them" in one for one in found.warnings)


def test_a_line_of_a_folded_base64_value() -> None:
    """A long name in base64, folded, is one value."""
    name = "Größe " * 30
    encoded = base64.b64encode(name.strip().encode()).decode()
    folded = "\n ".join(encoded[start : start + 60] for start in range(0, len(encoded), 60))
    [record] = records(io.BytesIO(f"dn: CN=x\ncn:: {folded}\n".encode()), "x.ldif")
    assert record.texts("cn") == [name.strip()]
