"""The formats of an extract: each in one class, and no file taken for one that it is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd
import pytest

from coveo_provider.documents.extracts import formats
from coveo_provider.documents.extracts.formats import FORMATS, Csv, Format, Json, Pieces
from coveo_provider.documents.extracts.readers import ReadOptions, read_batches
from coveo_provider.documents.extracts.source_files import SourceFile
from coveo_provider.errors import ConfigurationError
from tests.documents.files import source


@dataclass(frozen=True)
class Words(Format):
    """One column, one word a row: what a further format takes."""

    name: ClassVar[str] = "words"
    suffixes: ClassVar[tuple[str, ...]] = (".words",)

    def read(self, files: Sequence[SourceFile], batch_rows: int) -> Pieces:
        for file in files:
            with file.text() as stream:
                yield file, pd.DataFrame({"word": stream.read().decode().split()})


def test_a_further_format_takes_one_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read by its suffix, and by its name."""
    monkeypatch.setattr(formats, "FORMATS", {**FORMATS, "words": Words})
    monkeypatch.setattr("coveo_provider.documents.extracts.readers.FORMATS", {**FORMATS, "words": Words})
    for name, options in (("a.words", ReadOptions()), ("a", ReadOptions(file_format="words"))):
        (batch,) = read_batches([source(name, b"some words")], options)
        assert list(batch.rows["word"]) == ["some", "words"]


def test_no_two_formats_share_a_suffix() -> None:
    """Each suffix says one thing."""
    suffixes = [suffix for one in FORMATS.values() for suffix in one.suffixes]
    assert len(set(suffixes)) == len(suffixes)


def test_a_format_may_bring_its_options() -> None:
    """In place of its name."""
    options = ReadOptions(file_format=Csv(separator=";"))
    (batch,) = read_batches([source("a.txt", b"x;y\n1;2\n")], options)
    assert list(batch.rows.column_names) == ["x", "y"]

    with pytest.raises(ConfigurationError, match="json_records is for json files, and these are csv"):
        next(read_batches([source("a.csv", b"x\n")], ReadOptions(file_format=Csv(), formats=[Json("data")])))
    with pytest.raises(ConfigurationError, match="csv_separator must be one character"):
        next(read_batches([source("a.csv", b"x\n")], ReadOptions(file_format=Csv(separator=";;"))))
