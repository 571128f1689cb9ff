"""Permission identities, sets and levels: the models, the column of a dataset, the rules of a mapping."""

from __future__ import annotations

import json
import logging
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coveo_provider.documents import (
    DocumentMapping,
    PermissionColumns,
    PermissionIdentity,
    PermissionLevel,
    PermissionLevels,
    Permissions,
    PermissionSet,
    encode_document,
)
from coveo_provider.documents.dataset.tables import to_table
from coveo_provider.documents.encoding.columns import plan_documents
from coveo_provider.documents.permissions.spelling import MAX_PERMISSIONS, IdentityType
from coveo_provider.errors import DataError, DatasetError, DocumentError, MappingError
from tests.documents.strategies import TEXTS, encode, table_of

user, group = PermissionIdentity.user, PermissionIdentity.group

IDENTITY = pa.struct(
    [("identity", pa.string()), ("identityType", pa.string()), ("securityProvider", pa.string())]
)
SET = pa.struct(
    [
        ("allowAnonymous", pa.bool_()),
        ("allowedPermissions", pa.list_(IDENTITY)),
        ("deniedPermissions", pa.list_(IDENTITY)),
    ]
)
LEVEL = pa.struct([("name", pa.string()), ("permissionSets", pa.list_(SET))])

names = TEXTS.filter(lambda text: bool(text.strip()))
identities = st.builds(PermissionIdentity, names, st.sampled_from(IdentityType), st.none() | TEXTS)
lists = st.lists(identities, max_size=3).map(tuple)
sets = st.builds(PermissionSet, st.booleans(), lists, lists)
levels = st.builds(PermissionLevel, TEXTS, st.lists(sets, min_size=1, max_size=3).map(tuple))
models = st.builds(Permissions, st.lists(sets, max_size=3) | st.lists(levels, max_size=3))
quick = settings(deadline=None, max_examples=150)


def sent(column: pa.Array) -> list[Any]:
    """Return the permissions of each document as they are sent."""
    return [document.get("permissions") for document in encode(table_of(permissions=column))]


def entry(name: str, **more: Any) -> dict[str, Any]:
    return {"identity": name, "identityType": "User", **more}


@quick
@given(models)
def test_a_model_is_read_back_from_its_json(model: Permissions) -> None:
    """From the value and from the text."""
    assert Permissions.parse(model.to_json()) == model
    assert Permissions.parse(json.dumps(model.to_json())) == model


@quick
@given(st.lists(st.none() | models, min_size=1, max_size=4))
def test_typed_lists_say_what_their_text_says(rows: list[Permissions | None]) -> None:
    """By column or value by value, a document's permissions are the same."""
    has_levels = {isinstance(each, PermissionLevel) for row in rows if row for each in row.entries}
    values = [None if row is None else row.to_json() for row in rows]
    texts = pa.array([None if value is None else json.dumps(value) for value in values])
    if len(has_levels) < 2:
        typed = pa.array(values, pa.list_(LEVEL if True in has_levels else SET))
        assert sent(typed) == values
    assert sent(texts) == values


@pytest.mark.parametrize(
    ("spelling", "kind"),
    [
        ("User", "User"), ("USER", "User"), ("group", "Group"), ("VIRTUAL_GROUP", "VirtualGroup"),
        ("virtualGroup", "VirtualGroup"), ("unknown", "Unknown"),
    ],
)  # fmt: skip
def test_types_are_understood_in_any_spelling_and_sent_in_one(spelling: str, kind: str) -> None:
    """Clients send USER, the pages say User; items get the latter (docs/api-notes.md, "Permissions")."""
    given = [{"allowedPermissions": [{"identity": "a", "identityType": spelling}]}]

    assert Permissions.parse(given).to_json()[0]["allowedPermissions"][0]["identityType"] == kind
    assert sent(pa.array([given]))[0][0]["allowedPermissions"][0]["identityType"] == kind
    assert sent(pa.array([json.dumps(given)]))[0][0]["allowedPermissions"][0]["identityType"] == kind


def test_keys_are_understood_in_any_case() -> None:
    """The old SDK sends PascalCase."""
    given = [{"Name": "L", "PermissionSets": [{"AllowAnonymous": False, "AllowedPermissions": [
        {"Identity": "a", "IdentityType": "USER", "SecurityProvider": ""}]}]}]  # fmt: skip

    expected = [
        {"name": "L", "permissionSets": [{"allowAnonymous": False, "allowedPermissions": [entry("a")]}]}
    ]
    assert Permissions.parse(given).to_json() == expected
    assert sent(pa.array([given])) == [expected]


