"""A caller that knows nothing but the reference pages."""

from __future__ import annotations

import json
from typing import Any

import requests

from coveo_provider.sandbox import Sandbox


class Caller:
    """Sends calls to a sandbox with its key; ``key`` and ``organization`` can be others."""

    def __init__(self, sandbox: Sandbox, *, key: str | None = None, organization: str | None = None) -> None:
        self.sandbox = sandbox
        self.organization = organization or sandbox.organization_id
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {key or sandbox.api_key}"

    def push(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        return self.call(method, f"/push/v1/organizations/{self.organization}{path}", **kwargs)

    def rest(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        return self.call(method, f"/rest/organizations/{self.organization}{path}", **kwargs)

    def call(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        return self.session.request(method, self.sandbox.url + path, timeout=30, **kwargs)

    def upload(self, container: dict[str, Any], content: object, **headers: str | None) -> requests.Response:
        """Upload as the answer asks, without the key; ``headers`` changes or drops some."""
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        wanted = {**container["requiredHeaders"], **headers}
        return requests.put(
            container["uploadUri"],
            data=data,
            headers={name: value for name, value in wanted.items() if value is not None},
            timeout=30,
        )

    def container(self, content: object) -> str:
        """Make a container with this content and give its id."""
        made = self.push("POST", "/files").json()
        assert self.upload(made, content).status_code == 200
        return str(made["fileId"])

    def batch(self, content: object, source: str = "files", **query: Any) -> requests.Response:
        query = {"fileId": self.container(content), **query}
        return self.push("PUT", f"/sources/{source}/documents/batch", params=query)

    def put(self, uri: str, body: Any = None, source: str = "files", **query: Any) -> requests.Response:
        return self.push(
            "PUT",
            f"/sources/{source}/documents",
            params={"documentId": uri, **query},
            json={"data": "text"} if body is None else body,
        )

    def update(self, content: object, source: str = "products") -> requests.Response:
        return self.push(
            "PUT", f"/sources/{source}/stream/update", params={"fileId": self.container(content)}
        )

    def merge(self, content: object, source: str = "products") -> requests.Response:
        return self.push("PUT", f"/sources/{source}/stream/merge", params={"fileId": self.container(content)})

    def open(self, source: str = "products") -> dict[str, Any]:
        response = self.push("POST", f"/sources/{source}/stream/open", json={})
        assert response.status_code == 201
        return dict(response.json())

    def chunk(self, stream_id: str, source: str = "products") -> requests.Response:
        return self.push("POST", f"/sources/{source}/stream/{stream_id}/chunk", json={})

    def close(self, stream_id: str, source: str = "products") -> requests.Response:
        return self.push("POST", f"/sources/{source}/stream/{stream_id}/close")

    def load(self, *contents: object, source: str = "products") -> requests.Response:
        """Do a whole load, a chunk of its own for each content."""
        stream_id = self.open(source)["streamId"]
        for content in contents:
            assert self.upload(self.chunk(stream_id, source).json(), content).status_code == 200
        return self.close(stream_id, source)


def items(*uris: str, **metadata: Any) -> dict[str, Any]:
    """A payload that adds items with these ids."""
    return {"addOrUpdate": [{"documentId": uri, **metadata} for uri in uris]}


def problems(sandbox: Sandbox, source: str) -> list[tuple[str, str, str, str]]:
    """What the log says that is not COMPLETED: task, operation, result, id."""
    return [
        (entry.task, entry.operation, entry.result, entry.id)
        for entry in sandbox.logs(source)
        if entry.result != "COMPLETED"
    ]


def refusal(response: requests.Response) -> tuple[int, str]:
    """Status and errorCode of a refused call, which must have the contract's form."""
    body = response.json()
    assert set(body) == {"errorCode", "message"}
    return response.status_code, body["errorCode"]
