"""What is known of CSV files besides what stands in them. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

TEXT = "string"
AUTO = "auto"
"""As ``csv_quote``: what quotes are depends on the separator."""


@dataclass
class ColumnTypes:
    """
    Types by column, as pandas names them: ``Int64``, ``float64``, ``boolean`` or ``string``.

    A column without any value has none.

    :param kept: those of the last load that went through; a value that is of another type is refused
    :param spelled: names of columns that become parts of texts, where the number of ``5.0`` is spelled ``5``
    :param found: those of this load, once its files were looked through
    :param declared: names of the columns whose type the user gave
    """

    kept: Mapping[str, str] = field(default_factory=dict)
    spelled: Set[str] = frozenset()
    found: dict[str, str] = field(default_factory=dict)
    declared: set[str] = field(default_factory=set)
