"""What the sandbox carries (run with ``-m slow``)."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Iterator

import orjson
import pytest
import requests

from coveo_provider.sandbox import Limits, Sandbox
from tests.sandbox.caller import Caller, items, problems
from tests.sandbox.organization import PROVIDER, Organization


def content(count: int, size: int) -> bytes:
    """A payload of ``count`` items of about ``size`` bytes each."""
    filler = "x" * max(0, size - 150)
    return b'{"addOrUpdate":[%s]}' % b",".join(
        orjson.dumps(
            {
                "documentId": f"product://{number:07d}",
                "objecttype": "Product",
                "title": f"Product number {number}",
                "price": number / 100,
                "sizes": ["s", "m", "l"],
                "text": filler,
            }
        )
        for number in range(count)
    )


def test_a_load_of_many_slices(sandbox: Sandbox, caller: Caller) -> None:
    """A load of several thousand items is whole, and twice the same load changes nothing."""
    for _ in range(2):
        caller.load(content(5_000, 150))
        sandbox.settle()
        assert sandbox.count("products") == len(sandbox.items("products")) == 5_000
    assert problems(sandbox, "products") == []


def test_the_item_limit_counts_one_load_by_itself() -> None:
    """A load may replace a full source by as many other items: the old ones go some minutes later."""
    with Sandbox.start(limits=Limits(stream_items=3)) as sandbox:
        caller = Caller(sandbox)
        for start in (0, 3):
            caller.load(items(*(f"product://{start + n}" for n in range(3))))
            sandbox.settle()
        assert sorted(sandbox.items("products")) == ["product://3", "product://4", "product://5"]
        assert problems(sandbox, "products") == []


@pytest.mark.long
def test_a_million_items_in_a_full_container(sandbox: Sandbox, caller: Caller) -> None:
    """A container of 250 MiB with 1,000,000 items is taken and indexed at 30,000 items a second."""
    body = content(1_000_000, 240)
    body += b" " * (250 * 1024 * 1024 - len(body))
    started = time.perf_counter()
    caller.load(body)
    uploaded = time.perf_counter()
    del body
    sandbox.settle(timeout=600)
    indexed = time.perf_counter()
    rate = 1_000_000 / (indexed - uploaded)
    print(f"upload {uploaded - started:.1f} s, index {rate:,.0f} items/s")
    assert sandbox.count("products") == 1_000_000
    page = caller.call("GET", "/_sandbox/sources/products/items", params={"limit": 5}).json()
    assert len(page["items"]) == 5


def expansion(count: int, memberships: int) -> Iterator[bytes]:
    """A ``BatchIdentityBody`` of ``count`` identities, one in ten a group, in parts."""
    groups, users = count // 10, count - count // 10
    yield b'{"members":['
    for number in range(groups):
        members = b",".join(
            b'{"name":"u%07d@x.io","type":"USER"}' % ((number * 7919 + place * 104729) % users)
            for place in range(memberships // groups)
        )
        yield b'{"identity":{"name":"g%06d","type":"GROUP"},"members":[%s]},' % (number, members)
    for number in range(users):
        end = b"" if number == users - 1 else b","
        yield b'{"identity":{"name":"u%07d@x.io","type":"USER"}}%s' % (number, end)
    yield b"]}"


@pytest.mark.long
def test_a_million_identities_in_a_full_container(sandbox: Sandbox) -> None:
    """A container of 236 MiB with 1,000,000 identities and 5,000,000 memberships, in bounded memory."""
    company = Organization(sandbox)
    with tempfile.TemporaryFile() as file:
        for part in expansion(1_000_000, 5_000_000):
            file.write(part)
        file.seek(0)
        made = company.push("POST", "/files", json={}).json()
        sent = requests.put(made["uploadUri"], data=file, headers=made["requiredHeaders"], timeout=300)
        assert sent.status_code == 200
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    company.identity("PUT", "/permissions/batch", fileId=made["fileId"])
    assert sandbox.settle(timeout=1200)
    seconds = time.perf_counter() - started
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    print(f"{seconds:.0f} s, {6_000_000 / seconds:,.0f} identities and memberships/s, {grown} MiB more")
    assert [one.result for one in sandbox.identity_logs(PROVIDER)] == ["COMPLETED"]
    status = company.rest("GET", "/securityproviders/My%20Security%20Identity%20Provider").json()
    assert status["statistics"]["numberOfEntitiesByState"] == {"UP_TO_DATE": 1_000_000}
    company.secure([{"allowedPermissions": [{"identity": "g000000", "identityType": "Group"}]}])
    assert company.sees("u0000000@x.io")
    assert not company.sees("u0000001@x.io")
    assert grown < 1024  # the mapped container and SQLite's page cache, 256 MiB each, and what is being read
