"""The types of columns of CSV from night to night: no column changes as a whole, and no row without a change."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import DAG

from coveo_provider._compat import AirflowFailException, AirflowSkipException
from coveo_provider.documents import DocumentMapping, Split, Template
from coveo_provider.operators import CoveoTransformOperator
from coveo_provider.task_groups import catalog_refresh, incremental_push
from tests.operators.nights import Night, Nights

MAPPING = DocumentMapping("product://{sku}", fields={"ec_name": "name"}, keep=("price",))


class CsvNight(Night):
    """A night whose extract is CSV."""

    def read(self, text: str, *, keep: bool = True, **options: Any) -> CsvNight:
        raw = self.nights.root / f"night-{self.number}" / "raw.csv"
        raw.parent.mkdir(parents=True, exist_ok=True)
        with raw.open("w") as file:
            file.write(text)
        if keep:
            options["state"] = str(self.nights.state)
        values = {"source": str(raw), "output": str(self.documents), "mapping": MAPPING, **options}
        CoveoTransformOperator(task_id="transform", **values).execute({})
        return self

    def load(self, **options: Any) -> int:
        """Send what changed and remember it; return how many documents that was."""
        units = self.diff(**options)
        self.finalize([self.send(unit) for unit in units], verify=False)
        return int(self.nights.told["changed"])

    def load_or_skip(self) -> int:
        try:
            return self.load()
        except AirflowSkipException:
            return 0


def night(nights: Nights) -> CsvNight:
    return CsvNight(nights, next(nights.nights))


def csv(*prices: str) -> str:
    return "sku,name,price\n" + "".join(f"{n},Shoe {n},{price}\n" for n, price in enumerate(prices))


def prices(nights: Nights) -> list[Any]:
    return [item.get("price") for _, item in sorted(nights.held().items())]


@pytest.mark.parametrize(
    ("first", "second", "sent"),
    [
        (
            ["1.10", "7", "8"],
            ["1.1", "7", "8"],
            ["1.1", "7", "8"],
        ),  # nothing but numbers, and texts all the same
        (["01.20", "7"], ["3", "7"], ["3", "7"]),
        (["5", "7"], ["", "7"], [None, 7]),
        (["", "7"], ["6", "7"], [6, 7]),
        (["0.5", "1.5"], ["2.0", "1.5"], [2.0, 1.5]),
        (["true", "false"], ["", "false"], [None, False]),
    ],
    ids=repr,
)
def test_one_row_changes_and_one_row_is_sent(
    nights: Nights, first: list[str], second: list[str], sent: list[Any]
) -> None:
    """A column keeps its type, whatever comes and goes."""
    night(nights).read(csv(*first)).load()

    assert night(nights).read(csv(*second)).load() == 1

    assert prices(nights) == sent


@pytest.mark.parametrize(
    ("first", "value", "kept"),
    [
        ("5", "2.5", "Int64"),
        ("5", "007", "Int64"),
        ("5", "9223372036854775808", "Int64"),
        ("2.5", "5", "float64"),
        ("2.5", "1.10", "float64"),
        ("2.5", "n/a", "float64"),
        ("true", "True", "boolean"),
        ("true", "1", "boolean"),
    ],
)
def test_a_value_of_another_type_is_named(nights: Nights, first: str, value: str, kept: str) -> None:
    """With its line, before anything is sent; once the type is given, what changes by that is sent anew."""
    night(nights).read(csv(first, first)).load()
    before = nights.held()
    text = csv(first, first, "", value)

    problem = rf"raw\.csv, line 5: column 'price' holds '{value}', and it was of {kept} in the last load"
    with pytest.raises(AirflowFailException, match=f"{problem}.* give dtypes={{'price': 'string'}}"):
        night(nights).read(text)
    with pytest.raises(AirflowFailException, match=r"column 'price' was of .* dtypes={'price': 'string'}"):
        night(nights).read(text, keep=False).diff()  # a transform that was not told of the state

    assert nights.held() == before
    assert night(nights).read(text, dtypes={"price": "string"}).load() == 4
    assert prices(nights) == [first, first, None, value]
    assert night(nights).read(text).load_or_skip() == 0


def test_a_column_is_bound_by_its_first_value_that_was_loaded(nights: Nights) -> None:
    """Not by one that was empty, nor by a load that did not come to its end, nor once it was gone."""
    night(nights).read(csv("", "")).load()
    failed = night(nights).read(csv("1.10", "2"))
    failed.diff()  # and no more
    assert night(nights).read(csv("1", "2")).load() == 2
    assert prices(nights) == [1, 2]

    without = DocumentMapping("product://{sku}", fields={"ec_name": "name"})
    night(nights).read("sku,name\n0,a\n1,b\n", mapping=without).load()  # another mapping: all is sent anew
    night(nights).read(csv("1.10", "2")).load()
    assert prices(nights) == ["1.10", "2"]


def test_a_column_that_nobody_sees_binds_nothing(nights: Nights) -> None:
    """What becomes part of a text only is read as text: ids may gain letters, and keep their zeros."""
    mapping = DocumentMapping("product://{sku}", fields={"tags": Split("tags"), "ec_name": "name"})
    head = "sku,name,tags,notes\n"
    night(nights).read(f"{head}1.0,a,7,5\n2.5,b,8,6\n", mapping=mapping).load()
    assert nights.held()["product://1.0"]["tags"] == ["7"]

    assert night(nights).read(f"{head}1.0,a,7,none\n2.5,b,8,6\nA-1,c,x;y,6.5\n", mapping=mapping).load() == 1

    assert nights.held()["product://A-1"]["tags"] == ["x", "y"]


def test_a_number_is_spelled_as_it_stands_in_texts_too(nights: Nights) -> None:
    """Where the number of 5.0 would be 5."""
    mapping = DocumentMapping(
        "product://{sku}", fields={"ec_name": Template("{name} {size}"), "size": "size", "width": "width"}
    )

    night(nights).read("sku,name,size,width\n1,a,5.0,5.0\n2,b,2.5,2.5\n", mapping=mapping).load()

    assert [(item["ec_name"], item["size"], item["width"]) for _, item in sorted(nights.held().items())] == [
        ("a 5.0", "5.0", 5.0),
        ("b 2.5", "2.5", 2.5),
    ]


def test_a_function_may_see_any_column(nights: Nights) -> None:
    """So all of them keep their types."""
    options: dict[str, Any] = {"transform": _same}
    night(nights).read("sku,name,price,notes\n1,a,1,5\n", **options).load()

    with pytest.raises(AirflowFailException, match="line 2: column 'notes' holds 'x', and it was of Int64"):
        night(nights).read("sku,name,price,notes\n1,a,1,x\n", **options)


def _same(frame: Any) -> Any:
    return frame


def test_damaged_memory_binds_nothing(nights: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """As the diff sends everything then."""
    night(nights).read(csv("1", "2")).load()
    with (nights.state / "last.json").open("w") as file:
        file.write("{")

    night(nights).read(csv("1.10", "2")).load()

    assert "found anew" in capsys.readouterr().out
    assert prices(nights) == ["1.10", "2"]


def test_a_task_group_hands_its_state_on() -> None:
    """To the transforms whose output it gets, and to no other's that has one."""
    with DAG("types", schedule=None):
        options: dict[str, Any] = {"source": "a.csv", "output": "out", "mapping": MAPPING}
        first = CoveoTransformOperator(task_id="first", **options)
        second = CoveoTransformOperator(task_id="second", state="mine", **options)
        third = CoveoTransformOperator(task_id="third", **options)
        catalog_refresh(source_id="a", documents=[first.output, second.output], state="s3://state")
        incremental_push(source_id="b", documents=third.output)

    assert (first.state, second.state, third.state) == ("s3://state", "mine", None)
