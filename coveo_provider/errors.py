"""
Every exception this package raises on purpose.

::

    CoveoError
    ├── ApiError                the API answered, and the answer was a refusal
    │   ├── AuthenticationError     401: missing, unknown, expired or disabled key
    │   ├── AccessDenied            403: the key lacks a privilege
    │   │   └── PrivilegeMissing        403: of a call that a load can do without
    │   ├── NotFound                404: unknown organization, or a URL that is not the API's
    │   ├── SourceRefused           412: unknown source, unsuited source, bad parameter
    │   ├── PayloadTooLarge         413
    │   ├── Throttled               429: wait, then send again            (transient)
    │   │   └── QuotaExhausted          a day's quota is used up              (transient)
    │   ├── ServerError             5xx: a fault on the other side        (transient)
    │   └── UploadRefused           the storage behind an upload address  (transient)
    ├── Unreachable             no answer, or half of one                 (transient)
    ├── UnexpectedAnswer        an answer that cannot be the API's        (transient)
    ├── CloseUnknown            nobody knows whether a stream was closed  (transient)
    ├── ContentUnavailable      a file of content could not be read now   (transient)
    ├── DatabaseUnavailable     a database could not be asked now         (transient)
    ├── ContainerExpired        sending took longer than containers live  (transient)
    ├── SourceBusy              another DAG run is loading the source     (transient)
    ├── DataError               the data is wrong; nothing of it was sent
    │   ├── DatasetError            a part is missing, empty or not Parquet; a column cannot be sent
    │   │   └── FileChanged             a file changed while it was read      (transient)
    │   ├── MappingError            a mapping and a frame do not fit
    │   └── DocumentError           one document is wrong
    │       └── DocumentTooLarge
    ├── ConfigurationError      the connection or an argument is wrong; nothing was changed
    ├── VerificationFailed      the load was sent, and the index does not hold what it has to
    └── SafetyStop              the step was possible and looked wrong; the index is as it was

``transient`` says whether the very same request could succeed later. No message holds an API key or a
pre-signed address. All of them survive pickling, as they may cross processes.
"""

from __future__ import annotations

from typing import ClassVar


class CoveoError(Exception):
    """Root of everything this package raises on purpose."""

    transient: ClassVar[bool] = False

    after_lost_answer = False
    """Whether an earlier attempt at the same call got no answer, and may have been carried out."""


class ApiError(CoveoError):
    """
    The API answered, and the answer was a refusal.

    :param status: HTTP status
    :param route: method and path, without host and query
    :param code: the API's ``errorCode``, empty when it gave none
    :param detail: the API's message, and what to do about it
    :param request_id: the id to quote to Coveo's support, empty when there was none
    """

    def __init__(self, status: int, route: str, code: str, detail: str, request_id: str = "") -> None:
        super().__init__(status, route, code, detail, request_id)
        self.status, self.route, self.code, self.detail = status, route, code, detail
        self.request_id = request_id

    def __str__(self) -> str:
        answer = f"{self.status} {self.code}".rstrip()
        request = f" (request {self.request_id})" if self.request_id else ""
        return f"{self.route} answered {answer}: {self.detail}{request}"


class AuthenticationError(ApiError):
    """401: the key is missing, unknown, expired, disabled or not allowed from this address."""


class AccessDenied(ApiError):
    """403: the key lacks the privilege the call needs."""


class PrivilegeMissing(AccessDenied):
    """
    403: the key lacks a privilege that a load does not need, so that the caller may do without the call.

    :param privileges: what the call needs, in the words of the Administration Console
    """

    def __init__(
        self, status: int, route: str, code: str, detail: str, request_id: str, privileges: str
    ) -> None:
        super().__init__(status, route, code, detail, request_id)
        self.args = (status, route, code, detail, request_id, privileges)
        self.privileges = privileges


class NotFound(ApiError):
    """404: unknown organization, or a path the API does not know."""


class SourceRefused(ApiError):
    """412: unknown source, a source of the wrong kind, or a parameter the API does not accept."""


class PayloadTooLarge(ApiError):
    """413: the body or the file container is over its limit."""


