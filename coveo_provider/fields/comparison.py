"""What there is to be, compared with what an organization has: what to create, what differs, what cannot be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from coveo_provider.api.types import Field
from coveo_provider.fields.metadata import Metadata, without_field
from coveo_provider.fields.specs import FieldSpec, can_be_field, flag_of


@dataclass(frozen=True)
class FlagDifference:
    """
    A field whose flags are other ones than wanted.

    :param flags: those that differ, as wanted
    """

    field: Field
    flags: Mapping[str, bool]

    def told(self) -> str:
        """Return it in words."""
        each = (
            f"{flag} is {_truth(not wanted)}, not {_truth(wanted)}" for flag, wanted in self.flags.items()
        )
        return f"field {self.field.name}: {', '.join(each)}"


@dataclass
class FieldsPlan:
    """
    What is to be done to the fields of an organization.

    :param create: fields that are not there
    :param differs: fields whose flags are other ones
    :param clashes: in words, what no change of a field can mend: another type, values that do not fit
    :param nameless: keys of metadata that can be no field's name, and that no mapping rule reads
    :param fitting: how many are as wanted
    """

    create: list[FieldSpec] = field(default_factory=list)
    differs: list[FlagDifference] = field(default_factory=list)
    clashes: list[str] = field(default_factory=list)
    nameless: list[str] = field(default_factory=list)
    fitting: int = 0


def compare_fields(
    declared: Sequence[FieldSpec],
    metadata: Metadata | None,
    fields: Mapping[str, Field],
    mapped: Mapping[str, Sequence[Field]] | None = None,
) -> FieldsPlan:
    """
    Return what is to be done so that all metadata is kept, and what is declared is there.

    A declared field has to be of its type. Where nothing is declared for a key of the metadata, a field of any type
    will do that takes all of its values.

    :param fields: the organization's, by name
    :param mapped: keys that a mapping rule of the source reads, in lower case, each with the fields that it fills
    """
    mapped = mapped or {}
    plan = FieldsPlan()
    names = {spec.name for spec in declared}
    derived: list[FieldSpec] = []
    if metadata is not None:
        lost = metadata.filled(without_field(metadata.keys, {*fields, *names}, mapped))
        plan.nameless = [metadata.keys[key] for key in lost if not can_be_field(key)]
        known = {key for key in metadata.keys if key in fields and key not in names}
        derived = metadata.specs(sorted({*lost, *known}))
        wanted = {name: one for name, one in fields.items() if name in metadata.keys}
        made = {one.name: field_of(one) for one in declared}
        plan.clashes = [one.told() for one in metadata.unfit({**made, **wanted}, mapped)]
    for spec in declared:
        _compare(spec, fields.get(spec.name), plan, strict=True)
    for spec in derived:
        _compare(spec, fields.get(spec.name), plan, strict=False)
    return plan


def field_of(spec: FieldSpec) -> Field:
    """Return the field that is made as declared."""
    return Field(spec.name, spec.type, dictionary=spec.dictionary is True, model=spec.model())


def _compare(spec: FieldSpec, found: Field | None, plan: FieldsPlan, *, strict: bool) -> None:
    if found is None:
        plan.create.append(spec)
        return
    if strict and found.type != spec.type:
        plan.clashes.append(
            f"field {spec.name} is of type {found.type}, and declared as {spec.type}: no field changes its type"
        )
        return
    if strict and spec.dictionary is not None and found.dictionary is not spec.dictionary:
        plan.clashes.append(
            f"field {spec.name} is {'a' if found.dictionary else 'no'} dictionary, and declared as "
            f"{'one' if spec.dictionary else 'none'}: that is not changed"
        )
        return
    if not strict and found.type != "STRING":  # a list in a field of numbers is what its owner wanted
        plan.fitting += 1
        return
    flags = {
        flag: wanted
        for flag, wanted in spec.flags().items()
        if flag != "dictionary" and flag_of(found.model, flag) is not wanted
    }
    if flags:
        plan.differs.append(FlagDifference(found, flags))
    else:
        plan.fitting += 1


def _truth(value: bool) -> str:
    return "true" if value else "false"
