"""``coveo``: the provider's command line."""

from __future__ import annotations

import io
import sys

import typer

from coveo_provider.cli import loading, looking
from coveo_provider.cli.exit_codes import ExitCode

app = typer.Typer(
    name="coveo",
    help="Look at a Coveo organization, check and plan loads, and push files, through an Airflow connection.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

for _command in (
    *(looking.ping, looking.sources, looking.show),
    *(loading.check, loading.plan, loading.fields, loading.push),
    *(looking.logs, looking.why),
):
    app.command()(_command)


@app.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    add_help_option=False,
)
def sandbox(context: typer.Context) -> None:
    """Run the sandbox, a strict stand-in for Coveo's cloud, until it is stopped; the same as coveo-sandbox."""
    from coveo_provider.sandbox.cli import main as run

    raise typer.Exit(run(context.args))


def main() -> None:
    """Run the command line of this process, and end it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal cannot show is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="coveo")
    except KeyboardInterrupt:
        raise SystemExit(int(ExitCode.INTERRUPTED)) from None
