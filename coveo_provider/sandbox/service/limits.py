"""
The figures of the service, in one place, each with the page it comes from.

``docs/api-notes.md, "Limits"`` has them all.
"""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """
    What the sandbox refuses beyond. Tests lower a figure instead of sending a million items.

    :param container_bytes: largest upload. The pages say 256 MB without saying which; 250 MiB passes in
        practice (old SDK), which is more than 256,000,000 bytes, so the unit is taken as MiB
    :param inline_bytes: a whole single-item request stays *under* this; one entry of a Push batch gets a warning
        (docs 78: "under 5 MB"; docs 63 says 6 MB; the harsher figure)
    :param stream_item_bytes: largest entry of a stream container (docs l62e0540: 3 MB)
    :param stream_items: most items one stream source holds (docs l62e0540)
    :param permissions: most permission entries of one item (docs 63)
    :param dictionary_pairs: most pairs in a dictionary value (docs 2036)
    :param container_minutes: life of an upload address (docs 43)
    :param queue_delay_minutes: default delay of a delete-older (docs 131), and the wait before a closed load
        removes what it did not bring (docs lb4a0344)
    :param max_queue_delay_minutes: largest delay taken (the old SDK's bound; the API's own is not published)
    :param log_window_ms: longest period of one log query (Source Logs API: one week)
    :param request_bytes: largest body of any other call; no page names one
    """

    container_bytes: int = 256 * MIB
    inline_bytes: int = 5 * MIB
    stream_item_bytes: int = 3_000_000
    stream_items: int = 1_000_000
    permissions: int = 5_000
    dictionary_pairs: int = 100_000
    container_minutes: int = 60
    queue_delay_minutes: int = 15
    max_queue_delay_minutes: int = 1_440
    log_window_ms: int = 7 * 24 * 3600 * 1000
    request_bytes: int = 1 * MIB
