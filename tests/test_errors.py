"""The family of exceptions."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from coveo_provider import errors

ROUTE = "POST /push/v1/organizations/acme/files"

SAMPLES: list[errors.CoveoError] = [
    *[
        kind(400, ROUTE, "CODE", "Detail.", "request-1")
        for kind in (
            errors.ApiError,
            errors.AuthenticationError,
            errors.AccessDenied,
            errors.NotFound,
            errors.SourceRefused,
            errors.PayloadTooLarge,
            errors.UploadRefused,
        )
    ],
    errors.Throttled(429, ROUTE, "CODE", "Detail.", "request-1", 7.5),
    errors.QuotaExhausted(429, ROUTE, "CODE", "Detail.", "request-1", 3_600.0),
    errors.ServerError(503, ROUTE, "", "Detail.", "", 3.0),
    errors.Unreachable(ROUTE, "the proxy refused", sent=False),
    errors.PrivilegeMissing(403, ROUTE, "ACCESS_DENIED", "Detail.", "request-1", "Sources (View)"),
    errors.UnexpectedAnswer(ROUTE, "a fileId", '200 with HTML, "Sign in"'),
    errors.CloseUnknown("s1", "source products", "it answered 502"),
    errors.DatabaseUnavailable(
        "sql (connection warehouse)", "OperationalError: the server closed the connection"
    ),
    errors.ContentUnavailable("file://a", "s3://bucket/a.pdf", "TimeoutError: no answer"),
    errors.ContainerExpired(61, 500_000_000),
    errors.SourceBusy("products", "shop", "scheduled__2026", "2026-01-02T03:04:05+00:00", "coveo_load__1"),
    *[
        kind("Message.")
        for kind in (
            errors.CoveoError,
            errors.DataError,
            errors.DatasetError,
            errors.MappingError,
            errors.ConfigurationError,
            errors.SafetyStop,
            errors.VerificationFailed,
        )
    ],
    errors.DocumentError("file://a", "is wrong"),
    errors.FileChanged("file:///a.csv"),
    errors.DocumentTooLarge("file://a", 6_000_000, 5_242_880),
]


def test_there_is_a_sample_of_every_exception() -> None:
    """The tests below leave none out that users can meet by name."""
    family = {
        kind
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.CoveoError) and not name.startswith("_")
    }
    assert {type(sample) for sample in SAMPLES} == family


def test_the_drawing_names_every_exception() -> None:
    """The family tree in the module's docstring is complete."""
    assert errors.__doc__ is not None
    for sample in SAMPLES:
        assert type(sample).__name__ in errors.__doc__


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_pickling_keeps_everything(error: errors.CoveoError) -> None:
    """Message, arguments and attributes are the same in another process, and in a copy."""
    if isinstance(error, errors.ApiError):
        error.after_lost_answer = True
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert again.args == error.args
        assert vars(again) == vars(error)


def test_what_is_transient() -> None:
    """Only what the very same request could survive later."""
    transient = {type(sample).__name__ for sample in SAMPLES if sample.transient}
    assert transient == {
        "Throttled", "QuotaExhausted", "ServerError", "UploadRefused", "Unreachable", "UnexpectedAnswer",
        "CloseUnknown", "ContentUnavailable", "DatabaseUnavailable", "ContainerExpired", "SourceBusy",
        "FileChanged",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SAMPLES[0], f"{ROUTE} answered 400 CODE: Detail. (request request-1)"),
        (errors.ServerError(503, ROUTE, "", "Detail."), f"{ROUTE} answered 503: Detail."),
        (
            errors.Unreachable(ROUTE, "reset", sent=True),
            f"{ROUTE} got no answer (reset); it may have been carried out",
        ),
        (
            errors.DocumentTooLarge("file://a", 6_000_000, 5_242_880),
            "document file://a: is 6,000,000 bytes as JSON, over the limit of 5,242,880 bytes for one item; "
            "shorten its text or leave columns out",
        ),
    ],
)
def test_messages(error: errors.CoveoError, text: str) -> None:
    """They say which route or document, what happened, and what was expected."""
    assert str(error) == text


def test_data_and_configuration_are_value_errors() -> None:
    """Callers who know nothing of this package catch them as what they are."""
    assert issubclass(errors.DataError, ValueError)
    assert issubclass(errors.ConfigurationError, ValueError)
