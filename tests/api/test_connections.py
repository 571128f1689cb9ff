"""TLS, proxies, redirects, encodings and sizes: what is below a call."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coveo_provider import __version__
from coveo_provider.api.client import CoveoClient
from coveo_provider.api.transport import MAX_ANSWER_BYTES
from coveo_provider.errors import (
    AccessDenied,
    ApiError,
    ConfigurationError,
    UnexpectedAnswer,
    Unreachable,
)
from coveo_provider.sandbox import Sandbox
from tests.api.conftest import KEY, ClientMaker
from tests.api.scripted import Scripted, http

ONE = http(200, '{"totalEntries":1}')


def test_what_every_call_says(server: Scripted, scripted_client: CoveoClient) -> None:
    """Key, name and version, JSON both ways, and {} where there is no model."""
    server.reply(http(201))
    scripted_client.set_source_status("x", "IDLE")
    got = server.got[0]
    assert got.headers["Authorization"] == f"Bearer {KEY}"
    assert got.headers["User-Agent"] == f"airflow-provider-coveo/{__version__}"
    assert got.headers["Content-Type"] == got.headers["Accept"] == "application/json"
    assert got.body == b"{}"


def test_a_query_is_percent_encoded(server: Scripted, scripted_client: CoveoClient) -> None:
    """A space is %20, as + means a space only to some servers."""
    server.reply(http(202))
    scripted_client.delete_item("a/b", "https://x/?q=1&r=a b+c#é%", delete_children=True)
    assert server.got[0].target == (
        "/push/v1/organizations/acme/sources/a%2Fb/documents"
        "?documentId=https%3A%2F%2Fx%2F%3Fq%3D1%26r%3Da%20b%2Bc%23%C3%A9%25&deleteChildren=true"
    )


def test_a_gateways_path_is_kept(server: Scripted, make_client: ClientMaker) -> None:
    """An override with a path puts it in front of the API's own."""
    server.reply(http(201))
    make_client(f"{server.url}/coveo/push/v1/").set_source_status("x", "IDLE")
    assert server.got[0].target.startswith("/coveo/push/v1/organizations/acme/sources/x/status?")


def test_a_get_has_no_body(server: Scripted, scripted_client: CoveoClient) -> None:
    """Some gateways refuse one."""
    server.reply(ONE)
    scripted_client.count_sources()
    assert (server.got[0].method, server.got[0].body) == ("GET", b"")
    assert "Content-Length" not in server.got[0].headers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(
    server: Scripted, scripted_client: CoveoClient, sandbox: Sandbox, status: int
) -> None:
    """The key goes to no other place than the connection's; the error says why."""
    server.reply(http(status, "moved", Location=sandbox.url + "/x"))
    with pytest.raises(ApiError, match="Redirects are not followed") as caught:
        scripted_client.open_stream("x")
    assert caught.value.status == status
    assert sandbox.calls == []
    assert len(server.got) == 1


def test_a_redirect_to_nowhere_is_a_refusal_too(server: Scripted, scripted_client: CoveoClient) -> None:
    """An address that is none does not change what a redirect is."""
    server.reply(http(302, Location="http://[broken"))
    with pytest.raises(ApiError, match="answered 302"):
        scripted_client.open_stream("x")


# Answers


def test_a_compressed_answer_is_read(server: Scripted, scripted_client: CoveoClient) -> None:
    """A gateway may compress."""
    server.reply(http(200, gzip.compress(b'{"totalEntries":3}'), Content_Encoding="gzip"))
    assert scripted_client.count_sources() == 3


