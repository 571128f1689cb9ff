"""A null in permissions is refused by name: to leave it out could let more people see the item."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coveo_provider.documents import (
    PermissionIdentity,
    PermissionLevel,
    Permissions,
    PermissionSet,
    encode_document,
    explain_access,
    survey_access,
)
from coveo_provider.documents.dataset.tables import to_table
from coveo_provider.documents.permissions.reading import permissions_text
from coveo_provider.errors import DataError, DocumentError
from coveo_provider.identities.graph import IdentityGraph
from tests.documents.permissions.test_permissions import LEVEL, SET, entry, models, quick, sent

GIVEN: list[tuple[Any, str]] = [
    ([{"allowAnonymous": True}, None], "[1]"),
    ([None], "[0]"),
    ([None, {"allowAnonymous": True}], "[0]"),
    ([{"deniedPermissions": [None]}], "[0].deniedPermissions[0]"),
    ([{"allowedPermissions": [entry("a"), None]}], "[0].allowedPermissions[1]"),
    ([{"permissionSets": [{"allowAnonymous": True}, None]}], "[0].permissionSets[1]"),
    ([{"permissionSets": [{}]}, None], "[1]"),
    ([{"permissionSets": [{"deniedPermissions": [None]}]}], "[0].permissionSets[0].deniedPermissions[0]"),
]  # fmt: skip
KEYS: list[tuple[Any, str]] = [
    ([{"deniedPermissions": None}], "[0].deniedPermissions"),
    ([{"allowAnonymous": True, "DeniedPermissions": None}], "[0].DeniedPermissions"),
    ([{"permissionSets": None}], "[0].permissionSets"),
    ([{"allowedPermissions": [{"identity": None, "identityType": "User"}]}], "[0].allowedPermissions[0].identity"),
    ([{"allowedPermissions": [{"identity": "a", "identityType": None}]}], "[0].allowedPermissions[0].identityType"),
]  # fmt: skip


def typed(value: Any) -> pa.Array:
    return pa.array([[], value], pa.list_(LEVEL if "permissionSets" in str(value) else SET))


@pytest.mark.parametrize(("value", "path"), [*GIVEN, *KEYS])
def test_a_null_is_refused_where_it_stands(value: Any, path: str) -> None:
    """In a text, in a value, in a document given inline."""
    problem = f"null stands at {path}, and"
    for given_as in (value, json.dumps(value), _arrays(value), _nan(value)):
        with pytest.raises(ValueError) as raised:
            permissions_text(given_as)
        assert str(raised.value).startswith(problem)
        with pytest.raises(DataError) as refused:
            explain_access(given_as, None)
        assert problem in str(refused.value)
        with pytest.raises(DocumentError) as named:
            encode_document({"documentId": "a:1", "permissions": given_as})
        assert str(named.value).startswith(f"document a:1: permissions: {problem}")
    with pytest.raises(DocumentError) as named:
        sent(pa.array([None, json.dumps(value)]))
    assert str(named.value).startswith(f"document test://1: permissions: {problem}")


@pytest.mark.parametrize(("value", "path"), GIVEN)
def test_a_null_in_a_typed_column_is_refused(value: Any, path: str) -> None:
    """Among the entries of any list; a key of a struct that is null is one that is not there."""
    frame = to_table(pd.DataFrame({"permissions": [[], value]}), "frame")["permissions"]
    for column in (typed(value), typed(value).cast(pa.large_list(typed(value).type.value_type)), frame):
        column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        if pa.types.is_null(column.type.value_type):
            continue  # refused by its type
        with pytest.raises(DocumentError) as named:
            sent(column)
        assert str(named.value).startswith(f"document test://1: permissions: null stands at {path}, and")
        with pytest.raises(DataError, match="null stands at"):
            survey_access(column, IdentityGraph())


@pytest.mark.parametrize(
    "build",
    [
        lambda: Permissions([None]),  # type: ignore[arg-type]
        lambda: Permissions(None),  # type: ignore[arg-type]
        lambda: PermissionLevel("a", (PermissionSet(), None)),  # type: ignore[arg-type]
        lambda: PermissionLevel("a", None),  # type: ignore[arg-type]
        lambda: PermissionLevel(None, (PermissionSet(),)),  # type: ignore[arg-type]
        lambda: PermissionSet(denied_permissions=(None,)),  # type: ignore[arg-type]
        lambda: PermissionSet(denied_permissions=None),  # type: ignore[arg-type]
        lambda: PermissionSet(allow_anonymous=None),  # type: ignore[arg-type]
        lambda: PermissionIdentity(None, "User"),  # type: ignore[arg-type]
        lambda: PermissionIdentity("a", None),  # type: ignore[arg-type]
    ],
)
def test_a_null_in_the_models_is_refused(build: Any) -> None:
    """Before there is any model."""
    with pytest.raises(DataError):
        build()


def test_what_may_be_null() -> None:
    """Keys whose absence lets nobody in, and permissions as a whole, which are then not stated."""
    value = [{"allowAnonymous": None, "allowedPermissions": [entry("a", securityProvider=None)]}]
    assert Permissions.parse(value) == Permissions.parse([{"allowedPermissions": [entry("a")]}])
    assert b"permissions" not in encode_document({"documentId": "a:1", "permissions": None})
    assert sent(pa.array([None, "[]"])) == [None, []]


@quick
@given(models, st.data())
def test_a_null_anywhere_is_refused_and_nothing_else_is(model: Permissions, data: st.DataObject) -> None:
    """Put into any list of what is fine without it."""
    value = model.to_json()
    assert permissions_text(value) is not None
    lists = [[], *_lists(value)]
    chosen = data.draw(st.sampled_from(range(len(lists))))
    broken = copy.deepcopy(value)
    one = [broken, *_lists(broken)][chosen]
    one.insert(
        data.draw(st.integers(0, len(one))), data.draw(st.sampled_from([None, float("nan"), pd.NA, pd.NaT]))
    )
    with pytest.raises(ValueError, match="null stands at"):
        permissions_text(broken)
    plain = _plain(broken)
    with pytest.raises(ValueError, match="null stands at"):
        permissions_text(json.dumps(plain))
    with pytest.raises(DocumentError, match="document test://1: permissions: null stands at"):
        sent(typed(plain))


def _lists(value: Any) -> Iterator[list[Any]]:
    """Return every list in permissions but the outermost."""
    for each in value if isinstance(value, list) else value.values() if isinstance(value, dict) else ():
        if isinstance(each, list):
            yield each
        yield from _lists(each)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value if isinstance(value, (str, bool)) else None


def _arrays(value: Any) -> Any:
    """Return lists as arrays, as pandas has them of Parquet."""
    if isinstance(value, dict):
        return {key: _arrays(each) for key, each in value.items()}
    if not isinstance(value, list):
        return value
    array = np.empty(len(value), object)
    array[:] = [_arrays(each) for each in value]
    return array


def _nan(value: Any) -> Any:
    """Return nulls as pandas has them."""
    if isinstance(value, list):
        return [_nan(each) for each in value]
    if isinstance(value, dict):
        return {key: _nan(each) for key, each in value.items()}
    return float("nan") if value is None else value
