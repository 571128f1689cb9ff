"""How a command runs: Airflow is quiet meanwhile, an error becomes a sentence and an exit code."""

from __future__ import annotations

import functools
import inspect
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import ExitStack, contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from coveo_provider.cli.exit_codes import ExitCode, code_of
from coveo_provider.cli.screen import Screen
from coveo_provider.errors import ConfigurationError, CoveoError, NotFound

if TYPE_CHECKING:
    from coveo_provider.api.client import CoveoClient
    from coveo_provider.api.types import Source
    from coveo_provider.hooks.coveo import CoveoHook

TRACEBACK = "COVEO_TRACEBACK"
"""The environment variable that shows tracebacks, to report a fault."""

_CONTEXT = "_AIRFLOW_PROCESS_CONTEXT"  # what Airflow's own commands set to read connections of its database
_AS_JSON = Annotated[bool, typer.Option("--json", help="One JSON document instead of words.")]


def command(function: Callable[..., ExitCode | None]) -> Callable[..., None]:
    """
    Make a function a command, which has ``--json`` besides the arguments of the function.

    :param function: gets a ``screen``, and returns what the command ends with; ``None`` when all is fine
    """

    @functools.wraps(function)
    def run(*args: Any, as_json: bool = False, **kwargs: Any) -> None:
        screen = Screen(as_json=as_json)
        raise typer.Exit(int(_carried_out(functools.partial(function, screen, *args, **kwargs), screen)))

    own = [*inspect.signature(function, eval_str=True).parameters.values()][1:]
    shown = [
        *own,
        inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_AS_JSON),
    ]
    run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in shown}
    return run


def _carried_out(call: Callable[[], ExitCode | None], screen: Screen) -> ExitCode:
    """Call what does the work, and return what the program ends with."""
    try:
        with _quiet(screen):
            code = call() or ExitCode.FINE
        screen.flush()
        return code
    except (KeyboardInterrupt, typer.Abort):
        screen.fail("interrupted")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read it has seen enough; what is left must not fail once more at the end of the program.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FINE
    except CoveoError as error:
        if os.environ.get(TRACEBACK):
            raise
        screen.fail(str(error))
        return code_of(error)
    except Exception as error:  # a person sees a sentence, never a traceback
        if os.environ.get(TRACEBACK):
            raise
        screen.fail(
            f"{type(error).__name__}: {error}. This is a fault of the program, or of what it runs on; "
            f"{TRACEBACK}=1 shows where"
        )
        return ExitCode.FAULT


def hook_of(conn_id: str) -> CoveoHook:
    """
    Return the hook of a connection, which has been read.

    :raises ConfigurationError: there is no such connection, or it is incomplete
    """
    from coveo_provider.hooks.coveo import CoveoHook

    hook = CoveoHook(conn_id)
    try:
        hook.client  # noqa: B018  read now, for an error that says what is wrong
    except CoveoError:
        raise
    except Exception as error:
        if type(error).__name__ != "AirflowNotFoundException":
            raise
        variable = f"AIRFLOW_CONN_{conn_id.upper()}"
        raise ConfigurationError(
            f"there is no connection {conn_id!r}. Make it in Airflow (airflow connections add), or set "
            f'{variable}=\'{{"conn_type": "coveo", "login": "<organization id>", "password": "<API key>"}}\'; '
            "--conn-id names another"
        ) from None
    return hook


def source_at(client: CoveoClient, source_id: str) -> Source:
    """
    Return a source.

    :raises ConfigurationError: there is none of the id
    """
    try:
        return client.get_source(source_id)
    except NotFound as error:
        if error.code == "ORGANIZATION_NOT_FOUND":
            raise
    known = [one.source_id for one in client.list_sources()]
    listed = ", ".join(sorted(known)[:10]) + (", and others" if len(known) > 10 else "")
    raise ConfigurationError(
        f"organization {client.organization_id} has no source {source_id!r} that the key can see; there are: "
        f"{listed or 'none'}"
    )


@contextmanager
def _quiet(screen: Screen) -> Iterator[None]:
    """Keep stdout for the result, and show of the log what is ours: warnings, and what goes on."""
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(redirect_stdout(sys.stderr))
        stack.enter_context(_as_airflows_own())
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
        with screen.working("starting"):
            import airflow.sdk  # noqa: F401  it sets logging up, which is replaced afterwards

        stack.enter_context(_stdlib_log_to(screen))
        stack.enter_context(_structlog_to(screen))
        with screen.working("asking Coveo"):
            yield


@contextmanager
def _as_airflows_own() -> Iterator[None]:
    """Let connections be read as Airflow's own commands read them: environment, secrets backend, database."""
    if _CONTEXT in os.environ:
        yield
        return
    os.environ[_CONTEXT] = "server"
    try:
        yield
    finally:
        del os.environ[_CONTEXT]


class _ScreenHandler(logging.Handler):
    def __init__(self, screen: Screen) -> None:
        super().__init__(logging.INFO)
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        _tell(self._screen, record.name, record.levelno, record.getMessage())


def _tell(screen: Screen, logger: str, level: int, message: str) -> None:
    if "coveo_provider" not in logger:
        if level >= logging.ERROR:
            screen.warn(f"{logger}: {message}")
    elif level >= logging.WARNING:
        screen.warn(message)
    else:
        screen.step(message)


@contextmanager
def _stdlib_log_to(screen: Screen) -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers[:] = [_ScreenHandler(screen)]
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.handlers[:] = before
        root.setLevel(level)


@contextmanager
def _structlog_to(screen: Screen) -> Iterator[None]:
    """Replace what Airflow's tasks log to; a task of ours prints nothing."""
    import structlog

    class Named:
        """What a logger is bound to; only its name counts."""

        def __init__(self, name: str = "") -> None:
            self.name = name

    def tell(logger: Any, method: str, event: MutableMapping[str, Any]) -> NoReturn:
        level = logging.getLevelName(method.upper())
        _tell(
            screen,
            logger.name,
            level if isinstance(level, int) else logging.INFO,
            str(event.get("event", "")),
        )
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[tell],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *args: Named(*map(str, args[:1])),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)