class _AsksToWait(ApiError):
    transient = True

    def __init__(
        self,
        status: int,
        route: str,
        code: str,
        detail: str,
        request_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(status, route, code, detail, request_id)
        self.args = (status, route, code, detail, request_id, retry_after)
        self.retry_after = retry_after


class Throttled(_AsksToWait):
    """
    429: too many requests.

    :param retry_after: seconds the API asked to wait, ``None`` when it did not say
    """

    day_left: float | None = None
    """Seconds until the next day (UTC) begins, by the server's clock, when quotas of a day come back."""


class QuotaExhausted(Throttled):
    """
    429: what the license allows for a day is used up.

    :param retry_after: seconds until the next day (UTC) begins, ``None`` when the server told no time
    """


class ServerError(_AsksToWait):
    """
    5xx: a fault on the other side; the call may or may not have been carried out.

    :param retry_after: seconds the API asked to wait, ``None`` when it did not say
    """


class UploadRefused(ApiError):
    """The storage behind a pre-signed address refused the upload; a fresh container may be accepted."""

    transient = True


class Unreachable(CoveoError):
    """
    No answer came, or half of one.

    :param route: method and path, without host and query
    :param reason: what happened, without any address
    :param sent: whether the request may have reached the API and been carried out
    """

    transient = True

    def __init__(self, route: str, reason: str, sent: bool) -> None:
        super().__init__(route, reason, sent)
        self.route, self.reason, self.sent = route, reason, sent

    def __str__(self) -> str:
        fate = (
            "it may have been carried out"
            if self.sent
            else "it was not carried out. Check the connection's URL, and what lies between worker and service"
        )
        return f"{self.route} got no answer ({self.reason}); {fate}"


class UnexpectedAnswer(CoveoError):
    """
    An answer that cannot be the API's: a page instead of JSON, or a success that lacks what it promises.

    Nobody knows whether the call was carried out, so it counts as a lost answer.

    :param route: method and path, without host and query
    :param expected: what the answer should have held
    :param received: status and kind of what came, and how it begins; empty when that is not known
    """

    transient = True

    def __init__(self, route: str, expected: str, received: str = "") -> None:
        super().__init__(route, expected, received)
        self.route, self.expected, self.received = route, expected, received

    def __str__(self) -> str:
        received = f" (it was {self.received})" if self.received else ""
        return (
            f"{self.route} was answered without {self.expected}{received}, so nobody knows whether it was carried "
            "out. Is it a proxy's login page or error page, or does the connection's URL lead to something else "
            "than the Coveo API?"
        )


class CloseUnknown(CoveoError):
    """
    Nobody knows whether a stream was closed: an attempt to close it got no answer, and no later one was clear.

    Sending the close again does no harm, so a later try may find out.

    :param stream_id: the stream
    :param owner: what it belongs to: ``source products``, or a data collection
    :param reason: what the last attempt met
    """

    transient = True

    def __init__(self, stream_id: str, owner: str, reason: str) -> None:
        super().__init__(stream_id, owner, reason)
        self.stream_id, self.owner, self.reason = stream_id, owner, reason

    def __str__(self) -> str:
        return (
            f"nobody knows whether stream {self.stream_id} of {self.owner} was closed: a close got no answer, and "
            f"the last attempt met this: {self.reason} - Look in the Log Browser of the Administration Console, or "
            "at the source's number of items, whether the load was applied. To close again does no harm, so let "
            "the task try again; if the stream is gone and the load was not applied, start it again from its open"
        )


class VerificationFailed(CoveoError):
    """
    A load was accepted, and the index does not hold what it has to: items are missing, or were refused.

    :param problem: what is wrong, in words
    """


class ContentUnavailable(CoveoError):
    """
    A file that a document names as its content could not be read, for a reason that may pass.

    :param document_id: the document
    :param uri: the file's URI, without password and query
    :param reason: what the storage said
    """

    transient = True

    def __init__(self, document_id: str, uri: str, reason: str) -> None:
        super().__init__(document_id, uri, reason)
        self.document_id, self.uri, self.reason = document_id, uri, reason

    def __str__(self) -> str:
        return (
            f"document {self.document_id}: its content {self.uri} could not be read ({self.reason}); nothing "
            "was sent. Check the storage's connection, and what lies between worker and storage"
        )


class DatabaseUnavailable(CoveoError):
    """
    A database could not be reached, or broke a query off, for a reason that may pass.

    :param where: the Airflow connection, and the argument that holds the query
    :param reason: what the driver said, without passwords and parameters
    """

    transient = True

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(where, reason)
        self.where, self.reason = where, reason

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


class ContainerExpired(CoveoError):
    """
    Sending took so long that a file container, which lives 60 minutes, would not be there when it is used.

    :param minutes: how long it took
    :param size: bytes that were uploaded meanwhile
    """

    transient = True

    def __init__(self, minutes: int, size: int) -> None:
        super().__init__(minutes, size)
        self.minutes, self.size = minutes, size

    def __str__(self) -> str:
        return (
            f"uploading {self.size:,} bytes took {self.minutes} minutes, and a file container lives 60; it was "
            "not submitted. Is the network slow? Lower max_chunk_bytes, or send fewer files at once"
        )


class SourceBusy(CoveoError):
    """
    Another DAG run is loading the source; nothing was changed.

    :param source_id: the source
    :param dag_id: the other DAG
    :param run_id: its run
    :param since: when it began, in ISO 8601
    :param variable: the Airflow Variable that says so
    :param what: what it is that is loaded: ``source``, or ``provider`` of identities
    """

    transient = True

    def __init__(
        self, source_id: str, dag_id: str, run_id: str, since: str, variable: str, what: str = "source"
    ) -> None:
        super().__init__(source_id, dag_id, run_id, since, variable, what)
        self.what = what
        self.source_id, self.dag_id, self.run_id = source_id, dag_id, run_id
        self.since, self.variable = since, variable

    def __str__(self) -> str:
        return (
            f"{self.what} {self.source_id} is being loaded by DAG {self.dag_id}, run {self.run_id}, since "
            f"{self.since}; nothing was changed. Runs on one {self.what} take turns: set max_active_runs=1 on a "
            "DAG, and deferrable=True, or retries with a retry_delay, to wait for another. If that run is dead, "
            f"mark it as failed, or delete the Variable {self.variable}"
        )


class DataError(CoveoError, ValueError):
    """The data is wrong. It was refused before any of it was sent."""


class DatasetError(DataError):
    """A part is missing, empty or not Parquet, or a column is not one the API takes."""


class FileChanged(DatasetError):
    """
    A file changed, or vanished, while it was read: what was read may be half of one state and half of another.

    :param file: the file, and whose it is
    """

    transient = True

    def __init__(self, file: str) -> None:
        super().__init__(file)
        self.file = file

    def __str__(self) -> str:
        return (
            f"{self.file}: changed while it was read, so nothing of it was sent, and the index is as it was. Let "
            "the task try again once the file is complete. Whoever writes it should write under another name, and "
            "rename it at the end"
        )


class MappingError(DataError):
    """A mapping and the frame it is applied to do not fit, or a rule cannot take a value."""


class DocumentError(DataError):
    """
    One document is wrong.

    :param document_id: its id, or how to find it when the id itself is at fault
    :param problem: what is wrong, and what was expected
    """

    where = ""
    """The file and the row it stands in, where they are known."""

    def __init__(self, document_id: str, problem: str) -> None:
        super().__init__(document_id, problem)
        self.document_id, self.problem = document_id, problem

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        return f"document {self.document_id}: {self.problem}{place}"


class DocumentTooLarge(DocumentError):
    """
    One document is larger than the API takes.

    :param document_id: its id
    :param size: its size as encoded, in bytes
    :param limit: the most the API takes, in bytes
    """

    def __init__(self, document_id: str, size: int, limit: int) -> None:
        super().__init__(
            document_id,
            f"is {size:,} bytes as JSON, over the limit of {limit:,} bytes for one item; "
            "shorten its text or leave columns out",
        )
        self.args = (document_id, size, limit)
        self.size, self.limit = size, limit


class ConfigurationError(CoveoError, ValueError):
    """The connection or an argument is wrong. Nothing was changed."""


class SafetyStop(CoveoError):
    """The step was possible, but looked wrong. It was not taken, and the index is as it was."""
