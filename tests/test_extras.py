"""
Each extra of the wheel, installed and used in an environment of its own, with nothing of this checkout.

One environment for each: what one brings along must not hide what another lacks. They share their files with uv's
cache, so one takes some ten seconds. What Google's provider needs fits to no other environment, so the tests of its
storage run in that one. It needs an index of packages, as ``make matrix`` does.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.matrix import COPIED, ROOT, UV

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("extras")]

CLASS = """
import json, os
os.environ["AIRFLOW_CONN_SHARE"] = json.dumps({connection})
from airflow.sdk import ObjectStoragePath
print(type(ObjectStoragePath("{uri}").fs).__name__)
"""
# The file system connects when it is made, here to nobody.
SFTP = """
import json, os
os.environ["AIRFLOW_CONN_SHARE"] = json.dumps(
    {"conn_type": "sftp", "host": "127.0.0.1", "port": 1, "login": "reader", "password": "of-a-test"}
)
from airflow.sdk import ObjectStoragePath
try:
    ObjectStoragePath("sftp://share@/a").fs
except ConnectionRefusedError:
    from sshfs import SSHFileSystem
    print("SSHFileSystem")
"""
SQL = """
import json, os, sqlite3
os.environ["AIRFLOW_CONN_SHOP"] = json.dumps({"conn_type": "sqlite", "host": os.path.abspath("shop.db")})
with sqlite3.connect("shop.db") as shop:
    shop.execute("CREATE TABLE shoes AS SELECT 'S1' AS sku, 'Boot' AS name")
from coveo_provider.documents import DocumentMapping
from coveo_provider.operators import CoveoTransformOperator
mapping = DocumentMapping("product://{sku}", fields={"ec_name": "name"})
query = {"sql": "SELECT sku, name FROM shoes", "sql_conn_id": "shop"}
(part,) = CoveoTransformOperator(task_id="t", output="out", mapping=mapping, **query).execute({})
import pyarrow.parquet as pq
print(pq.read_table(part).select(["documentId", "ec_name"]).to_pylist())
"""
LDAP = """
from pathlib import Path
Path("export.ldif").write_text('''dn: CN=Bob,DC=acme
objectClass: user
cn: Bob
sAMAccountName: bob
mail: bob@acme.example

dn: CN=HR,DC=acme
objectClass: group
cn: HR
member: CN=Bob,DC=acme
''')
from coveo_provider.operators import CoveoTransformIdentitiesOperator
told = CoveoTransformIdentitiesOperator(task_id="t", source="export.ldif", output="ids").execute({})
import pyarrow.parquet as pq
print([pq.read_table(told[kind]).num_rows for kind in ("members", "mappings")])
"""
LINEAGE = """
import os
os.environ["AIRFLOW__OPENLINEAGE__TRANSPORT"] = '{"type": "file", "log_file_path": "events", "append": true}'
from coveo_provider.operators import CoveoTransformOperator
task = CoveoTransformOperator(task_id="t", source="/data/a.csv", output="s3://aws@bucket/out")
facets = task.get_openlineage_facets_on_start()
print([(one.namespace, one.name) for one in (*facets.inputs, *facets.outputs)])
"""
# A driver's provider comes besides, as a user has that of their own database.
EXTRAS = {
    "s3": (CLASS.format(connection={"conn_type": "aws"}, uri="s3://share@bucket/a"), "S3FileSystem"),
    "sftp": (SFTP, "SSHFileSystem"),
    "azure": (
        CLASS.format(
            connection={
                "conn_type": "wasb",
                "login": "acme",
                "password": "a2V5",
                "extra": {"account_name": "acme"},
            },
            uri="abfs://share@container/a",
        ),
        "AzureBlobFileSystem",
    ),
    "sql": (SQL, "[{'documentId': 'product://S1', 'ec_name': 'Boot'}]"),
    "ldap": (LDAP, "[1, 1]"),
    "openlineage": (LINEAGE, "[('file', '/data/a.csv'), ('s3://bucket', 'out')]"),
}


class Environment:
    """An empty environment, and a folder that its programs run in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = str(folder / "environment/bin/python")
        self._do([*UV, "venv", "--quiet", "--python", sys.executable, str(folder / "environment")])

    def install(self, *packages: str) -> None:
        self._do([*UV, "pip", "install", "--quiet", "--python", self.python, *packages])

    def run(self, *words: str, at: Path | None = None) -> str:
        settings = {
            "AIRFLOW_HOME": str(self.folder / "home"),
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.folder),
        }
        return self._do([self.python, *words], at or self.folder, settings | {"NO_COLOR": "1"})

    def _do(self, words: list[str], at: Path | None = None, settings: dict[str, str] | None = None) -> str:
        done = subprocess.run(words, cwd=at, env=settings, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([*UV, "build", "--quiet", "--wheel", "--out-dir", str(folder), str(ROOT)], check=True)
    return str(next(folder.glob("*.whl")))


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    yield Environment(tmp_path)
    shutil.rmtree(tmp_path / "environment")


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_brings_what_it_is_for(extra: str, wheel: str, environment: Environment) -> None:
    script, told = EXTRAS[extra]
    environment.install(f"{wheel}[{extra}]", *["apache-airflow-providers-sqlite"] * (extra == "sql"))

    assert environment.run("-c", script).splitlines()[-1] == told


def test_a_bucket_of_google(wheel: str, environment: Environment) -> None:
    """A share and a state on ``gs://``, with the emulator that ``tests/operators/google_storage.py`` starts."""
    checkout = environment.folder / "checkout"
    checkout.mkdir()
    for name in COPIED:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, checkout / name)
    tools = ("gcp-storage-emulator", "hypothesis", "psutil", "pytest")
    environment.install(f"{wheel}[gcs]", *tools)

    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/operators/google_storage.py")
    assert "2 passed" in environment.run(*words, at=checkout)
