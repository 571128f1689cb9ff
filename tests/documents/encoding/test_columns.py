"""What a dataset's columns may be, said before the first row is read."""

from __future__ import annotations

import pyarrow as pa
import pytest

from coveo_provider.documents.encoding.columns import plan_deletions, plan_documents
from coveo_provider.errors import DatasetError

ID = ("documentId", pa.string())


@pytest.mark.parametrize(
    "dtype",
    [
        pa.binary(),
        pa.large_binary(),
        pa.binary_view(),
        pa.binary(4),
        pa.duration("s"),
        pa.month_day_nano_interval(),
        pa.time32("s"),
        pa.time64("us"),
        pa.uuid(),
        pa.list_(pa.list_(pa.string())),
        pa.list_(pa.binary()),
        pa.list_(pa.struct([("a", pa.string())])),
        pa.list_view(pa.string()),
        pa.large_list_view(pa.string()),
        pa.struct([("a", pa.struct([("b", pa.string())]))]),
        pa.struct([("a", pa.list_(pa.string()))]),
        pa.map_(pa.int32(), pa.string()),
        pa.map_(pa.string(), pa.list_(pa.string())),
        pa.dictionary(pa.int8(), pa.binary()),
        pa.run_end_encoded(pa.int32(), pa.string()),
        pa.dense_union([pa.field("a", pa.string())]),
    ],
    ids=str,
)
def test_metadata_of_other_types_is_refused(dtype: pa.DataType) -> None:
    """By its column, before anything of it reaches a library that might not survive it."""
    with pytest.raises(DatasetError, match=r"part-0: column 'photo' holds .*does not take as metadata"):
        plan_documents(pa.schema([ID, ("photo", dtype)]), "part-0")


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("documentId", pa.int64()),
        ("DATA", pa.binary()),
        ("compressedBinaryData", pa.int8()),
        ("compressedBinaryDataFileId", pa.float64()),
        ("compressionType", pa.bool_()),
        ("fileExtension", pa.list_(pa.string())),
        ("parentId", pa.int64()),
        ("permissions", pa.list_(pa.string())),
        ("permissions", pa.struct([("identity", pa.string())])),
        ("permissions", pa.bool_()),
    ],
)
def test_a_reserved_key_of_the_wrong_type_is_refused(name: str, dtype: pa.DataType) -> None:
    """Both types are named."""
    columns = {"documentId": pa.string(), name: dtype}

    with pytest.raises(DatasetError, match=rf"(?i)part-0: column {name} holds .*, expected"):
        plan_documents(pa.schema(columns), "part-0")


def test_bytes_are_pointed_to_the_column_that_takes_them() -> None:
    """The likely mistake is to put them into data."""
    with pytest.raises(DatasetError, match="only compressedBinaryData may hold bytes"):
        plan_documents(pa.schema([ID, ("data", pa.binary())]), "part-0")


def test_all_columns_at_fault_are_named_at_once() -> None:
    """So that a dataset is repaired in one go."""
    schema = pa.schema([ID, ("a", pa.binary()), ("b", pa.time32("s")), ("orderingId", pa.int64())])

    with pytest.raises(DatasetError, match=r"column 'a' .*column 'b' .*orderingId cannot be sent"):
        plan_documents(schema, "part-0")


def test_a_missing_id_column_is_named_with_those_that_are_there() -> None:
    """A misspelling is seen at once."""
    with pytest.raises(DatasetError, match=r"documentId is missing; the columns are: document_id, title"):
        plan_documents(pa.schema([("title", pa.string()), ("document_id", pa.string())]), "part-0")
    with pytest.raises(DatasetError, match="the columns are: none at all"):
        plan_documents(pa.schema([]), "part-0")


def test_an_id_column_without_any_value_is_refused() -> None:
    """It has no type then."""
    with pytest.raises(DatasetError, match="column documentId is empty in every row"):
        plan_documents(pa.schema([("documentid", pa.null())]), "part-0")


@pytest.mark.parametrize(("one", "other"), [("Title", "title"), ("a", "a"), ("É", "é"), ("title", "title")])
def test_columns_that_are_one_key_to_the_api_are_refused(one: str, other: str) -> None:
    """Keys are compared without regard to case (docs 95)."""
    schema = pa.schema([pa.field(*ID), pa.field(one, pa.string()), pa.field(other, pa.string())])

    with pytest.raises(DatasetError, match=f"part-0: columns '{one}' and '{other}' are the same key"):
        plan_documents(schema, "part-0")


@pytest.mark.parametrize("name", ["", " ", "\u2028"])
def test_a_column_without_a_name_is_refused(name: str) -> None:
    """A key has to say something."""
    with pytest.raises(DatasetError, match="a column has no name"):
        plan_documents(pa.schema([ID, (name, pa.string())]), "part-0")


def test_equal_keys_in_an_object_are_refused() -> None:
    """In permissions also those equal but for case, as the API takes its own keys in any."""
    twice = pa.struct([pa.field("x", pa.int8()), pa.field("x", pa.int8())])
    cased = pa.struct([("identity", pa.string()), ("Identity", pa.string())])
    nested = pa.list_(pa.struct([("allowedPermissions", pa.list_(cased))]))

    with pytest.raises(DatasetError, match="column stores has key 'x' twice"):
        plan_documents(pa.schema([ID, ("stores", twice)]), "part-0")
    with pytest.raises(DatasetError, match="column permissions has key 'Identity' twice"):
        plan_documents(pa.schema([ID, ("permissions", nested)]), "part-0")
    assert plan_documents(pa.schema([ID, ("sizes", cased)]), "part-0")


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        (pa.schema([ID, ("title", pa.string())]), "column 'title' has no place in a deletion"),
        (pa.schema([("documentId", pa.int64())]), "column 'documentId' holds int64, expected strings"),
        (pa.schema([ID, ("deleteChildren", pa.string())]), "holds string, expected true or false"),
        (pa.schema([("deleteChildren", pa.bool_())]), "column documentId is missing"),
        (pa.schema([ID, ("DOCUMENTID", pa.string())]), "are the same key"),
    ],
)
def test_a_deletion_holds_its_two_columns_only(schema: pa.Schema, problem: str) -> None:
    """A dataset of documents passed as deletions would otherwise empty a source."""
    with pytest.raises(DatasetError, match=f"part-0: .*{problem}"):
        plan_deletions(schema, "part-0")


def test_a_deletion_may_leave_children_untyped() -> None:
    """A column of nothing but nulls is as good as none."""
    assert plan_deletions(pa.schema([("deleteChildren", pa.null()), ID]), "part-0")
