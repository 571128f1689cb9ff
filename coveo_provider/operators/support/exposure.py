"""Documents with permissions go to secured sources only: on any other, everybody sees them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from coveo_provider.errors import AccessDenied, ConfigurationError, DocumentError, SafetyStop

if TYPE_CHECKING:
    from coveo_provider.api.client import CoveoClient
    from coveo_provider.documents.contract import Section
    from coveo_provider.documents.dataset.tables import Part
    from coveo_provider.documents.encoding.rows import Rows

_CHOICES = ("checked", "unchecked")
_PERMISSIONS = "permissions"
_REMEMBERED = 10_000


def refuse_exposure(
    client: CoveoClient,
    source_id: str,
    load: Mapping[Section, Sequence[Part | Rows]],
    *,
    visibility: str = "checked",
) -> None:
    """
    Refuse to send documents that not everybody may see to a source that lets everybody see its items.

    The service takes them without a word, and ignores their permissions (docs 1779).

    :param load: parts or rows, by the array of a container they go to
    :param visibility: ``unchecked`` does not ask
    :raises SafetyStop: the source is not secured, or the key may not ask
    """
    if visibility not in _CHOICES:
        raise ConfigurationError(f"visibility must be {' or '.join(_CHOICES)}, not {visibility!r}")
    sources = [source for section in load.values() for source in section]
    if visibility == "unchecked" or not any(map(_has_permissions, sources)):
        return
    try:
        found = client.get_source(source_id).visibility
    except AccessDenied as error:
        if not any(map(_keeps_out, sources)):
            return
        raise SafetyStop(
            f"source {source_id}: the documents have permissions, and whether the source is secured cannot be "
            f"asked: {error}. "
            'Nothing was sent. Give the key that privilege, or say visibility="unchecked" if you know that it is'
        ) from None
    if found != "SECURED" and any(map(_keeps_out, sources)):
        raise SafetyStop(
            f"source {source_id}: the documents have permissions, and the source is "
            f"{found or 'of unknown visibility'}, not "
            "SECURED: everybody would see them. Nothing was sent. Let the source take its users and groups "
            "from the content "
            "system (Sources, Content security), or leave permissions out"
        )


def keeps_somebody_out(load: Mapping[Section, Sequence[Part | Rows]]) -> bool:
    """Return whether any document of a load has permissions that keep somebody from seeing it."""
    sources = [source for section in load.values() for source in section]
    return any(_has_permissions(one) and _keeps_out(one) for one in sources)


def _has_permissions(source: Part | Rows) -> bool:
    """Tell whether any document of a part, or of rows given inline, has permissions."""
    from coveo_provider.documents.encoding.rows import Rows

    if isinstance(source, Rows):
        return any(value is not None for value in source.column(_PERMISSIONS))
    names = [name for name in source.schema.names if name.lower() == _PERMISSIONS]
    return any(batch.column(0).null_count < len(batch) for name in names for batch in source.batches([name]))


def _keeps_out(source: Part | Rows) -> bool:
    """Tell whether the permissions of any document keep somebody from seeing it."""
    from coveo_provider.documents.encoding.rows import Rows
    from coveo_provider.identities.access_rules import stated_permissions

    stated = _stated(source) if isinstance(source, Rows) else stated_permissions([source])
    checked: set[str | None] = {None}  # the same permissions stand on many documents
    for _, text in stated:
        if text in checked:
            continue
        if len(checked) > _REMEMBERED:
            checked = {None}
        checked.add(text)
        if text is not None and not _is_for_everybody(text):
            return True
    return False


def _stated(rows: Rows) -> Iterator[tuple[str, str | None]]:
    from coveo_provider.documents.contract import DOCUMENT_ID, shown
    from coveo_provider.documents.permissions.reading import permissions_text

    for identifier, value in zip(rows.column(DOCUMENT_ID), rows.column(_PERMISSIONS), strict=True):
        try:
            yield shown(identifier), permissions_text(value)
        except (ValueError, TypeError) as error:  # orjson's for what cannot be JSON is a TypeError
            raise DocumentError(shown(identifier), f"permissions: {error}") from None


def _is_for_everybody(text: str) -> bool:
    from coveo_provider.documents.permissions.models import Permissions

    permissions = Permissions.parse(text)
    denied = any(each.denied_permissions for level in permissions.levels for each in level.permission_sets)
    return permissions.is_public and not denied
