"""
Plan, report and what is remembered of a source, as the pages read them.

The values come out of XCom, Variables and files, into which anybody may write who writes DAGs. What is missing is
taken for "not known"; what is of another type is refused, with the place where it stands.
"""

from __future__ import annotations

import json
import math
from typing import Any, TypeVar

import msgspec

VERSION = 1
_INTEGER = 10**18

T = TypeVar("T", bound="Shape")


class OtherShape(Exception):
    """A value is not what this provider writes; the text says where."""


class Shape(msgspec.Struct, frozen=True):
    """What is read; keys that it does not name are passed over."""


class Documents(Shape, frozen=True):
    """How many documents become what."""

    now: int = 0
    before: int | None = None
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    gone: int = 0
    again: int = 0


class ValueCounts(Shape, frozen=True):
    """How many documents of one value of a column become what."""

    value: Any = None
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    gone: int | None = None


class By(Shape, frozen=True):
    """Documents by the values of a column."""

    column: str = ""
    values: list[ValueCounts] = []
    more: int = 0


class FieldCounts(Shape, frozen=True):
    """In how many documents a field changes."""

    field: str = ""
    changed: int = 0
    added: int = 0
    removed: int = 0


class Fields(Shape, frozen=True):
    """Which fields change, in the changed documents that were looked at."""

    looked_at: int = 0
    of: int = 0
    counts: list[FieldCounts] = []
    more: int = 0


class Change(Shape, frozen=True):
    """A field of a document, before and after."""

    field: str = ""
    before: str | None = None
    after: str | None = None


class Sampled(Shape, frozen=True):
    """A changed document of the sample."""

    document_id: str = msgspec.field(default="", name="documentId")
    changes: list[Change] = []
    more: int = 0


class Sample(Shape, frozen=True):
    """Some of the changed documents."""

    documents: list[Sampled] = []
    new: list[str] = []
    gone: list[str] = []


class Side(Shape, frozen=True):
    """Who gains or loses access, to how many documents."""

    who: str = ""
    documents: int = 0
    first: list[str] = []


class Users(Shape, frozen=True):
    """Of the users that were looked at, how many gain and lose."""

    looked_at: int = 0
    gain: int = 0
    lose: int = 0
    first: list[str] = []


class Access(Shape, frozen=True):
    """Who sees more, and who sees less."""

    new_public: int = 0
    first_public: list[str] = []
    no_longer_public: int = 0
    permissions_changed: int = 0
    before_known: bool = True
    gains: list[Side] = []
    loses: list[Side] = []
    more: int = 0
    users: Users | None = None


class Names(Shape, frozen=True):
    """Names, and how many were left out."""

    names: list[str] = []
    more: int = 0


class Quota(Shape, frozen=True):
    """Calls that count against a quota of the organization."""

    name: str = ""
    limit: int | None = None
    calls: int = 0


class Sends(Shape, frozen=True):
    """What is to be sent."""

    parts: int = 0
    bytes: int = 0
    containers: int = 0
    calls: int = 0
    deletions: int = 0
    seconds: float | None = None
    quotas: list[Quota] = []


class Rollback(Shape, frozen=True):
    """The earlier load that the dataset is of."""

    finished_at: str = ""
    dag_id: str = ""
    run_id: str = ""
    documents: int | None = None


class Doubt(Shape, frozen=True):
    """A guard that asks a person."""

    guard: str = ""
    message: str = ""


class Plan(Shape, frozen=True):
    """What a load is about to do."""

    version: int = VERSION
    organization_id: str = ""
    source_id: str = ""
    made_at: str = ""
    state: str = ""
    manifests: list[str] = []
    everything: bool = False
    reason: str = ""
    documents: Documents = Documents()
    held: int | None = None
    by: By | None = None
    former: str = ""
    fields: Fields | None = None
    sample: Sample | None = None
    access: Access | None = None
    without_field: Names | None = None
    sends: Sends = Sends()
    rollback: Rollback | None = None
    doubts: list[Doubt] = []