def test_a_chunked_answer_is_read(server: Scripted, scripted_client: CoveoClient) -> None:
    """As answers without a length are."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    server.reply(head + b'10\r\n{"totalEntries":\r\n2\r\n4}\r\n0\r\n\r\n')
    assert scripted_client.count_sources() == 4


def test_a_compression_that_is_none_is_a_broken_answer(server: Scripted, make_client: ClientMaker) -> None:
    """Bytes that do not decompress are half an answer."""
    server.reply(http(200, b"not gzip", Content_Encoding="gzip"))
    with pytest.raises(Unreachable, match="broke off: DecodeError"):
        make_client(server.url, attempts=1).count_sources()


def test_memory_is_bounded_whatever_answers(server: Scripted, make_client: ClientMaker) -> None:
    """Nothing beyond 16 MiB is read, also of what was compressed; a refusal stays a refusal."""
    client = make_client(server.url, attempts=1)
    bomb = gzip.compress(b" " * (MAX_ANSWER_BYTES + 5_000_000))
    server.reply(http(200, bomb, Content_Encoding="gzip"))
    with pytest.raises(UnexpectedAnswer, match="16,777,216 bytes"):
        client.count_sources()
    server.reply(http(403, bomb, Content_Encoding="gzip"))
    with pytest.raises(AccessDenied):
        client.count_sources()


def test_connections_are_kept(server: Scripted, scripted_client: CoveoClient) -> None:
    """A hundred calls, refused ones among them, share one connection."""
    server.reply(ONE)
    for _ in range(100):
        scripted_client.count_sources()
    server.reply(http(404, '{"message":"no"}'))
    with pytest.raises(ApiError):
        scripted_client.count_sources()
    assert (len(server.got), server.connections) == (101, 1)


def test_a_closed_client_gives_its_connections_back(server: Scripted, make_client: ClientMaker) -> None:
    """Leaving the `with` closes them."""
    server.reply(ONE)
    with make_client(server.url) as client:
        client.count_sources()
    assert server.wait_closed()


def test_a_connection_closed_meanwhile_is_made_anew(server: Scripted, scripted_client: CoveoClient) -> None:
    """An idle connection that the other side closed costs no attempt."""
    server.reply(http(200, '{"totalEntries":1}', Connection="close"))
    assert [scripted_client.count_sources() for _ in range(3)] == [1, 1, 1]
    assert server.connections == 3


# TLS


def test_a_certificate_that_cannot_be_verified(tls_server: Scripted, make_client: ClientMaker) -> None:
    """It is a matter of the connection, told once and with the remedy."""
    tls_server.reply(ONE)
    with pytest.raises(ConfigurationError, match=r"certificate of 127\.0\.0\.1.*`verify` to the path"):
        make_client(tls_server.url).count_sources()
    assert (tls_server.got, tls_server.connections) == ([], 1)


@pytest.mark.parametrize("environment", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", None])
def test_a_ca_bundle_and_none(
    tls_server: Scripted,
    certificate: Path,
    make_client: ClientMaker,
    monkeypatch: pytest.MonkeyPatch,
    environment: str | None,
) -> None:
    """The path of a bundle is used, and verification can be switched off, whatever the environment says."""
    import certifi

    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    if environment:
        monkeypatch.setenv(environment, certifi.where())
    tls_server.reply(ONE)
    assert make_client(tls_server.url, verify=str(certificate)).count_sources() == 1
    with pytest.warns(match="Unverified HTTPS request"):
        assert make_client(tls_server.url, verify=False).count_sources() == 1


def test_the_environments_bundle_counts(
    tls_server: Scripted, certificate: Path, make_client: ClientMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a setting of the connection, REQUESTS_CA_BUNDLE is used; one that is missing is named."""
    tls_server.reply(ONE)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    assert make_client(tls_server.url).count_sources() == 1
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/bundle.pem")
    with pytest.raises(ConfigurationError, match="CA bundle in the worker's environment"):
        make_client(tls_server.url).count_sources()


