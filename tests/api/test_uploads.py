"""The upload of a file container: what goes to the storage, and what never does."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from coveo_provider import __version__
from coveo_provider.api import answers, reading
from coveo_provider.api.client import CoveoClient
from coveo_provider.api.redaction import signature_of
from coveo_provider.api.types import FileContainer
from coveo_provider.errors import (
    ConfigurationError,
    DataError,
    PayloadTooLarge,
    UnexpectedAnswer,
    Unreachable,
    UploadRefused,
)
from coveo_provider.sandbox import Cut, ExpireUpload, Limits, Sandbox
from tests.api.conftest import KEY, ClientMaker
from tests.api.scripted import Reply, Scripted, hang, http, reset, then

STORED = http(200, ETag='"d41d8cd98f00b204e9800998ecf8427e"')
REQUIRED = {"x-amz-server-side-encryption": "AES256", "Content-Type": "application/octet-stream"}


def container(server: Scripted, **required: str) -> FileContainer:
    return FileContainer(
        "f1", f"{server.url}/bucket/f1?X-Amz-Signature=0123456789abcdef", required or REQUIRED
    )


def described(uri: Any, headers: Any = None) -> bytes:
    return http(201, json.dumps({"fileId": "f1", "uploadUri": uri, "requiredHeaders": headers}))


def test_the_storage_gets_the_required_headers_and_no_more(
    server: Scripted, scripted_client: CoveoClient
) -> None:
    """Required headers, length, and what HTTP itself needs; above all no Authorization."""
    server.reply(STORED)
    scripted_client.upload(container(server), io.BytesIO(b"{}"), 2)
    assert server.got[0].headers == {
        "Host": f"127.0.0.1:{server.port}",
        "Accept-Encoding": "identity",
        "User-Agent": f"airflow-provider-coveo/{__version__}",
        "Content-Length": "2",
        **REQUIRED,
    }
    assert server.got[0].method == "PUT"
    assert server.got[0].target.endswith("/bucket/f1?X-Amz-Signature=0123456789abcdef")


def test_whatever_headers_are_required_are_sent(server: Scripted, scripted_client: CoveoClient) -> None:
    """They come from the answer, not from a list here; a length among them does not replace the real one."""
    server.reply(STORED)
    needed = {"x-amz-acl": "private", "content-length": "999", "accept": "text/plain"}
    scripted_client.upload(container(server, **needed), io.BytesIO(b"{}"), 2)
    sent = {name.lower(): value for name, value in server.got[0].headers.items()}
    assert (sent["x-amz-acl"], sent["content-length"], sent["accept"]) == ("private", "2", "text/plain")


def test_a_netrc_adds_nothing(
    server: Scripted, scripted_client: CoveoClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An entry for the host neither replaces the key nor reaches the storage."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\ndefault login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server.reply(http(200, '{"totalEntries":1}'), STORED)
    scripted_client.count_sources()
    scripted_client.upload(container(server), io.BytesIO(b"{}"), 2)
    assert server.got[0].headers["Authorization"] == f"Bearer {KEY}"
    assert "Authorization" not in server.got[1].headers


def test_a_cookie_is_not_sent_back(server: Scripted, scripted_client: CoveoClient) -> None:
    """What one answer sets does not travel with the next request, nor to the storage."""
    server.reply(http(200, '{"totalEntries":1}', Set_Cookie="session=abc; Path=/"))
    scripted_client.count_sources()
    scripted_client.count_sources()
    server.reply(STORED)
    scripted_client.upload(container(server), io.BytesIO(b"{}"), 2)
    assert all("Cookie" not in got.headers for got in server.got)


@pytest.mark.parametrize("size", [0, 1, 4_000_000])
def test_size_bytes_are_sent_from_where_the_file_stands(
    server: Scripted, scripted_client: CoveoClient, size: int
) -> None:
    """Neither what lies before nor what follows, with a Content-Length and not in chunks."""
    server.reply(STORED)
    file = io.BytesIO(b"before" + b"x" * size + b"after")
    file.seek(6)
    scripted_client.upload(container(server), file, size)
    assert server.got[0].body == b"x" * size
    assert server.got[0].headers["Content-Length"] == str(size)
    assert "Transfer-Encoding" not in server.got[0].headers


def test_a_file_that_ends_early_is_an_error(server: Scripted, scripted_client: CoveoClient) -> None:
    """It is told at once instead of waiting for a timeout, and a half file is never complete."""
    server.reply(STORED)
    with pytest.raises(DataError, match="ended 2 bytes before its 5"):
        scripted_client.upload(container(server), io.BytesIO(b"abc"), 5)


def test_an_expired_address_is_an_upload_refused(client: CoveoClient, sandbox: Sandbox) -> None:
    """S3's XML is read, its request id kept, and a later try said to be possible."""
    made = client.create_file_container()
    sandbox.faults.add(action=ExpireUpload(), route="upload")
    with pytest.raises(UploadRefused, match="AccessDenied: Request has expired") as caught:
        client.upload(made, io.BytesIO(b"{}"), 2)
    assert caught.value.transient
    assert caught.value.request_id
    assert [call.route for call in sandbox.calls] == ["file.create", "upload"]


