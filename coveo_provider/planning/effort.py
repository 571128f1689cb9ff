"""What it takes to send a load: bytes, containers, calls against the quotas, and how long it may last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from coveo_provider.documents.contract import DEFAULT_CHUNK_BYTES, Api
from coveo_provider.documents.dataset.manifest import DEFAULT_PART_BYTES, PartEntry

_STREAM_CALLS_A_DAY = 15_000
_STREAM_CALLS_AT_ONCE = 250
"""Of an organization for production; others have fewer (docs/api-notes.md, "Quotas")."""

_DELETION_BYTES = 100  # of one in JSON: its id, and some more


def effort(
    parts: Sequence[PartEntry],
    masks: Sequence[npt.NDArray[np.bool_]] | None,
    *,
    deletions: int,
    api: Api,
    seconds_per_byte: float | None,
) -> dict[str, Any]:
    """
    Return what sending takes, as far as that can be known before the changes are written.

    :param parts: of the whole datasets
    :param masks: which rows of each are sent; ``None`` for all
    :param deletions: ids to delete
    :param api: what the load goes through
    :param seconds_per_byte: of former loads, if known
    """
    if masks is None:
        sizes = [part.encoded_bytes for part in parts]
    else:
        shares = [
            part.encoded_bytes * int(mask.sum()) // max(1, part.rows)
            for part, mask in zip(parts, masks, strict=True)
        ]
        sizes = _cut(sum(shares), DEFAULT_PART_BYTES)
    gone = _cut(deletions * _DELETION_BYTES, DEFAULT_PART_BYTES)
    containers = sum(max(1, -(-size // DEFAULT_CHUNK_BYTES)) for size in (*sizes, *gone))
    # Two for each container, to ask for it and to submit it; the status there and back, or none of a stream;
    # and the deletion of what is older, where everything is sent.
    calls = 2 * containers + (2 if api is Api.PUSH else 0) + (1 if masks is None else 0)
    size = sum(sizes) + deletions * _DELETION_BYTES
    return {
        "parts": len(sizes) + len(gone),
        "bytes": size,
        "containers": containers,
        "calls": calls,
        "deletions": deletions,
        "seconds": None if seconds_per_byte is None else round(size * seconds_per_byte, 1),
        "quotas": _quotas(api, calls),
    }


def _cut(size: int, most: int) -> list[int]:
    """Return the sizes of what so many bytes are cut into."""
    if not size:
        return []
    count = -(-size // most)
    return [size // count + (1 if number < size % count else 0) for number in range(count)]


def _quotas(api: Api, calls: int) -> list[dict[str, Any]]:
    if api is Api.PUSH:  # of the license
        return [{"name": "Push API calls a day", "limit": None, "calls": calls}]
    limits = {
        "Stream API requests a day": _STREAM_CALLS_A_DAY,
        "Stream API requests in five minutes": _STREAM_CALLS_AT_ONCE,
    }
    return [{"name": name, "limit": limit, "calls": calls} for name, limit in limits.items()]
