"""A plan and a report as loads write them, with something in each place."""

from __future__ import annotations

import copy
from typing import Any

SCRIPT = "<script>alert('x')</script> & Größe"
ORGANIZATION = "acme"


def plan(source_id: str = "products", **changed: Any) -> dict[str, Any]:
    """A plan; what is named replaces what stands there."""
    return copy.deepcopy(
        {
            "version": 1,
            "kind": "plan",
            "organization_id": ORGANIZATION,
            "source_id": source_id,
            "dag_id": "shoes",
            "run_id": "?",
            "made_at": "2026-11-27T09:30:00Z",
            "state": "file:///data/state",
            "manifests": ["file:///data/shoes/_manifest.json"],
            "everything": False,
            "reason": "",
            "documents": {
                "now": 1000,
                "before": 990,
                "new": 21,
                "changed": 32,
                "unchanged": 947,
                "gone": 11,
                "again": 4,
            },
            "held": 990,
            "by": {
                "column": "objecttype",
                "more": 2,
                "values": [
                    {"value": "Product", "new": 20, "changed": 30, "unchanged": 900, "gone": 10},
                    {"value": "Variant", "new": 1, "changed": 2, "unchanged": 47, "gone": None},
                    {"value": SCRIPT, "new": 0, "changed": 0, "unchanged": 1, "gone": 0},
                ],
            },
            "former": "there",
            "fields": {
                "looked_at": 32,
                "of": 32,
                "more": 7,
                "counts": [
                    {"field": "ec_price", "changed": 29, "added": 1, "removed": 0},
                    {"field": "ec_name", "changed": 3, "added": 0, "removed": 2},
                ],
            },
            "sample": {
                "seed": "s",
                "new": ["product://90", "product://91"],
                "gone": ["product://92"],
                "documents": [
                    {
                        "documentId": "product://7",
                        "more": 3,
                        "changes": [
                            {"field": "ec_price", "before": "1.5", "after": "2"},
                            {"field": "ec_name", "before": None, "after": SCRIPT},
                            {"field": "color", "before": "red", "after": None},
                        ],
                    },
                    {
                        "documentId": "product://8",
                        "more": 0,
                        "changes": [{"field": "ec_price", "before": "7", "after": "8"}],
                    },
                ],
            },
            "access": {
                "new_public": 3,
                "first_public": ["product://1"],
                "no_longer_public": 1,
                "permissions_changed": 5,
                "gains": [{"who": "Group staff", "documents": 13, "first": ["product://2"]}],
                "loses": [{"who": "Group interns", "documents": 6, "first": ["product://3"]}],
                "more": 1,
                "users": {"looked_at": 200, "gain": 3, "lose": 1, "first": ["ann@example.com"]},
            },
            "without_field": {"names": ["colour"], "more": 0},
            "sends": {
                "parts": 1,
                "bytes": 123_456,
                "containers": 1,
                "calls": 6,
                "deletions": 11,
                "seconds": 3.5,
                "quotas": [
                    {"name": "stream requests per day", "limit": 15_000, "calls": 6},
                    {"name": "push calls per hour", "limit": None, "calls": 2},
                ],
            },
            "rollback": None,
            "doubts": [{"guard": "max_shrink", "message": "The source would shrink by 30 %."}],
            **changed,
        }
    )


def report(source_id: str = "products", **changed: Any) -> dict[str, Any]:
    """A report; what is named replaces what stands there."""
    return copy.deepcopy(
        {
            "version": 1,
            "kind": "report",
            "organization_id": ORGANIZATION,
            "source_id": source_id,
            "dag_id": "shoes",
            "run_id": "?",
            "state": "file:///data/state",
            "dataset": "file:///data/shoes",
            "started_at": "2026-11-27T09:29:00Z",
            "finished_at": "2026-11-27T09:31:00Z",
            "plan": {key: value for key, value in plan(source_id).items() if key != "sample"},
            "sent": {
                "parts": 2,
                "documents": 57,
                "partial_updates": 0,
                "deletions": 11,
                "bytes": 123_999,
                "chunks": 1,
                "calls": 6,
                "retries": 2,
                "waited_seconds": 0.0,
                "seconds": 4.5,
            },
            "outcome": {
                "verified": "items",
                "indexed": 53,
                "deleted": 11,
                "refused": 4,
                "unknown": 0,
                "refused_file": "",
                "reasons": [
                    {
                        "stage": "STREAMING_EXTENSION",
                        "reason": "The document is too large.",
                        "count": 3,
                        "first": ["product://4", "product://5"],
                    },
                    {"stage": "CONSUMING", "reason": SCRIPT, "count": 1, "first": ["product://6"]},
                ],
            },
            "source": {"before": 990, "after": 1000},
            "approvals": [
                {
                    "task_id": "catalog.approve",
                    "guard": "max_shrink",
                    "question": "Shrink by 30 %?",
                    "answer": "Apply",
                    "by": "admin",
                    "at": "2026-11-27T09:30:30Z",
                }
            ],
            "ordering_id": 1_700_000_000_000,
            "versions": {"provider": "0.1.0", "airflow": "3.3.2", "python": "3.11.4"},
            **changed,
        }
    )


def state(*loads: dict[str, Any]) -> dict[str, Any]:
    """The file ``last.json`` of a state."""
    return {
        "version": 2,
        "organization": ORGANIZATION,
        "source_id": "products",
        "datasets": [],
        "loads": loads,
    }


def load(run_id: str, finished_at: str, held: int | None, manifest: str) -> dict[str, Any]:
    """A load as the state remembers it."""
    return {
        "key": run_id,
        "dag_id": "shoes",
        "run_id": run_id,
        "finished_at": finished_at,
        "full": False,
        "sent": 30,
        "deleted": 10,
        "refused": 0,
        "held": held,
        "seconds": 12.5,
        "datasets": [{"manifest": manifest, "rows": held or 0, "sha256": "0" * 64, "mapping": "m"}],
    }
