"""Requests and answers that are right, and each of them wrong in one place."""

from __future__ import annotations

from tests.contract.recorder import Exchange

BASE = "/push/v1/organizations/sandbox"
SOURCE = f"{BASE}/sources/files"
ALIASES = f"{BASE}/providers/My%20Directory/mappings"
HEADERS = (("Authorization", "Bearer key"), ("Content-Type", "application/json"))
JSON = (("Content-Type", "application/json"),)
MARK = "1700000000000"
FILE = '{"fileId": "f", "uploadUri": "https://a", "requiredHeaders": {"a": "b"}}'
ORDERED = f'{{"orderingId": "{MARK}", "requestId": "r"}}'


def exchange(
    method: str,
    target: str,
    body: str = "",
    *,
    status: int = 202,
    answer: str = "",
    headers: tuple[tuple[str, str], ...] = HEADERS,
    answer_headers: tuple[tuple[str, str], ...] = JSON,
) -> Exchange:
    return Exchange(method, target, headers, body.encode(), status, answer_headers, answer.encode())


RIGHT_REQUESTS = [
    exchange("POST", f"{SOURCE}/status?statusType=IDLE"),
    exchange("POST", f"{SOURCE}/status?statusType=IDLE", "{}"),
    exchange("PUT", f"{SOURCE}/documents?documentId=a%3Ab&orderingId={MARK}", '{"data": "x", "n": [1]}'),
    exchange("DELETE", f"{SOURCE}/documents/olderthan?orderingId={MARK}&queueDelay=0"),
    exchange("PUT", ALIASES, '{"identity": {"name": "a", "type": "USER"}, "mappings": []}'),
    exchange("POST", f"{SOURCE}/stream/deleteolderthan/{MARK}"),
    exchange("PUT", f"{BASE}/data-collections/stock/stream/update?fileId=f&shard=a1"),
]
WRONG_REQUESTS = {
    "an unknown path": exchange("POST", f"{SOURCE}/state?statusType=IDLE"),
    "another method": exchange("PUT", f"{SOURCE}/status?statusType=IDLE"),
    "an empty path parameter": exchange("POST", f"{BASE}/sources//status?statusType=IDLE"),
    "a missing parameter": exchange("POST", f"{SOURCE}/status"),
    "an empty parameter": exchange("POST", f"{SOURCE}/status?statusType="),
    "a value outside the enum": exchange("POST", f"{SOURCE}/status?statusType=RESCAN"),
    "another spelling of the enum": exchange("POST", f"{SOURCE}/status?statusType=idle"),
    "an unknown parameter": exchange("POST", f"{SOURCE}/status?statusType=IDLE&force=true"),
    "a parameter twice": exchange("POST", f"{SOURCE}/status?statusType=IDLE&statusType=IDLE"),
    "no key": exchange("POST", f"{SOURCE}/status?statusType=IDLE", headers=HEADERS[1:]),
    "another kind of key": exchange(
        "POST", f"{SOURCE}/status?statusType=IDLE", headers=(("Authorization", "Basic a2V5"), HEADERS[1])
    ),
    "a body where none is": exchange("POST", f"{SOURCE}/status?statusType=IDLE", '{"statusType": "IDLE"}'),
    "a body that is no object": exchange("POST", f"{SOURCE}/status?statusType=IDLE", "[]"),
    "no body": exchange("PUT", f"{SOURCE}/documents?documentId=a%3Ab"),
    "a body that is no JSON": exchange("PUT", f"{SOURCE}/documents?documentId=a%3Ab", '{"data": '),
    "another media type": exchange(
        "PUT",
        f"{SOURCE}/documents?documentId=a%3Ab",
        "{}",
        headers=(HEADERS[0], ("Content-Type", "text/plain")),
    ),
    "a wrong type": exchange("PUT", f"{SOURCE}/documents?documentId=a%3Ab", '{"data": 5}'),
    "metadata of objects": exchange("PUT", f"{SOURCE}/documents?documentId=a%3Ab", '{"a": [{"b": 1}]}'),
    "metadata that is null": exchange("PUT", f"{SOURCE}/documents?documentId=a%3Ab", '{"a": null}'),
    "a permission of an unknown type": exchange(
        "PUT",
        f"{SOURCE}/documents?documentId=a%3Ab",
        '{"permissions": [{"allowedPermissions": [{"identity": "a", "identityType": "USER"}]}]}',
    ),
    "an unknown key of a permission": exchange(
        "PUT", f"{SOURCE}/documents?documentId=a%3Ab", '{"permissions": [{"allow": []}]}'
    ),
    "an orderingId of seconds": exchange("PUT", f"{SOURCE}/documents/batch?fileId=f&orderingId=1700000000"),
    "an orderingId that is no number": exchange("PUT", f"{SOURCE}/documents/batch?fileId=f&orderingId=now"),
    "a mark of seconds in a path": exchange("POST", f"{SOURCE}/stream/deleteolderthan/1700000000"),
    "a negative delay": exchange("DELETE", f"{SOURCE}/documents/olderthan?orderingId={MARK}&queueDelay=-1"),
    "a boolean that is none": exchange("POST", f"{BASE}/files?useVirtualHostedStyleUrl=yes"),
    "a shard too long": exchange("PUT", f"{SOURCE}/stream/update?fileId=f&shard=12345678901"),
    "an identity without type": exchange("PUT", ALIASES, '{"identity": {"name": "a"}, "mappings": []}'),
    "an identity of the item's spelling": exchange(
        "PUT", ALIASES, '{"identity": {"name": "a", "type": "User"}, "mappings": []}'
    ),
    "an unknown key": exchange(
        "PUT", ALIASES, '{"identity": {"name": "a", "type": "USER"}, "mappings": [], "alias": []}'
    ),
    "an unwrapped identity": exchange(
        "DELETE", f"{BASE}/providers/p/permissions", '{"name": "a", "type": "USER"}'
    ),
}
RIGHT_ANSWERS = [
    exchange("POST", f"{BASE}/files", status=201, answer=FILE),
    exchange("PUT", f"{SOURCE}/stream/update?fileId=f", answer=ORDERED),
    exchange("PUT", f"{SOURCE}/documents?documentId=a%3Ab", answer="{}"),
    exchange("PUT", f"{SOURCE}/documents?documentId=a%3Ab"),
    exchange("POST", f"{BASE}/files", status=413, answer='{"errorCode": "E", "message": "m"}'),
]
WRONG_ANSWERS = {
    "another success": exchange("POST", f"{BASE}/files", status=200, answer=FILE),
    "an unknown status": exchange(
        "POST", f"{BASE}/files", status=418, answer='{"errorCode": "E", "message": "m"}'
    ),
    "a missing key": exchange(
        "POST", f"{BASE}/files", status=201, answer='{"fileId": "f", "uploadUri": "https://a"}'
    ),
    "an unknown key": exchange("POST", f"{BASE}/files", status=201, answer=FILE[:-1] + ', "size": 5}'),
    "a wrong type": exchange("POST", f"{BASE}/files", status=201, answer=FILE.replace('"b"', "5")),
    "an orderingId that is a number": exchange(
        "PUT", f"{SOURCE}/stream/update?fileId=f", answer=ORDERED.replace(f'"{MARK}"', MARK)
    ),
    "an orderingId of seconds": exchange(
        "PUT", f"{SOURCE}/stream/update?fileId=f", answer=ORDERED.replace(MARK, MARK[:10])
    ),
    "no body": exchange("POST", f"{BASE}/files", status=201),
    "a body where none is": exchange("PUT", f"{SOURCE}/documents?documentId=a%3Ab", answer='{"id": 1}'),
    "a body that is no JSON": exchange("POST", f"{BASE}/files", status=201, answer="{"),
    "another media type": exchange(
        "POST", f"{BASE}/files", status=201, answer=FILE, answer_headers=(("Content-Type", "text/html"),)
    ),
    "an error without a code": exchange("POST", f"{BASE}/files", status=429, answer='{"message": "m"}'),
    "a wait that is no number": exchange(
        "POST",
        f"{BASE}/files",
        status=429,
        answer='{"errorCode": "E", "message": "m"}',
        answer_headers=(*JSON, ("Retry-After", "soon")),
    ),
}
