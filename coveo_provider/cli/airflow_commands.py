"""
``airflow coveo …``, for Airflow 3.2 and later: the commands of ``coveo``, as Airflow's argument parser takes them.

Airflow calls :func:`get_cli_commands` each time that one of its commands starts, the scheduler's as well; what the
commands are made of is imported only where they are asked for.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple


class _Option(NamedTuple):
    """
    An argument of a command.

    :param flags: ``--since``; or one name, of an argument without a flag
    :param kind: how it is given: ``value``, ``values`` (again for more) or ``flag``
    """

    flags: tuple[str, ...]
    help: str
    kind: str = "value"
    metavar: str | None = None
    required: bool = False

    @property
    def dest(self) -> str:
        """Where the parser puts its value: none that Airflow uses itself."""
        return f"coveo_{self.flags[-1].strip('-').replace('-', '_')}"

    def given(self, value: Any) -> list[str]:
        """Return it as it stands on a command line; nothing when it was not given."""
        if value in (None, False):
            return []
        if not self.flags[0].startswith("-"):
            return [str(value)]
        if self.kind == "flag":
            return [self.flags[-1]]
        values = value if self.kind == "values" else [value]
        return [f"{self.flags[-1]}={one}" for one in values]


def get_cli_commands() -> list[Any]:
    """Return the group ``coveo``, with its commands where the command line is about them."""
    from airflow.cli.cli_config import GroupCommand

    # A shell that completes a word gives no arguments; the cheat sheet lists the commands of all groups.
    is_asked_for = "_ARGCOMPLETE" in os.environ or not {"coveo", "cheat-sheet"}.isdisjoint(sys.argv[1:])
    help = "Look at Coveo, check and plan loads, push files"
    return [GroupCommand(name="coveo", help=help, subcommands=_commands() if is_asked_for else ())]


def _commands() -> list[Any]:
    """Return the commands of the program ``coveo``."""
    from airflow.cli.cli_config import ActionCommand
    from typer.main import get_command

    from coveo_provider.cli.main import app

    found: Any = get_command(app)
    commands = []
    for name, command in found.commands.items():
        options = _of_sandbox() if name == "sandbox" else [_of_parameter(one) for one in command.params]
        first, _, rest = (command.help or "").partition("\n")
        commands.append(
            ActionCommand(
                name=name,
                help=_literal(first),
                description=_literal(f"{first}\n{rest}".strip()),
                func=partial(_run, name, options),
                args=[_arg(one) for one in options],
            )
        )
    return commands


def _run(name: str, options: Sequence[_Option], arguments: argparse.Namespace) -> None:
    """Run a command with what Airflow's parser read."""
    from coveo_provider.cli.main import app

    flagged = [one for one in options if one.flags[0].startswith("-")]
    places = [one for one in options if one not in flagged]
    line = [name, *_given(flagged, arguments)]
    app([*line, "--", *_given(places, arguments)] if places else line, prog_name="airflow coveo")


def _given(options: Iterable[_Option], arguments: argparse.Namespace) -> list[str]:
    return [word for one in options for word in one.given(getattr(arguments, one.dest, None))]


def _of_parameter(parameter: Any) -> _Option:
    """Return an argument of a command as the program declares it."""
    text = str(getattr(parameter, "help", None) or "")
    if parameter.param_type_name == "argument":
        return _Option((str(parameter.name),), text, metavar=parameter.metavar, required=True)
    default = parameter.default
    is_shown = isinstance(default, (str, int, float)) and default not in ("", False)
    shown = f" (default: {default})" if is_shown else ""
    return _Option(
        tuple(sorted(parameter.opts, key=len)),  # the long one last
        text + shown,
        "flag" if parameter.is_flag else "value",
        parameter.metavar,
        parameter.required,
    )


def _of_sandbox() -> list[_Option]:
    """Return the options of ``coveo-sandbox``, whose parser is of another library."""
    from coveo_provider.sandbox.cli import parser

    kinds: dict[str, Callable[[Any], bool]] = {
        "flag": lambda action: action.nargs == 0,
        "values": lambda action: "append" in type(action).__name__.lower(),
    }
    return [
        _Option(
            tuple(sorted(action.option_strings, key=len)),
            action.help or "",
            next((kind for kind, is_it in kinds.items() if is_it(action)), "value"),
            str(action.metavar) if action.metavar else None,
        )
        for action in parser()._actions
        if action.dest != "help"
    ]


def _arg(option: _Option) -> Any:
    from airflow.cli import cli_config

    arg: Any = cli_config.Arg
    if not option.flags[0].startswith("-"):
        return arg(
            (option.dest,), help=_literal(option.help), metavar=option.metavar or option.flags[0].upper()
        )
    named: dict[str, Any] = {"help": _literal(option.help), "dest": option.dest}
    if option.kind == "flag":
        return arg(option.flags, action="store_true", **named)
    metavar = option.metavar or option.flags[-1].strip("-").replace("-", "_").upper()
    action = "append" if option.kind == "values" else "store"
    return arg(option.flags, action=action, metavar=metavar, required=option.required, **named)


def _literal(text: str) -> str:
    """Return a text as argparse shows it as it stands."""
    return text.replace("%", "%%")
