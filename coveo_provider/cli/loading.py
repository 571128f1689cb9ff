"""The commands on data: check, plan, fields and push."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coveo_provider.cli.arguments import CONNECTION, ConnId, Dataset, uri_of
from coveo_provider.cli.exit_codes import ExitCode
from coveo_provider.cli.running import command, hook_of, source_at
from coveo_provider.cli.screen import Screen, cleaned, printable
from coveo_provider.documents.contract import counted
from coveo_provider.errors import ConfigurationError, DatasetError
from coveo_provider.scratch import ScratchFolder

if TYPE_CHECKING:
    from coveo_provider.api.types import Field
    from coveo_provider.fields.comparison import FieldsPlan
    from coveo_provider.fields.metadata import Metadata

Source = Annotated[str, typer.Option("--source", metavar="ID", help="The source.")]
_REPORTED = ("source_id", "documents", "deletions", "bytes", "chunks", "calls", "seconds")
_FOUND = ("verified", "indexed", "deleted", "refused", "reasons", "held")


@command
def check(
    screen: Screen,
    dataset: Dataset,
    *,
    source: Annotated[
        str,
        typer.Option(
            "--source", metavar="ID", help="Check against this source, too: its visibility and fields."
        ),
    ] = "",
    fields: Annotated[
        str,
        typer.Option("--fields", metavar="warn|fail|off", help="With --source: metadata that has no field."),
    ] = "warn",
    stream: Annotated[
        bool, typer.Option("--stream", help="Hold it to the Stream API's limits, whatever its manifest says.")
    ] = False,
    conn_id: ConnId = CONNECTION,
) -> None:
    """
    Read and encode every row of a dataset as a load would, and send nothing.

    Ends with 1 when the data cannot be sent.
    """
    from coveo_provider.operators.dataset import CoveoCheckDatasetOperator
    from coveo_provider.operators.support.mapped_tasks import parts_of

    if fields not in {"warn", "fail", "off"}:
        raise ConfigurationError(f"--fields is warn, fail or off, not {fields!r}")
    uri = uri_of(dataset, "DATASET")
    if source:
        source_at(hook_of(conn_id).client, source)
    found = _done(
        CoveoCheckDatasetOperator,
        documents=uri,
        source_id=source or None,
        fields=fields,
        stream=stream or None,
        coveo_conn_id=conn_id,
    )
    parts = parts_of(found)
    rows = _rows_in(parts)
    screen.document(
        {"dataset": _shown(dataset), "parts": len(parts), "rows": rows, "warnings": screen.warnings}
    )
    screen.line(f"Fine: {counted(rows, 'row')} in {counted(len(parts), 'part')} can be sent.")


@command
def plan(
    screen: Screen,
    dataset: Dataset,
    *,
    source: Source,
    state: Annotated[
        str, typer.Option("--state", metavar="URI", help="The state folder of the source's loads.")
    ],
    group_by: Annotated[
        str, typer.Option("--group-by", metavar="COLUMN", help="By whose values documents are counted.")
    ] = "objecttype",
    full: Annotated[bool, typer.Option("--full", help="Plan to send everything.")] = False,
    min_documents: Annotated[
        int, typer.Option("--min-documents", min=0, help="The fewest there may be.")
    ] = 1,
    max_shrink: Annotated[
        float | None,
        typer.Option("--max-shrink", min=0, max=1, help="Share of the last load that may be gone."),
    ] = None,
    max_changed: Annotated[
        float | None,
        typer.Option("--max-changed", min=0, max=1, help="Share of the last load that may change."),
    ] = None,
    max_new_public: Annotated[
        int | None, typer.Option("--max-new-public", min=0, help="How many may become visible to everybody.")
    ] = None,
    conn_id: ConnId = CONNECTION,
) -> ExitCode:
    """
    Tell what a load would change in a source, and send nothing.

    Ends with 1 when the plan passes a bound.
    """
    from coveo_provider.operators.plan import CoveoPlanOperator
    from coveo_provider.planning.summary import summary_of, told

    uri, folder = uri_of(dataset, "DATASET"), uri_of(state, "--state", new=True)
    source_at(hook_of(conn_id).client, source)
    found: dict[str, Any] = _done(
        CoveoPlanOperator,
        documents=uri,
        source_id=source,
        state=folder,
        plan_only=True,
        group_by=group_by,
        full=full,
        min_documents=min_documents,
        max_shrink=max_shrink,
        max_changed=max_changed,
        max_new_public=max_new_public,
        coveo_conn_id=conn_id,
    )
    screen.document(found)
    screen.line(told(found))
    screen.line()
    screen.markdown(summary_of(found))
    for doubt in found["doubts"]:
        screen.warn(doubt["message"])
    return ExitCode.FOUND if found["doubts"] else ExitCode.FINE


@command
def fields(
    screen: Screen,
    dataset: Dataset,
    *,
    source: Annotated[
        str, typer.Option("--source", metavar="ID", help="Count what its mapping rules read as kept.")
    ] = "",
    conn_id: ConnId = CONNECTION,
) -> ExitCode:
    """
    List the fields that a dataset needs, and what is missing or differs in the organization.

    Ends with 1 when metadata would be dropped. CoveoEnsureSourceOperator makes what is missing.
    """
    from coveo_provider.documents.contract import Section
    from coveo_provider.fields.comparison import compare_fields
    from coveo_provider.fields.metadata import Metadata
    from coveo_provider.operators.support.datasets import open_parts
    from coveo_provider.operators.support.fields import fields_filled
    from coveo_provider.operators.support.storage import list_parts

    uri = uri_of(dataset, "DATASET")
    client = hook_of(conn_id).client
    rules = source_at(client, source).mappings if source else ()
    known = client.fields()
    read = fields_filled(rules, known)
    with open_parts(list_parts(uri, "DATASET"), uri) as parts:
        metadata = Metadata({Section.ADD_OR_UPDATE: parts})
        compared = compare_fields([], metadata, known, read)
        rows = list(_field_rows(metadata, known, read, compared))
    lost = [one for one in rows if one["status"] in {"missing", "unfit", "nameless"}]
    screen.document({"dataset": _shown(dataset), "source_id": source or None, "fields": rows})
    columns = ("key", "field", "needs", "has", "status", "note")
    screen.table(columns, [[one[name] or "" for name in columns] for one in rows])
    if lost:
        screen.warn(f"what the service drops: {', '.join(one['key'] for one in lost)}")
    return ExitCode.FOUND if lost else ExitCode.FINE


def _field_rows(
    metadata: Metadata, known: Mapping[str, Field], read: Mapping[str, Sequence[Field]], compared: FieldsPlan
) -> Iterator[dict[str, Any]]:
    """Return for each key of the metadata what field it needs, and what the organization has."""
    from coveo_provider.documents.contract import DOCUMENT_KEYS

    specs = {spec.name: spec for spec in metadata.specs(metadata.keys)}
    differs = {one.field.name: one.told() for one in compared.differs}
    unfit = {one.key.lower(): one.told() for one in metadata.unfit(known, read)}
    for key, spelled in sorted(metadata.keys.items()):
        if key in DOCUMENT_KEYS:
            continue
        found, spec = known.get(key), specs.get(key)
        if key in unfit:
            status, note = "unfit", unfit[key]
        elif key in differs:
            status, note = "differs", differs[key]
        elif found is not None:
            status, note = "there", ""
        elif key in read:
            status, note = "mapped", "a mapping rule of the source reads it"
        elif spelled in compared.nameless:
            status, note = "nameless", "it can be no field's name: a mapping rule must read it"
        elif spec is None:
            status, note = "empty", "it has no value"
        else:
            status, note = "missing", ""
        yield {
            "key": spelled,
            "field": key if status != "nameless" else None,
            "needs": None if spec is None else spec.type,
            "has": None if found is None else found.type,
            "status": status,
            "note": note,
        }


@command
def push(
    screen: Screen,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Parquet, CSV, NDJSON or JSON: a file, or a folder of them.")
    ],
    *,
    source: Source,
    mapping: Annotated[
        str, typer.Option("--mapping", metavar="FILE", help="YAML or JSON: how columns become documents.")
    ] = "",
    full: Annotated[
        bool, typer.Option("--full", help="Make it all that the source holds: anything else is deleted.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before something is deleted.")] = False,
    max_shrink: Annotated[
        float | None,
        typer.Option("--max-shrink", min=0, max=1, help="With --full: share of the items held that may go."),
    ] = None,
    max_rejected: Annotated[
        float,
        typer.Option(
            "--max-rejected", min=0, help="Items that may be refused: a share below 1, or a number."
        ),
    ] = 0,
    timeout: Annotated[
        float, typer.Option("--timeout", min=1, help="The longest wait for the index, in seconds.")
    ] = 3_600,
    conn_id: ConnId = CONNECTION,
) -> ExitCode:
    """
    Push a file to a source, wait until it is indexed, and tell what became of it.

    Ends with 1 when data cannot be sent or items were refused.
    """
    if max_shrink is not None and not full:
        raise ConfigurationError("--max-shrink is for --full, which alone deletes something")
    uri = uri_of(file, "FILE")
    rules = uri_of(mapping, "--mapping") if mapping else None
    hook = hook_of(conn_id)
    target = source_at(hook.client, source)
    with ScratchFolder("push") as folder:
        parts = _parts(uri, rules, folder, stream=target.stream_enabled)
        rows = _rows_in(parts)
        if full and not yes and not _agreed(screen, file, source, rows, target.document_count):
            screen.fail("nothing was sent")
            return ExitCode.FOUND
        options: dict[str, Any] = {"max_rejected": max_rejected, "timeout": timeout}
        tables = _tables(parts)
        if full:
            report = hook.load(tables, source, max_shrink=max_shrink, **options)
        elif target.stream_enabled:
            report = hook.update(source, documents=tables, **options)
        else:
            report = hook.push(tables, source, **options)
    return _tell_report(screen, report)


def _parts(uri: str, mapping: str | None, folder: str, *, stream: bool) -> list[str]:
    """Return the parts of a dataset that is made of files, in a folder of this machine."""
    from coveo_provider.operators.support.mapped_tasks import parts_of
    from coveo_provider.operators.transform import CoveoTransformOperator

    output = (Path(folder) / "documents").as_uri()
    try:
        found = _done(CoveoTransformOperator, source=uri, output=output, mapping=mapping, stream=stream)
    except DatasetError as error:
        if mapping is None and "documentId is missing" in str(error):
            raise DatasetError(f"{error}: give a file of it as --mapping, see docs/mappings.md") from None
        raise
    return parts_of(found)


def _tables(parts: Sequence[str]) -> Iterator[Any]:
    """Return the rows of parts, one part in memory at a time."""
    import pyarrow.parquet as pq

    from coveo_provider.operators.support.storage import open_file

    for part in parts:
        with open_file(part) as file:
            yield pq.read_table(file)


def _rows_in(parts: Sequence[str]) -> int:
    """Return how many rows parts have, by their footers."""
    import pyarrow.parquet as pq

    from coveo_provider.operators.support.storage import open_file

    rows = 0
    for part in parts:
        with open_file(part) as file:
            rows += pq.read_metadata(file).num_rows
    return rows


def _agreed(screen: Screen, file: str, source: str, rows: int, held: int | None) -> bool:
    """
    Ask whether something may be deleted.

    :raises ConfigurationError: nobody is there to be asked
    """
    holds = "an unknown number of items" if held is None else counted(held, "item")
    question = (
        f"Source {source} holds {holds}. Afterwards it holds the {counted(rows, 'document')} of {_shown(file)}, "
        "and nothing else: all others are deleted."
    )
    if not _can_ask():
        raise ConfigurationError(f"{question} Nobody can be asked here: agree with --yes. Nothing was sent")
    with screen.waiting():
        return typer.confirm(f"{question} Go on?", err=True)


def _can_ask() -> bool:
    return sys.stdin.isatty()


def _tell_report(screen: Screen, report: Mapping[str, Any]) -> ExitCode:
    document = {name: report.get(name) for name in (*_REPORTED, *_FOUND)}
    document["reasons"] = list(report.get("reasons") or ())
    screen.document({**document, "warnings": screen.warnings})
    refused = int(report.get("refused") or 0)
    sent = (
        f"Sent {report['documents']:,} documents, {report['bytes']:,} bytes, to source {report['source_id']}"
    )
    if report.get("verified") == "nothing":
        screen.line(f"{sent}. Whether they were indexed is not known: the key may not read the source's log.")
    else:
        screen.line(
            f"{sent}: {report['indexed']:,} indexed, {report['deleted']:,} deleted, {refused:,} refused."
        )
    if document["reasons"]:
        columns = list(document["reasons"][0])
        screen.table(columns, [list(one.values()) for one in document["reasons"]])
    return ExitCode.FOUND if refused else ExitCode.FINE


def _done(operator: type[Any], **arguments: Any) -> Any:
    """Do an operator's work outside of any run, and return what it returns."""
    from airflow.sdk import DAG, Context

    with DAG("coveo_command", schedule=None, auto_register=False):
        task = operator(task_id="command", **arguments)
    return task.act(Context())


def _shown(text: str) -> str:
    """Return a path or URI without passwords and signatures."""
    from coveo_provider.documents.uris import shown_uri

    return printable(cleaned(shown_uri(text)))
