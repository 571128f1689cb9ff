"""What users mix up in the arguments of a transform: refused by name, with the cure, before any row is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from coveo_provider._compat import AirflowFailException, AirflowSkipException
from coveo_provider.documents import Constant, DocumentMapping, Split, Template
from coveo_provider.errors import MappingError
from coveo_provider.operators import CoveoTransformOperator
from tests.operators.conftest import run

MAPPING = DocumentMapping(document_id="product://{sku}", fields={"ec_name": "name"})


def transformed(folder: Path, **options: Any) -> None:
    """Transform a small file."""
    source = folder / "feed.csv"
    source.write_text("sku,name\n1,One\n2,Two\n")
    options = {"mapping": MAPPING, **options}
    output = (folder / "documents").as_uri()
    run(CoveoTransformOperator(task_id="t", source=source.as_uri(), output=output, **options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"mapping": {"documentId": "product://{sku}"}},
            "mapping must be a DocumentMapping: DocumentMapping\\(",
        ),
        ({"mapping": DocumentMapping}, "mapping must be a DocumentMapping"),
        ({"mapping": lambda frame: frame}, "A function of a DataFrame is given as transform"),
        ({"transform": MAPPING}, "transform must be a function .* Give a DocumentMapping as mapping"),
        ({"transform": "mine.cleaned"}, "transform must be a function .* not 'mine.cleaned'"),
        ({"dtypes": ["sku"]}, "dtypes must be a mapping of columns to dtypes, .* not \\['sku'\\]"),
        ({"dtypes": {"sku": None}}, "dtypes: None of column 'sku' is no dtype"),
        ({"stream": "no"}, "stream must be True or False, not 'no'"),
    ],
)
def test_a_wrong_argument_is_named(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    """Instead of an AttributeError from within."""
    with pytest.raises(AirflowFailException, match=message):
        transformed(tmp_path, **options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DocumentMapping(None), "document_id must be the text of a template"),  # type: ignore[arg-type]
        (lambda: DocumentMapping(Template("p://{sku}")), "document_id must be"),  # type: ignore[arg-type]
        (lambda: DocumentMapping("p://{sku}", ["name"]), "fields must be a mapping"),  # type: ignore[arg-type]
        (lambda: DocumentMapping("p://{sku}", {5: "name"}), "fields must be a mapping"),  # type: ignore[dict-item]
        (lambda: DocumentMapping("p://{sku}", keep={"a": "b"}), "keep must be '\\*', a column's name"),
        (lambda: DocumentMapping("p://{sku}", keep=None), "keep must be"),  # type: ignore[arg-type]
        (lambda: DocumentMapping("p://{sku}", drop=[5]), "drop must be a column's name"),  # type: ignore[list-item]
        (lambda: Template(None), "Template expects a text"),  # type: ignore[arg-type]
        (lambda: Split(["tags"], ";"), "Split expects a column's name"),  # type: ignore[arg-type]
        (lambda: Split("tags", ""), "separator of one character or more"),
    ],
)
def test_a_wrong_mapping_is_refused_as_it_is_made(make: Callable[[], Any], message: str) -> None:
    """While the DAG is parsed, which shows it at once."""
    with pytest.raises(MappingError, match=message):
        make()


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (DocumentMapping("sku"), "document_id is a template, in which columns stand in braces"),
        (DocumentMapping("p://{sku}", {"objecttype": "Product"}), "a fixed text is Constant"),
        (DocumentMapping("p://{sku}", {"uri": Constant}), "is no rule"),  # type: ignore[dict-item]
    ],
)
def test_the_cure_of_a_mapping_that_does_not_fit_is_told(
    tmp_path: Path, mapping: DocumentMapping, message: str
) -> None:
    """Of what newcomers write first."""
    with pytest.raises(AirflowFailException, match=message):
        transformed(tmp_path, mapping=mapping)


def failing(frame: pd.DataFrame) -> Any:
    """Fail as a typing mistake does."""
    raise ValueError("no\nnmae")


@pytest.mark.parametrize(
    ("options", "which"),
    [
        ({"transform": failing}, "the function given as transform failed"),
        (
            {"mapping": DocumentMapping("p://{sku}", {"ec_name": failing})},
            "ec_name: the function given in the mapping failed",
        ),
    ],
)
def test_a_function_that_fails_is_told_first_with_file_and_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: dict[str, Any], which: str
) -> None:
    """In one line; its own exception goes on to Airflow."""
    with pytest.raises(ValueError, match="nmae"):
        transformed(tmp_path, **options)

    logged = capsys.readouterr()
    [line] = [line for line in logged.out.splitlines() if "[error" in line]
    assert f"feed.csv, rows 0 to 1: {which}: ValueError: no nmae" in line
    assert "Traceback" not in logged.out + logged.err


def test_a_function_may_skip_the_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Which is no error."""

    def skipped(frame: pd.DataFrame) -> pd.DataFrame:
        raise AirflowSkipException("nothing new")

    with pytest.raises(AirflowSkipException):
        transformed(tmp_path, transform=skipped)
    assert "[error" not in capsys.readouterr().out
