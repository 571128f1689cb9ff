"""What a command ends with, as ``docs/command-line.md`` promises it to scripts."""

from __future__ import annotations

from enum import IntEnum

from coveo_provider.errors import (
    ConfigurationError,
    CoveoError,
    DataError,
    NotFound,
    SafetyStop,
    SourceRefused,
    VerificationFailed,
)


class ExitCode(IntEnum):
    """
    How a command ended.

    ``FOUND``: it looked, and something is wrong with what it saw, such as data that cannot be sent, or refused
    items. ``USAGE``: an argument, the connection or a name in them is wrong. ``SERVICE``: Coveo or a storage could
    not be reached, or refused the key. ``FAULT``: nobody thought of this; a fault of the program.
    """

    FINE = 0
    FOUND = 1
    USAGE = 2
    SERVICE = 3
    FAULT = 4
    INTERRUPTED = 130


def code_of(error: CoveoError) -> ExitCode:
    """Return what a command ends with that failed so."""
    if isinstance(error, (ConfigurationError, NotFound, SourceRefused)):
        return ExitCode.USAGE
    if isinstance(error, (DataError, SafetyStop, VerificationFailed)):
        return ExitCode.FOUND
    return ExitCode.SERVICE
