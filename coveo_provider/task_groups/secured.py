"""The task group for Push sources whose items not everybody may see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import TaskGroup, XComArg, chain

from coveo_provider.operators import (
    CoveoCheckAccessOperator,
    CoveoCheckDatasetOperator,
    CoveoSecurityExpansionOperator,
    CoveoSecurityProviderOperator,
)
from coveo_provider.task_groups.steps import Dataset, ensured, looked_at, new_group, rebuilt


def secured_push(
    *,
    source_id: str | XComArg,
    provider_id: str,
    documents: Dataset,
    members: Dataset | None = None,
    mappings: Dataset | None = None,
    rules: Sequence[Mapping[str, Any]] = (),
    expected: Sequence[Mapping[str, Any]] = (),
    identity_state: str | None = None,
    identities_full: bool | str = False,
    cascades_to: Sequence[str] = ("Email Security Provider",),
    case_sensitive: bool = False,
    queue_delay: int | str = 15,
    min_documents: int | str = 1,
    max_shrink: float | str | None = None,
    on_doubt: str = "fail",
    answer_within: timedelta = timedelta(days=1),
    visibility: str = "checked",
    fields: str = "warn",
    ensure: bool | Mapping[str, Any] = False,
    verify: bool | str = "auto",
    max_rejected: float | str = 0,
    content_owner: str = "",
    outlets: Sequence[Any] = (),
    coveo_conn_id: str = "coveo_default",
    group_id: str = "secured_push",
    default_args: dict[str, Any] | None = None,
) -> TaskGroup:
    """
    Push secured content: check access → REBUILD → provider → identities → push → delete older → verify → IDLE.

    Arguments that are not named here mean what they mean in every group: :mod:`coveo_provider.task_groups`.

    :param provider_id: the security provider the identities belong to (templated)
    :param documents: the documents dataset, with permissions (templated)
    :param members: dataset of groups with their members (templated)
    :param mappings: dataset of aliases (templated)
    :param rules: what must hold of the permissions, as
        :class:`~coveo_provider.operators.CoveoCheckAccessOperator` takes it (templated)
    :param expected: who is known to see what, likewise (templated)
    :param identity_state: URI of a folder that outlives runs: with it only identities that changed since the last
        run are pushed, a group with its whole list of members (templated)
    :param identities_full: whether to push all identities all the same (templated)
    :param max_shrink: share that may go of the items, and of the identities of the provider (templated)
    :param visibility: ``"unchecked"`` does not ask whether the source is secured
    :param cascades_to: providers that aliases lead to (templated)
    :param case_sensitive: whether the provider tells names apart that differ in case only
    """
    source: dict[str, Any] = {"source_id": source_id, "coveo_conn_id": coveo_conn_id}
    verified: dict[str, Any] = {
        "verify": verify,
        "max_rejected": max_rejected,
        "queue_delay": queue_delay,
        "outlets": list(outlets),
    }
    sources: list[Any] = [source_id]
    provider: dict[str, Any] = {"provider_id": provider_id, "coveo_conn_id": coveo_conn_id}
    guards: dict[str, Any] = {
        "queue_delay": queue_delay,
        "min_documents": min_documents,
        "max_shrink": max_shrink,
        "on_doubt": on_doubt,
        "answer_within": answer_within,
        "content_owner": content_owner,
    }
    with new_group(group_id, default_args) as group:
        check = CoveoCheckDatasetOperator(
            task_id="check",
            documents=documents,
            visibility=visibility,
            fields=looked_at(fields, ensure),
            **source,
        )
        check_access = CoveoCheckAccessOperator(
            task_id="check_access",
            documents=documents,
            members=members,
            mappings=mappings,
            provider_id=provider_id,
            rules=rules,
            expected=expected,
            case_sensitive=case_sensitive,
        )
        provided = CoveoSecurityProviderOperator(
            task_id="provider", source_ids=sources, cascades_to=cascades_to, **provider
        )
        identities = CoveoSecurityExpansionOperator(
            task_id="identities",
            members=members,
            mappings=mappings,
            case_sensitive=case_sensitive,
            delete_older=True,
            state=identity_state,
            full=identities_full,
            max_shrink=max_shrink,
            on_doubt=on_doubt,
            answer_within=answer_within,
            **provider,
        )
        chain(
            check,
            check_access,
            *ensured(group_id, ensure, documents, source),
            rebuilt(check, guards, verified, source, before=(provided, identities), visibility=visibility),
        )
    return group
