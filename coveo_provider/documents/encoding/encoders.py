"""Which encoder the rows of a part take, for the array of a container they go to."""

from __future__ import annotations

from typing import Protocol

import pyarrow as pa

from coveo_provider.documents.contract import Section
from coveo_provider.documents.encoding.batches import Encoder
from coveo_provider.documents.encoding.partial_update_batches import PartialUpdateEncoder
from coveo_provider.documents.records import Encoded, Measured


class BatchEncoder(Protocol):
    """What turns the batches of one part into JSON."""

    def encode(self, batch: pa.RecordBatch, first_row: int = 0) -> Encoded:
        """Return the JSON of a batch; ``first_row`` is the number of its first row in the part."""

    def measure(self, batch: pa.RecordBatch, first_row: int = 0) -> Measured:
        """Check a batch as :meth:`encode` does, and return its sizes and canonical form instead of its JSON."""


def encoder_for(section: Section, schema: pa.Schema, *, where: str, item_limit: int) -> BatchEncoder:
    """
    Return the encoder of a part's rows, for the array of a container they go to.

    :param where: the part's name, for errors
    :param item_limit: the most one of them may take, in bytes
    :raises DatasetError: a column is missing, doubled, or of a type the API does not take
    """
    if section is Section.PARTIAL_UPDATE:
        return PartialUpdateEncoder(schema, where=where, item_limit=item_limit)
    return Encoder(schema, where=where, item_limit=item_limit, deletions=section is Section.DELETE)
