"""The tables of calls in `docs/calls.md`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.conftest import ROOT

HEADING = "## Every call of the Push and Stream APIs"
SERVED_HEADING = "### What the sandbox serves of the platform"
OTHER_HEADING = "## Calls of the platform and of the source logs"
PREFIX = "/organizations/{organizationId}"
_OTHER_ROW = re.compile(r"^\| `(?P<verb>[A-Z]+) (?P<path>/\S+)` \| (?P<methods>`\w+`(?:, `\w+`)*) \|$")
_ROW = re.compile(r"^\| `(?P<verb>[A-Z]+) (?P<path>/\S+)` \| `(?P<client>\w+)` \| (?P<operators>.+) \|$")
_SERVED_ROW = re.compile(r"^\| (?P<about>[^|`]+) \| (?P<calls>`.+`) \|$")


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
    return [
        Row(
            (cells["verb"], PREFIX + cells["path"]),
            cells["client"],
            () if cells["operators"] == "none" else tuple(re.findall(r"`(\w+)`", cells["operators"])),
        )
        for cells in _cells(HEADING, _ROW)
    ]


def other_rows() -> dict[tuple[str, str], set[str]]:
    """
    Return the methods that make each of the other calls, by method and path template.

    :raises ValueError: a line of the table cannot be read
    """
    return {
        (cells["verb"], cells["path"]): set(re.findall(r"`(\w+)`", cells["methods"]))
        for cells in _cells(OTHER_HEADING, _OTHER_ROW)
    }


def served_rows() -> list[tuple[str, str]]:
    """
    Return method and path template of each call of the platform that the sandbox serves, names of values left out.

    :raises ValueError: a line of the table cannot be read
    """
    return [
        (verb, re.sub(r"\{\w+\}", "{}", path.replace("…", "/rest/organizations/{org}")))
        for cells in _cells(SERVED_HEADING, _SERVED_ROW)
        for verbs, path in re.findall(r"`([A-Z, ]+) ([^`]+)`", cells["calls"])
        for verb in verbs.split(", ")
    ]


def _cells(heading: str, row: re.Pattern[str]) -> list[re.Match[str]]:
    section = (ROOT / "docs" / "calls.md").read_text().split(f"\n{heading}\n")[1]
    section = re.split(r"\n##+ ", section)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    matches = []
    for line in lines[2:]:  # below the head and its rule
        cells = row.match(line)
        if cells is None:
            raise ValueError(f"not a row of the table below {heading}: {line}")
        matches.append(cells)
    return matches
