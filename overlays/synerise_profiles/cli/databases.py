"""Databases of `--db`: the connection that an address means, and what of a driver's words is shown.

A password is no argument, which other users of the machine can read: it stands in PGPASSWORD, in ~/.pgpass, or in the
address in SYNERISE_DB. Where an address holds one, a driver's words about it are not shown, since they may quote it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

import click

from synerise_profiles._core.files import foreign_database
from synerise_profiles.sources import RowMapping, read_sql

from .exit_status import CommandError, database_problem

if TYPE_CHECKING:
    from synerise_profiles.sources import Source

__all__ = ["open_query"]

_VARIABLE: Final = "SYNERISE_DB"
_DUCKDB: Final = "duckdb:"
_POSTGRES: Final = ("postgresql://", "postgres://")


def open_query(
    query: str,
    address: str | None,
    mapping: RowMapping | None,
    same_names: Callable[[Sequence[str]], RowMapping],
    *,
    sort: bool,
) -> Source:
    """Open a query as rows; without a mapping `same_names` makes one of its columns.

    The connection is closed when the command ends.
    """
    if address is None and not (address := os.environ.get(_VARIABLE)):
        raise CommandError(
            f"--sql needs --db, or {_VARIABLE}: a file of SQLite, duckdb:FILE, or postgresql://HOST/NAME"
        )
    if address != os.environ.get(_VARIABLE) and _has_password(address):
        raise CommandError(
            f"--db: other users can read a password on the command line; set PGPASSWORD, or the address as {_VARIABLE}"
        )
    connection = _connect(address)
    click.get_current_context().call_on_close(connection.close)
    try:
        return read_sql(query, connection, mapping or same_names(_column_names(connection, query)), sort=sort)
    except Exception as error:
        problem = database_problem(error)
        if problem is None:
            raise
        raise CommandError(f"--sql: {problem}") from None


def _column_names(connection: Any, query: str) -> Sequence[str]:
    """Ask for the columns alone: to execute a query twice may take long."""
    cursor = connection.cursor()
    try:
        cursor.execute(f"SELECT * FROM (\n{query.rstrip().rstrip(';')}\n) AS query_rows LIMIT 0")  # noqa: S608 - the query of who types
        return [str(column[0]) for column in cursor.description or ()]
    finally:
        cursor.close()


def _connect(address: str) -> Any:
    if address.startswith(_DUCKDB):
        return _connect_duckdb(address.removeprefix(_DUCKDB))
    if address.startswith(_POSTGRES):
        return _connect_postgres(address)
    scheme, mark, _ = address.partition("://")
    if mark:
        raise CommandError(
            f"--db: {scheme}:// is not known; give a file of SQLite, duckdb:FILE or postgresql://HOST/NAME"
        )
    _check_file(address)
    return foreign_database(Path(address))


def _connect_duckdb(path: str) -> Any:
    _check_file(path)
    _require("duckdb", "duckdb")
    duckdb = import_module("duckdb")
    try:
        return duckdb.connect(path, read_only=True)
    except duckdb.Error as error:
        raise CommandError(f"--db: {path} cannot be opened: {database_problem(error)}") from None


def _connect_postgres(address: str) -> Any:
    """Connect by psycopg, or else by ADBC: the first one reads a query by a cursor on the server."""
    by_adbc = find_spec("psycopg") is None
    if by_adbc:
        _require("adbc_driver_postgresql", "psycopg[binary]")
    driver = import_module("adbc_driver_postgresql.dbapi" if by_adbc else "psycopg")
    try:
        connection = driver.connect(address)
    except driver.Error as error:
        hidden = "the address holds a password, so the driver's words are not shown; set PGPASSWORD instead to see them"
        problem = hidden if _has_password(address) else database_problem(error)
        raise CommandError(f"--db: no connection to PostgreSQL: {problem}") from None
    if not by_adbc:
        connection.read_only = True
    return connection


def _require(module: str, package: str) -> None:
    if find_spec(module) is None:
        raise CommandError(f"--db: this database needs a driver; install it with: pip install '{package}'")


def _check_file(path: str) -> None:
    """Refuse what is no file: to connect would make an empty database."""
    if not path or not Path(path).is_file():
        raise CommandError(f"--db: there is no file {path or '(an empty name)'}")


def _has_password(address: str) -> bool:
    """Whether an address seems to hold a password; one that cannot be parsed is taken to."""
    if not address.startswith(_POSTGRES):
        return "@" in address
    try:
        parts = urlsplit(address)
        return ":" in parts.netloc.rpartition("@")[0] or bool(
            {"password", "sslpassword"} & parse_qs(parts.query).keys()
        )
    except ValueError:
        return True
