"""
Room 1: data becomes bytes. Knows neither HTTP nor Airflow.

What users import from here is loaded when first asked for, so that naming this package in a DAG file costs
nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coveo_provider.documents.access import Access, explain_access
    from coveo_provider.documents.access_rules import AccessRule, check_access, survey_access
    from coveo_provider.documents.identities import (
        DisabledIdentityBody,
        Identity,
        IdentityBody,
        MappedIdentity,
        MappedIdentityBody,
    )
    from coveo_provider.documents.identity_graph import IdentityGraph
    from coveo_provider.documents.mapping import Constant, DocumentMapping, Split, Template
    from coveo_provider.documents.permission_mapping import PermissionColumns, PermissionLevels
    from coveo_provider.documents.permissions import (
        PermissionIdentity,
        PermissionLevel,
        Permissions,
        PermissionSet,
    )
    from coveo_provider.documents.tables import write_documents
    from coveo_provider.documents.values import encode_document

_HOMES = {
    "Access": "access",
    "AccessRule": "access_rules",
    "Constant": "mapping",
    "DisabledIdentityBody": "identities",
    "DocumentMapping": "mapping",
    "Identity": "identities",
    "IdentityBody": "identities",
    "IdentityGraph": "identity_graph",
    "MappedIdentity": "identities",
    "MappedIdentityBody": "identities",
    "PermissionColumns": "permission_mapping",
    "PermissionIdentity": "permissions",
    "PermissionLevel": "permissions",
    "PermissionLevels": "permission_mapping",
    "PermissionSet": "permissions",
    "Permissions": "permissions",
    "Split": "mapping",
    "Template": "mapping",
    "check_access": "access_rules",
    "encode_document": "values",
    "explain_access": "access",
    "survey_access": "access_rules",
    "write_documents": "tables",
}

__all__ = [
    "Access",
    "AccessRule",
    "Constant",
    "DisabledIdentityBody",
    "DocumentMapping",
    "Identity",
    "IdentityBody",
    "IdentityGraph",
    "MappedIdentity",
    "MappedIdentityBody",
    "PermissionColumns",
    "PermissionIdentity",
    "PermissionLevel",
    "PermissionLevels",
    "PermissionSet",
    "Permissions",
    "Split",
    "Template",
    "check_access",
    "encode_document",
    "explain_access",
    "survey_access",
    "write_documents",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