def test_nobody_is_anonymous_unless_said() -> None:
    """The default of the API; two of its clients have the opposite one."""
    assert Permissions([PermissionSet(allowed_permissions=(user("a"),))]).to_json() == [
        {"allowAnonymous": False, "allowedPermissions": [entry("a")]}
    ]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([{"allowed": []}], "a permission set has unknown key 'allowed'"),
        ([{"permissionSets": [{"permissionSets": []}]}], "a permission set has unknown key 'permissionSets'"),
        ([{"permissionSets": [{}], "level": 1}], "a permission level has unknown key 'level'"),
        ([{"allowedPermissions": [entry("a", title="b")]}], "an identity has unknown key 'title'"),
        ([{"permissionSets": [{}]}, {"allowAnonymous": True}], "levels .* next to sets"),
        ([{"permissionSets": []}], "permission level '' has no permissionSets"),
        ([{"allowedPermissions": [entry("")]}], "identity is '', expected the name"),
        ([{"allowedPermissions": [entry("  ")]}], "identity is '  ', expected the name"),
        ([{"allowedPermissions": [{"identityType": "User"}]}], "identity is '', expected the name"),
        ([{"allowedPermissions": [{"identity": "a"}]}], "identity 'a' has no identityType"),
        ([{"deniedPermissions": [{"identity": "a", "identityType": "Robot"}]}], "'Robot' is no type"),
        ([{"allowAnonymous": "true"}], "allowAnonymous is 'true', expected true or false"),
        ([{"allowedPermissions": {}}], "allowedPermissions is not a list of objects"),
        ([{"allowedPermissions": ["a"]}], "allowedPermissions is not a list of objects"),
        ([{"name": 1, "permissionSets": [{}]}], "name of a permission level is 1"),
        ({}, "is not a list"),
        ("null", "is null"),
        (None, "are absent"),
    ],
)  # fmt: skip
def test_what_could_be_misread_is_refused(value: Any, problem: str) -> None:
    """A mistake in permissions could make an item public."""
    with pytest.raises(DataError, match=problem):
        Permissions.parse(value)


@pytest.mark.parametrize(
    ("value", "dtype", "problem"),
    [
        ([{"allowedPermissions": [{"identity": " ", "identityType": "User"}]}], SET, "identity is ' '"),
        ([{"allowedPermissions": [{"identity": None}]}], SET, "identity is None"),
        ([{"deniedPermissions": [{"identity": "a"}]}], SET, "identity 'a' has no identityType"),
        ([{"deniedPermissions": [{"identity": "a", "identityType": "x"}]}], SET, "'x' is no type"),
        ([{"name": "L", "permissionSets": []}], LEVEL, "no permissionSets"),
        ([{"name": "L"}], LEVEL, "no permissionSets"),
    ],
)
def test_typed_lists_are_checked_by_column(value: Any, dtype: pa.DataType, problem: str) -> None:
    """And the document at fault is named."""
    with pytest.raises(DocumentError, match=f"document test://2: permissions: .*{problem}"):
        sent(pa.array([None, [], value], pa.list_(dtype)))


@pytest.mark.parametrize(
    ("dtype", "problem"),
    [
        (pa.struct([("a", pa.string())]), "unknown key 'a'"),
        (
            pa.struct([("allowedPermissions", pa.list_(pa.struct([("name", pa.string())])))]),
            "unknown key 'name'",
        ),
        (pa.struct([("allowAnonymous", pa.string())]), "allowAnonymous holds string, expected true or false"),
        (pa.struct([("allowedPermissions", pa.list_(pa.string()))]), "allowedPermissions holds list"),
        (
            pa.struct([("deniedPermissions", pa.list_(pa.struct([("identity", pa.int64())])))]),
            "identity holds int64",
        ),
    ],
)
def test_a_type_that_is_no_permissions_is_refused_before_the_first_row(dtype: Any, problem: str) -> None:
    """By the key at fault."""
    schema = pa.schema([("documentId", pa.string()), ("permissions", pa.list_(dtype))])
    with pytest.raises(DatasetError, match=problem):
        plan_documents(schema, "part-0")


def test_a_type_with_the_keys_of_both_models_goes_value_by_value() -> None:
    """As a common type of several sources has them, all but one always null."""
    both = pa.struct([*SET, *LEVEL])
    rows = [[{"allowAnonymous": True}], [{"permissionSets": [{"allowAnonymous": False}]}]]

    assert sent(pa.array(rows, pa.list_(both))) == rows


def test_lists_that_are_empty_everywhere_have_no_type() -> None:
    """What pandas makes of them."""
    rows = [[{"allowAnonymous": True, "allowedPermissions": [], "deniedPermissions": None}], [{}]]

    assert sent(pa.array(rows)) == [[{"allowAnonymous": True, "allowedPermissions": []}], [{}]]
    assert sent(pa.array([[{"permissionSets": [{"allowedPermissions": []}]}]])) == [
        [{"permissionSets": [{"allowedPermissions": []}]}]
    ]


