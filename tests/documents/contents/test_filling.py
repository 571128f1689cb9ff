"""Files become the contents of documents."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coveo_provider.documents.contents import files as content_files
from coveo_provider.documents.contents import filling as contents
from coveo_provider.documents.contents.files import ContentSpool
from coveo_provider.documents.contents.filling import fill
from coveo_provider.documents.contract import COMPRESSION_TYPES, PUSH_ITEM_BYTES, Section
from coveo_provider.documents.encoding.batches import Encoder
from coveo_provider.documents.encoding.chunks import ChunkWriter
from coveo_provider.documents.encoding.documents import encode_document
from coveo_provider.documents.encoding.items import encode_item
from coveo_provider.documents.encoding.rows import Rows
from coveo_provider.documents.records import Encoded
from coveo_provider.errors import DatasetError, DocumentError, DocumentTooLarge
from tests.contents import DECOMPRESS, batch_of, inline_content, opener

LIMIT = 3_000


def encode(batch: pa.RecordBatch) -> Encoded:
    return Encoder(batch.schema, where="part-0", item_limit=LIMIT).encode(batch)


def filled(batch: pa.RecordBatch, files: dict[str, bytes], folder: Path) -> list[dict[str, Any]]:
    """Return the documents of a batch, those with a content of its own with that as ``content``."""
    with ContentSpool(opener(files), str(folder)) as spool:
        documents = [document for piece in fill(encode(batch), spool, LIMIT) for document in read(piece)]
    assert not list(folder.iterdir())
    return documents


def read(piece: Encoded) -> list[dict[str, Any]]:
    found = []
    attachments = {file.offset: file for file in piece.attachments}
    for start, end in pairwise([0, *piece.ends.tolist()]):
        text = bytes(piece.data[start:end])
        assert text.endswith(b",")
        document = json.loads(text[:-1])
        assert len(text) - 1 <= LIMIT
        if attachments.keys() & set(range(start, end)):
            offset = next(iter(attachments.keys() & set(range(start, end))))
            file = attachments.pop(offset)
            assert (
                bytes(piece.data[offset : offset + 64])
                == json.dumps(document["compressedBinaryDataFileId"]).encode()
            )
            packed = file.path.read_bytes()
            assert len(packed) == file.size
            document["content"] = DECOMPRESS[document["compressionType"]](packed)
        elif "compressedBinaryData" in document:
            document["content"] = inline_content(document)
        found.append(document)
    assert not attachments
    return found


@settings(deadline=None, max_examples=150)
@given(
    rows=st.lists(
        st.tuples(
            st.one_of(
                st.none(),
                st.binary(max_size=50),
                st.builds(lambda seed, size: (seed * (size // len(seed) + 1))[:size],
                          st.binary(min_size=1, max_size=3_000), st.integers(0, 5_000)),
            ),
            st.one_of(st.none(), st.sampled_from([*COMPRESSION_TYPES, "gzip", "Deflate"])),
            st.text(max_size=30),
        ),
        min_size=1,
        max_size=30,
    ),
    piece=st.integers(1, 20_000),
)  # fmt: skip
def test_what_was_in_the_files_is_in_the_documents(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[bytes | None, str | None, str]], piece: int
) -> None:
    """Whatever the compression, inline or apart, in any mixture with documents that name no file."""
    files = {f"s3://bucket/{n}.pdf": data for n, (data, _, _) in enumerate(rows) if data is not None}
    batch = batch_of(
        documentId=[f"file://{n}" for n in range(len(rows))],
        contentUri=pa.array(
            [None if data is None else f"s3://bucket/{n}.pdf" for n, (data, _, _) in enumerate(rows)], pa.string()
        ),
        CompressionType=pa.array([row[1] for row in rows], pa.string()),
        title=[row[2] for row in rows],
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contents, "_PIECE_BYTES", piece)
        documents = filled(batch, files, tmp_path_factory.mktemp("spool"))

    assert [document["documentId"] for document in documents] == [f"file://{n}" for n in range(len(rows))]
    for document, (data, compression, title) in zip(documents, rows, strict=True):
        assert document.get("content") == data
        assert document["title"] == title
        assert "contentUri" not in document
        given_type = compression and compression.upper()
        assert document.get("compressionType") == (given_type if data is None else given_type or "ZLIB")
        assert document.get("fileExtension") == (None if data is None else ".pdf")


@pytest.mark.parametrize("size", [2_000, 3_000])
def test_a_content_is_inline_as_long_as_the_whole_document_is_below_the_limit(
    tmp_path: Path, size: int
) -> None:
    """The bound is on the document as it is sent, Base64, keys and all."""
    frame = len(encode_document({"documentId": "file://a", "compressionType": "UNCOMPRESSED",
                                 "compressedBinaryData": ""}))  # fmt: skip
    fits = (LIMIT - frame) // 4 * 3
    batch = batch_of(
        documentId=["file://a"] * 2, contentUri=["x://a", "x://b"], compressionType=["UNCOMPRESSED"] * 2
    )
    small, large = filled(batch, {"x://a": b"a" * fits, "x://b": b"b" * (fits + 1)}, tmp_path)

    assert "compressedBinaryData" in small
    assert "compressedBinaryDataFileId" in large


def test_columns_that_are_given_are_kept(tmp_path: Path) -> None:
    """Other bodies, types and extensions stand where no file is named, and an extension goes before the file's."""
    batch = batch_of(
        documentId=["file://a", "file://b", "file://c"],
        contentURI=["s3://b/one.PDF", None, "s3://b/two"],
        fileextension=pa.array([".bin", ".txt", None]).dictionary_encode(),
        compressedbinarydatafileid=[None, "an-id", None],
        data=pa.nulls(3, pa.string()),
    )
    one, two, three = filled(batch, {"s3://b/one.PDF": b"1", "s3://b/two": b""}, tmp_path)

    assert (one["content"], one["fileExtension"]) == (b"1", ".bin")
    assert two == {
        "documentId": "file://b",
        "fileExtension": ".txt",
        "compressedBinaryDataFileId": "an-id",
    }
    assert three["content"] == b""
    assert "fileExtension" not in three


