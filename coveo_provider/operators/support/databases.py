"""
Databases behind Airflow's connections: opened by the hooks of their providers, only read, and never loaded whole.

A hook that is a ``DbApiHook`` of apache-airflow-providers-common-sql gives a connection of the DB-API (PEP 249).
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from decimal import Decimal
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from airflow.sdk import BaseHook

from coveo_provider.errors import ConfigurationError, CoveoError, DatabaseUnavailable, DatasetError

if TYPE_CHECKING:
    from coveo_provider.documents.extracts.readers import Batch

SINCE = "coveo_since"
"""What the parameter is called from which on rows are read again, where parameters have names."""

_HOPELESS = {"ProgrammingError", "DataError", "IntegrityError", "NotSupportedError"}
_SECRET = 3  # characters that are worth hiding
_WRONG_IN_MYSQL = {1054, 1142, 1143, 1305, 1370, 1792}  # no such column or function, no right to it, a write
_PASSING = re.compile("locked|busy|unable to open|disk")
_SECRETS = re.compile("pass|secret|token|key|credential|pwd", re.IGNORECASE)
_PLAIN_NAME = re.compile("[a-z_][a-z0-9_]*|[A-Z_][A-Z0-9_]*")
_ARROW_ROWS = 2_048
_TYPED = {"psycopg2", "psycopg"}  # whose types of columns are the same in a query around a query
_PLACES = re.compile(
    "(?:.*__)?(?:account|catalog|database|dbname|project|project_id|schema|service_name|sid)"
)

# A server waits for an hour for the next rows to be taken, as parts are written meanwhile.
_BEGIN_MYSQL = (
    "SET SESSION net_write_timeout = 3600",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
)
_BEGIN_POSTGRES = ("SET LOCAL idle_in_transaction_session_timeout = '1h'",)
_BEGIN = {
    **dict.fromkeys(("MySQLdb", "pymysql", "mysql"), _BEGIN_MYSQL),
    **dict.fromkeys(("psycopg2", "psycopg"), _BEGIN_POSTGRES),
}

_OWN_TYPES = """
SELECT typname, oid, typarray FROM pg_catalog.pg_type
WHERE typarray <> 0 AND typtype IN ('b', 'd', 'e') AND typdelim = ','
"""


class Database:
    """
    An open connection.

    A context manager: leaving it rolls back and closes.

    :param conn_id: of the Airflow connection
    :raises ConfigurationError: there is no such connection, or its hook is not one for SQL
    :raises DatabaseUnavailable: it cannot be reached
    """

    def __init__(self, conn_id: str) -> None:
        self._conn_id = conn_id
        self._hook, self._type, self._secrets = _hook(conn_id)
        self._cursor: Any = None
        self._connection: Any = None
        self.columns: dict[str, tuple[str, ...]] = {}
        """Of each query that was read, by its name: its columns, in order of their names, and their types."""

    def __enter__(self) -> Database:
        with self._errors("the connection cannot be opened", ()):
            self._connection = self._hook.get_conn()
            self._driver = type(self._connection).__module__.partition(".")[0]
            _prepare(self._connection, self._driver)
            _begin(self._connection, self._driver)
        return self

    def __exit__(self, *_: object) -> None:
        for end in ("rollback", "close"):  # sessions of some databases know no transaction
            with suppress(Exception):
                getattr(self._connection, end)()
        self._connection = None

    def begin_again(self) -> None:
        """End what a refused query left behind: PostgreSQL takes no other one before."""
        with suppress(Exception):
            self._connection.rollback()
        _begin(self._connection, self._driver)

    def cancel(self) -> None:
        """Ask the database to break off what it does for this connection, where its driver can."""
        for one in (self._cursor, self._connection):
            for name in ("cancel", "interrupt"):
                if callable(call := getattr(one, name, None)):
                    with suppress(Exception):
                        call()

    def batches(
        self, sql: str, parameters: Any, name: str, *, batch_rows: int, spelled: Collection[str] = ()
    ) -> Iterator[Batch]:
        """
        Return the rows of a query, read from one cursor of the server where its driver has such.

        :param parameters: a mapping, a sequence, or nothing
        :param name: of the query, for errors
        :param spelled: columns that become parts of texts
        :raises DatasetError: the database refuses the query, or a column or value cannot be taken over
        :raises DatabaseUnavailable: it breaks the query off
        """
        from coveo_provider.documents.extracts.queries import arrow_batches, query_batches

        secrets = [str(value) for value in _values(parameters)]
        failing = partial(self._errors, secrets=secrets)
        with failing(f"{name}: the database refuses the query"):
            self._cursor = cursor = _cursor(self._connection, self._driver)
        try:
            if self._driver.lstrip("_") == "duckdb":
                with failing(f"{name}: the database refuses the query"):
                    reader = _arrow_reader(cursor, sql, parameters)
                self.columns[name] = _told((field.name, str(field.type)) for field in reader.schema)
                pieces = _read(reader, partial(failing, f"{name}: reading its rows failed"))
                yield from arrow_batches(reader.schema, pieces, name, batch_rows=batch_rows)
            else:
                with failing(f"{name}: the database refuses the query"):
                    cursor.arraysize = min(batch_rows, _ARROW_ROWS)
                    cursor.execute(sql, parameters) if parameters else cursor.execute(sql)
                rows = _Cursor(cursor, name, failing)
                yield from query_batches(rows, name, batch_rows=batch_rows, spelled=spelled)
                is_typed = self._driver in _TYPED
                self.columns[name] = _told(
                    (str(column[0]), str(column[1]) if is_typed else "")
                    for column in cursor.description or ()
                )
        finally:
            self._cursor = None
            for end in ("rollback", "close"):  # DuckDB's cursors have transactions of their own
                with suppress(Exception):
                    getattr(cursor, end)()

    def changes(self, sql: str, column: str, parameters: Any, value: Any) -> tuple[str, Any]:
        """
        Return the query of the rows of another one that changed, and its parameters.

        Rows without a value, or with one of another kind or shape, are among them, so that they are refused rather
        than overlooked.

        :param column: whose values are compared
        :param value: the least one
        """
        quoted = column if _PLAIN_NAME.fullmatch(column) else self._quoted(column)
        marker = self._marker(named=bool(parameters) and isinstance(parameters, Mapping))
        if not parameters and marker.startswith("%"):  # with parameters a single % is the driver's
            sql = sql.replace("%", "%%")
        named = f"coveo_rows.{quoted}"
        odd = [f"{named} IS NULL"]
        if isinstance(value, str):  # whose other spellings may sort before it
            odd.append(f"{named} NOT LIKE '{re.sub('[0-9]', '_', value)}'")
        if self._driver == "sqlite3":  # where each value has a type of its own
            odd.append(f"typeof({named}) <> '{'text' if isinstance(value, str) else 'integer'}'")
        text = f"SELECT * FROM (\n{sql}\n) coveo_rows WHERE {named} >= {marker} OR {' OR '.join(odd)}"  # noqa: S608
        return text, with_value(parameters, value)

    def _quoted(self, column: str) -> str:
        form = str(getattr(self._hook, "escape_word_format", '"{}"'))
        return form.format(column.replace(form[0], form[0] * 2))

    def _marker(self, *, named: bool) -> str:
        if self._type == "oracle":  # whose hook names none that its driver takes
            return f":{SINCE}"
        marker = str(self._hook.placeholder)
        if not named:
            return marker
        if marker == "%s":
            return f"%({SINCE})s"
        return f"${SINCE}" if self._driver.lstrip("_") == "duckdb" else f":{SINCE}"

    @contextmanager
    def _errors(self, doing: str, secrets: Sequence[str]) -> Iterator[None]:
        """Say what a driver raised, without what it may repeat of passwords and parameters."""
        try:
            yield
        except (CoveoError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001  each driver has its own
            text = " ".join(str(error).split())
            for secret in sorted({*self._secrets, *secrets}, key=len, reverse=True):
                if len(secret) >= _SECRET:
                    text = text.replace(secret, "…")
            where = f"{doing} (connection {self._conn_id})"
            reason = f"{type(error).__name__}: {text[:500]}"
            kinds = {kind.__name__ for kind in type(error).__mro__}
            # SQLite's errors of syntax are of the kind that others have for what may pass.
            is_sqlite = type(error).__module__ == "sqlite3" and not _PASSING.search(text)
            is_mysql = self._type == "mysql" and error.args and error.args[0] in _WRONG_IN_MYSQL
            if kinds & _HOPELESS or is_sqlite or is_mysql:
                raise DatasetError(f"{where}: {reason}") from None
            raise DatabaseUnavailable(where, reason) from None


def stripped(sql: str) -> str:
    """Return a query without the semicolon at its end."""
    return sql.strip().rstrip(";").rstrip()


def parameters_for(sql: str, parameters: Any, *, is_main: bool) -> Any:
    """
    Return the parameters of a query: of those with names the ones in its text.

    :param is_main: whether it is ``sql`` itself, which alone gets parameters without names
    """
    if not isinstance(parameters, Mapping):
        return parameters if is_main else None
    return {
        name: value
        for name, value in parameters.items()
        if re.search(rf"%\({re.escape(str(name))}\)|[:$@]{re.escape(str(name))}\b", sql)
    }


def with_value(parameters: Any, value: Any) -> Any:
    """Return parameters with one more at their end."""
    if isinstance(parameters, Mapping) and parameters:
        return {**parameters, SINCE: value}
    return [*(parameters or ()), value]


def place_of(conn_id: str) -> tuple[str, str]:
    """Return where a connection leads to, without user and password: ``postgres://host:5432`` and the database."""
    connection = BaseHook.get_connection(conn_id)
    host, kind = connection.host or "", str(connection.conn_type)
    if "/" in host or "\\" in host:  # a file
        return kind, host
    port = f":{connection.port}" if connection.port else ""
    return f"{kind}://{host}{port}", connection.schema or ""