def test_a_slice_of_a_column_is_no_other() -> None:
    """Arrow keeps the whole buffers behind a slice."""
    rows = [[{"allowedPermissions": [entry(str(n))] * n}] for n in range(5)]
    column = pa.array(rows, pa.list_(SET))

    assert sent(column.slice(2, 2)) == rows[2:4]


@pytest.mark.parametrize("typed", [True, False])
def test_more_than_five_thousand_identities_are_refused_by_name(typed: bool) -> None:
    """Over all sets and levels of an item (docs 63)."""
    half = [entry(f"u{n}") for n in range(MAX_PERMISSIONS // 2)]
    full = [
        {"permissionSets": [{"allowedPermissions": half}]},
        {"permissionSets": [{"deniedPermissions": half}]},
    ]
    over = [*full, {"permissionSets": [{"deniedPermissions": [entry("one more")]}]}]

    def column(rows: Any) -> pa.Array:
        return pa.array(rows, pa.list_(LEVEL)) if typed else pa.array([json.dumps(row) for row in rows])

    assert sent(column([full])) == [full]
    with pytest.raises(
        DocumentError, match="document test://1: permissions: permissions hold 5,001 identities"
    ):
        sent(column([full, over]))
    with pytest.raises(DataError, match="5,001"):
        Permissions.parse(over)


PUBLIC: list[Any] = [
    [{"allowAnonymous": True, "allowedPermissions": [entry("a")]}],
    [
        {"permissionSets": [{"allowAnonymous": True}]},
        {"permissionSets": [{"allowedPermissions": [entry("a")]}]},
    ],
]
NOT_NEEDLESS: list[Any] = [
    [{"allowAnonymous": True, "deniedPermissions": [entry("a")]}],
    [{"allowAnonymous": True}, {"allowedPermissions": [entry("a")]}],
    [
        {"permissionSets": [{"allowedPermissions": [entry("a")]}]},
        {"permissionSets": [{"allowAnonymous": True}]},
    ],
    [],
]


@pytest.mark.parametrize("way", ["typed", "text", "document"])
@pytest.mark.parametrize("value", [*PUBLIC, *NOT_NEEDLESS])
def test_an_item_that_names_users_and_is_public_is_warned_of(
    caplog: pytest.LogCaptureFixture, way: str, value: Any
) -> None:
    """The names change nothing there."""
    caplog.set_level(logging.WARNING)
    if way == "document":
        encode_document({"documentId": "test://0", "permissions": value})
    else:
        has_levels = value and "permissionSets" in value[0]
        typed = pa.array([value, value], pa.list_(LEVEL if has_levels else SET))
        sent(typed if way == "typed" else pa.array([json.dumps(value)] * 2))

    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == (value in PUBLIC)
    assert all(
        "document test://0 names allowed users" in text and "it is public" in text for text in warnings
    )


def test_models_may_stand_in_a_document() -> None:
    """As they are, in a list or as one value."""
    expected = [{"allowAnonymous": False, "allowedPermissions": [entry("a")]}]
    given = PermissionSet(allowed_permissions=(user("a"),))

    for value in ([given], Permissions([given])):
        assert (
            json.loads(encode_document({"documentId": "a:b", "permissions": value}))["permissions"]
            == expected
        )


def test_sets_among_levels_are_refused() -> None:
    """The API tells the models apart by the entries."""
    with pytest.raises(DataError, match="levels"):
        Permissions([PermissionSet(), PermissionLevel("L", (PermissionSet(),))])  # type: ignore[arg-type]


FRAME = pd.DataFrame(
    {
        "n": ["1", "2", "3"],
        "users": ["ann; bob;;ann", None, ""],
        "groups": [["HR", " "], [], None],
        "blocked": [None, "eve", float("nan")],
        "open": [False, None, True],
    }
)


def mapped(rule: Any) -> list[Any]:
    """Return what a rule makes of the frame, as it is sent."""
    frame = DocumentMapping("test://{n}", fields={"permissions": rule}).apply(FRAME)
    return [document["permissions"] for document in encode(to_table(frame, "frame"))]


def test_columns_become_one_permission_set() -> None:
    """From lists and from separated texts; a row with nobody in it is seen by nobody."""
    made = mapped(
        PermissionColumns(
            allowed_users="users",
            allowed_groups="groups",
            denied_users="blocked",
            allow_anonymous="open",
            security_provider="P",
        )
    )

    ann, bob, eve = (entry(name, securityProvider="P") for name in ("ann", "bob", "eve"))
    hr = {"identity": "HR", "identityType": "Group", "securityProvider": "P"}
    assert made == [
        [{"allowAnonymous": False, "allowedPermissions": [ann, bob, hr], "deniedPermissions": []}],
        [{"allowAnonymous": False, "allowedPermissions": [], "deniedPermissions": [eve]}],
        [{"allowAnonymous": True, "allowedPermissions": [], "deniedPermissions": []}],
    ]


def test_columns_become_levels() -> None:
    """By name, first one first, of one set or several."""
    made = mapped(
        PermissionLevels(
            {
                "File": PermissionColumns(allowed_users="users"),
                "Folder": [
                    PermissionColumns(allowed_groups="groups"),
                    PermissionColumns(denied_users="blocked"),
                ],
            }
        )
    )

    assert [[(level["name"], len(level["permissionSets"])) for level in row] for row in made] == [
        [("File", 1), ("Folder", 2)]
    ] * 3
    assert made[1][1]["permissionSets"][1]["deniedPermissions"] == [entry("eve")]


def test_missing_columns_of_permissions_are_named_with_all_others() -> None:
    """Before any row is read."""
    rule = PermissionLevels(
        {"a": PermissionColumns(allowed_users="who"), "b": PermissionColumns(denied_groups="not")}
    )
    with pytest.raises(MappingError, match=r"'who' \(for permissions\), 'not' \(for permissions\)"):
        DocumentMapping("test://{n}", fields={"permissions": rule}).check(FRAME)


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (PermissionColumns(), "no column is named"),
        (PermissionColumns(allowed_users="users", separator=""), "separator is empty"),
        (PermissionLevels({}), "one level at least"),
        (PermissionLevels({"a": []}), "a set in each"),
        (PermissionColumns(allowed_users="open"), "row 0: column 'open' holds False, expected names"),
        (
            PermissionColumns(allow_anonymous="users"),
            "row 0: column 'users' holds 'ann; bob;;ann', expected true",
        ),
    ],
)
def test_rules_that_cannot_be_meant_are_refused(rule: Any, problem: str) -> None:
    """Nothing is guessed about who sees a document."""
    with pytest.raises(MappingError, match=problem):
        mapped(rule)


