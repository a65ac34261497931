"""Tables of any release become today's, on both databases."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from course.workbench.postgres_server import PostgresServer
from reference_impl.adapters import sql_migrations
from reference_impl.adapters.sql_database import SqlDatabase
from reference_impl.adapters.sql_migrations import HEAD, MIGRATIONS, revision_of, upgrade
from reference_impl.adapters.sql_schema import metadata
from reference_impl.adapters.store_sql import SqlStore
from reference_impl.model.errors import Unavailable
from reference_impl.model.positions import MemberPositions

FIRST_RELEASE = Path(__file__).with_name("first_release.sql")
"""What release 9b7608c left: three people, two conversations, three messages."""

INSTANCES = 4


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest) -> PostgresServer | None:
    """None for SQLite."""
    if request.param == "sqlite":
        return None
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server


@pytest.fixture
async def empty(server: PostgresServer | None, tmp_path: Path) -> str:
    """The URL of an empty database."""
    return await server.create_database() if server else f"sqlite:///{tmp_path}/chat.db"


@pytest.fixture
def first_release(tmp_path: Path) -> Path:
    """A database file of the first release."""
    path = tmp_path / "first.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FIRST_RELEASE.read_text())
    return path


@pytest.fixture
async def opened(empty: str) -> AsyncIterator[SqlDatabase]:
    """The empty database, not started."""
    database = SqlDatabase(empty)
    yield database
    await database.stop()


def _dump(path: Path) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=str) for name in tables}  # noqa: S608


async def _execute(database: SqlDatabase, statement: str) -> None:
    await database.write(lambda connection: connection.execute(text(statement)))


def _difference(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_server_default": True})
    return list(compare_metadata(context, metadata))


def _described(connection: Connection) -> dict[str, Any]:
    """All that the database itself says of its tables. Columns are in their order, the rest is sorted."""
    look = inspect(connection)
    return {
        table: (
            [{key: str(value) for key, value in column.items()} for column in look.get_columns(table)],
            look.get_pk_constraint(table),
            sorted(map(str, look.get_foreign_keys(table))),
            sorted(map(_index_described, look.get_indexes(table))),
            sorted(map(str, look.get_unique_constraints(table))),
            look.get_table_options(table),
        )
        for table in look.get_table_names()
    }


def _index_described(index: Any) -> str:
    options = {key: str(value) for key, value in index.get("dialect_options", {}).items()}
    return str(dict(index) | {"dialect_options": options})


def test_head_is_the_last_step() -> None:
    """The number that spares the start a look at the steps is right, and there is one last step."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


async def test_all_steps_together_make_the_tables_of_today(
    opened: SqlDatabase, server: PostgresServer | None, tmp_path: Path
) -> None:
    """Step by step from nothing, and at once: the same tables, and those that the code describes."""
    await opened.write(lambda connection: upgrade(connection, HEAD))
    by_steps = await opened.read(_described)
    assert await opened.read(_difference) == []
    assert await opened.read(revision_of) == HEAD
    at_once = SqlDatabase(await server.create_database() if server else f"sqlite:///{tmp_path}/at_once.db")
    await at_once.start()
    assert await at_once.read(_described) == by_steps
    assert await at_once.read(revision_of) == HEAD
    await at_once.stop()


async def test_the_first_release_loses_no_row(first_release: Path) -> None:
    """All rows are there after the start, with the new columns at their beginning, and the chat goes on."""
    before = _dump(first_release)
    store = SqlStore(f"sqlite:///{first_release}")
    await store.start()
    after = _dump(first_release)
    for table, rows in before.items():
        assert [after_row[: len(row)] for row, after_row in zip(rows, after[table], strict=True)] == rows
    assert after["alembic_version"] == [(HEAD,)]
    texts = [message.content["text"] for message in await store.history("talk")]
    assert texts == ["number 1", "number 2", "number 3"]
    assert (await store.positions(["talk"]))["talk"] == {"ann": MemberPositions(), "bob": MemberPositions()}
    assert await store.unannounced(datetime.now(UTC)) == {}, "what an old release stored was announced then"
    await store.add_participant("talk", "cleo")
    await store.stop()


