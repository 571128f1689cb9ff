"""
Rows become what Coveo's API takes: the datasets of documents, their encoding and their comparison.

Knows neither HTTP nor Airflow. What users import from here, that of identities included, is loaded when first asked
for, so that naming this package in a DAG file costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coveo_provider.documents.dataset.tables import write_documents
    from coveo_provider.documents.encoding.documents import encode_document
    from coveo_provider.documents.mapping.document_mapping import DocumentMapping
    from coveo_provider.documents.mapping.permission_rules import PermissionColumns, PermissionLevels
    from coveo_provider.documents.mapping.text_rules import Constant, Split, Template
    from coveo_provider.documents.permissions.folders import FolderPermissions
    from coveo_provider.documents.permissions.models import (
        PermissionIdentity,
        PermissionLevel,
        Permissions,
        PermissionSet,
    )
    from coveo_provider.documents.permissions.posix import PosixPermissions
    from coveo_provider.identities.access import Access, explain_access
    from coveo_provider.identities.access_rules import AccessRule, check_access, survey_access
    from coveo_provider.identities.graph import IdentityGraph
    from coveo_provider.identities.models import (
        DisabledIdentityBody,
        Identity,
        IdentityBody,
        MappedIdentity,
        MappedIdentityBody,
    )

_HOMES = {
    "Access": "coveo_provider.identities.access",
    "AccessRule": "coveo_provider.identities.access_rules",
    "Constant": "coveo_provider.documents.mapping.text_rules",
    "DisabledIdentityBody": "coveo_provider.identities.models",
    "DocumentMapping": "coveo_provider.documents.mapping.document_mapping",
    "FolderPermissions": "coveo_provider.documents.permissions.folders",
    "Identity": "coveo_provider.identities.models",
    "IdentityBody": "coveo_provider.identities.models",
    "IdentityGraph": "coveo_provider.identities.graph",
    "MappedIdentity": "coveo_provider.identities.models",
    "MappedIdentityBody": "coveo_provider.identities.models",
    "PermissionColumns": "coveo_provider.documents.mapping.permission_rules",
    "PermissionIdentity": "coveo_provider.documents.permissions.models",
    "PermissionLevel": "coveo_provider.documents.permissions.models",
    "PermissionLevels": "coveo_provider.documents.mapping.permission_rules",
    "PermissionSet": "coveo_provider.documents.permissions.models",
    "Permissions": "coveo_provider.documents.permissions.models",
    "PosixPermissions": "coveo_provider.documents.permissions.posix",
    "Split": "coveo_provider.documents.mapping.text_rules",
    "Template": "coveo_provider.documents.mapping.text_rules",
    "check_access": "coveo_provider.identities.access_rules",
    "encode_document": "coveo_provider.documents.encoding.documents",
    "explain_access": "coveo_provider.identities.access",
    "survey_access": "coveo_provider.identities.access_rules",
    "write_documents": "coveo_provider.documents.dataset.tables",
}

__all__ = [
    "Access",
    "AccessRule",
    "Constant",
    "DisabledIdentityBody",
    "DocumentMapping",
    "FolderPermissions",
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
    "PosixPermissions",
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
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
