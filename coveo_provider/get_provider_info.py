"""What Airflow asks a provider for. Imports nothing of Airflow: it is read while Airflow itself loads."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

_TEXT = ["string", "null"]


@cache
def _hidden_fields() -> list[str]:
    """
    Return the form's fields that Coveo has no use for; the port is one, and is shown in Airflow 3.3 all the same.

    There the button "Test Connection" sends a port that is not set as 0, which the API server takes for another
    destination, and so refuses to use the stored key (apache/airflow, pull request 73298). A stored 0 is none.
    """
    return ["schema"] if version("apache-airflow-core").startswith("3.3.") else ["port", "schema"]


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
                    "coveo_provider.operators.directories",
                    "coveo_provider.operators.ensure",
                    "coveo_provider.operators.expansion",
                    "coveo_provider.operators.files",
                    "coveo_provider.operators.finalize",
                    "coveo_provider.operators.identity",
                    "coveo_provider.operators.item",
                    "coveo_provider.operators.plan",
                    "coveo_provider.operators.provider",
                    "coveo_provider.operators.push",
                    "coveo_provider.operators.roll_back",
                    "coveo_provider.operators.source",
                    "coveo_provider.operators.stream",
                    "coveo_provider.operators.transform",
                    "coveo_provider.operators.update",
                    "coveo_provider.operators.upkeep",
                    "coveo_provider.operators.verify",
                ],
            }
        ],
        "task-decorators": [{"name": "coveo", "class-name": "coveo_provider.decorators.coveo.coveo_task"}],
        "extra-links": [
            "coveo_provider.links.CoveoDocsLink",
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
        "notifications": ["coveo_provider.notifications.report.CoveoReportNotifier"],
        "triggers": [
            {
                "integration-name": "Coveo",
                "python-modules": ["coveo_provider.triggers.source", "coveo_provider.triggers.wait"],
            }
        ],
        "cli": ["coveo_provider.cli.airflow_commands.get_cli_commands"],  # 3.1 passes over it
        "config": {
            "coveo": {
                "description": "What holds for all tasks of this provider.",
                "options": {
                    "content_roots": {
                        "description": "URIs of the folders below which the files must lie that documents name "
                        "in contentUri, with commas or line ends between; empty allows every place.",
                        "version_added": "0.2.0",
                        "type": "string",
                        "example": "file:///data/share, s3://aws@bucket/library",
                        "default": "",
                    },
                },
            },
        },
        "connection-types": [
            {
                "connection-type": "coveo",
                "hook-class-name": "coveo_provider.hooks.coveo.CoveoHook",
                "hook-name": "Coveo",
                "ui-field-behaviour": {
                    "hidden-fields": _hidden_fields(),
                    "relabeling": {
                        "login": "Organization ID (required)",
                        "password": "API key (required)",
                        "host": "Base URL override",
                        "port": "Port (0: none)",
                    },
                    "placeholders": {
                        "login": "such as mycoveoorganizationa1b2c3: what follows #/ in the console",
                        "password": "with Organization (View), Sources (View) and Sources (Edit)",
                        "host": "empty for Coveo; http://127.0.0.1:8040 for the sandbox",
                        "port": "write 0, so that Airflow 3.3 can test the connection",
                    },
                },
                "conn-fields": {
                    "region": {
                        "label": "Region",
                        "description": "Where the organization's data resides. The key goes to that region's host.",
                        "schema": {"type": _TEXT, "enum": ["us", "ca", "eu", "au"], "default": "us"},
                    },
                    "environment": {
                        "label": "Environment",
                        "description": "hipaa for an organization in Coveo's HIPAA environment, else production.",
                        "schema": {
                            "type": _TEXT,
                            "enum": ["production", "hipaa"],
                            "default": "production",
                        },
                    },
                    "push_url": {
                        "label": "Push URL override",
                        "description": "Replaces the host of the Push and Stream APIs. Empty for Coveo.",
                        "schema": {"type": _TEXT},
                    },
                    "platform_url": {
                        "label": "Platform URL override",
                        "description": "Replaces the host of the platform, which has the sources and their log. "
                        "Empty for Coveo.",
                        "schema": {"type": _TEXT},
                    },
                    "timeout": {
                        "label": "Timeout (s)",
                        "description": "Seconds to wait for each answer.",
                        "schema": {"type": ["number", "null"], "minimum": 1, "default": 60},
                    },
                    "verify": {
                        "label": "TLS verification",
                        "description": "true, false, or the path of a CA bundle on the workers.",
                        "schema": {"type": _TEXT, "default": "true"},
                    },
                },
            }
        ],
    }
