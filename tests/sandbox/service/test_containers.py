"""File containers and their addresses (docs 43)."""

from __future__ import annotations

import http.client
import socket
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
import requests

from coveo_provider.sandbox import Limits, Sandbox
from tests.sandbox.caller import Caller, items, refusal


def code(response: requests.Response) -> tuple[int, str | None]:
    """Status and code of an answer in S3's XML."""
    return response.status_code, ElementTree.fromstring(response.text).findtext("Code")


def test_a_container_has_its_contracts_form(sandbox: Sandbox, caller: Caller) -> None:
    """POST /files gives an address on the same host, an id and the headers to send."""
    response = caller.push("POST", "/files", params={"useVirtualHostedStyleUrl": "true"})
    made = response.json()
    assert response.status_code == 201
    assert set(made) == {"uploadUri", "fileId", "requiredHeaders"}
    assert made["uploadUri"].startswith(sandbox.url + "/")
    assert made["requiredHeaders"] == {
        "x-amz-server-side-encryption": "AES256",
        "Content-Type": "application/octet-stream",
    }


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Authorization": "Bearer sandbox-key"}, "AccessDenied"),
        ({"Content-Type": "application/json"}, "SignatureDoesNotMatch"),
        ({"Content-Type": None}, "SignatureDoesNotMatch"),
        ({"x-amz-server-side-encryption": None}, "SignatureDoesNotMatch"),
        ({"x-amz-server-side-encryption": "aes256"}, "SignatureDoesNotMatch"),
    ],
)
def test_headers_are_checked_exactly(caller: Caller, headers: dict[str, str | None], expected: str) -> None:
    """A missing or other header, or the API key sent along, is a 403 in XML."""
    made = caller.push("POST", "/files").json()
    assert code(caller.upload(made, {}, **headers)) == (403, expected)


def test_an_address_is_signed(caller: Caller) -> None:
    """A changed signature, or none, is refused."""
    made = caller.push("POST", "/files").json()
    wrong = {**made, "uploadUri": made["uploadUri"][:-4] + "0000"}
    assert code(caller.upload(wrong, {})) == (403, "SignatureDoesNotMatch")
    bare = {**made, "uploadUri": made["uploadUri"].split("?")[0]}
    assert code(caller.upload(bare, {})) == (403, "AccessDenied")
    response = requests.get(made["uploadUri"], headers=made["requiredHeaders"], timeout=30)
    assert code(response) == (403, "SignatureDoesNotMatch")


def test_an_address_expires_after_an_hour(sandbox: Sandbox, caller: Caller) -> None:
    """Sixty minutes on the sandbox's clock, then 403 for the upload and 412 for its use."""
    early, late = caller.push("POST", "/files").json(), caller.push("POST", "/files").json()
    sandbox.clock.advance(seconds=3590)
    assert caller.upload(early, items("file://a")).status_code == 200
    sandbox.clock.advance(seconds=11)
    assert code(caller.upload(late, {})) == (403, "AccessDenied")
    response = caller.push("PUT", "/sources/files/documents/batch", params={"fileId": early["fileId"]})
    assert refusal(response) == (412, "INVALID_PARAMETER")


def test_a_container_is_used_once(sandbox: Sandbox, caller: Caller) -> None:
    """After its use neither a second use nor a second upload is taken."""
    made = caller.push("POST", "/files").json()
    caller.upload(made, items("file://a"))
    query = {"fileId": made["fileId"]}
    assert caller.push("PUT", "/sources/files/documents/batch", params=query).status_code == 202
    again = caller.push("PUT", "/sources/files/documents/batch", params=query)
    assert refusal(again) == (412, "INVALID_PARAMETER")
    assert code(caller.upload(made, items("file://b"))) == (403, "AccessDenied")
    sandbox.settle()
    assert list(sandbox.items("files")) == ["file://a"]


