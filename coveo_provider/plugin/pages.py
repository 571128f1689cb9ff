"""How a page is written: templates, how numbers and moments are spelt, and what a browser may do with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import jinja2
import msgspec
from fastapi import Request
from fastapi.responses import HTMLResponse, Response

from coveo_provider.documents.uris import shown_uri

_HERE = Path(__file__).parent / "templates"
_LONGEST = 500
ROWS = 100
"""How many rows of a table a page shows at most."""

HEADERS = {
    # Airflow shows the pages in a frame of its own; nobody else may, and nothing comes from elsewhere.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Templates:
    """
    The templates of the pages.

    :raises jinja2.TemplateNotFound: they are not installed
    """

    def __init__(self) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True
        )
        self._environment.filters.update(
            number=number,
            moment=moment,
            seconds=seconds,
            size=size,
            short=short,
            uri=uri,
            matching=matching,
            beyond=beyond,
        )
        self._environment.get_template("base.html")

    def page(self, request: Request, template: str, status: int = 200, /, **values: Any) -> HTMLResponse:
        """Return a page; ``link`` in it gives the address of another one."""
        root = request.scope.get("root_path", "")
        text = self._environment.get_template(template).render(
            root=root,
            airflow=root.rpartition("/")[0],
            framed=request.headers.get("sec-fetch-dest") == "iframe",
            link=lambda place, **query: address(f"{root}/{place}", query),
            run_link=lambda dag_id, run_id, **query: address(f"{root}/{run_place(dag_id, run_id)}", query),
            run_place=run_place,
            most=ROWS,
            now=moment(datetime.now(timezone.utc)),
            **values,
        )
        return HTMLResponse(text.encode("utf-8", "replace"), status, HEADERS)


def style() -> Response:
    """Return what the pages look like."""
    return Response((_HERE / "style.css").read_bytes(), media_type="text/css", headers=HEADERS)


def address(path: str, query: dict[str, object]) -> str:
    """Return an address with its query; what is empty is left out."""
    given = {key: value for key, value in query.items() if value not in ("", None)}
    return f"{path}?{urlencode(given, quote_via=quote, errors='replace')}" if given else path


def run_place(dag_id: str, run_id: str) -> str:
    """Return where the page of a run lies, below the pages as below Airflow itself."""
    return f"dags/{quote(dag_id, safe='', errors='replace')}/runs/{quote(run_id, safe='', errors='replace')}"


def number(value: object) -> str:
    """Return a number with commas; one that is not known says so."""
    if value is None:
        return "not known"
    return (
        f"{value:,}"
        if isinstance(value, int)
        else f"{value:,.1f}"
        if isinstance(value, float)
        else short(value)
    )


def seconds(value: object) -> str:
    """Return seconds, minutes or hours."""
    if not isinstance(value, (int, float)):
        return "not known"
    if value < 120:
        return f"{value:,.1f} s"
    return f"{value / 60:,.1f} min" if value < 7200 else f"{value / 3600:,.1f} h"


def size(value: int) -> str:
    """Return bytes in the unit that reads best."""
    for unit, bytes_of in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if value >= bytes_of:
            return f"{value / bytes_of:,.1f} {unit}"
    return f"{value:,} bytes"


def moment(value: object) -> str:
    """Return a moment for people, UTC to the second; what is none stays as it is."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            return short(value)
    if not isinstance(value, datetime):
        return "not known"
    try:
        return value.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError):
        return str(value)


def short(value: object, most: int = _LONGEST) -> str:
    """Return a text that is not too long for a cell."""
    text = str(value)
    return text if len(text) <= most else f"{text[:most]}…"


def uri(value: str) -> str:
    """Return a URI as it may be shown: without a password or signature."""
    return short(shown_uri(value))


def matching(rows: Sequence[Any] | None, wanted: str) -> list[Any]:
    """Return the rows in which a text stands, in whatever case."""
    wanted = wanted.lower()
    return [row for row in rows or () if not wanted or any(wanted in text for text in _texts(row))]


def beyond(rows: Sequence[Any]) -> int:
    """Return how many rows a page does not show of a list."""
    return max(len(rows) - ROWS, 0)


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, msgspec.Struct):
        value = [getattr(value, name) for name in value.__struct_fields__]
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from _texts(one)
    elif value is not None:
        yield str(value).lower()
