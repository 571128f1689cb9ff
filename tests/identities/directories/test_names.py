"""Distinguished names that a directory takes for equal are one, and others are not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coveo_provider.identities.directories.names import canonical_dn, first_value, is_dn

_VALUES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8
).filter(str.strip)


@pytest.mark.parametrize(
    "other",
    [
        "cn=smith\\, bob,ou=people,dc=acme",
        "CN=Smith\\2C Bob,OU=People,DC=acme",
        "CN=Smith\\2c  Bob , OU = People,DC=Acme",
        'CN="Smith, Bob",OU=People,DC=acme',
    ],
)
def test_spellings_of_one_name(other: str) -> None:
    assert canonical_dn(other) == canonical_dn("CN=Smith\\, Bob,OU=People,DC=acme")


@pytest.mark.parametrize(
    "other",
    [
        "CN=Smith,Bob=1,DC=acme",
        "CN=Smith Bob,DC=acme",
        "CN=Smith\\, Bob,DC=acme,DC=x",
        "CN=Smith\\\\,dc=acme",
    ],
)
def test_other_names(other: str) -> None:
    assert canonical_dn(other) != canonical_dn("CN=Smith\\, Bob,DC=acme")


def test_several_values_in_any_order() -> None:
    assert canonical_dn("CN=a+OU=b,DC=c") == canonical_dn("ou=B + cn=A,dc=C")


@pytest.mark.parametrize("text", ["Sales", "", "CN", "CN=a,", 'CN="a,DC=b', "=a", "a b=c", "CN=\\FF,DC=a"])
def test_what_is_none(text: str) -> None:
    assert not is_dn(text)


@given(first=_VALUES, second=_VALUES)
@settings(max_examples=150, deadline=None)
def test_a_value_comes_out_as_it_was_escaped(first: str, second: str) -> None:
    """Whatever stands in a value, escaped by characters or by bytes: it is the same name, and the same "
    "value."""
    by_mark = "".join(f"\\{one}" if one in ',+"\\<>;=# ' else one for one in first)
    by_bytes = "".join(f"\\{octet:02X}" for octet in first.encode())
    names = [f"CN={each},OU={by_bytes_of(second)}" for each in (by_mark, by_bytes)]
    assert canonical_dn(names[0]) == canonical_dn(names[1])
    assert {first_value(one) for one in names} == {("cn", first)}
    same = " ".join(first.split()).casefold() == " ".join(second.split()).casefold()
    assert (canonical_dn(f"CN={by_bytes}") == canonical_dn(f"CN={by_bytes_of(second)}")) is same


def by_bytes_of(text: str) -> str:
    return "".join(f"\\{octet:02x}" for octet in text.encode())
