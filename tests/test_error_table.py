"""The table of errors in the docs says what the code does."""

from __future__ import annotations

import re
from typing import Any

import pytest

from coveo_provider import errors
from coveo_provider._compat import AirflowFailException, TaskDeferred
from coveo_provider.operators.support.base import CoveoOperator
from tests.conftest import ROOT
from tests.test_errors import SAMPLES

ROWS: dict[str, str] = {
    name: outcome.strip()
    for name, outcome in re.findall(
        r"^\| `(\w+)` \|.*\|([^|]*)\|$", (ROOT / "docs" / "errors.md").read_text(), re.M
    )
}
ABSTRACT = {"CoveoError", "DataError"}


class Failing(CoveoOperator):
    """An operator whose work ends in an error."""

    def __init__(self, *, error: errors.CoveoError, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.error = error

    def act(self, context: Any) -> None:
        raise self.error


def test_the_table_has_every_exception_once() -> None:
    """But for the roots of branches, which are never raised themselves."""
    assert set(ROWS) == {type(sample).__name__ for sample in SAMPLES} - ABSTRACT


@pytest.mark.parametrize(
    "error", [s for s in SAMPLES if type(s).__name__ in ROWS], ids=lambda error: type(error).__name__
)
def test_a_task_does_what_the_table_says(error: errors.CoveoError) -> None:
    """It fails for good, fails the try, or, when it may, hands a long wait over."""
    outcome = ROWS[type(error).__name__]
    expected = AirflowFailException if outcome == "fails at once" else type(error)
    with pytest.raises(expected):
        Failing(task_id="failing", error=error).execute({})

    if isinstance(error, errors.Throttled):
        error.retry_after = 280.0
    waits = outcome == "waits, then is retried"
    with pytest.raises(TaskDeferred if waits else expected):
        Failing(task_id="deferring", error=error, deferrable=True).execute({})