async def test_the_first_release_becomes_exactly_todays_tables(first_release: Path) -> None:
    """Not only the rows: types, defaults, keys and indexes, too."""
    database = SqlDatabase(f"sqlite:///{first_release}")
    await database.start()
    assert await database.read(_difference) == []
    await database.stop()


async def test_instances_that_start_at_once_upgrade_once(opened: SqlDatabase, empty: str) -> None:
    """Four over a database of the first release: one takes the steps, the others find them taken."""
    await opened.write(lambda connection: upgrade(connection, "0001"))
    await _execute(opened, "DROP TABLE alembic_version")  # the first release had none
    databases = [SqlDatabase(empty) for _ in range(INSTANCES)]
    await asyncio.gather(*(database.start() for database in databases))
    assert await opened.read(_difference) == []
    assert await opened.read(revision_of) == HEAD
    for database in databases:
        await database.stop()


async def test_instances_that_start_at_once_make_the_tables_once(empty: str) -> None:
    """Four over an empty database."""
    databases = [SqlDatabase(empty) for _ in range(INSTANCES)]
    await asyncio.gather(*(database.start() for database in databases))
    assert await databases[0].rows(text("SELECT version_num FROM alembic_version")) == [(HEAD,)]
    for database in databases:
        await database.stop()


async def test_an_upgrade_that_fails_changes_nothing(opened: SqlDatabase) -> None:
    """All steps are one transaction: the next try starts from where this one did."""
    await opened.write(lambda connection: upgrade(connection, "0001"))
    await _execute(opened, "CREATE TABLE outbox (in_the_way INTEGER)")
    before = await opened.read(_described)
    with pytest.raises(Unavailable, match=r"the database does not open: .*outbox.* already exists"):
        await opened.start()
    assert await opened.read(_described) == before
    assert await opened.read(revision_of) == "0001"


async def test_the_tables_of_a_newer_release_are_left_alone(opened: SqlDatabase) -> None:
    """One line says so; nothing is changed."""
    await opened.start()
    await _execute(opened, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Unavailable, match="the database is at revision 9999, which only a newer release knows"):
        await opened.start()


async def test_a_start_at_head_asks_and_changes_nothing(opened: SqlDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second start only looks."""
    await opened.start()
    monkeypatch.setattr("reference_impl.adapters.sql_database.bring_up_to_date", None)
    monkeypatch.setattr(sql_migrations, "metadata", None)
    await opened.start()


def test_a_start_imports_no_alembic(tmp_path: Path) -> None:
    """Neither the first one on an empty database nor the next: it would cost more than everything else here."""
    program = """
import asyncio, sys
from reference_impl.adapters.sql_database import SqlDatabase

async def main():
    for _ in range(2):
        database = SqlDatabase(sys.argv[1])
        await database.start()
        await database.stop()
    print(sorted({"alembic", "asyncpg", "mako"} & sys.modules.keys()))

asyncio.run(main())
"""
    command = [sys.executable, "-c", program, f"sqlite:///{tmp_path}/chat.db"]
    assert subprocess.run(command, capture_output=True, text=True, timeout=30).stdout == "[]\n"


def test_a_developer_can_ask_alembic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``alembic upgrade head`` and ``alembic check`` work over ``CHAT_DATABASE_URL``, from the project's folder."""
    monkeypatch.setenv("CHAT_DATABASE_URL", f"sqlite:///{tmp_path}/chat.db")
    for arguments in (["upgrade", "head"], ["check"]):
        command = [sys.executable, "-m", "alembic", *arguments]
        root = Path(__file__).parents[2]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=root)
        assert done.returncode == 0, done.stdout + done.stderr
