"""What a SQL database can not hold is refused before it spoils the messages stored with it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from course.workbench.postgres_server import PostgresServer
from reference_impl.adapters.store_sql import SqlStore
from reference_impl.model.conversations import Conversation, User
from reference_impl.model.errors import Invalid
from reference_impl.model.messages import MessageDraft
from tests import fakes

NOON = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest) -> PostgresServer | None:
    if request.param == "sqlite":
        return None
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server


@pytest.fixture
async def store(server: PostgresServer | None, tmp_path: Path) -> AsyncIterator[SqlStore]:
    """Ann talks to herself."""
    made = SqlStore(await server.create_database() if server else f"sqlite:///{tmp_path}/chat.db")
    await made.start()
    await made.ensure_user(User(id="ann", display_name="Ann"))
    await made.create_conversation(
        Conversation(id="talk", title="talk", creator_id="ann", participant_ids=["ann"], created_at=NOON)
    )
    yield made
    await made.stop()


def draft(number: int) -> MessageDraft:
    return fakes.draft(id=f"m-{number}", content={"text": "a NUL \0, a half \\ud800 and 𝄞"})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("reply_to_message_id", "x" * 37),
        ("client_message_id", "x" * 101),
        ("client_message_id", "a\0b"),
        ("sender_name", "x" * 201),
    ],
)
async def test_a_text_that_does_not_fit_fails_alone(store: SqlStore, name: str, text: str) -> None:
    """``Invalid`` for that one, numbers without a gap for those stored in the same transaction."""
    bad = msgspec.structs.replace(draft(9), **{name: text})
    drafts = [draft(1), bad, draft(2)]
    results = await asyncio.gather(*(store.append(one) for one in drafts), return_exceptions=True)
    assert [type(result) for result in results].count(Invalid) == 1
    assert [message.seq for message in await store.history("talk")] == [1, 2]


async def test_content_holds_every_character(store: SqlStore) -> None:
    """It is JSON, which has a way to write each of them."""
    message, _ = await store.append(draft(1))
    assert await store.history("talk") == [message]


async def test_a_strange_id_is_not_found_and_not_unavailable(store: SqlStore) -> None:
    """A NUL in a path or a frame is the client's mistake; trying again later would not help."""
    try:
        assert await store.find_conversation("a\0b") is None
    except Invalid as error:
        assert "NUL" in error.message  # noqa: PT017 - PostgreSQL can not even look for it; SQLite can