def test_a_column_without_any_uri_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    """Also one of type null."""
    for column in (pa.nulls(1), pa.nulls(1, pa.string())):
        batch = batch_of(documentId=["file://a"], contentUri=column, title=["A"])
        assert filled(batch, {}, tmp_path) == [{"documentId": "file://a", "title": "A"}]


def test_rows_given_inline_name_files_too(tmp_path: Path) -> None:
    """The same as in a dataset."""
    rows = Rows(
        [
            {"documentId": "file://a", "contenturi": "x://a.html", "compressiontype": "gzip"},
            {"documentId": "file://b", "contentUri": float("nan")},
        ],
        "documents",
    )
    with ContentSpool(opener({"x://a.html": b"<p>"}), str(tmp_path)) as spool:
        (encoded,) = rows.encode(Section.ADD_OR_UPDATE, LIMIT)
        documents = [document for piece in fill(encoded, spool, LIMIT) for document in read(piece)]

    assert documents[0]["content"] == b"<p>"
    assert (documents[0]["compressionType"], documents[0]["fileExtension"]) == ("GZIP", ".html")
    assert documents[1] == {"documentId": "file://b"}


# Refused by name, before anything is sent


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"contentUri": ["x://gone.pdf"]}, ["file://a", "x://gone.pdf", "missing"]),
        ({"contentUri": [" "]}, ["file://a", "contentUri is empty", "null"]),
        ({"contentUri": ["x://a"], "data": ["text"]}, ["file://a", "contentUri and data", "one body"]),
        ({"contentUri": ["x://a"], "compressedBinaryData": [b""]}, ["contentUri and compressedBinaryData"]),
        ({"contentUri": ["x://a"], "compressedBinaryDataFileId": ["id"]}, ["and compressedBinaryDataFileId"]),
        ({"contentUri": ["x://a"], "compressionType": ["ZIP"]}, ["file://a", "ZLIB, GZIP"]),
        ({"contentUri": ["x://a"], "fileExtension": ["pdf"]}, ["file://a", "leading dot"]),
        ({"contentUri": [7]}, ["contentUri", "int64", "strings"]),
        ({"contentUri": [b"x://a"]}, ["contentUri", "binary", "strings"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, columns: dict[str, Any], words: list[str]) -> None:
    """Document and file, and what was expected."""
    with pytest.raises((DocumentError, DatasetError)) as raised:
        filled(batch_of(documentId=["file://a"], **columns), {"x://a": b""}, tmp_path)
    assert all(word in str(raised.value) for word in words), raised.value


def test_a_row_without_an_id_is_named_by_its_place() -> None:
    """The number of the row in the part."""
    batch = batch_of(documentId=pa.array([None], pa.string()), contentUri=[""])
    with pytest.raises(DocumentError, match="in row 7 of part-0"):
        Encoder(batch.schema, where="part-0", item_limit=LIMIT).encode(batch, 7)


@pytest.mark.parametrize("compression", COMPRESSION_TYPES)
def test_a_content_too_large_for_a_container_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str
) -> None:
    """By its compressed size, which is what is sent."""
    monkeypatch.setattr(content_files, "MAX_CHUNK_BYTES", 200)
    noise = bytes(range(256)) * 2 if compression == "UNCOMPRESSED" else os.urandom(512)
    batch = batch_of(documentId=["file://a"], contentUri=["x://a.bin"], compressionType=[compression])

    with pytest.raises(DocumentError, match=r"file://a: its content x://a\.bin has .*limit of 200 bytes"):
        filled(batch, {"x://a.bin": noise}, tmp_path)
    assert compression == "UNCOMPRESSED" or filled(batch, {"x://a.bin": b"a" * 5_000}, tmp_path)


