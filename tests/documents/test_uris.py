"""How the URI of a file is read: literally, in one place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from coveo_provider.documents.contents.files import extension_of
from coveo_provider.documents.uris import (
    encoded_place,
    file_name,
    local_path,
    other_spelling,
    shown_uri,
    without_query,
)
from coveo_provider.errors import DatasetError


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///d/catalog#2024/part-0.parquet", "/d/catalog#2024/part-0.parquet"),
        ("file:///d/C#", "/d/C#"),
        ("file:///d/why?", "/d/why?"),
        ("file:///d/a?b=c#d", "/d/a?b=c#d"),
        ("file:///d/a%20b%23", "/d/a%20b%23"),
        ("file:///d/a b é", "/d/a b é"),
        ("file:///d/[x]*{y}", "/d/[x]*{y}"),
        ("file:///d/std::vector", "/d/std::vector"),
        ("file:///d/a\tb\n", "/d/a\tb\n"),
        ("file:///d/ x ", "/d/ x "),
        ("file:///d/x/", "/d/x"),
        ("file:///d//x", "/d//x"),
        ("file:////d/x", "/d/x"),
        ("file:///d/../x", "/d/../x"),
        ("file:///C:/x", "/C:/x"),
        ("file:///d/~", "/d/~"),
        ("file:///user@host/x", "/user@host/x"),
        ("file://conn@/d/x", "/d/x"),
        ("file:/d/x", "/d/x"),  # as Java writes it
        ("FILE:///d/x", "/d/x"),
        ("local:///d/x", "/d/x"),
        ("/d/a#b?c%20", "/d/a#b?c%20"),
        ("//d/x", "/d/x"),
        ("d/a#", f"{os.getcwd()}/d/a#"),
        ("s3://bucket/k", None),
        ("https://host/a", None),
        ("memory:///a", None),
    ],
)
def test_a_name_is_read_literally(uri: str, path: str | None) -> None:
    """No character of it means anything else."""
    assert local_path(uri) == path


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("file://localhost/d/x", "names the host localhost"),
        ("file://d/x", "names the host d"),
        ("file://~/x", "names the host ~"),
        ("~/x", "~"),
        ("file:d/x", "expected file:///path"),
        ("file://", "expected file:///path"),
        ("s3:bucket/k", "expected s3://place/path"),
        ("C:\\x", "expected file:///path"),
        ("file:///d/a\0b", "no URI"),
    ],
)
def test_what_would_lead_elsewhere_is_refused(uri: str, problem: str) -> None:
    """The storage's library takes some of them for paths below the folder in which the worker happens to run."""
    with pytest.raises(DatasetError) as raised:
        local_path(uri)
    assert problem in str(raised.value)


@pytest.mark.parametrize(
    ("uri", "extension"),
    [
        ("file:///d/Intro to C#.pdf", ".pdf"),
        ("file:///d/C#", None),
        ("/d/why?.html", ".html"),
        ("s3://bucket/100% #1?.docx", ".docx"),
        ("file:///d/a.tar.gz", ".gz"),
        ("file:///d/no extension", None),
        ("file:///d/.hidden", None),
        ("file:///d/.hidden.txt", ".txt"),
        ("file:///d/x.PDF", ".pdf"),
        ("file:///d/report.v2", ".v2"),
        ("file:///d/report 1.2", None),
        ("https://h/a.pdf?sig=x.y#page=2", ".pdf"),
        ("https://h/a.pdf#page=2", ".pdf"),
        ("https://h/Intro%20to%20C%23.pdf", ".pdf"),
        ("https://h/a?file=b.pdf", None),
        ("https://h.example.com", None),
        ("HTTPS://h/a.PDF?x", ".pdf"),
        ("https://[h/a.pdf", ".pdf"),
    ],
)
def test_the_extension_is_that_of_the_file(uri: str, extension: str | None) -> None:
    """A query and a fragment are parts of URLs only."""
    assert extension_of(uri) == extension


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("file:///d/a?b=c#d", "file:///d/a?b=c#d"),
        ("file:///d/key?token=x", "file:///d/key?token=x"),
        ("s3://bucket/why?.pdf", "s3://bucket/why?.pdf"),
        ("s3://bucket/a.pdf?X-Amz-Signature=abc", "s3://bucket/a.pdf?…"),
        ("https://h/a.pdf?sig=abc#page=2", "https://h/a.pdf?…"),
        ("https://me:pw@h/a.pdf", "https://…@h/a.pdf"),
        (" https://h/a.pdf?sig=abc", " https://h/a.pdf?…"),
    ],
)
def test_what_is_secret_is_not_shown(uri: str, shown: str) -> None:
    """And what is no secret is."""
    assert shown_uri(uri) == shown


def test_a_query_of_a_url_does_not_name_the_file() -> None:
    """A name that holds a question mark does."""
    assert without_query("https://h/a.pdf?sig=1") == "https://h/a.pdf"
    assert without_query("file:///d/a?1") == "file:///d/a?1"
    assert file_name("file:///d/a?1#2/") == "a?1#2"


def test_a_missing_name_that_is_there_decoded_is_told(tmp_path: Path) -> None:
    """As pathlib's ``as_uri`` writes it."""
    file = tmp_path / "prix d'été.csv"
    file.touch()

    def exists(uri: str) -> bool:
        return os.path.exists(local_path(uri) or "")

    assert f"'file://{file}' exists" in other_spelling(file.as_uri(), exists).replace('"', "'")
    assert "blanks or line ends" in other_spelling(f"{file}\n", exists)
    assert other_spelling((tmp_path / "no such").as_uri(), exists) == ""
    assert other_spelling("https://h/a%20b", lambda _: True) == ""
    assert encoded_place(f"{tmp_path.as_uri()}/new%20folder/x", exists) is None
    assert encoded_place(file.as_uri(), exists) == f"file://{file}"
