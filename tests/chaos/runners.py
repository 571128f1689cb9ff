"""The three ways to run a DAG: by the same rules without Airflow, by Airflow, and in processes that get killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from tests.chaos.killing import Worker
from tests.chaos.trial import Outcome, Trial

RunSeed: TypeAlias = "Callable[[int], Outcome]"


@contextmanager
def runner(name: str, *, database: bool = True) -> Iterator[RunSeed]:
    """
    Give what runs a seed.

    :param name: ``fast``, ``airflow`` or ``worker``
    :param database: whether Airflow's database has to be made first
    """
    if name == "worker":
        with Worker() as worker:
            yield lambda seed: Trial(seed, performer=worker).run()
    elif name == "airflow":
        from tests.dags.conftest import ran

        if database:
            from airflow.utils import db

            db.initdb()
        yield lambda seed: Trial(seed, run_dag=ran).run()
    else:
        yield lambda seed: Trial(seed).run()
