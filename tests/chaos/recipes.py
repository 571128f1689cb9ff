"""The recipes as DAGs over a folder of input, and what the index has to hold then."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
from airflow.sdk import DAG

from coveo_provider.documents import DocumentMapping
from coveo_provider.operators import CoveoTransformOperator
from coveo_provider.operators.support import changes, dataset_writing
from coveo_provider.task_groups import (
    catalog_load,
    catalog_refresh,
    incremental_push,
    push_rebuild,
    secured_push,
)

SOURCE = "shop"
PROVIDER = "chaos-directory"
PEOPLE = tuple(f"user{n}" for n in range(5))
GROUPS = tuple(f"group{n}" for n in range(3))
PART_BYTES = 400
MAPPING = DocumentMapping("product://{sku}", fields={"ec_name": "name"}, keep=("price", "data"))

Item = dict[str, Any]


@contextmanager
def small_parts() -> Iterator[None]:
    """Let parts be small meanwhile, so that a few rows make several."""
    with (
        patch.object(dataset_writing, "MIN_PART_BYTES", PART_BYTES),
        patch.object(changes, "DEFAULT_PART_BYTES", PART_BYTES),
    ):
        yield


def is_catalog(recipe: str) -> bool:
    """Whether its source is a Catalog source."""
    return recipe.startswith("catalog")


def keeps_state(recipe: str) -> bool:
    """Whether it sends what changed since the last run."""
    return recipe.endswith("_state")


def build(recipe: str, folder: Path, number: int) -> DAG:
    """Return the DAG that loads the input of a run, which :meth:`Shop.write` wrote."""
    here = folder / f"run-{number}"
    with DAG(f"chaos_{recipe}", schedule=None, default_args={"retries": 2, "retry_delay": 0.0}) as dag:
        if keeps_state(recipe):
            made = CoveoTransformOperator(
                task_id="transform",
                source=(here / "raw.ndjson").as_uri(),
                output=(here / "documents").as_uri(),
                mapping=MAPPING,
                part_bytes=PART_BYTES,
            )
            group = catalog_refresh if is_catalog(recipe) else incremental_push
            group(source_id=SOURCE, documents=made.output, state=(folder / "state").as_uri())
            return dag
        documents = (here / "documents").as_uri()
        if recipe == "secured_push":
            secured_push(
                source_id=SOURCE,
                provider_id=PROVIDER,
                documents=documents,
                members=(here / "members.parquet").as_uri(),
                mappings=(here / "mappings.parquet").as_uri(),
                rules=[{"documents": "*"}],
            )
        else:
            groups = {
                "catalog_load": catalog_load,
                "catalog_refresh": catalog_refresh,
                "push_rebuild": push_rebuild,
            }
            groups[recipe](source_id=SOURCE, documents=documents)
    return dag


@dataclass
class Shop:
    """A small dataset that changes from run to run."""

    recipe: str
    folder: Path
    random: Random
    rows: dict[int, Item] = field(default_factory=dict)
    teams: dict[str, list[str]] = field(default_factory=dict)
    written: int = 0

    def __post_init__(self) -> None:
        for sku in range(self.random.randint(4, 14)):
            self._put(sku)
        self._mix_teams()

    def change(self) -> None:
        """Add, change and remove some."""
        random = self.random
        for sku in random.sample(sorted(self.rows), random.randint(0, len(self.rows) - 2)):
            if random.random() < 0.5:
                del self.rows[sku]
            else:
                self._put(sku)
        for _ in range(random.randint(0, 4)):
            self._put(max(self.rows) + random.randint(1, 3))
        if not self.rows:
            self._put(0)
        self._mix_teams()

    def write(self) -> int:
        """Write the input of a run, and return its number."""
        self.written += 1
        here = self.folder / f"run-{self.written}"
        here.mkdir(parents=True)
        if keeps_state(self.recipe):
            text = "\n".join(json.dumps(row) for row in self.rows.values())
            (here / "raw.ndjson").write_text(text)
            return self.written
        items = list(self.items().values())
        if self.recipe == "secured_push":
            items = [{**item, "permissions": json.dumps(self._permissions(item))} for item in items]
            self._write_identities(here)
        parts = self.random.randint(1, 4)
        (here / "documents").mkdir()
        for part in range(parts):
            if rows := items[part::parts]:
                pq.write_table(pa.Table.from_pylist(rows), here / "documents" / f"part-{part}.parquet")
        return self.written

    def items(self) -> dict[str, Item]:
        """Return what the index has to hold."""
        return {
            f"product://{sku}": {
                "documentId": f"product://{sku}",
                "ec_name": row["name"],
                "price": row["price"],
                "data": row["data"],
            }
            for sku, row in self.rows.items()
        }

    def viewers(self) -> dict[str, set[str]]:
        """Return who has to see what."""
        return {
            f"product://{sku}": {*self.teams[row["team"]]} - {row["denied"]} for sku, row in self.rows.items()
        }

    def _put(self, sku: int) -> None:
        random = self.random
        self.rows[sku] = {
            "sku": sku,
            "name": f"Shoe {sku}, edition {random.randint(0, 10**6)}",
            "price": random.randint(1, 99),
            "data": "Größe " * random.randint(1, 6),
            "team": random.choice(GROUPS),
            "denied": random.choice(PEOPLE),
        }

    def _mix_teams(self) -> None:
        self.teams = {name: self.random.sample(PEOPLE, self.random.randint(1, 4)) for name in GROUPS}

    def _permissions(self, item: Item) -> list[Item]:
        row = self.rows[int(item["documentId"].rpartition("/")[2])]
        allowed = {"identity": row["team"], "identityType": "GROUP", "securityProvider": PROVIDER}
        denied = {"identity": row["denied"], "identityType": "USER", "securityProvider": PROVIDER}
        return [
            {"allowAnonymous": False, "allowedPermissions": [allowed], "deniedPermissions": [denied]},
        ]

    def _write_identities(self, here: Path) -> None:
        members = [
            {
                "name": team,
                "type": "GROUP",
                "members": [{"name": person, "type": "USER"} for person in people],
            }
            for team, people in self.teams.items()
        ]
        mappings = [
            {
                "name": person,
                "type": "USER",
                "mappings": [
                    {"name": address(person), "type": "USER", "provider": "Email Security Provider"}
                ],
            }
            for person in PEOPLE
        ]
        for name, rows in (("members", members), ("mappings", mappings)):
            pq.write_table(pa.Table.from_pylist(rows), here / f"{name}.parquet")


def address(person: str) -> str:
    """Return a person's e-mail address, under which they log in."""
    return f"{person}@acme.example"
