"""Airflow on SQLite in a folder of this checkout, with the sample DAGs and a connection to the sandbox."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def environment(home: Path, sandbox_url: str, *, api_key: str, organization_id: str) -> dict[str, str]:
    """Return the environment of every Airflow process of a home below this checkout."""
    connection = {"conn_type": "coveo", "host": sandbox_url, "login": organization_id, "password": api_key}
    return {
        **os.environ,
        # standalone calls `airflow` by its name
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_COVEO_DEFAULT": json.dumps(connection),
        "PYTHONWARNINGS": "ignore",
    }


def airflow(*arguments: str) -> list[str]:
    """Return the command line that runs this environment's Airflow."""
    return [sys.executable, "-m", "airflow", *arguments]