def database_of(conn_id: str) -> tuple[str, ...]:
    """Return what tells the database of a connection from others, without user and password."""
    namespace, name = place_of(conn_id)
    extra = BaseHook.get_connection(conn_id).extra_dejson
    places = [f"{key}={value}" for key, value in sorted(extra.items()) if _PLACES.fullmatch(key)]
    return namespace, name, *places


def _told(columns: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return columns as the manifest tells them, whatever their order."""
    return tuple(sorted(f"{name}\n{kind}".rstrip("\n") for name, kind in columns))


def _hook(conn_id: Any) -> tuple[Any, str, set[str]]:
    """Return the hook of a connection, its type, and what of it is never shown."""
    if not isinstance(conn_id, str) or not conn_id.strip():
        raise ConfigurationError("sql needs sql_conn_id, the id of the Airflow connection of its database")
    try:
        from airflow.providers.common.sql.hooks.sql import DbApiHook
    except ImportError:
        raise ConfigurationError(
            "sql needs apache-airflow-providers-common-sql: pip install 'airflow-provider-coveo[sql]', and the "
            "provider of the database, such as apache-airflow-providers-postgres"
        ) from None
    try:
        connection = BaseHook.get_connection(conn_id)
    except Exception as error:  # noqa: BLE001  Airflow's versions differ
        raise ConfigurationError(
            f"sql_conn_id: there is no connection {conn_id!r} ({type(error).__name__}). Add it in Airflow's UI, or "
            f"as the environment variable AIRFLOW_CONN_{conn_id.upper()}"
        ) from None
    kind = str(connection.conn_type)
    try:
        hook = connection.get_hook()  # type: ignore[no-untyped-call]
    except Exception as error:  # noqa: BLE001  likewise
        raise ConfigurationError(
            f"sql_conn_id: connection {conn_id!r} is of type {kind!r}, for which no hook can be made "
            f"({type(error).__name__}): install the provider of that database, such as "
            f"apache-airflow-providers-{kind or 'postgres'}"
        ) from None
    if not isinstance(hook, DbApiHook):
        raise ConfigurationError(
            f"sql_conn_id: connection {conn_id!r} is of type {kind!r}, whose {type(hook).__name__} is no hook for "
            "SQL (DbApiHook). Name a connection of a database, such as postgres, mysql, mssql, oracle, snowflake, "
            "gcpbigquery (apache-airflow-providers-google), duckdb or sqlite"
        )
    secrets = {str(connection.password or "")}
    with suppress(Exception):
        extra = connection.extra_dejson
        secrets |= {str(value) for name, value in extra.items() if _SECRETS.search(name)}
    secrets |= {spelling(secret) for secret in secrets for spelling in (quote, quote_plus)}
    return hook, kind, secrets


def _prepare(connection: Any, driver: str) -> None:
    """Let all queries of a connection to PostgreSQL see one moment, and change nothing; know its types."""
    if driver == "psycopg2":
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True, autocommit=False)
        extras, extensions = import_module("psycopg2.extras"), import_module("psycopg2.extensions")
        for register in (extras.register_default_json, extras.register_default_jsonb):
            register(connection, loads=exact_json)
        arrays = [array for _, _, array in _own_types(connection) if array not in extensions.string_types]
        if arrays:  # of enums, UUIDs and others: without this one is a text such as {a,b}
            kind = extensions.new_array_type(tuple(arrays), "TEXTS", extensions.UNICODE)
            extensions.register_type(kind, connection)
    elif driver == "psycopg":
        connection.rollback()  # of what the hook asked
        connection.autocommit = False
        connection.isolation_level = import_module("psycopg").IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        import_module("psycopg.types.json").set_json_loads(exact_json, connection)
        types = import_module("psycopg.types")
        for name, oid, array in _own_types(connection):
            if connection.adapters.types.get(oid) is None:
                types.TypeInfo(name, oid, array).register(connection)


def _begin(connection: Any, driver: str) -> None:
    """Begin a transaction as a long read needs it, as far as what resembles PostgreSQL or MySQL knows such."""
    for statement in _BEGIN.get(driver, ()):
        try:
            with closing(connection.cursor()) as cursor:
                cursor.execute(statement)
        except Exception:  # noqa: BLE001  Redshift, TiDB and others lack some of it
            with suppress(Exception):
                connection.rollback()


def _own_types(connection: Any) -> list[tuple[str, int, int]]:
    """Return the types of a PostgreSQL that have arrays; none where it only resembles one."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(_OWN_TYPES)
            return [(str(row[0]), int(row[1]), int(row[2])) for row in map(_as_tuple, cursor.fetchall())]
    except Exception:  # noqa: BLE001  Redshift, CockroachDB and others lack some of it
        connection.rollback()
        return []


def _as_tuple(row: Any) -> Sequence[Any]:
    return tuple(row.values()) if isinstance(row, Mapping) else row


def exact_json(text: str | bytes) -> Any:
    """Return a value of JSON, whose numbers keep their digits."""
    return json.loads(text, parse_float=_number)


def _number(text: str) -> float | Decimal:
    number, exact = float(text), Decimal(text)
    return number if Decimal(repr(number)) == exact else exact


def _cursor(connection: Any, driver: str) -> Any:
    """Return a cursor that does not take all rows to this machine at once."""
    if driver == "psycopg2":
        kind = import_module("psycopg2.extensions").cursor
        return connection.cursor(name=f"coveo_{uuid.uuid4().hex}", cursor_factory=kind)
    if driver == "psycopg":
        rows = import_module("psycopg.rows").tuple_row
        return connection.cursor(name=f"coveo_{uuid.uuid4().hex}", row_factory=rows)
    if driver in {"MySQLdb", "pymysql"}:
        return connection.cursor(import_module(f"{driver}.cursors").SSCursor)
    return connection.cursor()


def _arrow_reader(cursor: Any, sql: str, parameters: Any) -> Any:
    """Return the rows of DuckDB as Arrow, which it neither holds all at once nor makes into values of Python."""
    cursor.begin()  # each of its cursors is a connection; what a statement changes is rolled back
    if hasattr(cursor, "fetch_record_batch"):  # before version 2
        cursor.execute(sql, parameters) if parameters else cursor.execute(sql)
        return cursor.fetch_record_batch(_ARROW_ROWS)
    relation = cursor.sql(sql, params=parameters) if parameters else cursor.sql(sql)
    if relation is None:
        raise DatasetError("sql: is no query: it returns no rows. Expected a SELECT")
    return relation.to_arrow_reader(_ARROW_ROWS)


def _read(reader: Any, failing: Callable[[], Any]) -> Iterator[Any]:
    while True:
        with failing():
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                return
        yield batch


class _Cursor:
    """A cursor whose errors say how far it was read."""

    def __init__(self, cursor: Any, name: str, failing: Callable[[str], Any]) -> None:
        self._cursor, self._name, self._failing = cursor, name, failing
        self._rows = 0

    @property
    def description(self) -> Any:
        return self._cursor.description

    def fetchmany(self, size: int) -> Sequence[Any]:
        with self._failing(f"{self._name}: reading failed after {self._rows:,} rows"):
            if self._rows == 0 and self._cursor.description is None and not self._names_itself_later:
                return []
            rows: Sequence[Any] = self._cursor.fetchmany(size)
        self._rows += len(rows)
        return rows

    @property
    def _names_itself_later(self) -> bool:
        """Whether it is one of PostgreSQL's server-side cursors, which know their columns once they are read."""
        return getattr(self._cursor, "name", None) is not None


def _values(parameters: Any) -> Sequence[Any]:
    if not parameters:
        return ()
    return list(parameters.values() if isinstance(parameters, Mapping) else parameters)
