"""`make up`: the sandbox and Airflow with its UI, for playing. Ctrl-C stops both."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from coveo_provider.sandbox import Sandbox
from tools.airflow_home import ROOT, airflow, environment

SANDBOX_PORT = int(os.environ.get("SANDBOX_PORT", "8040"))
SOURCES = {  # one for each sample DAG: the content of a source has one owner
    "products": "CATALOG",
    "packages": "CATALOG",
    "files": "PUSH",
    "texts": "PUSH",
    "intranet": "PUSH:SECURED",
}
AIRFLOW_PORT = int(os.environ.get("AIRFLOW_PORT", "8080"))


def main() -> int:
    """Run both until interrupted."""
    home = ROOT / ".airflow" / "up"
    home.mkdir(parents=True, exist_ok=True)
    try:
        sandbox = Sandbox.start(port=SANDBOX_PORT, database=str(home / "sandbox.db"), sources=SOURCES)
    except OSError as error:
        print(f"port {SANDBOX_PORT} is taken ({error}); set SANDBOX_PORT to another")
        return 1
    with sandbox:
        url = f"http://localhost:{AIRFLOW_PORT}"
        variables = {
            **environment(
                home, sandbox.url, api_key=sandbox.api_key, organization_id=sandbox.organization_id
            ),
            "AIRFLOW__API__PORT": str(AIRFLOW_PORT),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__BASE_URL": url,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        }
        print(f"sandbox  {sandbox.url}/\nAirflow  {url} (some 30 seconds)\nCtrl-C stops both")
        process = subprocess.Popen(airflow("standalone"), env=variables, cwd=ROOT, start_new_session=True)
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: os.killpg(process.pid, signal.SIGTERM))
        process.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
