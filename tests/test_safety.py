"""What stops a destructive step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coveo_provider.errors import ConfigurationError, SafetyStop
from coveo_provider.report import Report
from coveo_provider.safety import read_reports, refuse_doubtful, total


def summed(reports: Any) -> Report:
    return total(read_reports(reports, source_id="products", step="closing the stream"))


def refuse(documents: int, *, held: int | None = None, **bounds: Any) -> None:
    refuse_doubtful(
        source_id="products",
        step="closing the stream",
        documents=documents,
        count_held=lambda: held,
        **bounds,
    )


ONE = {
    "parts": ["a"],
    "documents": 3,
    "partial_updates": 2,
    "deletions": 1,
    "bytes": 90,
    "chunks": 1,
    "ordering_ids": [5],
}
TWO = {"parts": ["b"], "documents": 4, "deletions": 0, "bytes": 10, "chunks": 2, "ordering_ids": [6, 7]}


class Lazy(Sequence[Any]):
    """As Airflow's sequence of mapped outputs: by index only, and loud beyond its end."""

    def __init__(self, *found: Any) -> None:
        self._found = found

    def __len__(self) -> int:
        return len(self._found)

    def __getitem__(self, index: Any) -> Any:
        assert 0 <= index < len(self._found), "read past its end"
        return self._found[index]

    def __iter__(self) -> Any:
        raise AssertionError("iterated")


@pytest.mark.parametrize(
    "reports",
    [[ONE, TWO], (ONE, [TWO]), Lazy(ONE, TWO), [Lazy(ONE), Lazy(Lazy(TWO))], (one for one in (ONE, TWO))],
    ids=["list", "nested", "lazy", "nested lazy", "generator"],
)
def test_reports_are_summed_however_they_are_nested(reports: Any) -> None:
    """Documents, deletions, bytes and chunks add up; parts and ordering ids follow one another."""
    assert summed(reports) == Report(["a", "b"], 7, 2, 1, 100, 3, [5, 6, 7], mark=5)


def test_the_api_of_the_parts_is_that_of_the_load() -> None:
    """Reports that do not say it say nothing against it; two of them are doubt."""
    push, stream = {**ONE, "api": "push"}, {**TWO, "api": "stream"}
    assert summed([ONE, stream, {**TWO, "parts": ["c"], "api": ""}]).api == "stream"
    assert summed([push, {**push, "parts": ["d"]}]).api == "push"
    with pytest.raises(SafetyStop, match=r"source products: .* tell of more than one API, push and stream"):
        summed([push, stream])


def test_one_report_and_none() -> None:
    """One report is its own sum, and no reports are an empty load."""
    assert summed(ONE) == Report(["a"], 3, 2, 1, 90, 1, [5], mark=5)
    assert summed([]) == Report()
    assert summed({"documents": 2}) == Report(documents=2)


@pytest.mark.parametrize(
    "odd",
    [
        None,
        "",
        "{}",
        5,
        True,
        b"x",
        {},
        {"documents": None},
        {"documents": "3"},
        {"documents": -1},
        {"documents": True},
        {"documents": 1.5},
        {**ONE, "parts": "abc"},
        {**ONE, "parts": None},
        {**ONE, "bytes": "9"},
        {**ONE, "ordering_ids": [None]},
        {**ONE, "ordering_ids": 5},
    ],
)
@pytest.mark.parametrize("around", [lambda odd: odd, lambda odd: [ONE, odd], lambda odd: Lazy(ONE, [odd])])
def test_what_is_no_report_stops_the_step(odd: Any, around: Any) -> None:
    """A skipped part leaves None among the reports; anything but reports means that something is missing."""
    with pytest.raises(
        SafetyStop, match="source products: closing the stream needs the reports of all parts"
    ):
        summed(around(odd))


_REPORTS = st.builds(
    lambda documents, bytes_: {"documents": documents, "bytes": bytes_},
    st.integers(0, 10**9),
    st.integers(0, 10**12),
)


@given(st.recursive(_REPORTS, lambda inner: st.lists(inner, max_size=4)))
def test_no_document_is_lost_or_counted_twice(nested: Any) -> None:
    """The sum is that of the leaves, whatever the nesting."""

    def leaves(one: Any) -> int:
        return int(one["documents"]) if isinstance(one, dict) else sum(map(leaves, one))

    assert summed(nested).documents == leaves(nested)


# Bounds


def test_an_empty_load_is_refused() -> None:
    """It would remove everything; the error says that nothing was removed and what to do."""
    with pytest.raises(
        SafetyStop, match=r"holds no documents, fewer than min_documents=1.*Nothing was removed"
    ):
        refuse(0)


def test_an_empty_load_can_be_meant() -> None:
    """min_documents=0 empties a source on purpose."""
    refuse(0, min_documents=0)


def test_too_few_documents_are_refused_with_both_numbers() -> None:
    """One fewer than the bound is refused, the bound itself is not."""
    with pytest.raises(SafetyStop, match="holds 1,499 documents, fewer than min_documents=1,500"):
        refuse(1_499, min_documents=1_500)
    refuse(1_500, min_documents=1_500)


def test_a_shrink_beyond_the_bound_is_refused_with_both_numbers() -> None:
    """The share of items that would go is compared with max_shrink."""
    with pytest.raises(
        SafetyStop, match=r"holds 7,499 documents and the source 10,000 items.* by 25\.0%.*=0\.25"
    ):
        refuse(7_499, held=10_000, max_shrink=0.25)
    refuse(7_500, held=10_000, max_shrink=0.25)
    refuse(20_000, held=10_000, max_shrink=0)


def test_an_empty_source_cannot_shrink() -> None:
    """A first load is never too small for max_shrink."""
    refuse(1, held=0, max_shrink=0.0)


def test_an_unknown_count_cannot_be_checked() -> None:
    """When the platform does not say what the source holds, doubt stops the step."""
    with pytest.raises(SafetyStop, match=r"does not say how many items.*max_shrink=0\.5 cannot be checked"):
        refuse(5, held=None, max_shrink=0.5)


def test_the_platform_is_asked_only_when_needed() -> None:
    """Without max_shrink, or when the load is refused anyway, no call is made and no privilege needed."""

    def ask() -> int:
        raise AssertionError("asked")

    refuse_doubtful(source_id="x", step="closing", documents=1, count_held=ask)
    with pytest.raises(SafetyStop):
        refuse_doubtful(source_id="x", step="closing", documents=0, max_shrink=0.5, count_held=ask)


@pytest.mark.parametrize("bound", [-1, True, 1.5, "10", None])
def test_min_documents_is_a_whole_number(bound: Any) -> None:
    """Anything else is refused before it is compared."""
    with pytest.raises(ConfigurationError, match="min_documents must be a whole number"):
        refuse(5, min_documents=bound)


@pytest.mark.parametrize("bound", [-0.1, 1.1, 30, True, "0.5", float("nan"), float("inf")])
def test_max_shrink_is_a_share(bound: Any) -> None:
    """30 is not 30 %; the error says so even for a load that is refused anyway."""
    for documents in (0, 5):
        with pytest.raises(ConfigurationError, match="max_shrink must be a share between 0 and 1"):
            refuse(documents, held=5, max_shrink=bound)
