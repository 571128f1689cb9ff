"""A sandbox is started as users need it: by options, by a file, by https."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from coveo_provider.sandbox import Sandbox
from coveo_provider.sandbox.cli import main
from coveo_provider.sandbox.config import ConfigError, read
from tests.sandbox.caller import Caller

CONFIG = """
organization = "acme"
api_key = "of-all"
port = 0
strict_fields = true

[sources.products]
kind = "CATALOG"

[sources.intranet]
visibility = "SECURED"

[sources.both]
stream_enabled = true

[providers.directory]
sources = ["intranet"]
case_sensitive = true

[keys]
looks-only = ["ORGANIZATION:VIEW", "SOURCE:VIEW"]

[fields.color]
type = "STRING"
facet = true
"""


class Program:
    """The program, until the ``with`` ends; ``said`` is what it printed on its start, by its first words."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "coveo_provider.sandbox.cli", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Program:
        assert self.process.stdout is not None
        self.said: dict[str, str] = {}
        for line in self.process.stdout:
            name, _, rest = line.strip().partition("  ")
            self.said[name] = rest.strip()
            if name.startswith("export"):
                break
        self.url = next(iter(self.said)).split()[-1]
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0

    def get(self, path: str, key: str = "sandbox-key", verify: str | None = None) -> requests.Response:
        headers = {"Authorization": f"Bearer {key}"}
        return requests.get(self.url + path, headers=headers, timeout=30, verify=verify)


def test_a_file_sets_up_sources_providers_keys_and_fields(tmp_path: Path) -> None:
    """Options of the command line add to it, and win over it."""
    file = tmp_path / "sandbox.toml"
    file.write_text(CONFIG)
    options = ("--config", str(file), "--source", "more:PUSH", "--organization", "other")
    with Program(*options) as program:
        base = "/rest/organizations/other"
        sources = {one["id"]: one for one in program.get(f"{base}/sources", "of-all").json()}
        field = program.get(f"{base}/indexes/fields/color", "of-all").json()
        directory = program.get(f"{base}/securityproviders/directory", "of-all").json()
        looking = program.get(f"{base}/sources", "looks-only").status_code
        at_fields = program.get(f"{base}/indexes/fields/color", "looks-only").status_code

    kinds = {name: (one["sourceType"], one["sourceVisibility"]) for name, one in sources.items()}
    assert kinds == {
        "products": ("CATALOG", "SHARED"),
        "intranet": ("PUSH", "SECURED"),
        "both": ("PUSH", "SHARED"),
        "more": ("PUSH", "SHARED"),
    }
    assert sources["both"]["streamEnabled"] is True
    assert sources["intranet"]["securityProviderReferences"] == ["directory"]
    assert directory["caseSensitive"] is True
    assert (field["type"], field["facet"]) == ("STRING", True)
    assert (looking, at_fields) == (200, 403)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("organisation = 'x'", "there is no setting organisation"),
        ("port = '8040'", "port is a whole number, not '8040'"),
        ("port = true", "port is a whole number, not True"),
        ("tls = 1", "tls is true or false, not 1"),
        ("quotas = 'all'", "quotas is one of"),
        ("[sources]\nx = 'PUSH'", "sources.x is a table"),
        ("[sources.x]\nsort = 'PUSH'", "sources.x has no setting sort"),
        ("[sources.x]\nkind = 1", "sources.x.kind is a string"),
        ("[sources.x]\nkind = 'PULL'", "a source's kind is one of"),
        ("[providers.p]\nsources = 'x'", "providers.p.sources is an array"),
        ("[providers.p]\nsources = ['nobody']", "nobody"),
        ("[keys]\nk = ['SOURCE:OWN']", "unknown privileges: SOURCE:OWN"),
        ("[fields.Color]\ntype = 'STRING'", "small letter"),
        ("[fields.color]\ntype = 'TEXT'", "'type' is required and is one of"),
        ("[sources.x]\n[sources.x]", "not TOML"),
        ("a = " + "[" * 3_000 + "]" * 3_000, "not TOML"),
        ("[keys]\nsandbox-key = ['SOURCE:VIEW']", "has every privilege already"),
    ],
)
def test_a_wrong_file_is_one_line_that_helps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    file = tmp_path / "sandbox.toml"
    file.write_text(text)

    assert main(["--config", str(file), "--port", "0"]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml: cannot be read"):
        read(str(tmp_path / "gone.toml"))


def test_what_the_file_has_is_not_given_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "sandbox.toml"
    file.write_text(CONFIG)

    assert main(["--config", str(file), "--source", "intranet:PUSH"]) == 1

    assert "'intranet' is given twice" in capsys.readouterr().err


def test_a_key_has_the_privileges_of_its_option() -> None:
    with Program("--port", "0", "--key", "looks=SOURCE:VIEW,ORGANIZATION:VIEW") as program:
        assert program.get("/rest/organizations/sandbox/sources", "looks").status_code == 200
        assert program.get("/rest/organizations/sandbox/indexes/fields/a", "looks").status_code == 403
    with pytest.raises(SystemExit):
        main(["--key", "looks"])


def test_it_answers_by_https_to_who_trusts_its_certificate() -> None:
    """Upload addresses are of https as well, and who does not trust it is told so by TLS."""
    with Program("--port", "0", "--tls") as program:
        certificate = program.said["certificate"]
        path = "/rest/organizations/sandbox/sources"
        assert program.url.startswith("https://127.0.0.1:")
        assert program.get(path, verify=certificate).status_code == 200
        with pytest.raises(requests.exceptions.SSLError):
            program.get(path)
        with pytest.raises(requests.ConnectionError):
            requests.get(program.url.replace("https", "http") + path, timeout=30)
        assert program.get(path, verify=certificate).status_code == 200


def test_an_item_arrives_by_https() -> None:
    with Sandbox.start(tls=True) as sandbox:
        caller = Caller(sandbox)
        caller.session.verify = str(sandbox.certificate)
        container = caller.push("POST", "/files").json()
        body = b'{"addOrUpdate": [{"documentId": "file://a", "data": "x"}]}'
        uploaded = requests.put(
            container["uploadUri"],
            data=body,
            headers=container["requiredHeaders"],
            verify=str(sandbox.certificate),
            timeout=30,
        )
        assert uploaded.status_code == 200
        batch = caller.push("PUT", "/sources/files/documents/batch", params={"fileId": container["fileId"]})
        assert batch.status_code == 202
        sandbox.settle()
        assert sandbox.count("files") == 1
