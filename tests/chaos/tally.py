"""What many seeds came to: counted, added up over all processes, and printed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.trial import Outcome

_GROUPS = {
    "clocks": ("clock", "worker clock", "Date"),
    "the log and the source": ("log", "source"),
    "tasks and workers": ("kill", "task timed", "run timed"),
    "clicks": ("clear", "mark", "on an older"),
}
_COUNTS = (
    *("runs", "survived", "failed", "untouched", "done_unknown", "unverified", "by_hand", "mismatches"),
)


@dataclass
class Tally:
    """Counts of seeds: each is a run with faults between two without."""

    schedules: Counter[str] = field(default_factory=Counter)
    injected: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    survived: int = 0
    failed: int = 0
    untouched: int = 0
    done_unknown: int = 0
    unverified: int = 0
    by_hand: int = 0
    mismatches: int = 0

    def add(self, outcome: Outcome) -> None:
        """Count a seed."""
        self.runs += outcome.runs
        self.schedules[f"{outcome.recipe} ({outcome.runner})"] += 1
        self.injected += outcome.injected
        # The clock is no fault that a run may be without.
        if not sum(count for kind, count in outcome.injected.items() if "clock" not in kind):
            self.untouched += 1
        elif outcome.state == "success":
            self.survived += 1
        if outcome.state != "success":
            self.failed += 1
            self.done_unknown += outcome.decided
        self.unverified += outcome.unverified
        self.by_hand += outcome.by_hand
        self.mismatches += len(outcome.mismatches)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return {**vars(self), "schedules": dict(self.schedules), "injected": dict(self.injected)}

    @classmethod
    def sum(cls, parts: Iterable[dict[str, Any]]) -> Tally:
        """Add up what several processes counted."""
        total = cls()
        for part in parts:
            total.schedules += Counter(part["schedules"])
            total.injected += Counter(part["injected"])
            for name in _COUNTS:
                setattr(total, name, getattr(total, name) + part[name])
        return total

    def _grouped(self) -> dict[str, list[tuple[str, int]]]:
        """Return how often each kind happened, the commonest first, by what it happened to."""
        grouped: dict[str, list[tuple[str, int]]] = {name: [] for name in ("calls", "HTML", *_GROUPS)}
        for kind, count in self.injected.most_common():
            name = next((name for name, words in _GROUPS.items() if kind.startswith(words)), "calls")
            grouped["HTML" if kind.startswith("HTML") else name].append((kind, count))
        return grouped

    def __str__(self) -> str:
        faults = sum(count for kind, count in self.injected.items() if kind != "worker clock off")
        groups = [
            f"  {name}: {', '.join(f'{kind} {count:,}' for kind, count in counts)}"
            for name, counts in self._grouped().items()
            if counts
        ]
        schedules = ", ".join(f"{name} {count}" for name, count in sorted(self.schedules.items()))
        return "\n".join(
            [
                f"{self.runs:,} runs of {sum(self.schedules.values()):,} seeds; {faults:,} faults injected",
                *groups,
                f"  fault schedules: {schedules}",
                f"  survived: {self.survived:,} runs succeeded despite their faults, {self.untouched:,} met none",
                f"  failed for good: {self.failed:,}, {self.done_unknown:,} of them after the decisive call",
                f"  green, though nothing was verified: {self.unverified:,}; green by hand alone: {self.by_hand:,}",
                f"  mismatches: {self.mismatches:,}",
            ]
        )