def test_a_second_upload_overwrites_the_first(sandbox: Sandbox, caller: Caller) -> None:
    """Before its use a container holds what was uploaded last."""
    made = caller.push("POST", "/files").json()
    caller.upload(made, items("file://lost"))
    caller.upload(made, items("file://kept"))
    caller.push("PUT", "/sources/files/documents/batch", params={"fileId": made["fileId"]})
    sandbox.settle()
    assert list(sandbox.items("files")) == ["file://kept"]


def test_nothing_uploaded_cannot_be_pushed(caller: Caller) -> None:
    """An empty container, an unknown one and none at all are refused."""
    made = caller.push("POST", "/files").json()
    for query, expected in (
        ({"fileId": made["fileId"]}, "INVALID_PARAMETER"),
        ({"fileId": "unknown"}, "INVALID_PARAMETER"),
        ({}, "MISSING_PARAMETER"),
    ):
        response = caller.push("PUT", "/sources/files/documents/batch", params=query)
        assert refusal(response) == (412, expected)


def test_an_upload_says_its_length(caller: Caller) -> None:
    """A chunked upload is refused, as S3 does."""
    made = caller.push("POST", "/files").json()
    response = requests.put(
        made["uploadUri"], data=iter([b"{}"]), headers=made["requiredHeaders"], timeout=30
    )
    assert code(response) == (411, "MissingContentLength")


def test_an_upload_has_a_limit() -> None:
    """One byte over the limit is refused at the upload, and so is using what was not taken."""
    with Sandbox.start(limits=Limits(container_bytes=1000)) as sandbox:
        caller = Caller(sandbox)
        made = caller.push("POST", "/files").json()
        assert code(caller.upload(made, b" " * 1001)) == (400, "EntityTooLarge")
        response = caller.push("PUT", "/sources/files/documents/batch", params={"fileId": made["fileId"]})
        assert response.status_code == 413
        assert caller.upload(made, b"{}" + b" " * 998).status_code == 200


def test_the_limit_is_256_mib(caller: Caller) -> None:
    """The declared length is enough to refuse; the body need not be sent."""
    made = caller.push("POST", "/files").json()
    address = urlsplit(made["uploadUri"])
    connection = http.client.HTTPConnection(str(address.netloc), timeout=30)
    connection.putrequest("PUT", f"{address.path}?{address.query}")
    for name, value in made["requiredHeaders"].items():
        connection.putheader(name, value)
    connection.putheader("Content-Length", str(256 * 1024 * 1024 + 1))
    connection.endheaders()
    assert connection.sock is not None
    connection.sock.shutdown(socket.SHUT_WR)
    assert connection.getresponse().status == 400
    connection.close()


def test_a_broken_upload_leaves_nothing(sandbox: Sandbox, caller: Caller) -> None:
    """A body that ends before its declared length is not stored."""
    made = caller.push("POST", "/files").json()
    address = urlsplit(made["uploadUri"])
    connection = http.client.HTTPConnection(str(address.netloc), timeout=30)
    connection.putrequest("PUT", f"{address.path}?{address.query}")
    for name, value in {**made["requiredHeaders"], "Content-Length": "100"}.items():
        connection.putheader(name, value)
    connection.endheaders(b"{}")
    connection.close()
    response = caller.push("PUT", "/sources/files/documents/batch", params={"fileId": made["fileId"]})
    assert refusal(response) == (412, "INVALID_PARAMETER")


def test_addresses_stay_secret(sandbox: Sandbox, caller: Caller) -> None:
    """Neither the call log nor the control pages show a signature or a key."""
    made = caller.push("POST", "/files").json()
    caller.upload(made, items("file://a"))
    signature = made["uploadUri"].rsplit("=", 1)[1]
    pages = [caller.call("GET", f"/_sandbox/{page}").text for page in ("", "calls", "sources/files")]
    for text in (*pages, repr(sandbox.calls)):
        assert signature not in text
        assert sandbox.api_key not in text
    assert sandbox.calls[-1].route == "upload"
    assert sandbox.calls[-1].query == {}
