"""Arguments that commands share, and what is made of their texts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from coveo_provider.errors import ConfigurationError

CONNECTION = "coveo_default"
"""The connection's id, as hook and operators have it by default."""

ConnId = Annotated[str, typer.Option("--conn-id", metavar="ID", help="The Airflow connection.")]
SourceId = Annotated[str, typer.Argument(metavar="SOURCE", help="The source's id.")]
Dataset = Annotated[
    str,
    typer.Argument(
        metavar="DATASET", help="Path or URI of a documents dataset: a folder of Parquet files, or one."
    ),
]

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SPAN = re.compile(r"(\d{1,6})([smhd])", re.ASCII)


def uri_of(text: str, what: str, *, new: bool = False) -> str:
    """
    Return the URI of a path of this machine; of anything else, the text itself.

    :param what: what it is, for the error
    :param new: whether it need not be there yet
    :raises ConfigurationError: nothing is there
    """
    if "://" in text:
        return text
    path = Path(text).expanduser().absolute()
    if not new and not path.exists():
        raise ConfigurationError(f"{what}: there is no file or folder {text}, seen from {Path.cwd()}")
    return str(path)


def seconds_of(text: str, option: str) -> int:
    """
    Return a span of time such as ``90s``, ``15m``, ``1h`` or ``7d`` in seconds.

    :raises ConfigurationError: it is none
    """
    found = _SPAN.fullmatch(text.strip())
    if found is None or not int(found[1]):
        raise ConfigurationError(
            f"{option} is a number with s, m, h or d, such as 30m, 1h or 7d, not {text!r}"
        )
    return int(found[1]) * _UNITS[found[2]]