def test_a_file_too_large_is_not_transient(make_client: ClientMaker) -> None:
    """The storage's EntityTooLarge is a PayloadTooLarge with size and remedy."""
    with Sandbox.start(api_key=KEY, limits=Limits(container_bytes=1_000)) as sandbox:
        client = make_client(sandbox.url, organization_id=sandbox.organization_id)
        with pytest.raises(PayloadTooLarge, match=r"1,001 bytes are too many.*lower max_chunk_bytes"):
            client.upload(client.create_file_container(), io.BytesIO(b" " * 1_001), 1_001)


@pytest.mark.parametrize(
    ("reply", "expected", "text"),
    [
        (http(413, "<html>Request Entity Too Large</html>"), PayloadTooLarge, "Request Entity Too Large"),
        (http(403, b"\xff\x00"), UploadRefused, "answered 403"),
        (http(500, "<Error><Code>InternalError</Code></Error>"), UploadRefused, "500 InternalError"),
        (http(503), UploadRefused, "the answer gives no reason"),
        (http(307, Location="http://127.0.0.1:1/elsewhere"), UploadRefused, "answered 307"),
        (reset, Unreachable, "may have been carried out"),
        (then(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", reset), Unreachable, "broke off"),
        (hang, Unreachable, "took too long"),
    ],
)
def test_every_refusal_of_the_storage(
    server: Scripted, make_client: ClientMaker, reply: Reply, expected: type[Exception], text: str
) -> None:
    """Each is one attempt, as a container is used once, and says what came."""
    server.reply(reply)
    with pytest.raises(expected, match=text):
        make_client(server.url, timeout=0.2).upload(container(server), io.BytesIO(b"{}"), 2)
    assert len(server.got) == 1


def test_a_storage_that_does_not_read_is_given_up(server: Scripted, make_client: ClientMaker) -> None:
    """The timeout holds for sending too."""
    size = 64 * 1024 * 1024

    class Endless(io.RawIOBase):
        def read(self, amount: int = -1, /) -> bytes:
            return bytes(amount)

    server.pause()
    with pytest.raises(Unreachable, match="the connection broke: TimeoutError"):
        make_client(server.url, timeout=0.2).upload(container(server), Endless(), size)  # type: ignore[arg-type]


@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_a_cut_upload_is_unreachable(client: CoveoClient, sandbox: Sandbox, when: str) -> None:
    """Whenever the connection breaks, the container holds all of the file or none."""
    made = client.create_file_container()
    sandbox.faults.add(action=Cut(when), route="upload")
    with pytest.raises(Unreachable):
        client.upload(made, io.BytesIO(b" " * 3_000_000), 3_000_000)


# The answer that names the address


@pytest.mark.parametrize(
    "uri",
    [
        "http://storage.example/f?X-Amz-Signature=0123456789",
        "http://127.0.0.1.evil.example/f",
        "http://[::2]/",
    ],
)
def test_documents_do_not_travel_in_clear(server: Scripted, scripted_client: CoveoClient, uri: str) -> None:
    """An http:// upload address elsewhere is refused at once, and nothing is sent to it."""
    server.reply(described(uri))
    with pytest.raises(ConfigurationError, match="would travel in clear") as caught:
        scripted_client.create_file_container()
    assert "Signature" not in str(caught.value)
    assert len(server.got) == 1


def test_an_api_elsewhere_may_not_name_this_machine() -> None:
    """A loopback address is taken from a loopback API only, not from one across the network."""
    answer = answers.Answer(201, "POST /files", {}, b'{"fileId":"f","uploadUri":"http://127.0.0.1:6379/"}')
    with pytest.raises(ConfigurationError, match="would travel in clear"):
        reading.container(answer, "https://api.cloud.coveo.com")
    assert reading.container(answer, "http://localhost:8900").upload_uri == "http://127.0.0.1:6379/"


def test_a_link_in_front_of_the_address_is_dropped(server: Scripted, scripted_client: CoveoClient) -> None:
    """The documentation shows addresses that start with `link:`."""
    server.reply(described("link:https://bucket.s3.example/f?X-Amz-Signature=0123"))
    made = scripted_client.create_file_container()
    assert made.upload_uri == "https://bucket.s3.example/f?X-Amz-Signature=0123"
    assert made.required_headers == {}


@pytest.mark.parametrize(
    "reply",
    [
        described(5),
        described(""),
        described("//bucket/f"),
        described("https://[broken/f?X-Amz-Signature=0123"),
        described("https://user:word@bucket/f"),
        described("ftp://bucket/f"),
        described("https://bucket/f\r\nX: 1"),
        described("https://bucket/f", []),
        described("https://bucket/f", {"a": 5}),
        described("https://bucket/f", {"a b": "c"}),
        described("https://bucket/f", {"": "c"}),
        described("https://bucket/f", {"a": "b\r\nAuthorization: c"}),
        described("https://bucket/f", {"a": "☃"}),
        http(201, '{"fileId":"f1"}'),
        http(201, "[" * 100_000),
        http(201, b"\xff\xfe"),
        http(201),
    ],
)
def test_a_container_that_cannot_be_used_is_no_answer(
    server: Scripted, make_client: ClientMaker, reply: bytes
) -> None:
    """Wrong types, broken addresses and headers that would smuggle others end in an UnexpectedAnswer."""
    server.reply(reply)
    with pytest.raises(UnexpectedAnswer) as caught:
        make_client(server.url, attempts=1).create_file_container()
    assert "Signature" not in str(caught.value)


def test_signatures_are_registered_as_secrets(sandbox: Sandbox, make_client: ClientMaker) -> None:
    """Airflow's masker learns what makes an address a credential before anything could be logged."""
    secrets: list[str] = []
    client = make_client(sandbox.url, organization_id=sandbox.organization_id, register_secret=secrets.append)
    stream = client.open_stream("products")
    made = [stream.container, client.request_chunk("products", stream.stream_id)]
    made.append(client.create_file_container())
    assert [one.upload_uri.partition("X-Amz-Signature=")[2].partition("&")[0] for one in made] == secrets


def test_the_masker_is_not_flooded(sandbox: Sandbox, make_client: ClientMaker) -> None:
    """It compiles all it knows anew for each secret, so a task of a thousand containers registers some only."""
    secrets: list[str] = []
    client = make_client(sandbox.url, organization_id=sandbox.organization_id, register_secret=secrets.append)
    for _ in range(205):
        client.create_file_container()
    assert len(secrets) == len(set(secrets)) == 200


@pytest.mark.parametrize(
    ("address", "secret"),
    [
        ("https://s3/x?X-Amz-Signature=0123456789abcdef&a=1", "0123456789abcdef"),
        ("https://gcs/x?a=1&Signature=0123456789%2B%3D", "0123456789+="),
        ("https://s3/x?sig=0123456789abcdef", "sig=0123456789abcdef"),
        ("https://s3/x?X-Amz-Signature=1", "X-Amz-Signature=1"),
        ("https://s3/0123456789", "https://s3/0123456789"),
    ],
)
def test_what_is_secret_about_an_address(address: str, secret: str) -> None:
    """The signature; where there is none, as much of the address as may be one."""
    assert signature_of(address) == secret
