"""Every operator at work, in all the ways that make different calls or send different bodies."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Generator
from contextlib import nullcontext
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
from airflow.sdk import BaseOperator

from coveo_provider import operators as ours
from coveo_provider.operators.support.load_records import Holder
from coveo_provider.sandbox import Sandbox
from tests.conftest import WritePart
from tests.contract.uses import EMAIL, PROVIDER
from tests.operators.conftest import run

MIB = 1024 * 1024

Scene = Generator[BaseOperator, Any, None]


@dataclass(frozen=True)
class Stage:
    """What a scene needs."""

    sandbox: Sandbox
    write_part: WritePart
    folder: Path

    def content(self, name: str, size: int) -> str:
        """Write a file that no compression makes smaller, and return its URI."""
        path = self.folder / name
        path.write_bytes(random.Random(name).randbytes(size))
        return path.as_uri()


def _documents(stage: Stage, scheme: str = "product", **columns: Any) -> str:
    """Write documents that hold a value of every type, an absent one, and two ways to say who may see them."""
    rows = {
        "documentId": [f"{scheme}://1", f"{scheme}://2?a=b&c=Größe"],
        "data": ["Text", None],
        "ec_name": ["Boot", "Schuh \U0001f45f"],
        "ec_price": [9.5, None],
        "exact": [Decimal("0.1"), Decimal("12.50")],
        "big": [2**53 + 1, None],
        "new": [True, False],
        "sizes": [[1, 2], []],
        "seen": [dt.datetime(2024, 2, 29, 12, tzinfo=dt.timezone.utc), None],
        "prices": pa.array([[("", 1.5), ("store1", 2.0)], None], pa.map_(pa.string(), pa.float64())),
        **columns,
    }
    return stage.write_part(pa.table(rows), f"{scheme}.parquet")


def _secured(stage: Stage) -> str:
    sets = [{"allowedPermissions": [{"identity": "HR", "identityType": "Group"}]}]
    levels = [{"name": "one", "permissionSets": [{"allowAnonymous": True}]}]
    rows = [{"documentId": "hr://pay", "data": "x", "permissions": sets}]
    complete = [{"documentId": "hr://all", "data": "x", "permissions": levels}]
    stage.write_part(rows, "secured/sets.parquet")
    return stage.write_part(complete, "secured/levels.parquet").rsplit("/", 1)[0]


def _contents(stage: Stage) -> str:
    """Write documents with files as their content: one small enough to go inline, one that is not."""
    files = [stage.content("small.bin", 1_000), stage.content("large.bin", 6 * MIB)]
    rows = [{"documentId": uri, "contentUri": uri, "fileExtension": ".bin"} for uri in files]
    return stage.write_part(rows, "contents.parquet")


def _deletions(stage: Stage) -> str:
    return stage.write_part(
        [{"documentId": "file://old/", "deleteChildren": True}, {"documentId": "file://a"}], "gone.parquet"
    )


def _group(name: str) -> dict[str, Any]:
    return {"name": name, "type": "GROUP", "members": [{"name": "ann", "type": "USER"}]}


def _members(stage: Stage) -> str:
    return stage.write_part([_group("HR"), _group("IT")], "members.parquet")


def _aliases(stage: Stage) -> str:
    mappings = [{"name": "ann@example.com", "type": "USER", "provider": EMAIL}]
    return stage.write_part([{"name": "ann", "type": "USER", "mappings": mappings}], "aliases.parquet")


def check_dataset(stage: Stage) -> Scene:
    yield ours.CoveoCheckDatasetOperator(task_id="check", documents=_documents(stage))


def _transform(stage: Stage) -> Any:
    rows = stage.folder / "rows.ndjson"
    rows.write_text('{"documentId": "file://1", "title": "One"}\n')
    output = (stage.folder / "transformed").as_uri()
    return ours.CoveoTransformOperator(task_id="transform", source=rows.as_uri(), output=output)


def _diff(stage: Stage) -> Any:
    given: dict[str, Any] = {"source_id": "files", "state": (stage.folder / "state").as_uri()}
    return ours.CoveoDiffOperator(task_id="diff", documents=run(_transform(stage)), **given)


def plan(stage: Stage) -> Scene:
    given: dict[str, Any] = {"source_id": "files", "state": (stage.folder / "state").as_uri()}
    yield ours.CoveoPlanOperator(task_id="plan", documents=run(_transform(stage)), **given)


def _night(stage: Stage, text: str) -> None:
    """Load one document, and remember it."""
    given: dict[str, Any] = {"source_id": "files", "state": (stage.folder / "state").as_uri()}
    rows = stage.folder / f"{text}.ndjson"
    rows.write_text(f'{{"documentId": "file://1", "title": "{text}"}}\n')
    folder = stage.folder / text
    run(ours.CoveoTransformOperator(task_id="transform", source=rows.as_uri(), output=folder.as_uri()))
    changes = run(ours.CoveoDiffOperator(task_id="diff", documents=folder.as_uri(), **given))
    sent = [run(ours.CoveoPushBatchOperator(task_id="push", source_id="files", **one)) for one in changes]
    manifest = (folder / "_manifest.json").as_uri()
    last = ours.CoveoFinalizeOperator(
        task_id="finalize", reports=sent, manifest=manifest, verify=False, **given
    )
    run(last)


def choose_load(stage: Stage) -> Scene:
    """It reads the state, and calls nothing."""
    _night(stage, "one")
    _night(stage, "two")
    state = (stage.folder / "state").as_uri()
    yield ours.CoveoChooseLoadOperator(task_id="choose", source_id="files", state=state, load="previous")


def list_files(stage: Stage) -> Scene:
    """It lists a folder, and calls nothing."""
    share = stage.folder / "share"
    share.mkdir()
    (share / "a.txt").write_text("text")
    output = (stage.folder / "listed").as_uri()
    yield ours.CoveoListFilesOperator(task_id="list", root=share.as_uri(), output=output)


def transform(stage: Stage) -> Scene:
    yield _transform(stage)


def diff(stage: Stage) -> Scene:
    yield _diff(stage)


def finalize(stage: Stage) -> Scene:
    changes = run(_diff(stage))
    sent = [
        run(ours.CoveoPushBatchOperator(task_id="push", source_id="files", **change)) for change in changes
    ]
    yield ours.CoveoFinalizeOperator(task_id="finalize", source_id="files", reports=sent)


def end_stale_loads(stage: Stage) -> Scene:
    operator: Any = ours.CoveoEndStaleLoadsOperator(task_id="end_stale_loads", source_ids=["files"])
    left = Holder("shop", "monday", "files", "2025-01-01T00:00:00+00:00", status="REBUILD")
    # Claims are kept by runs of DAGs only, and none runs here.
    operator.claim = lambda context: SimpleNamespace(stale=lambda: nullcontext(left))
    yield operator


def verify(stage: Stage) -> Scene:
    report = run(
        ours.CoveoPushBatchOperator(
            task_id="push", source_id="files", documents=[{"documentId": "file://a", "data": "x"}]
        )
    )
    yield ours.CoveoVerifyOperator(task_id="verify", source_id="files", reports=report)


def check_access(stage: Stage) -> Scene:
    yield ours.CoveoCheckAccessOperator(
        task_id="check", documents=_secured(stage), members=_members(stage), provider_id=PROVIDER
    )


def open_stream(stage: Stage) -> Scene:
    yield ours.CoveoOpenStreamOperator(task_id="open", source_id="products")


def _load(stage: Stage) -> tuple[str, Any]:
    stream_id = run(ours.CoveoOpenStreamOperator(task_id="open", source_id="products"))
    return stream_id, ours.CoveoUploadChunkOperator(
        task_id="upload", source_id="products", stream_id=stream_id, documents=_documents(stage)
    )


def upload_chunk(stage: Stage) -> Scene:
    stream_id, upload = _load(stage)
    yield upload
    yield ours.CoveoUploadChunkOperator(
        task_id="contents", source_id="products", stream_id=stream_id, documents=_contents(stage)
    )


def close_stream(stage: Stage) -> Scene:
    for options in ({}, {"min_documents": 2, "max_shrink": 0.5}):
        stream_id, upload = _load(stage)
        given: dict[str, Any] = {
            "source_id": "products",
            "stream_id": stream_id,
            "reports": run(upload),
            **options,
        }
        yield ours.CoveoCloseStreamOperator(task_id="close", **given)


def set_status(stage: Stage) -> Scene:
    for status in ("REBUILD", "refresh", "INCREMENTAL", "IDLE"):
        yield ours.CoveoSetSourceStatusOperator(task_id="status", source_id="files", status=status)


def push_batch(stage: Stage) -> Scene:
    yield ours.CoveoPushBatchOperator(
        task_id="push", source_id="files", documents=_documents(stage, "file"), deletions=_deletions(stage)
    )
    groups: dict[str, Any] = {"provider_id": PROVIDER, "members": _members(stage)}
    run(ours.CoveoSecurityExpansionOperator(task_id="groups", **groups))
    yield ours.CoveoPushBatchOperator(task_id="secured", source_id="hr", documents=_secured(stage))
    yield ours.CoveoPushBatchOperator(task_id="contents", source_id="files", documents=_contents(stage))


def push_item(stage: Stage) -> Scene:
    item = {
        "documentId": "file://a%20b?c=d&e=Größe",
        "data": "x",
        "title": "A",
        "sizes": [1, 2],
        "prices": {"": 1},
    }
    yield ours.CoveoPushItemOperator(task_id="item", source_id="files", document=item)
    for size in (1_000, 6 * MIB):
        content = stage.content(f"{size}.bin", size)
        document = {"documentId": content, "contentUri": content, "compressionType": "GZIP"}
        yield ours.CoveoPushItemOperator(task_id="content", source_id="files", document=document)


def delete_item(stage: Stage) -> Scene:
    given: dict[str, Any] = {"source_id": "files", "document_id": "file://a%20b?c=d&e=Größe"}
    yield ours.CoveoDeleteItemOperator(task_id="one", **given)
    yield ours.CoveoDeleteItemOperator(task_id="more", delete_children=True, **given)


def update_stream(stage: Stage) -> Scene:
    changes = [
        {"documentId": "product://3", "operator": operator, "field": "sizes", "value": value}
        for operator, value in {
            "fieldValueReplace": None,
            "arrayAppend": [1],
            "arrayRemove": ["b"],
            "dictionaryPut": {"store1": 1.5},
            "dictionaryRemove": ["store2"],
        }.items()
    ]
    for number, change in enumerate(changes):
        change["field"] = f"field{number}"
    gone = [{"documentId": "product://4", "deleteChildren": False}]
    given: dict[str, Any] = {"documents": _documents(stage), "partial_updates": changes, "deletions": gone}
    yield ours.CoveoUpdateStreamOperator(task_id="update", source_id="products", **given)
    yield ours.CoveoUpdateStreamOperator(task_id="b", source_id="products", documents=_contents(stage))


def merge_stream(stage: Stage) -> Scene:
    yield ours.CoveoMergeStreamOperator(task_id="merge", source_id="products", documents=_documents(stage))


def delete_older(stage: Stage) -> Scene:
    status: dict[str, Any] = {"source_id": "files", "status": "REBUILD"}
    mark = run(ours.CoveoSetSourceStatusOperator(task_id="status", **status))
    pushed = run(
        ours.CoveoPushBatchOperator(task_id="push", source_id="files", documents=_documents(stage, "file"))
    )
    yield ours.CoveoDeleteOlderOperator(task_id="a", source_id="files", ordering_id=mark, reports=pushed)
    yield ours.CoveoDeleteOlderOperator(
        task_id="b", source_id="files", ordering_id=mark, reports=pushed, queue_delay=0, max_shrink=0.9
    )
    updated = run(
        ours.CoveoUpdateStreamOperator(task_id="c", source_id="products", documents=_documents(stage))
    )
    yield ours.CoveoDeleteOlderOperator(task_id="d", source_id="products", reports=updated)


def security_provider(stage: Stage) -> Scene:
    yield ours.CoveoSecurityProviderOperator(task_id="make", provider_id="Other", source_ids=["files"])
    yield ours.CoveoSecurityProviderOperator(task_id="link", provider_id="Other", source_ids=["hr"])


def ensure_source(stage: Stage) -> Scene:
    made: dict[str, Any] = {"kind": "CATALOG", "visibility": "SHARED", "documents": _documents(stage)}
    yield ours.CoveoEnsureSourceOperator(task_id="make", source="Shoes", security_provider="Shop", **made)
    yield ours.CoveoEnsureSourceOperator(
        task_id="again",
        source="Shoes",
        fields={"ec_name": {"type": "STRING", "facet": True}},
        update=True,
        **made,
    )
    yield ours.CoveoEnsureSourceOperator(task_id="id", source_id="files", fields={"a": "LONG"}, dry_run=True)


def expand(stage: Stage) -> Scene:
    yield ours.CoveoSecurityExpansionOperator(
        task_id="expand",
        provider_id=PROVIDER,
        members=_members(stage),
        mappings=_aliases(stage),
        deleted=stage.write_part([{"name": "bob", "type": "USER"}], "deleted.parquet"),
        delete_older=True,
        max_shrink=0.5,
    )


def transform_identities(stage: Stage) -> Scene:
    """It reads an export, and calls nothing."""
    export = stage.folder / "users.csv"
    export.write_text("sAMAccountName,mail,memberOf,Enabled\nann,ann@example.com,HR;IT,True\n")
    output = (stage.folder / "identities").as_uri()
    yield ours.CoveoTransformIdentitiesOperator(task_id="ids", source=export.as_uri(), output=output)


def push_identity(stage: Stage) -> Scene:
    info = {"name": "ann", "type": "USER", "additionalInfo": {"site": "B"}}
    group = {"name": "HR", "type": "GROUP"}
    aliases = [{"name": "ann@example.com", "type": "USER", "provider": EMAIL}]
    given: dict[str, Any] = {"task_id": "identity", "provider_id": PROVIDER}
    yield ours.CoveoPushIdentityOperator(identity=group, members=[info], **given)
    yield ours.CoveoPushIdentityOperator(identity=info, mappings=aliases, well_knowns=[group], **given)
    yield ours.CoveoPushIdentityOperator(identity=group, disable=True, **given)


def delete_older_identities(stage: Stage) -> Scene:
    given: dict[str, Any] = {"provider_id": PROVIDER, "members": _members(stage)}
    report = run(ours.CoveoSecurityExpansionOperator(task_id="expand", **given))
    yield ours.CoveoDeleteOlderIdentitiesOperator(task_id="older", provider_id=PROVIDER, reports=[report])


SCENES: dict[str, Callable[[Stage], Scene]] = {
    "CoveoCheckAccessOperator": check_access,
    "CoveoCheckDatasetOperator": check_dataset,
    "CoveoChooseLoadOperator": choose_load,
    "CoveoCloseStreamOperator": close_stream,
    "CoveoDeleteItemOperator": delete_item,
    "CoveoDeleteOlderIdentitiesOperator": delete_older_identities,
    "CoveoDeleteOlderOperator": delete_older,
    "CoveoDiffOperator": diff,
    "CoveoEndStaleLoadsOperator": end_stale_loads,
    "CoveoEnsureSourceOperator": ensure_source,
    "CoveoFinalizeOperator": finalize,
    "CoveoListFilesOperator": list_files,
    "CoveoMergeStreamOperator": merge_stream,
    "CoveoOpenStreamOperator": open_stream,
    "CoveoPlanOperator": plan,
    "CoveoPushBatchOperator": push_batch,
    "CoveoPushIdentityOperator": push_identity,
    "CoveoPushItemOperator": push_item,
    "CoveoSecurityExpansionOperator": expand,
    "CoveoSecurityProviderOperator": security_provider,
    "CoveoSetSourceStatusOperator": set_status,
    "CoveoTransformIdentitiesOperator": transform_identities,
    "CoveoTransformOperator": transform,
    "CoveoUpdateStreamOperator": update_stream,
    "CoveoUploadChunkOperator": upload_chunk,
    "CoveoVerifyOperator": verify,
}
"""One for every operator; a scene yields what is to be recorded, and runs what only has to come before."""
