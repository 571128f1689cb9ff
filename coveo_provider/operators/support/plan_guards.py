"""The bounds of a plan, and what is doubtful about one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from coveo_provider.safety import Doubt, refuse_no_count, refuse_no_share

_NOTHING_SENT = "Nothing was sent."


@dataclass(frozen=True)
class PlanGuards:
    """
    How far a plan may go before somebody looks at it; ``None`` does not look.

    :param min_documents: the fewest documents the dataset may have
    :param max_shrink: share of the documents of the last load that may be gone, 0 to 1
    :param max_changed: share of these that may change, 0 to 1
    :param max_new_public: how many documents may become visible to everybody
    :raises ConfigurationError: one of them is something else
    """

    min_documents: int = 1
    max_shrink: float | None = None
    max_changed: float | None = None
    max_new_public: int | None = None

    def __post_init__(self) -> None:
        for name, refuse in (
            ("max_shrink", refuse_no_share),
            ("max_changed", refuse_no_share),
            ("min_documents", refuse_no_count),
            ("max_new_public", refuse_no_count),
        ):
            if (value := getattr(self, name)) is not None:
                refuse(name, value)

    def doubts(self, plan: Mapping[str, Any], source_id: str, lost: int) -> Iterator[Doubt]:
        """
        Return what of a plan is beyond its bounds.

        :param lost: documents of the last load that are not there any more
        """
        documents = plan["documents"]
        now, before = documents["now"], documents["before"]
        where = f"source {source_id}: "
        if now < self.min_documents:
            yield Doubt(
                "min_documents",
                {"documents": now},
                f"{where}the dataset holds {now:,} documents, fewer than min_documents={self.min_documents:,}.",
                _advice("min_documents", "lower"),
            )
        for guard, name, count, what in (
            ("max_shrink", "gone", lost, "are not there any more"),
            ("max_changed", "changed", documents["changed"], "change"),
        ):
            most = getattr(self, guard)
            if most is not None and before and count > most * before:
                yield Doubt(
                    guard,
                    {"documents": now, "held": before, name: count},
                    f"{where}of {before:,} documents of the last load {count:,} {what}, {count / before:.1%}, over "
                    f"{guard}={most:g}.",
                    _advice(guard, "raise"),
                )
        yield from self._public(plan, where)

    def _public(self, plan: Mapping[str, Any], where: str) -> Iterator[Doubt]:
        if self.max_new_public is None:
            return
        access, changed = plan["access"], plan["documents"]["changed"]
        if access is None and plan["former"] == "gone" and changed:
            count = changed
            found = (
                f"{where}{count:,} documents change, and what of them was public before is not known, as the "
                "dataset of the last load is gone"
            )
        elif access is not None and access["new_public"] > self.max_new_public:
            count = access["new_public"]
            found = f"{where}{count:,} documents become visible to everybody, such as "
            found += ", ".join(access["first_public"])
        else:
            return
        yield Doubt(
            "max_new_public",
            {"documents": plan["documents"]["now"], "new_public": count},
            f"{found}, over max_new_public={self.max_new_public:,}.",
            _advice("max_new_public", "raise"),
        )


def _advice(guard: str, how: str) -> str:
    return f"{_NOTHING_SENT} Check the extract, or {how} {guard} if this is meant"
