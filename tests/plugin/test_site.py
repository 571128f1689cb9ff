"""What the pages show, to whom, and what they make of values that are something else."""

from __future__ import annotations

from tests.plugin.conftest import Filled, Look


def test_quick(look: Look, filled: Filled) -> None:
    for path in (
        "/",
        "/source?source=products&organization=acme",
        f"/dags/shoes/runs/{filled.runs['shoes']}",
    ):
        answer = look(path)
        print(answer.status_code, answer.text)
        assert answer.status_code == 200
