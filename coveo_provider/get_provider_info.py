"""What Airflow asks a provider for. Imports nothing of Airflow: it is read while Airflow itself loads."""

from __future__ import annotations

from typing import Any

_TEXT = ["string", "null"]


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description, as ``provider_info.schema.json`` of Airflow wants it."""
    return {
        "package-name": "airflow-provider-coveo",
        "name": "Coveo",
        "description": "Keep a Coveo index equal to a table, a catalog or a file share.",
        "integrations": [
            {
                "integration-name": "Coveo",
                "external-doc-url": "https://docs.coveo.com/en/68/",
                "tags": ["service"],
            }
        ],
        "hooks": [{"integration-name": "Coveo", "python-modules": ["coveo_provider.hooks.coveo"]}],
        "operators": [
            {
                "integration-name": "Coveo",
                "python-modules": [
                    "coveo_provider.operators.access",
                    "coveo_provider.operators.dataset",
                    "coveo_provider.operators.diff",
                    "coveo_provider.operators.expansion",
                    "coveo_provider.operators.finalize",
                    "coveo_provider.operators.identity",
                    "coveo_provider.operators.item",
                    "coveo_provider.operators.provider",
                    "coveo_provider.operators.push",
                    "coveo_provider.operators.source",
                    "coveo_provider.operators.stream",
                    "coveo_provider.operators.transform",
                    "coveo_provider.operators.update",
                    "coveo_provider.operators.upkeep",
                    "coveo_provider.operators.verify",
                ],
            }
        ],
        "extra-links": [
            "coveo_provider.links.CoveoLogBrowserLink",
            "coveo_provider.links.CoveoSourcesLink",
        ],
        "asset-uris": [
            {
                "schemes": ["coveo"],
                "handler": "coveo_provider.assets.sanitize_uri",
                "factory": "coveo_provider.assets.coveo_asset",
                "to_openlineage_converter": "coveo_provider.assets.asset_to_openlineage",
            }
        ],
        "triggers": [{"integration-name": "Coveo", "python-modules": ["coveo_provider.triggers.wait"]}],
        "connection-types": [
            {
                "connection-type": "coveo",
                "hook-class-name": "coveo_provider.hooks.coveo.CoveoHook",
                "hook-name": "Coveo",
                "ui-field-behaviour": {
                    "hidden-fields": ["port", "schema"],
                    "relabeling": {
                        "login": "Organization ID (required)",
                        "password": "API key (required)",
                        "host": "Base URL override",
                    },
                    "placeholders": {
                        "login": "mycoveoorganizationa1b2c3",
                        "host": "http://127.0.0.1:8040 for the sandbox, else empty",
                    },
                },
                "conn-fields": {
                    "region": {
                        "label": "Region",
                        "description": "Where the organization's data resides.",
                        "schema": {"type": _TEXT, "enum": ["us", "ca", "eu", "au"], "default": "us"},
                    },
                    "environment": {
                        "label": "Environment",
                        "description": "hipaa for an organization in Coveo's HIPAA environment.",
                        "schema": {
                            "type": _TEXT,
                            "enum": ["production", "hipaa"],
                            "default": "production",
                        },
                    },
                    "push_url": {
                        "label": "Push URL override",
                        "description": "Replaces the host of the Push and Stream APIs.",
                        "schema": {"type": _TEXT},
                    },
                    "platform_url": {
                        "label": "Platform URL override",
                        "description": "Replaces the host of the platform.",
                        "schema": {"type": _TEXT},
                    },
                    "timeout": {
                        "label": "Timeout (s)",
                        "description": "Seconds to wait for each answer.",
                        "schema": {"type": ["number", "null"], "minimum": 1, "default": 60},
                    },
                    "verify": {
                        "label": "TLS verification",
                        "description": "true, false, or the path of a CA bundle.",
                        "schema": {"type": _TEXT, "default": "true"},
                    },
                },
            }
        ],
    }