@pytest.mark.parametrize("kind", [pd.DataFrame, pa.table])
@pytest.mark.parametrize("column", ["allowed_users", "allowed_groups", "denied_users", "denied_groups"])
@pytest.mark.parametrize("names", [["ann", None], [None]])
def test_a_null_among_names_is_refused(kind: Any, column: str, names: list[Any]) -> None:
    """Whoever was meant there, leaving a denial out would widen access."""
    rule = PermissionColumns(**{column: "who"})
    mapping = DocumentMapping("test://{n}", fields={"permissions": rule})

    with pytest.raises(MappingError, match="row 1: column 'who' holds the name None, expected a text"):
        mapping.apply(kind({"n": [1, 2], "who": [None, names]}))


_NAMES = st.lists(st.text("ab ;", max_size=4), max_size=4)


@given(
    st.lists(
        st.tuples(_NAMES, st.text("ab ;", max_size=6), st.booleans() | st.none()), min_size=1, max_size=4
    )
)
def test_names_are_taken_one_by_one_as_by_column(rows: list[tuple[list[str], str, bool | None]]) -> None:
    """Without blanks, each once and in their order; users before groups; a row with nobody hides the item."""

    def said(names: list[str], kind: str) -> list[dict[str, str]]:
        present = dict.fromkeys(name.strip() for name in names if name.strip())
        return [{"identity": name, "identityType": kind} for name in present]

    lists, texts, public = zip(*rows, strict=True)
    table = pa.table(
        {"n": list(map(str, range(len(rows)))), "l": lists, "t": texts, "p": pa.array(public, pa.bool_())}
    )
    rule = PermissionColumns(allowed_users="l", allowed_groups="t", denied_groups="l", allow_anonymous="p")
    made = DocumentMapping("test://{n}", fields={"permissions": rule}).apply(table)

    assert [document["permissions"] for document in encode(made)] == [
        [
            {
                "allowAnonymous": bool(flag),
                "allowedPermissions": [*said(names, "User"), *said(text.split(";"), "Group")],
                "deniedPermissions": said(names, "Group"),
            }
        ]
        for names, text, flag in rows
    ]


def test_a_name_that_is_a_number_is_refused() -> None:
    """7.0 is not 7."""
    frame = FRAME.assign(users=[[7.0], None, None])
    with pytest.raises(MappingError, match=r"row 0: column 'users' holds the name 7.0"):
        DocumentMapping("test://{n}", fields={"permissions": PermissionColumns(allowed_users="users")}).apply(
            frame
        )
