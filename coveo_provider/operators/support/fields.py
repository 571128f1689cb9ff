"""Metadata that the service would drop without a word is told before it is sent, or refused, or gets its fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from coveo_provider.errors import ConfigurationError, CoveoError, DatasetError, SafetyStop
from coveo_provider.operators.support.followers import kinds_before

if TYPE_CHECKING:
    from airflow.sdk import Context

    from coveo_provider.api.types import Field, MappingRule
    from coveo_provider.fields.metadata import Metadata
    from coveo_provider.fields.specs import FieldSpec
    from coveo_provider.operators.support.base import CoveoOperator

CHOICES = ("warn", "fail", "create", "off")
_NAMES = 10  # of keys that a message lists
_READ = re.compile(r"%\[([^\]]+)\]")

Looked = Callable[[], "Metadata"]


def refuse_choice(fields: Any) -> None:
    """
    Refuse what ``fields`` cannot be.

    :raises ConfigurationError: it is none of the choices
    """
    if fields not in CHOICES:
        raise ConfigurationError(f"fields must be one of {', '.join(CHOICES)}, not {fields!r}")


def was_looked_at(operator: Any, context: Context) -> bool:
    """Return whether a task before this one, on the same source, looked at all metadata that is to be sent."""
    return any(getattr(kind, "looks_at_fields", False) for kind in kinds_before(operator, context))


def look_at_fields(operator: CoveoOperator, source_id: str, fields: str, metadata: Looked) -> None:
    """
    Tell what the service would drop: metadata without a field, and values that do not fit their field.

    :param fields: ``warn`` logs it, and asks once only; ``fail`` refuses it; ``create`` makes the fields that are
        missing, and refuses the rest; ``off`` does nothing
    :param metadata: returns that of the load
    :raises DatasetError: something would be dropped; nothing was sent
    """
    if fields == "off":
        return
    found = metadata()
    if not found.keys:
        return
    lenient = fields == "warn"
    try:
        known = operator.client.fields(once=lenient)
    except CoveoError as error:
        if not lenient:
            raise
        operator.log.warning("Whether all metadata has a field is not known: %s", error)
        return
    told = _lost(operator, source_id, found, known, create=fields == "create")
    if told and lenient:
        operator.log.warning("%s. %s", "; ".join(told), _REMEDY)
    elif told:
        raise DatasetError(f"source {source_id}: {'; '.join(told)}. Nothing was sent. {_REMEDY}")


_REMEDY = (
    'CoveoEnsureSourceOperator, or fields="create", makes fields that are missing; none changes the type of one. '
    "docs/sources-as-code.md tells more"
)


def _lost(
    operator: CoveoOperator, source_id: str, metadata: Metadata, fields: Mapping[str, Field], *, create: bool
) -> list[str]:
    """Return in words what the service would drop, after the fields were made that can be."""
    unkept, mapped = _unkept(operator, source_id, metadata.keys, fields)
    lost = metadata.filled(unkept)
    if create and lost:
        specs = metadata.specs(lost)
        fields = create_missing(operator, specs, fields)
        made = {spec.name for spec in specs}
        lost = [key for key in lost if key not in made]
    told = []
    if lost:
        told.append(
            f"metadata without a field, which the service drops: {few(metadata.keys[key] for key in lost)}"
        )
    if unfit := metadata.unfit(fields, mapped):
        each = "; ".join(one.told() for one in unfit[:_NAMES])
        told.append(f"values that their field does not take, which the service may drop: {each}")
    return told


def keys_without_field(
    operator: CoveoOperator, source_id: str, keys: Iterable[str], fields: Mapping[str, Field]
) -> list[str]:
    """
    Return the keys of metadata for which the organization has no field, and that no mapping rule reads.

    Only when there are some is the source asked for its rules; where it does not answer there are none.
    """
    return _unkept(operator, source_id, keys, fields)[0]


def _unkept(
    operator: CoveoOperator, source_id: str, keys: Iterable[str], fields: Mapping[str, Field]
) -> tuple[list[str], Mapping[str, Sequence[Field]]]:
    """Return the same, and what mapping rules read: they are asked for where a key has no field."""
    from coveo_provider.fields.metadata import without_field

    lost = without_field(keys, fields)
    mapped = _mapped(operator, source_id, fields) if lost else {}
    return without_field(lost, (), mapped), mapped


def _mapped(
    operator: CoveoOperator, source_id: str, fields: Mapping[str, Field]
) -> Mapping[str, Sequence[Field]]:
    try:
        return fields_filled(operator.client.get_source(source_id, once=True).mappings, fields)
    except CoveoError as error:
        operator.log.info("The mapping rules of source %s are not known: %s", source_id, error)
        return {}


def keys_read(rules: Iterable[MappingRule]) -> set[str]:
    """Return the keys of metadata that mapping rules read, in lower case."""
    return {key.lower() for rule in rules for text in rule.content for key in _READ.findall(text)}


def fields_filled(rules: Iterable[MappingRule], fields: Mapping[str, Field]) -> dict[str, Sequence[Field]]:
    """
    Return the keys that mapping rules read, in lower case, each with the fields that its values fill as they are.

    A rule of a field that is not there fills nothing, and one for items of one type does not do it for all.
    """
    filled: dict[str, list[Field]] = {}
    for rule in rules:
        for text in rule.content if rule.field in fields and not rule.item_type else ():
            for key in _READ.findall(text):
                alone = [fields[rule.field]] if _READ.fullmatch(text) else []
                filled.setdefault(key.lower(), []).extend(alone)
    return dict(filled)


def create_missing(
    operator: CoveoOperator, specs: Sequence[FieldSpec], fields: Mapping[str, Field]
) -> dict[str, Field]:
    """
    Create fields, and return all that there are then, by name.

    One that somebody else made meanwhile, or an attempt whose answer was lost, counts as made if it is of the type.

    :raises SafetyStop: one was refused
    """
    from coveo_provider.fields.comparison import field_of

    if not specs:
        return dict(fields)
    refused = operator.client.create_fields([spec.model() for spec in specs])
    found = operator.client.fields() if refused else fields
    made = [spec for spec in specs if spec.name not in refused]
    for name, why in refused.items():
        spec = next((one for one in specs if one.name == name), None)
        known = found.get(name)
        if spec is None or known is None:
            raise SafetyStop(
                f"field {name or '?'} was refused: {why}. {_created(made)}Nothing was sent. Mend the declaration, "
                "or make the field in the Administration Console (Content, Fields)"
            )
        if known.type != spec.type or known.dictionary is not (spec.dictionary is True):
            raise SafetyStop(
                f"field {name} was made meanwhile, of type {known.type}, and was to be of type {spec.type}. "
                f"{_created(made)}Nothing was sent. Decide which it is to be: no field changes its type"
            )
        operator.log.info("Field %s was there already when it was to be created", name)
    if made:
        operator.log.info("Created %s", few((spec.described() for spec in made), most=50))
    own = {spec.name: field_of(spec) for spec in specs}
    return {**own, **found}


def _created(specs: Sequence[FieldSpec]) -> str:
    return f"Created before were {few(spec.name for spec in specs)}. " if specs else ""


def few(names: Iterable[str], most: int = _NAMES) -> str:
    """Return some of many names, and how many more there are."""
    listed = [name if name.isprintable() else repr(name) for name in names]
    more = f" and {len(listed) - most:,} more" if len(listed) > most else ""
    return f"{', '.join(listed[:most])}{more}"


def of_load(load: Any) -> Looked:
    """Return what looks at parts and rows that are open."""

    def look() -> Metadata:
        from coveo_provider.fields.metadata import Metadata

        return Metadata(load)

    return look


def of_files(uris: Sequence[str]) -> Looked:
    """Return what looks at parts that are not open: of each the footer is read, and values only if needed."""

    def look() -> Metadata:
        from coveo_provider.documents.contract import Section
        from coveo_provider.documents.dataset.tables import stored_schema
        from coveo_provider.fields.metadata import Metadata, StoredDocuments
        from coveo_provider.operators.support.paths import path_at
        from coveo_provider.operators.support.storage import open_file

        parts = []
        for uri in uris:
            path: Any = path_at(uri)
            with path.open("rb") as file:
                parts.append(StoredDocuments(uri, stored_schema(file), partial(open_file, uri)))
        return Metadata({Section.ADD_OR_UPDATE: parts})

    return look
