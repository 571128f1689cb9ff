"""What docs/scaling.md says of Airflow's defaults and the chart's values is so."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from airflow.configuration import conf as airflow_conf

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "scaling.md").read_text()


@pytest.mark.parametrize(
    ("section", "name"),
    [
        ("core", "max_map_length"),
        ("scheduler", "task_instance_heartbeat_timeout"),
        ("scheduler", "task_queued_timeout"),
    ],
)
def test_the_defaults_of_airflow_are_those_that_the_page_names(section: str, name: str) -> None:
    said = re.search(rf"`\[{section}\] {name}` \(([\d,]+)", PAGE)

    assert said is not None
    default = airflow_conf.get_default_value(section, name)
    assert float(said[1].replace(",", "")) == float(default)


def test_a_worker_of_the_chart_asks_for_what_its_slots_need() -> None:
    """512 MiB for each slot, and a core for each."""
    values: dict[str, Any] = yaml.safe_load(re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)[0])
    slots = values["config"]["celery"]["worker_concurrency"]
    requests = values["workers"]["celery"]["resources"]["requests"]

    assert requests["memory"] == f"{slots * 512 // 1024}Gi"
    assert requests["cpu"] == str(slots)