def test_tls_to_a_server_without(make_client: ClientMaker) -> None:
    """https:// to a port that answers in plain HTTP is told as what it is, and not repeated."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with listener, contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(http(400, "plain HTTP"))
                connection.recv(1 << 16)

    threading.Thread(target=answer, daemon=True).start()
    with pytest.raises(ConfigurationError, match=r"127\.0\.0\.1 does not speak TLS"):
        make_client(f"https://127.0.0.1:{listener.getsockname()[1]}").count_sources()


@pytest.mark.parametrize("verify", ["", " ", None, 0, 1, "/nowhere", __file__])
def test_verify_is_checked_when_the_client_is_made(make_client: ClientMaker, verify: Any) -> None:
    """Nothing but true, false and a bundle: an empty text must not switch verification off."""
    with pytest.raises(ConfigurationError, match="verify"):
        make_client(None, verify=verify)


@pytest.mark.parametrize("organization_id", ["", " ", None, "..", 5])
def test_an_organization_is_checked_when_the_client_is_made(
    make_client: ClientMaker, organization_id: Any
) -> None:
    """It must name one."""
    with pytest.raises(ConfigurationError, match="organization_id"):
        make_client(None, organization_id=organization_id)


@pytest.mark.parametrize("timeout", [0, -1, True, None, "60", float("nan"), float("inf"), 10**6])
def test_a_timeout_is_checked_when_the_client_is_made(make_client: ClientMaker, timeout: Any) -> None:
    """A number of seconds over 0 and below a day."""
    with pytest.raises(ConfigurationError, match="timeout"):
        make_client(None, timeout=timeout)


@pytest.mark.parametrize("key", ["", "  ", None, 5, "Bearer xx1", "xx\n1", "xx…", "xxé"])
def test_a_key_is_checked_when_the_client_is_made(make_client: ClientMaker, key: Any) -> None:
    """What cannot be a key is refused, without repeating it."""
    with pytest.raises(ConfigurationError, match="api_key") as caught:
        make_client(None, key=key)
    assert "xx" not in str(caught.value)


# Proxies


class Proxy:
    """Tunnels CONNECT to one server, whatever host is asked for."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.asked: list[str] = []
        self.refuse = False
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._tunnel, args=(connection,), daemon=True).start()

    def _tunnel(self, near: socket.socket) -> None:
        with contextlib.suppress(OSError), near:
            head = b""
            while b"\r\n\r\n" not in head:
                head += near.recv(4096)
            self.asked.append(head.decode())
            if self.refuse:
                near.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection(("127.0.0.1", self._target)) as far:
                near.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=_copy, args=(far, near), daemon=True)
                back.start()
                _copy(near, far)
                back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxy(tls_server: Scripted) -> Iterator[Proxy]:
    proxy = Proxy(tls_server.port)
    yield proxy
    proxy.stop()


def test_the_environments_proxy_is_used(
    tls_server: Scripted,
    proxy: Proxy,
    certificate: Path,
    make_client: ClientMaker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Calls go through HTTPS_PROXY, which sees the host and neither key nor path."""
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    tls_server.reply(ONE)
    client = make_client("https://api.coveo.test", verify=str(certificate))
    assert client.count_sources() == 1
    assert proxy.asked[0].startswith("CONNECT api.coveo.test:443 ")
    assert KEY not in proxy.asked[0]
    assert tls_server.got[0].headers["Authorization"] == f"Bearer {KEY}"


def test_a_proxy_that_refuses(
    proxy: Proxy, certificate: Path, make_client: ClientMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing reached the API, and the proxy's own password is not told."""
    proxy.refuse = True
    monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//user:proxy-word@"))
    with pytest.raises(Unreachable, match="the proxy refused") as caught:
        make_client("https://api.coveo.test", verify=str(certificate), attempts=1).count_sources()
    assert caught.value.sent is False
    assert "proxy-word" not in str(caught.value)


@pytest.mark.parametrize("broken", ["http://", "ftp://127.0.0.1:1", "http://[broken"])
def test_a_proxy_setting_that_is_none(
    make_client: ClientMaker, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """It is a matter of the worker's environment, and told at once."""
    monkeypatch.setenv("HTTPS_PROXY", broken)
    with pytest.raises(ConfigurationError, match="proxies"):
        make_client("https://api.coveo.test").count_sources()


def test_no_proxy_sees_what_is_meant_for_this_machine(
    sandbox: Sandbox, proxy: Proxy, make_client: ClientMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loopback may go in clear because it stays here; a proxy would carry the key away."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy.url)
    client = make_client(sandbox.url, organization_id=sandbox.organization_id)
    assert client.count_sources() == 2
    assert proxy.asked == []


def test_each_host_gets_its_own_calls(server: Scripted, make_client: ClientMaker) -> None:
    """Push and platform calls go to their own URLs."""
    other = Scripted()
    server.reply(http(201))
    other.reply(ONE)
    client = make_client(None, push_url=server.url, platform_url=other.url)
    client.set_source_status("x", "IDLE")
    client.count_sources()
    other.stop()
    assert (len(server.got), len(other.got)) == (1, 1)
