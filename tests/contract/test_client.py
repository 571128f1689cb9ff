"""Each request of the client, and each answer of the sandbox to it, against Coveo's published description."""

from __future__ import annotations

import pytest

from coveo_provider.api.client import CoveoClient
from coveo_provider.sandbox import Sandbox
from tests.contract.containers import container_errors
from tests.contract.descriptions import push
from tests.contract.recorder import Recorder
from tests.contract.uses import USES, Use


@pytest.mark.parametrize("use", USES, ids=lambda use: use.method)
def test_a_call_is_as_described(client: CoveoClient, sandbox: Sandbox, recorder: Recorder, use: Use) -> None:
    """Request and answer are valid, and so is what was uploaded for the call."""
    use.prepare(client)()

    description = push()
    crossed = [one for one in recorder.exchanges if one.path.startswith(description.base)]
    assert crossed
    assert len(recorder.exchanges) == len(sandbox.calls)  # nothing went past the recorder
    for exchange in crossed:
        assert exchange.status < 300
        assert description.request_errors(exchange) == [], exchange
        assert description.answer_errors(exchange) == [], exchange
    assert container_errors(description, recorder.exchanges) == []