def test_names_of_files_are_not_sent() -> None:
    """What nobody reads is refused, as it would be sent as metadata."""
    encoded = encode(batch_of(documentId=["file://a"], contentUri=["x://a"]))
    with ChunkWriter() as writer, pytest.raises(DatasetError, match="file://a: contentUri names a file"):
        writer.add(encoded, Section.ADD_OR_UPDATE)
    with pytest.raises(DocumentError, match="contentUri names a file"):
        encode_document({"documentId": "file://a", "CONTENTURI": "x://a"})
    assert encode_document({"documentId": "file://a", "contentUri": None}) == b'{"documentId":"file://a"}'


@pytest.mark.parametrize("column", ["contentUriOwners", "CONTENTURIOWNERS"])
def test_whose_a_file_is_goes_to_whoever_opens_it(tmp_path: Path, column: str) -> None:
    """And is no metadata, with a file or without."""
    batch = batch_of(
        documentId=["x://1", "x://2", "x://3"],
        contentUri=["x://a.txt", "x://b.txt", None],
        **{column: ["0:0:755/1:1:644", None, "0:0:700"]},
    )
    opened = []

    @contextmanager
    def open_file(uri: str, roots: tuple[str, ...], **bounds: Any) -> Iterator[IO[bytes]]:
        opened.append((uri, bounds))
        yield io.BytesIO(b"text")

    with ContentSpool(open_file, str(tmp_path)) as spool:
        (sent,) = fill(encode(batch), spool, LIMIT)
    assert b"wners" not in bytes(sent.data)
    assert sorted(opened) == [("x://a.txt", {"owners": "0:0:755/1:1:644"}), ("x://b.txt", {})]
    alone = encode(batch_of(documentId=["x://1"], contentUriOwners=["0:0:700"]))
    assert bytes(alone.data) == b'{"documentId":"x://1"},'


# One document


def test_one_document_with_its_content(tmp_path: Path) -> None:
    """For a call of its own, which takes compressionType apart."""
    with ContentSpool(opener({"x://a.txt": b"text"}), str(tmp_path)) as spool:
        item = encode_item(
            {"documentId": "file://a", "contentUri": "x://a.txt", "compressionType": "Deflate"}, spool
        )
        plain = encode_item(
            {"documentId": "file://b", "data": "text", "compressionType": float("nan")}, spool
        )

    body = json.loads(item.body)
    assert item.compression == "DEFLATE"
    assert inline_content({**body, "compressionType": "DEFLATE"}) == b"text"
    assert body.keys() == {"documentId", "compressedBinaryData", "fileExtension"}
    assert (json.loads(plain.body), plain.compression) == ({"documentId": "file://b", "data": "text"}, None)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"documentId": "file://a", "contentUri": "x://gone"}, "x://gone is missing"),
        ({"documentId": "file://a", "contentUri": 7}, "contentUri is int"),
        ({"documentId": "file://a", "contentUri": "x://a", "data": ""}, "contentUri and data"),
        ({"documentId": "file://a", "contentUri": "x://a", "compressionType": "ZIP"}, "compressionType"),
        ({"contentUri": "x://a"}, "documentId is missing"),
        ({"documentId": "file://a", "data": "x" * PUSH_ITEM_BYTES}, "over the limit"),
    ],
)
def test_what_is_wrong_with_one_document_is_named(
    tmp_path: Path, document: dict[str, Any], words: str
) -> None:
    """Before anything is sent."""
    with (
        ContentSpool(opener({"x://a": b""}), str(tmp_path)) as spool,
        pytest.raises(DocumentError, match=words),
    ):
        encode_item(document, spool)


def test_one_document_below_the_limit_by_a_byte(tmp_path: Path) -> None:
    """The service takes bodies under 5 MiB, not of 5 MiB."""
    frame = len(encode_document({"documentId": "file://a", "data": ""}))
    with ContentSpool(opener({}), str(tmp_path)) as spool:
        text = "x" * (PUSH_ITEM_BYTES - frame)
        assert len(encode_item({"documentId": "file://a", "data": text}, spool).body) == PUSH_ITEM_BYTES
        with pytest.raises(DocumentTooLarge):
            encode_item({"documentId": "file://a", "data": f"{text}x"}, spool)
