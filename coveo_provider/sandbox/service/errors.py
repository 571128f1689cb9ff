"""
Refusals: each knows how it looks on the wire.

* :class:`ApiError`: ``{"errorCode", "message"}``, as Push, Stream, Logs and Platform answer
* :class:`StorageError`: ``<Error><Code>…``, as the upload host (S3) answers

``docs/api-notes.md, "Errors and retries"`` has the codes and their causes.
"""

from __future__ import annotations

from xml.sax.saxutils import escape

import orjson


class Refusal(Exception):
    """An answer other than success. ``status`` is the HTTP status, ``content_type`` that of :meth:`body`."""

    content_type = "application/json"
    headers: tuple[tuple[str, str], ...] = ()

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, code, message)
        self.status, self.code, self.message = status, code, message

    def body(self, request_id: str) -> bytes:
        """Give the bytes of the answer."""
        raise NotImplementedError


class ApiError(Refusal):
    """A refusal by the API itself."""

    def body(self, request_id: str) -> bytes:
        """Give ``{"errorCode", "message"}`` as the contract's ``Error`` model has it."""
        return orjson.dumps({"errorCode": self.code, "message": self.message})


class StorageError(Refusal):
    """A refusal by the upload host, in S3's words."""

    content_type = "application/xml"

    def body(self, request_id: str) -> bytes:
        """Give S3's XML error."""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{self.code}</Code><Message>{escape(self.message)}</Message>"
            f"<RequestId>{request_id}</RequestId></Error>"
        ).encode()


def invalid_json(message: str) -> ApiError:
    """Refuse a body: 400 ``INVALID_JSON``."""
    return ApiError(400, "INVALID_JSON", message)


def missing_parameter(name: str) -> ApiError:
    """Refuse a call without a required parameter: 412 ``MISSING_PARAMETER``."""
    return ApiError(412, "MISSING_PARAMETER", f"The parameter '{name}' is required.")


def invalid_parameter(name: str, why: str) -> ApiError:
    """Refuse a parameter's value: 412 ``INVALID_PARAMETER``."""
    return ApiError(412, "INVALID_PARAMETER", f"The parameter '{name}' is invalid: {why}")


def too_large(message: str) -> ApiError:
    """Refuse a size: 413. No page gives the errorCode; this is the status text in the API's spelling."""
    return ApiError(413, "REQUEST_ENTITY_TOO_LARGE", message)


def too_many_requests(
    message: str, *, code: str = "TOO_MANY_REQUESTS", retry_after: int | None = None
) -> ApiError:
    """Refuse a call for now: 429. No page gives the errorCode of the Stream API; it is taken as Push's."""
    refused = ApiError(429, code, message)
    if retry_after is not None:
        refused.headers = (("Retry-After", str(retry_after)),)
    return refused


def not_found(message: str) -> ApiError:
    """Refuse an unknown path or resource: 404. No page gives the errorCode."""
    return ApiError(404, "NOT_FOUND", message)
