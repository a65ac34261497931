"""Statements of the hot path: their text is made once, and SQLite gets it without a detour."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import JSON, ColumnElement, Connection, Delete, Insert, Select, Update, bindparam
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

Values = dict[str, Any]


class Prepared:
    """A statement that is executed often.

    SQLAlchemy takes about 80 µs to find out that a statement is the one of last time, SQLite 2 µs to do what it says:
    so SQLite's driver gets its text directly. PostgreSQL is a round trip away, there it makes no difference.
    """

    def __init__(self, statement: Select[Any] | Insert | Update | Delete) -> None:
        self._statement = statement
        dialect = sqlite.dialect(json_serializer=_json)
        compiled = statement.compile(dialect=dialect)
        self._text = str(compiled)
        self._parameters = [  # the values in the order of the text, and how SQLite gets each
            (name, compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect))
            for name in compiled.positiontup or []
        ]

    def rows(self, connection: Connection, values: Values) -> Sequence[Any]:
        """What a query finds: a tuple a row. Its columns are texts and numbers, which need no conversion."""
        if connection.dialect.name != "sqlite":
            return connection.execute(self._statement, values).all()
        found: list[tuple[Any, ...]] = _driver(connection).execute(self._text, self._bound(values)).fetchall()
        return found

    def run(self, connection: Connection, rows: list[Values]) -> None:
        """Once for each of ``rows``."""
        if connection.dialect.name != "sqlite":
            connection.execute(self._statement, rows)
        else:
            _driver(connection).executemany(self._text, [self._bound(values) for values in rows])

    def _bound(self, values: Values) -> list[Any]:
        return [convert(values[name]) if convert else values[name] for name, convert in self._parameters]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


class _Among(FunctionElement[Any]):  # not of a type: a Boolean becomes "… = 1", which no index helps with
    inherit_cache = True


def among(columns: Sequence[ColumnElement[Any]], name: str) -> ColumnElement[Any]:
    """Whether ``columns`` are one of the rows of texts in the parameter ``name``, a list of lists.

    The text is the same for any number of rows; and for ``IN (VALUES (…), (…))`` SQLite reads the whole table.
    """
    return _Among(bindparam(name, type_=JSON), *columns)


@compiles(_Among, "sqlite")
def _among_sqlite(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    rows, *columns = [compiler.process(clause, **options) for clause in element.clauses]
    parts = ", ".join(f"json_extract(value, '$[{number}]')" for number in range(len(columns)))
    return f"({', '.join(columns)}) IN (SELECT {parts} FROM json_each({rows}))"  # noqa: S608 - of columns' names only


@compiles(_Among, "postgresql")
def _among_postgres(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    rows, *columns = [compiler.process(clause, **options) for clause in element.clauses]
    parts = ", ".join(f"value ->> {number}" for number in range(len(columns)))
    return f"({', '.join(columns)}) IN (SELECT {parts} FROM json_array_elements({rows}))"  # noqa: S608


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection
