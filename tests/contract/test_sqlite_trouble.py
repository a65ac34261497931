"""A SQLite file that is locked, left in the middle of a write, or large."""

import asyncio
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select, update
from uuid_utils import uuid7

from reference_impl.adapters import sql_sqlite
from reference_impl.adapters.sql_schema import users
from reference_impl.adapters.store_sql import SqlStore
from reference_impl.model.conversations import Conversation, User
from reference_impl.model.errors import Unavailable
from reference_impl.model.health import HealthState
from reference_impl.model.messages import MessageDraft
from reference_impl.model.positions import Position, PositionKind
from tests import fakes

NOON = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)

MAY_BE_READ_WHOLE = ("SCAN json_each", "SCAN outbox")
"""A statement's own parameters, and what is nearly empty."""


def draft() -> MessageDraft:
    return fakes.draft(client_message_id=str(uuid7()))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqlStore]:
    """Ann talks to herself."""
    made = SqlStore(f"sqlite:///{path}")
    await made.start()
    await made.ensure_user(User(id="ann", display_name="Ann"))
    await made.create_conversation(
        Conversation(id="talk", title="talk", creator_id="ann", participant_ids=["ann"], created_at=NOON)
    )
    yield made
    await made.stop()


@pytest.fixture
def other(path: Path, store: SqlStore) -> Iterator[sqlite3.Connection]:
    """Another program that has the file open."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
        yield connection


async def test_a_lock_that_stays_is_waited_for_in_vain(
    store: SqlStore, other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those in the queue wait at the same time, not one after the other; reading goes on; then all is well again."""
    monkeypatch.setattr(sql_sqlite, "BUSY_TIMEOUT_S", 0.3)
    other.execute("BEGIN IMMEDIATE")
    loop = asyncio.get_running_loop()
    began = loop.time()
    writes = (store.append(draft()), *(store.ensure_user(User(id=f"u-{n}", display_name="U")) for n in range(100)))
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert {type(result) for result in results} == {Unavailable}
    assert loop.time() - began < 100 * 0.3, "a hundred waits, one after the other"
    assert store.health().state is HealthState.AWAY
    assert await store.heads(["talk"]) == {"talk": 0}
    other.execute("ROLLBACK")
    message, _ = await store.append(draft())
    assert message.seq == 1
    assert store.health().state is HealthState.OK


async def test_a_writer_that_is_killed_holds_up_nobody(store: SqlStore, path: Path) -> None:
    """The lock goes with its process, however that ends."""
    program = (
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('BEGIN IMMEDIATE')\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(path)]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"locked\n"
    append = asyncio.create_task(store.append(draft()))
    done, _ = await asyncio.wait([append], timeout=0.05)
    assert not done
    process.kill()
    await process.wait()
    message, _ = await append
    assert message.seq == 1


class SlowWrite:
    """A transaction that stays open until a test says so. It makes Bob, and then calls him Bobby."""

    def __init__(self) -> None:
        self.has_begun = threading.Event()
        self.may_end = threading.Event()

    def __call__(self, connection: Connection) -> None:
        connection.execute(insert(users).values(id="bob", display_name="Bob"))
        self.has_begun.set()
        assert self.may_end.wait(10)
        connection.execute(update(users).values(display_name="Bobby").where(users.c.id == "bob"))


async def test_a_caller_that_leaves_does_not_break_off_what_has_begun(store: SqlStore) -> None:
    """Cancelled in the middle of a transaction: it goes at once, and all of it is stored."""
    slow = SlowWrite()
    leaving = asyncio.create_task(store._database.write(slow))
    assert await asyncio.to_thread(slow.has_begun.wait, 10)
    leaving.cancel()
    await asyncio.wait([leaving], timeout=5)
    assert leaving.cancelled()
    assert await store.find_user("bob") is None
    slow.may_end.set()
    await store.add_participant("talk", "bob")
    assert await store.find_user("bob") == User(id="bob", display_name="Bobby")


