"""Shares on real servers: a bucket of S3, and a folder behind SFTP."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from coveo_provider._compat import AirflowFailException
from coveo_provider.operators import CoveoListFilesOperator, CoveoPushBatchOperator
from coveo_provider.sandbox import Sandbox
from tests.conftest import Connect
from tests.contents import content_of
from tests.operators.cloud_shares import Bucket, followed_share, staged_load
from tests.operators.conftest import run
from tools.cluster.services import answers, s3, wait_for

PACKAGES = ("moto", "s3fs", "asyncssh", "sshfs")
MISSING = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
FILES = ("a.txt", "hr/salaries 2026.pdf", "hr/forms/b#1.txt", "hr/.hidden", "ü/é.txt")
SEEN = ("a.txt", "hr/salaries%202026.pdf", "hr/forms/b%231.txt", "%C3%BC/%C3%A9.txt")
KEYS: dict[str, Any] = {
    "aws_access_key_id": "key-of-a-test",
    "aws_secret_access_key": "secret-of-a-test",
    "region_name": "us-east-1",
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(MISSING) and not os.environ.get("CI"), reason=f"make test-slow installs {', '.join(MISSING)}"
    ),
]


def test_a_bucket_is_listed(connected: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More keys than one answer of the server holds; an object that is replaced has another stamp."""
    import boto3

    server, address = s3(tmp_path)
    server.start()
    try:
        wait_for("the S3", lambda: answers(address), 60, [server])
        monkeypatch.setenv("AIRFLOW_CONN_SHARE", connection_to(address))
        client = boto3.client("s3", endpoint_url=address, **KEYS)
        client.create_bucket(Bucket="share")
        for name in FILES:
            client.put_object(Bucket="share", Key=f"docs/{name}", Body=name.encode())
        for number in range(1_100):
            client.put_object(Bucket="share", Key=f"docs/many/{number:05d}.txt", Body=b"%d" % number)
        client.put_object(Bucket="share", Key="docs2/other.txt", Body=b"of another prefix")

        parts = listed("s3://share@share/docs", tmp_path)
        run(CoveoPushBatchOperator(task_id="push", source_id="files", documents=parts))
        connected.settle()

        many = {f"s3://share/docs/many/{number:05d}.txt" for number in range(1_100)}
        assert set(connected.items("files")) == {*(f"s3://share/docs/{name}" for name in SEEN), *many}
        for name, key in zip([name for name in FILES if "hidden" not in name], SEEN, strict=True):
            assert content_of(connected, "files", f"s3://share/docs/{key}") == name.encode()

        client.put_object(Bucket="share", Key="docs/hr/", Body=b"")  # stands for the folder
        listed("s3://share@share/docs", tmp_path)
        client.put_object(Bucket="share", Key="docs/hr//lost.txt", Body=b"no library opens it")
        with pytest.raises(AirflowFailException, match=r"docs/hr//: there are objects with an empty name"):
            listed("s3://share@share/docs", tmp_path)
    finally:
        server.stop()


def test_a_bucket_is_followed_and_loads_are_staged_in_it(
    connected: Sandbox, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3

    server, address = s3(tmp_path)
    server.start()
    try:
        wait_for("the S3", lambda: answers(address), 60, [server])
        monkeypatch.setenv("AIRFLOW_CONN_FOLLOWED", connection_to(address))
        client = boto3.client("s3", endpoint_url=address, **KEYS)
        client.create_bucket(Bucket="share")
        bucket = Bucket(
            "s3",
            lambda name, data: client.put_object(Bucket="share", Key=name, Body=data),
            lambda name: client.delete_object(Bucket="share", Key=name),
            page=0,  # the other test has more keys than one
            connection="followed",
        )
        followed_share(bucket, connected, tmp_path)
        with Sandbox.start(sources={"files": "PUSH"}) as other:
            connect(other)
            staged_load(bucket, other)
    finally:
        server.stop()


def connection_to(address: str) -> str:
    return json.dumps(
        {
            "conn_type": "aws",
            "login": KEYS["aws_access_key_id"],
            "password": KEYS["aws_secret_access_key"],
            "extra": {"endpoint_url": address, "region_name": KEYS["region_name"]},
        }
    )


def test_a_folder_behind_sftp_is_listed(
    connected: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Links of the server are passed over."""
    share = tmp_path / "served/docs"
    for name in FILES:
        (share / name).parent.mkdir(parents=True, exist_ok=True)
        (share / name).write_text(name)
    (share / "link").symlink_to("/etc/hostname")
    with sftp(tmp_path / "served") as port:
        connection = {
            "conn_type": "sftp",
            "host": "127.0.0.1",
            "port": port,
            "login": "reader",
            "password": "password-of-a-test",
            "extra": {"no_host_key_check": "true"},
        }
        monkeypatch.setenv("AIRFLOW_CONN_NAS", json.dumps(connection))

        parts = listed("sftp://nas@/docs", tmp_path)
        run(CoveoPushBatchOperator(task_id="push", source_id="files", documents=parts))
        connected.settle()

    items = connected.items("files")
    assert set(items) == {f"sftp:///docs/{name}" for name in SEEN}
    assert content_of(connected, "files", "sftp:///docs/hr/forms/b%231.txt") == b"hr/forms/b#1.txt"
    assert all(item["date"].endswith("Z") for item in items.values())


def listed(root: str, folder: Path) -> list[str]:
    parts: list[str] = run(CoveoListFilesOperator(task_id="list", root=root, output=str(folder / "out")))
    return parts


@contextmanager
def sftp(root: Path) -> Iterator[int]:
    """Serve a folder by SFTP, give the port, and stop."""
    import asyncssh

    class OneReader(asyncssh.SSHServer):  # type: ignore[misc]
        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == ("reader", "password-of-a-test")

    async def serve() -> Any:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=OneReader,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(root)),
        )

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        server = asyncio.run_coroutine_threadsafe(serve(), loop).result(30)
        yield server.get_port()
        loop.call_soon_threadsafe(server.close)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
