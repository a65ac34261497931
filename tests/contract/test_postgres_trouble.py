"""A PostgreSQL that is wrong, away, slow or back again."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest
from sqlalchemy.engine import make_url

from course.workbench.postgres_server import PostgresServer
from reference_impl.adapters import sql_postgres
from reference_impl.adapters.sql_postgres import PostgresBackend
from reference_impl.adapters.store_sql import SqlStore
from reference_impl.model.conversations import Conversation, User
from reference_impl.model.errors import Unavailable
from tests.fakes import draft

NOON = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
async def url(postgres_server: PostgresServer) -> str:
    return await postgres_server.create_database()


@pytest.fixture
async def store(url: str) -> AsyncIterator[SqlStore]:
    """Ann talks to herself."""
    made = SqlStore(url)
    await made.start()
    await made.ensure_user(User(id="ann", display_name="Ann"))
    await made.create_conversation(
        Conversation(id="talk", title="talk", creator_id="ann", participant_ids=["ann"], created_at=NOON)
    )
    yield made
    await made.stop()


@contextmanager
def paused(server: PostgresServer) -> Iterator[None]:
    """Every process of the server stands still, as on a machine that hangs."""
    postmaster = psutil.Process(int((server._path / "data" / "postmaster.pid").read_text().splitlines()[0]))
    everybody = [postmaster, *postmaster.children(recursive=True)]
    for process in everybody:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in everybody:
            process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("chat.db", "is not a URL; for example sqlite:///chat.db or postgresql://"),
        ("postgresql://localhost:x/chat", "is not a URL"),
        ("mysql://localhost/chat", "mysql is not supported; use sqlite:///path/to/file.db or postgresql://"),
        ("postgresql://localhost", "needs a host and a database"),
        ("postgresql:///chat", "needs a host and a database"),
        ("postgresql://localhost/chat?sslmod=require", "the option sslmod is not known"),
        ("postgresql://localhost/chat?sslmode=maybe", "sslmode is disable, allow"),
    ],
)
def test_a_wrong_url_is_one_line(url: str, says: str) -> None:
    """What is wrong and what to write instead; the server's start prints it and ends."""
    with pytest.raises(ValueError, match=r"^DATABASE_URL") as caught:
        SqlStore(url)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_other_spellings_of_a_url_are_understood(url: str) -> None:
    """Hosters write postgres://, SQLAlchemy's own books name a driver, and libpq's sslmode is common."""
    for spelling in (
        url.replace("postgresql:", "postgres:"),
        url.replace(":", "+psycopg:", 1),
        url + "?sslmode=prefer",
    ):
        store = SqlStore(spelling)
        await store.start()
        assert await store.heads(["talk"]) == {"talk": 0}
        await store.stop()


async def test_a_start_says_what_postgres_says(url: str) -> None:
    """Wrong password, no such database, nobody there: one line, without the password."""
    place = urlsplit(url)
    password = str(place.password)
    for wrong, says in (
        (url.replace(password, "guess"), "password authentication failed"),
        (url.replace(place.path, "/nowhere"), 'database "nowhere" does not exist'),
        (url.replace(str(place.port), "1"), "Connect call failed"),
    ):
        store = SqlStore(wrong)
        with pytest.raises(Unavailable, match=f"the database does not open: .*{says}") as caught:
            await store.start()
        assert "\n" not in caught.value.message
        assert password not in caught.value.message
        await store.stop()


async def test_what_is_stored_is_on_the_disk(url: str) -> None:
    """Whatever the server's own default is."""
    connection = await asyncpg.connect(url)
    await connection.execute(f"ALTER DATABASE {urlsplit(url).path[1:]} SET synchronous_commit = off")
    await connection.close()
    backend = PostgresBackend(make_url(url))
    async with backend.writer.connect() as ours:
        assert (await ours.exec_driver_sql("SHOW synchronous_commit")).scalar() == "on"
    await backend.writer.dispose()


async def test_a_crash_in_between_costs_no_request() -> None:
    """While PostgreSQL is away every request ends at once; when it is back the next one succeeds, and all is there."""
    async with PostgresServer() as server:
        store = SqlStore(await server.create_database())
        await store.start()
        await store.ensure_user(User(id="ann", display_name="Ann"))
        here = Conversation(id="talk", title="talk", creator_id="ann", participant_ids=["ann"], created_at=NOON)
        await store.create_conversation(here)
        await asyncio.gather(*(store.append(draft()) for _ in range(30)), *(store.history("talk") for _ in range(10)))
        await server.crash()
        began = time.monotonic()
        for _ in range(3):
            with pytest.raises(Unavailable):
                await store.append(draft())
            with pytest.raises(Unavailable):
                await store.history("talk")
        assert time.monotonic() - began < 2
        await server.restart()
        message, is_new = await store.append(draft())
        assert (message.seq, is_new) == (31, True)
        results = await asyncio.gather(*(store.history("talk") for _ in range(20)))
        assert all(len(page) == 31 for page in results)
        await store.stop()


async def test_a_hanging_server_is_given_up_after_the_deadline(
    store: SqlStore, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reads and writes end with ``Unavailable``; when the server goes on, so do we, and no number is missing."""
    monkeypatch.setattr(store._database._backend, "deadline_s", 0.5)
    await store.append(draft())
    with paused(postgres_server):
        began = time.monotonic()
        results = await asyncio.gather(store.append(draft()), store.history("talk"), return_exceptions=True)
        took = time.monotonic() - began
    assert [type(result) for result in results] == [Unavailable, Unavailable]
    assert took < 0.5 + 2 + 2, "the deadline, and as long again as SQLAlchemy takes to part from a connection"
    monkeypatch.setattr(store._database._backend, "deadline_s", 8.0)
    await store.append(draft())
    seqs = [message.seq for message in await store.history("talk")]
    assert seqs == list(range(1, len(seqs) + 1))


async def test_a_paused_instance_does_not_hold_up_the_others(
    url: str, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that stands still in the middle of a transaction loses its lock; those who waited for it go on."""
    monkeypatch.setattr(sql_postgres, "IDLE_TIMEOUT_MS", 300)
    still = PostgresBackend(make_url(url))
    async with still.writer.connect() as connection:
        await connection.exec_driver_sql("SELECT * FROM conversations FOR UPDATE")
        message, _ = await store.append(draft())
        assert message.seq == 1
        await connection.invalidate()
    await still.writer.dispose()


async def test_a_lock_that_stays_is_waited_for_in_vain(
    url: str, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that is held by somebody at work ends in ``Unavailable`` after the wait, and nothing is stored."""
    monkeypatch.setattr(sql_postgres, "LOCK_TIMEOUT_MS", 200)
    waiting = SqlStore(url)
    await waiting.start()
    holder = await asyncpg.connect(url)
    async with holder.transaction():
        await holder.execute("SELECT * FROM conversations FOR UPDATE")
        with pytest.raises(Unavailable):
            await waiting.append(draft())
    await holder.close()
    assert await store.heads(["talk"]) == {"talk": 0}
    await waiting.stop()