class Sent(Shape, frozen=True):
    """What was sent."""

    parts: int = 0
    documents: int = 0
    partial_updates: int = 0
    deletions: int = 0
    bytes: int = 0
    chunks: int = 0
    calls: int = 0
    retries: int = 0
    waited_seconds: float = 0
    seconds: float | None = None


class Reason(Shape, frozen=True):
    """Why items were refused."""

    stage: str = ""
    reason: str = ""
    count: int = 0
    first: list[str] = []


class Outcome(Shape, frozen=True):
    """What became of what was sent."""

    verified: str = ""
    indexed: int | None = None
    deleted: int | None = None
    refused: int = 0
    unknown: int = 0
    reasons: list[Reason] = []
    refused_file: str = ""


class Held(Shape, frozen=True):
    """How many items the source held."""

    before: int | None = None
    after: int | None = None


class Approval(Shape, frozen=True):
    """What a person answered."""

    task_id: str = ""
    guard: str = ""
    question: str = ""
    answer: str = ""
    by: str = ""
    at: str = ""


class Versions(Shape, frozen=True):
    """What the load ran with."""

    provider: str = ""
    airflow: str = ""
    python: str = ""


class Report(Shape, frozen=True):
    """What a load did."""

    version: int = VERSION
    organization_id: str = ""
    source_id: str = ""
    state: str = ""
    dataset: str = ""
    started_at: str | None = None
    finished_at: str = ""
    plan: Plan | None = None
    sent: Sent = Sent()
    outcome: Outcome = Outcome()
    source: Held = Held()
    approvals: list[Approval] = []
    ordering_id: int | None = None
    versions: Versions = Versions()
    failure: str = ""


class LoadDataset(Shape, frozen=True):
    """A dataset of a load."""

    manifest: str = ""
    rows: int = 0


class Load(Shape, frozen=True):
    """A load as the state remembers it."""

    dag_id: str = ""
    run_id: str = ""
    finished_at: str = ""
    full: bool = False
    sent: int = 0
    deleted: int = 0
    refused: int = 0
    held: int | None = None
    seconds: float | None = None
    datasets: list[LoadDataset] = []


class Loads(Shape, frozen=True):
    """The file ``last.json`` of a state, as far as it is shown."""

    loads: list[Load] = []


class LastLoad(Shape, frozen=True):
    """What a Variable says of a source."""

    dag_id: str = ""
    run_id: str = ""
    since: str = ""
    ended: bool = False


def read(kind: type[T], value: object) -> T:
    """
    Return a value of JSON as what it is to be.

    :raises OtherShape: it is something else
    """
    if not isinstance(value, dict):
        raise OtherShape(f"it is {_named(value)}, not an object")
    if kind in (Plan, Report):
        expected = "plan" if kind is Plan else "report"
        if value.get("kind", expected) != expected or not isinstance(value.get("source_id"), str):
            raise OtherShape(f"it is no {expected} of a load")
        if value.get("version") != VERSION:
            raise OtherShape("another version of the provider wrote it")
    try:
        _check_numbers(value)
        return msgspec.convert(value, type=kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise OtherShape(str(error) or "it is nested too deeply") from None


def read_text(kind: type[T], text: str | bytes) -> T:
    """
    Return the JSON of a Variable or a file as what it is to be.

    :raises OtherShape: it is something else
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise OtherShape(f"it is no JSON: {error}") from None
    return read(kind, value)


def _check_numbers(value: object) -> None:
    """Refuse what no bar can be drawn of: numbers that have no size, or one that nothing can have."""
    if isinstance(value, dict):
        for one in value.values():
            _check_numbers(one)
    elif isinstance(value, list):
        for one in value:
            _check_numbers(one)
    elif isinstance(value, float):
        if not math.isfinite(value) or abs(value) > _INTEGER:
            raise OtherShape(f"it holds the number {value}")
    elif isinstance(value, int) and not -_INTEGER < value < _INTEGER:
        raise OtherShape("it holds a number of more than 18 digits")


def _named(value: object) -> str:
    kinds = {str: "a text", list: "a list", bool: "true or false", int: "a number", float: "a number"}
    return "nothing" if value is None else kinds.get(type(value), "of another kind")
