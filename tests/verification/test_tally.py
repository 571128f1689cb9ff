"""The fate of each item, against a plain dictionary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from coveo_provider.api.types import LogEntry
from coveo_provider.verification.tally import DELETIONS, REFUSALS, Fate, Tally

NAMES = [f"doc://{n}" for n in range(6)]
RESULTS = ["COMPLETED", "SKIPPED", "WARNING", "ERROR", "REJECTED"]


def entry(name: str, result: str = "COMPLETED", ordering: int | None = 5, **changes: Any) -> LogEntry:
    values: dict[str, Any] = {
        "time_ms": 5,
        "guid": "guid",
        "document_id": name,
        "operation": "ADD",
        "task": "INDEXING",
        "result": result,
        "source_id": "files",
        "ordering_id": ordering,
        "error": None,
        **changes,
    }
    known = LogEntry.__dataclass_fields__
    return LogEntry(**{key: value for key, value in values.items() if key in known})


entries = st.lists(
    st.builds(
        entry,
        st.sampled_from([*NAMES, "doc://stranger"]),
        st.sampled_from(RESULTS),
        st.one_of(st.none(), st.integers(1, 4)),
        task=st.sampled_from(["CONSUMING", "PROCESSING", "INDEXING"]),
        operation=st.sampled_from(["ADD", "UPDATE", *sorted(DELETIONS)]),
        time_ms=st.integers(1, 4),
    ),
    max_size=25,
)


def fate(name: str, log: Sequence[LogEntry], *, warnings_refuse: bool) -> Fate:
    """Say what became of an item, by the rule of the documentation: the latest counts, of two the refusal."""
    bad = REFUSALS | ({"WARNING"} if warnings_refuse else set())
    steps = []
    for one in log:
        moment = one.ordering_id if one.ordering_id is not None else one.time_ms
        if one.document_id == name and one.result in bad:
            steps.append((moment, 1))
        elif one.document_id == name and one.task == "INDEXING" and one.result in {"COMPLETED", "SKIPPED"}:
            steps.append((moment, 0))
    if not steps:
        return Fate.UNKNOWN
    return Fate.REFUSED if max(steps)[1] else Fate.DONE


@given(log=entries, warnings=st.booleans(), cut=st.integers(0, 25), repeated=st.booleans())
def test_each_item_has_the_fate_that_its_latest_entry_tells(
    log: list[LogEntry], warnings: bool, cut: int, repeated: bool
) -> None:
    """In whatever order and portions entries come, and however often."""
    tally = Tally(lambda: [NAMES[:2], [], NAMES[2:], NAMES[:1]], warnings_refuse=warnings)
    for portion in (log[cut:], log[:cut], log if repeated else []):
        tally.add(portion)

    wanted = {name: fate(name, log, warnings_refuse=warnings) for name in NAMES}

    assert dict(zip(NAMES, tally.fates(NAMES), strict=True)) == wanted
    assert (len(tally), tally.done + tally.refused + tally.unknown) == (len(NAMES), len(NAMES))
    for each, count in (
        (Fate.DONE, tally.done),
        (Fate.REFUSED, tally.refused),
        (Fate.UNKNOWN, tally.unknown),
    ):
        assert count == list(wanted.values()).count(each)
        assert set(tally.named(each)) == {name for name in NAMES if wanted[name] is each}
    assert tally.fates(["doc://stranger"]) == [None]


def test_a_tally_of_nothing_counts_nothing() -> None:
    """A load may send no deletions at all."""
    tally = Tally(lambda: [])
    tally.add([entry("doc://0")])

    assert (len(tally), tally.done, tally.refused, tally.unknown) == (0, 0, 0, 0)
    assert tally.fates(["doc://0"]) == [None]
