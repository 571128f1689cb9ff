"""A source as it is declared: what is missing is made, and what differs is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context, XComArg

from coveo_provider.errors import ConfigurationError, CoveoError, DatasetError, NotFound, SafetyStop
from coveo_provider.links import SOURCE_LINKS
from coveo_provider.operators.support.base import CoveoOperator
from coveo_provider.operators.support.exposure import keeps_somebody_out
from coveo_provider.operators.support.fields import create_missing, few, fields_filled, keys_read
from coveo_provider.operators.support.inputs import open_input
from coveo_provider.operators.support.values import truth

if TYPE_CHECKING:
    from coveo_provider.api.types import Field, MappingRule, Source
    from coveo_provider.fields.comparison import FieldsPlan

_STOPPED = {
    "PAUSED": "resume it in the Administration Console (Sources)",
    "PAUSED_ON_ERROR": "look at its errors in the Administration Console (Sources), mend them and resume it",
    "DISABLED": "enable it in the Administration Console, or ask Coveo: a license that ended disables sources",
    "ERROR": "look at its errors in the Administration Console (Sources) and mend them",
}
"""What to do about a source of a status in which it takes nothing reliably."""


@dataclass
class _Plan:
    """What is to be done, and what was found."""

    source: Source | None
    fields: FieldsPlan
    rules: list[MappingRule]
    other_rules: list[tuple[MappingRule, MappingRule]]
    create_source: bool = False
    create_provider: bool = False
    link_provider: bool = False
    known: Mapping[str, Field] = field(default_factory=dict)

    @property
    def changes(self) -> bool:
        """Whether anything is to be created."""
        new = self.create_source or self.create_provider or self.link_provider
        return bool(new or self.fields.create or self.rules)


class CoveoEnsureSourceOperator(CoveoOperator):
    """
    Make sure that a source and its fields are as declared: create what is missing, tell what differs.

    It looks at everything first and logs a plan, so that what is refused is refused before anything is made. It
    never deletes, and never changes the type of a field, nor a source's kind and visibility. A second run changes
    nothing. Give what it returns to a group: ``source_id=ensure.output["source_id"]``.

    Refused are: several sources of the name; one of another kind or visibility; one that a product fills (Crawling
    Module, Coveo for Sitecore), that takes no pushes, or that is paused, disabled or in error; a field of another
    type than declared; values of the dataset that their field does not take; documents with permissions where the
    source is not secured.

    :param source: the source's name; it is created when there is none (templated)
    :param source_id: the id of a source that is there, instead of a name (templated)
    :param kind: ``PUSH`` or ``CATALOG``; needed with ``source`` (templated)
    :param visibility: ``SECURED`` (whom an item's permissions allow), ``SHARED`` (everybody) or ``PRIVATE``; needed
        with ``source`` (templated)
    :param security_provider: id of the provider that its items' permissions name: it is created when there is none,
        and linked to the source (templated)
    :param documents: the dataset, rows or DataFrame whose metadata is to be kept: where nothing is declared for a
        key, its field is derived from the values (templated)
    :param fields: what is declared: a list of :class:`~coveo_provider.fields.FieldSpec`, or a mapping of names to
        types, such as ``{"price": "DOUBLE", "color": {"type": "STRING", "facet": True}}``
    :param mappings: of fields that metadata of other keys fills: the field's name to ``"%[key]"``, or a list
    :param update: whether flags of fields that differ (facet, sort, multi_value, free_text) are changed, too
    :param dry_run: whether to tell only, and make nothing (templated)
    :param coveo_conn_id: connection to the organization; its key needs Sources (View) and Fields (View), and for
        what is made Sources (Create), Fields (Create), Sources (Edit) for mapping rules, Fields (Edit) with
        ``update``, and Security identity providers (View, Create) (templated)
    :return: ``source_id`` (empty when a dry run would create it), ``created``, ``updated``, ``differs``,
        ``missing``, ``changed``, ``dry_run``
    :raises SafetyStop: the source, or a field, is another one than declared; nothing was made
    :raises DatasetError: the dataset has values that their field does not take; nothing was made
    """

    documentation = "https://docs.coveo.com/en/115/"
    template_fields: Sequence[str] = (
        *("source", "source_id", "kind", "visibility", "security_provider"),
        *("documents", "dry_run", "coveo_conn_id"),
    )
    operator_extra_links = SOURCE_LINKS

    def __init__(
        self,
        *,
        source: str | XComArg = "",
        source_id: str | XComArg = "",
        kind: str = "",
        visibility: str = "",
        security_provider: str = "",
        documents: str | Sequence[str | XComArg] | Sequence[Mapping[str, Any]] | XComArg | None = None,
        fields: Sequence[Any] | Mapping[str, Any] | None = None,
        mappings: Mapping[str, str | Sequence[str]] | None = None,
        update: bool = False,
        dry_run: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source: Any = source
        self.source_id: Any = source_id
        self.kind = kind
        self.visibility = visibility
        self.security_provider = security_provider
        self.documents: Any = documents
        self.fields = fields
        self.mappings = mappings
        self.update = update
        self.dry_run: Any = dry_run

    def act(self, context: Context) -> dict[str, Any]:
        """Make sure, and leave the source's id in XCom by its name, too, for a group to take."""
        result = self._ensured()
        if (instance := context.get("ti")) is not None:
            instance.xcom_push("source_id", result["source_id"])
        return result

    def _ensured(self) -> dict[str, Any]:
        """Look at everything, tell the plan, and then create what is missing."""
        only = truth(self.dry_run, "dry_run")
        self._refuse_half_declared()
        with ExitStack() as stack:
            plan = self._planned(stack)
        self._tell(plan)
        if only:
            self.log.info("Nothing is made, as dry_run says")
            return self._result(plan, _id_of(plan), made=plan.changes, updated=[], dry_run=True)
        source_id = self._make_source(plan)
        if self.security_provider and (plan.create_provider or plan.link_provider):
            self.client.ensure_security_provider(self.security_provider, source_ids=[source_id])
            self.log.info("Security provider %s is linked to source %s", self.security_provider, source_id)
        create_missing(self, plan.fields.create, plan.known)
        updated = self._update_flags(plan) if self.update else []
        for rule in plan.rules:
            self._add_rule(source_id, rule)
        if not plan.changes and not updated:
            self.log.info("Source %s and its fields are as declared: nothing was changed", source_id)
        return self._result(plan, source_id, made=plan.changes, updated=updated, dry_run=False)

    def _refuse_half_declared(self) -> None:
        if bool(self.source) == bool(self.source_id):
            raise ConfigurationError(
                f"task {self.task_id}: name the source by its name (source=…), to create it when there is none, or "
                "by its id (source_id=…); not by both"
            )
        for name, choices in (("kind", "PUSH or CATALOG"), ("visibility", "SECURED, SHARED or PRIVATE")):
            if self.source and not getattr(self, name):
                raise ConfigurationError(
                    f"task {self.task_id}: {name} is missing: a source that is declared by its name has one, "
                    f"{choices}, which cannot be changed later"
                )

    def _planned(self, stack: ExitStack) -> _Plan:
        """Ask for all there is, and return what is to be done; nothing is made yet."""
        from coveo_provider.api.types import SourceKind, SourceVisibility
        from coveo_provider.documents.contract import Section
        from coveo_provider.fields.comparison import compare_fields, field_of
        from coveo_provider.fields.metadata import Metadata
        from coveo_provider.fields.specs import declared

        kind = SourceKind.of(self.kind).value if self.kind else ""
        visibility = SourceVisibility.of(self.visibility).value if self.visibility else ""
        specs = declared(self.fields) if self.fields is not None else []
        wanted = _rules(self.mappings)
        load = {Section.ADD_OR_UPDATE: stack.enter_context(open_input(self.documents, "documents", []))}
        metadata = Metadata(load) if self.documents is not None else None
        source = self._find()
        if source is not None:
            self._refuse_other(source, kind, visibility)
        shown_to = visibility or (source.visibility if source is not None else "")
        if shown_to != "SECURED" and keeps_somebody_out(load):
            raise SafetyStop(
                f"{self._name}: the documents have permissions, and the source is "
                f"{shown_to or 'of unknown visibility'}, not SECURED: everybody would see them. Nothing was made. "
                'Declare visibility="SECURED" for a new source, or leave permissions out'
            )
        known = self.client.fields()
        there = [one for one in source.mappings if not one.item_type] if source is not None else []
        rules = [rule for rule in wanted if rule.field not in {one.field for one in there}]
        fields = {**{spec.name: field_of(spec) for spec in specs}, **known}
        # A rule may fill a field, too, that is derived from the dataset: the key is read, whatever its type.
        mapped = {**dict.fromkeys(keys_read(rules), ()), **fields_filled([*there, *rules], fields)}
        plan = _Plan(
            source,
            compare_fields(specs, metadata, known, mapped),
            rules=rules,
            other_rules=[
                (rule, one)
                for rule in wanted
                for one in there
                if one.field == rule.field and one.content != rule.content
            ],
            create_source=source is None,
            known=known,
        )
        self._refuse_clashes(plan.fields, {*known, *(spec.name for spec in plan.fields.create)}, wanted)
        if self.security_provider:
            plan.create_provider, plan.link_provider = self._look_at_provider(source)
        return plan

    @property
    def _name(self) -> str:
        return f"source {self.source or self.source_id}"

    def _find(self) -> Source | None:
        """
        Return the source; ``None`` when there is none of the name.

        :raises SafetyStop: there are several
        """
        if self.source_id:
            return self.client.get_source(self.source_id)
        found = self.client.find_sources(self.source)
        if len(found) > 1:
            each = few(f"{one.name} ({one.source_id})" for one in found)
            raise SafetyStop(
                f"{self._name}: there are {len(found)} sources of that name, capitals apart: {each}. Nothing was "
                "made. Name the right one by its id (source_id=…), or rename the others"
            )
        if found and found[0].name != self.source:
            raise SafetyStop(
                f"{self._name}: there is a source {found[0].name!r}, which differs in capitals only. Nothing was "
                "made. Write its name as it stands there, or take a name of its own"
            )
        return self.client.get_source(found[0].source_id) if found else None

    def _refuse_other(self, source: Source, kind: str, visibility: str) -> None:
        """
        Refuse a source that is another one than declared, or that may not be pushed to now.

        :raises SafetyStop: it is
        """
        for what, wanted, found in (
            ("of kind", kind, source.kind),
            ("visible as", visibility, source.visibility),
        ):
            if wanted and wanted != found:
                raise SafetyStop(
                    f"{self._name} ({source.source_id}) is {what} {found or 'nobody knows what'}, and declared as "
                    f"{wanted}: that is never changed, as its items would be lost or seen by others. Nothing was "
                    "made. Change the declaration, or declare a source of another name"
                )
        if source.managed_by:
            raise SafetyStop(
                f"{self._name} ({source.source_id}) is filled by {source.managed_by}: pushing to it damages its "
                "index. Nothing was made. Declare a source of its own"
            )
        takes = source.stream_enabled if source.kind == "CATALOG" else source.push_enabled
        if not takes:
            raise SafetyStop(
                f"{self._name} ({source.source_id}), of kind {source.kind or 'unknown'}, takes no pushes "
                f"({'streamEnabled' if source.kind == 'CATALOG' else 'pushEnabled'} is false). Nothing was made. "
                "Declare a source of its own, of kind PUSH or CATALOG"
            )
        if source.status in _STOPPED:
            raise SafetyStop(
                f"{self._name} ({source.source_id}) has the status {source.status}. Nothing was made. To go on, "
                f"{_STOPPED[source.status]}"
            )

    def _refuse_clashes(self, fields: FieldsPlan, names: set[str], rules: Sequence[MappingRule]) -> None:
        if fields.clashes:
            # Values are those of the dataset; a declaration is wrong of itself.
            kind = DatasetError if self.documents is not None else SafetyStop
            raise kind(
                f"{self._name}: {'; '.join(fields.clashes[:10])}. Nothing was made. No field changes its type: "
                "mend the dataset or the declaration, or take a field of another name"
            )
        if homeless := [rule.field for rule in rules if rule.field not in names]:
            raise ConfigurationError(
                f"{self._name}: mappings fill {few(homeless)}, and there is no such field. Declare it in fields"
            )

    def _look_at_provider(self, source: Source | None) -> tuple[bool, bool]:
        """Return whether the provider is to be created, and whether it is to be linked."""
        try:
            model = self.client.get_security_provider(self.security_provider)
        except NotFound as error:
            if error.code in {"", "ORGANIZATION_NOT_FOUND"}:
                raise
            return True, True
        links = model.get("referencedBy")
        ids = [one.get("id") for one in links if isinstance(one, Mapping)] if isinstance(links, list) else []
        return False, source is None or source.source_id not in ids

    def _make_source(self, plan: _Plan) -> str:
        """Return the id of the source, which is created if there is none."""
        from coveo_provider.api.retries import may_have_been_carried_out
        from coveo_provider.api.types import SourceKind, SourceVisibility
        from coveo_provider.errors import ApiError

        if plan.source is not None:
            return plan.source.source_id
        kind, visibility = SourceKind.of(self.kind), SourceVisibility.of(self.visibility)
        try:
            source_id = self.client.create_source(self.source, kind, visibility)
        except CoveoError as error:
            # It was made, and the answer was lost; or another run made it first.
            taken = isinstance(error, ApiError) and error.status in {400, 409, 412}
            found = self._find() if taken or may_have_been_carried_out(error) else None
            if found is None:
                raise
            self._refuse_other(found, kind.value, visibility.value)
            self.log.info("Source %s was there when it was to be created: %s", self.source, found.source_id)
            return found.source_id
        self.log.info("Created source %s: %s, %s, %s", self.source, source_id, kind.value, visibility.value)
        return source_id

    def _update_flags(self, plan: _Plan) -> list[str]:
        """Change the flags of fields that differ, and nothing else of them; return their names."""
        from coveo_provider.fields.specs import with_flags

        models = [
            with_flags(one.field.model, one.flags) for one in plan.fields.differs if not one.field.system
        ]
        if not models:
            return []
        if refused := self.client.update_fields(models):
            each = few(f"{name} ({why})" for name, why in refused.items())
            raise SafetyStop(f"{self._name}: the flags of fields were not changed: {each}")
        names = [str(model["name"]) for model in models]
        self.log.info("Changed the flags of %s", few(names))
        return names

    def _add_rule(self, source_id: str, rule: MappingRule) -> None:
        from coveo_provider.api.retries import may_have_been_carried_out

        try:
            self.client.add_mapping_rule(source_id, rule)
        except CoveoError as error:
            if not may_have_been_carried_out(error) or rule not in self.client.get_source(source_id).mappings:
                raise
        self.log.info(
            "Field %s of source %s is filled from %s", rule.field, source_id, ", ".join(rule.content)
        )

    def _tell(self, plan: _Plan) -> None:
        """Log the plan, a line for each thing."""
        lines = [f"create   {line}" for line in self._created(plan)]
        lines += [
            f"differs  {one.told()}{self._what_becomes_of(one.field.system)}" for one in plan.fields.differs
        ]
        lines += [f"differs  {told}; change it in the Administration Console" for told in _other_rules(plan)]
        lines += [
            f"missing  metadata {key!r} can be no field's name, and the service drops it: fill a field from it, "
            f"mappings={{'…': '%[{key}]'}}, or rename the column"
            for key in plan.fields.nameless
        ]
        lines.append(f"as declared: {plan.fields.fitting:,} fields")
        heads = self._name if plan.source is None else f"{self._name} ({plan.source.source_id})"
        self.log.info("Plan for %s:\n  %s", heads, "\n  ".join(lines))
        if plan.fields.nameless:
            self.log.warning(
                "%s: metadata that can be no field's name is dropped: %s",
                self._name,
                few(plan.fields.nameless),
            )

    def _what_becomes_of(self, system: bool) -> str:
        if system:
            return " (of the system: it is not changed)"
        return "" if self.update else " (update=True changes it)"

    def _created(self, plan: _Plan) -> list[str]:
        lines = []
        if plan.create_source:
            lines.append(f"source {self.source} {self.kind} {self.visibility}")
        if plan.create_provider:
            lines.append(f"security provider {self.security_provider}")
        elif plan.link_provider:
            lines.append(f"link of security provider {self.security_provider} to the source")
        lines += [f"field {spec.described()}" for spec in plan.fields.create]
        lines += [f"mapping of {rule.field} from {', '.join(rule.content)}" for rule in plan.rules]
        return lines

    def _result(
        self, plan: _Plan, source_id: str, *, made: bool, updated: Sequence[str], dry_run: bool
    ) -> dict[str, Any]:
        return {
            "source_id": source_id,
            "created": {
                "source": plan.create_source,
                "security_provider": plan.create_provider,
                "fields": [spec.name for spec in plan.fields.create],
                "mappings": [rule.field for rule in plan.rules],
            },
            "updated": list(updated),
            "differs": [
                *(one.told() for one in plan.fields.differs if one.field.name not in updated),
                *_other_rules(plan),
            ],
            "missing": list(plan.fields.nameless),
            "changed": bool(made or updated) and not dry_run,
            "dry_run": dry_run,
        }


def _id_of(plan: _Plan) -> str:
    return "" if plan.source is None else plan.source.source_id


def _other_rules(plan: _Plan) -> list[str]:
    return [
        f"mapping of {rule.field}: it is filled from {', '.join(one.content)}, not from {', '.join(rule.content)}"
        for rule, one in plan.other_rules
    ]


def _rules(mappings: Any) -> list[MappingRule]:
    """
    Return the mapping rules that an argument declares.

    :raises ConfigurationError: it is none
    """
    from coveo_provider.api.types import MappingRule

    if mappings is None:
        return []
    if not isinstance(mappings, Mapping):
        raise ConfigurationError(f"mappings is a mapping of fields to '%[key]', not {mappings!r}")
    rules = []
    for name, content in mappings.items():
        texts = list(content) if isinstance(content, (list, tuple)) else [content]
        if not texts or not isinstance(name, str) or not all(isinstance(one, str) and one for one in texts):
            raise ConfigurationError(
                f"mappings: {name!r} is filled from texts such as '%[key]', not {content!r}"
            )
        rule = MappingRule(name, tuple(texts))
        if not keys_read([rule]):
            raise ConfigurationError(
                f"mappings: {name!r} is filled from {texts[0]!r}, which reads no metadata: write '%[{texts[0]}]'"
            )
        rules.append(rule)
    return rules
