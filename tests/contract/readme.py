"""The README's table of calls."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.conftest import ROOT

HEADING = "## Every call of the Push and Stream APIs"
PREFIX = "/organizations/{organizationId}"
_ROW = re.compile(r"^\| `(?P<verb>[A-Z]+) (?P<path>/\S+)` \| `(?P<client>\w+)` \| (?P<operators>.+) \|$")


@dataclass(frozen=True)
class Row:
    """
    One row: a call and who makes it.

    :param call: method and path template, as in the description
    """

    call: tuple[str, str]
    client: str
    operators: tuple[str, ...]


def rows() -> list[Row]:
    """
    Return the table's rows.

    :raises ValueError: a line of the table cannot be read
    """
    section = (ROOT / "README.md").read_text().split(f"\n{HEADING}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    found = []
    for line in lines[2:]:  # below the head and its rule
        cells = _ROW.match(line)
        if cells is None:
            raise ValueError(f"not a row of the table of calls: {line}")
        operators = () if cells["operators"] == "none" else tuple(re.findall(r"`(\w+)`", cells["operators"]))
        found.append(Row((cells["verb"], PREFIX + cells["path"]), cells["client"], operators))
    return found
