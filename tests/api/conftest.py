"""A sandbox or a scripted server per test, a client for it, and waits that are noted instead of slept."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coveo_provider.api.client import CoveoClient
from coveo_provider.api.retries import RetryPolicy
from coveo_provider.sandbox import Sandbox
from tests.api.scripted import Scripted

KEY = "xx4f1c2a-the-api-key-0123"
ClientMaker = Callable[..., CoveoClient]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The machine's own proxies and netrc are not part of a test."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


@pytest.fixture
def waits() -> list[float]:
    """The seconds the client would have slept."""
    return []


@pytest.fixture
def make_client(waits: list[float]) -> Iterator[ClientMaker]:
    made: list[CoveoClient] = []

    def make(url: str | None, *, key: str = KEY, attempts: int = 6, **options: Any) -> CoveoClient:
        policy = RetryPolicy(attempts=attempts, sleep=waits.append)
        made.append(
            CoveoClient(options.pop("organization_id", "acme"), key, base_url=url, policy=policy, **options)
        )
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.start(sources={"products": "CATALOG", "files": "PUSH"}, api_key=KEY) as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox: Sandbox, make_client: ClientMaker) -> CoveoClient:
    return make_client(sandbox.url, organization_id=sandbox.organization_id)


@pytest.fixture
def server() -> Iterator[Scripted]:
    server = Scripted()
    yield server
    server.stop()


@pytest.fixture
def scripted_client(server: Scripted, make_client: ClientMaker) -> CoveoClient:
    return make_client(server.url)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate with its key, in one PEM file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    hosts = x509.SubjectAlternativeName(
        [x509.DNSName("api.coveo.test"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    now = dt.datetime.now(dt.timezone.utc)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(hosts, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    path.write_bytes(
        built.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[Scripted]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = Scripted(context)
    yield server
    server.stop()