async def test_a_caller_that_leaves_takes_back_what_has_not_begun(store: SqlStore) -> None:
    """Cancelled while it waits behind another write: nothing of it is stored."""
    slow = SlowWrite()
    before = asyncio.create_task(store._database.write(slow))
    assert await asyncio.to_thread(slow.has_begun.wait, 10)
    leaving = asyncio.create_task(store.ensure_user(User(id="cleo", display_name="Cleo")))
    behind = asyncio.create_task(store.ensure_user(User(id="dan", display_name="Dan")))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving], timeout=5)
    slow.may_end.set()
    await asyncio.gather(before, behind)
    assert await store.find_user("cleo") is None


async def test_a_transaction_that_fails_leaves_nothing(store: SqlStore) -> None:
    """Neither its rows nor an open transaction."""

    def work(connection: Connection) -> None:
        connection.execute(insert(users).values(id="nobody", display_name="Nobody"))
        raise LookupError("after the first of two rows")

    with pytest.raises(LookupError):
        await store._database.write(work)
    with pytest.raises(Unavailable):
        await store._database.write(lambda connection: connection.exec_driver_sql("SELECT * FROM no_such_table"))
    assert await store._database.rows(select(users.c.id)) == [("ann",)]
    message, _ = await store.append(draft())
    assert message.seq == 1


async def test_a_stop_waits_for_what_was_asked_for(path: Path, store: SqlStore) -> None:
    """What was on its way is stored; what comes later is told, and opens nothing."""
    appends = [asyncio.create_task(store.append(draft())) for _ in range(5)]
    renaming = asyncio.create_task(store.ensure_user(User(id="ann", display_name="Anna")))
    await asyncio.sleep(0)
    await store.stop()
    assert [(await append).message.seq for append in appends] == [1, 2, 3, 4, 5]
    await renaming
    with pytest.raises(Unavailable, match="closed"):
        await store.heads(["talk"])
    assert not path.with_name("chat.db-wal").exists(), "the last one to close the file clears up"


async def test_no_statement_of_every_day_reads_a_whole_table(
    path: Path, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a message costs does not grow with what is stored: each statement finds its rows by an index."""
    statements: set[str] = set()
    prepare = sql_sqlite._prepare_connection

    def prepare_and_listen(connection: sqlite3.Connection, record: object) -> None:
        prepare(connection, record)
        connection.set_trace_callback(statements.add)

    monkeypatch.setattr(sql_sqlite, "_prepare_connection", prepare_and_listen)
    listened_to = SqlStore(f"sqlite:///{path}")
    await _a_day(listened_to)
    await listened_to.stop()
    plans = await store._database.read(lambda connection: [_plan(connection, one) for one in statements])
    steps = [step for plan in plans for step in plan]
    assert len(steps) > 20
    assert [step for step in steps if step.startswith("SCAN") and not step.startswith(MAY_BE_READ_WHOLE)] == []


async def _a_day(store: SqlStore) -> None:
    kinds = PositionKind.READ, PositionKind.DELIVERED, PositionKind.COVERED
    positions = [
        Position(conversation_id="talk", user_id=user, kind=kind, seq=1) for kind in kinds for user in ("ann", "bob")
    ]
    names = [draft() for _ in range(3)]
    await asyncio.gather(*(store.append(one) for one in [*names, *names]))
    await store.has_sent("ann", "c-1")
    await store.history("talk", after_seq=1)
    await store.heads(["talk", "other"])
    await store.unannounced(NOON)
    await store.mark_announced({"talk": 2, "other": 1})
    await store.find_conversation("talk")
    await store.conversations_of("ann")
    await store.is_participant("talk", "ann")
    await store.memberships(["ann", "bob"])
    await store.membership_versions(["ann", "bob"])
    await store.access_of(["ann", "bob"])
    await store.advance(positions)
    await store.positions(["talk", "other"])
    await store.unread_counts("ann")
    await store.uncovered_conversations("", 10)
    await store.uncovered(["talk", "other"])
    await store.mark_covered({"talk": 1, "other": 1})


def _plan(connection: Connection, statement: str) -> list[str]:
    if statement.startswith(("BEGIN", "COMMIT", "PRAGMA", "EXPLAIN")):
        return []
    return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")]
