"""The store's promises, over both twins."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from uuid_utils import uuid7

from reference_impl.core.ports import Store
from reference_impl.model.conversations import Conversation, User
from reference_impl.model.errors import Forbidden, Invalid
from reference_impl.model.messages import MessageDraft
from reference_impl.model.positions import MemberPositions, Position, PositionKind, Uncovered

NOON = datetime(2030, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)


def draft(
    conversation: Conversation, sender: str = "ann", text: str = "hello", client_id: str | None = None
) -> MessageDraft:
    return MessageDraft(
        id=str(uuid7()),
        conversation_id=conversation.id,
        sender_id=sender,
        sender_type="user",
        sender_name=sender.title(),
        type="text",
        content={"text": text},
        timestamp=NOON,
        is_important=True,
        reply_to_message_id=None,
        client_message_id=client_id,
        extra_metadata={"mood": ["fine", 1]},
    )


@pytest.fixture
async def conversation(store: Store) -> Conversation:
    """Ann and Bob talk."""
    return await started(store, "ann", "bob")


async def head_of(store: Store, conversation_id: str) -> int:
    return (await store.heads([conversation_id]))[conversation_id]


async def started(store: Store, *names: str) -> Conversation:
    for name in names:
        await store.ensure_user(User(id=name, display_name=name.title()))
    made = Conversation(
        id=str(uuid7()), title="talk", creator_id=names[0], participant_ids=list(names), created_at=NOON
    )
    await store.create_conversation(made)
    return made


async def test_it_says_whether_a_message_was_sent_before(store: Store, conversation: Conversation) -> None:
    """By its sender's own name for it; another sender's is another one."""
    await store.append(draft(conversation, client_id="once"))
    assert await store.has_sent("ann", "once")
    assert not await store.has_sent("bob", "once")
    assert not await store.has_sent("ann", "never")


async def test_numbers_have_no_gap(store: Store, conversation: Conversation) -> None:
    """Messages are numbered 1, 2, 3 … per conversation, also when many are appended at once."""
    appended = await asyncio.gather(*(store.append(draft(conversation, text=str(n))) for n in range(40)))
    assert sorted(message.seq for message, _ in appended) == list(range(1, 41))
    assert await head_of(store, conversation.id) == 40
    assert [message.seq for message in await store.history(conversation.id, limit=100)] == list(range(1, 41))


async def test_conversations_count_separately(store: Store, conversation: Conversation) -> None:
    """Each conversation has numbers of its own."""
    other = await started(store, "ann", "cleo")
    await store.append(draft(conversation))
    message, _ = await store.append(draft(other))
    assert message.seq == 1
    assert await head_of(store, "no such conversation") == 0


async def test_what_was_stored_comes_back(store: Store, conversation: Conversation) -> None:
    """Every field survives, with the time in UTC."""
    message, is_new = await store.append(draft(conversation, client_id="c-1"))
    assert is_new
    assert await store.history(conversation.id) == [message]
    assert message.timestamp == NOON
    assert message.timestamp.utcoffset() is not None
    assert (message.is_important, message.extra_metadata) == (True, {"mood": ["fine", 1]})


async def test_the_same_message_twice_is_stored_once(store: Store, conversation: Conversation) -> None:
    """A repeat of a sender's ``client_message_id`` gives back the first message, whoever wins the race."""
    appended = await asyncio.gather(*(store.append(draft(conversation, client_id="c-1")) for _ in range(10)))
    assert len({message.id for message, _ in appended}) == 1
    assert [is_new for _, is_new in appended].count(True) == 1
    other, is_new = await store.append(draft(conversation, sender="bob", client_id="c-1"))
    assert is_new, "the id is the sender's own: another sender's is another message"
    assert other.seq == 2


async def test_only_participants_write(store: Store, conversation: Conversation) -> None:
    """A stranger, a removed participant and a conversation that is not there: the same answer, nothing stored."""
    await store.ensure_user(User(id="mallory", display_name="Mallory"))
    with pytest.raises(Forbidden):
        await store.append(draft(conversation, sender="mallory"))
    await store.remove_participant(conversation.id, "bob")
    with pytest.raises(Forbidden):
        await store.append(draft(conversation, sender="bob"))
    nowhere = Conversation(id="nowhere", title="", creator_id="ann", participant_ids=["ann"], created_at=NOON)
    with pytest.raises(Forbidden):
        await store.append(draft(nowhere))
    assert await head_of(store, conversation.id) == 0


async def test_history_pages(store: Store, conversation: Conversation) -> None:
    """Pages are ascending: what follows ``after_seq``, what precedes ``before_seq``, else the latest."""
    for n in range(10):
        await store.append(draft(conversation, text=str(n)))

    async def seqs(**where: int) -> list[int]:
        return [message.seq for message in await store.history(conversation.id, **where)]

    assert await seqs(limit=3) == [8, 9, 10]
    assert await seqs(after_seq=0, limit=3) == [1, 2, 3]
    assert await seqs(after_seq=8) == [9, 10]
    assert await seqs(after_seq=10) == []
    assert await seqs(before_seq=4, limit=2) == [2, 3]
    assert await seqs(after_seq=2, before_seq=5) == [3, 4]


async def test_participants_come_and_go(store: Store, conversation: Conversation) -> None:
    """Adding and removing is idempotent and keeps the order in which people joined."""
    await store.ensure_user(User(id="cleo", display_name="Cleo"))
    for _ in range(2):
        await store.add_participant(conversation.id, "cleo")
    found = await store.find_conversation(conversation.id)
    assert found is not None
    assert found.participant_ids == ["ann", "bob", "cleo"]
    for _ in range(2):
        await store.remove_participant(conversation.id, "ann")
    assert await store.is_participant(conversation.id, "ann") is False
    assert await store.is_participant(conversation.id, "cleo") is True
    assert await store.is_participant("nowhere", "cleo") is False


async def test_conversations_of_a_user(store: Store, conversation: Conversation) -> None:
    """Everybody sees their own, oldest first."""
    second = await started(store, "bob", "cleo")
    assert [found.id for found in await store.conversations_of("bob")] == [conversation.id, second.id]
    assert [found.id for found in await store.conversations_of("ann")] == [conversation.id]
    assert await store.conversations_of("nobody") == []


async def test_users_are_renamed(store: Store) -> None:
    """Signing in again with another display name renames."""
    await store.ensure_user(User(id="ann", display_name="Ann"))
    await store.ensure_user(User(id="ann", display_name="Annie"))
    assert await store.find_user("ann") == User(id="ann", display_name="Annie")
    assert await store.find_user("nobody") is None


async def test_a_group_is_not_spoilt_by_one(store: Store, conversation: Conversation) -> None:
    """Of many that are appended at once, a refused one gets its error and the others their numbers, without a gap."""
    await store.ensure_user(User(id="mallory", display_name="Mallory"))
    drafts = [draft(conversation, sender="mallory" if n % 5 == 0 else "ann", text=str(n)) for n in range(20)]
    results = await asyncio.gather(*(store.append(one) for one in drafts), return_exceptions=True)
    assert [isinstance(result, Forbidden) for result in results] == [n % 5 == 0 for n in range(20)]
    assert [message.seq for message in await store.history(conversation.id)] == list(range(1, 17))


async def test_a_client_message_id_belongs_to_one_conversation(store: Store, conversation: Conversation) -> None:
    """In another conversation it is refused: an ack there would be for a message that nobody there sees."""
    other = await started(store, "ann", "cleo")
    await store.append(draft(conversation, client_id="c-1"))
    with pytest.raises(Invalid):
        await store.append(draft(other, client_id="c-1"))
    assert await head_of(store, other.id) == 0


async def test_the_outbox_holds_what_nobody_announced(store: Store, conversation: Conversation) -> None:
    """Every message is in it from its own transaction on, until it, or one after it, is announced."""
    for n in range(3):
        await store.append(draft(conversation, text=str(n)))
    later = NOON + timedelta(seconds=1)
    assert await store.unannounced(later) == {conversation.id: 3}
    assert await store.unannounced(NOON) == {}, "nothing is older than the first"
    await store.mark_announced({conversation.id: 2})
    assert await store.unannounced(later) == {conversation.id: 3}
    await store.mark_announced({conversation.id: 3})
    assert await store.unannounced(later) == {}


async def test_a_repeat_is_not_announced_again(store: Store, conversation: Conversation) -> None:
    """A repeat of a ``client_message_id`` puts nothing into the outbox."""
    await store.append(draft(conversation, client_id="c-1"))
    await store.mark_announced({conversation.id: 1})
    await store.append(draft(conversation, client_id="c-1"))
    assert await store.unannounced(NOON + timedelta(days=1)) == {}


async def test_membership_versions_grow_with_every_change(store: Store, conversation: Conversation) -> None:
    """Who remembers the number of a user notices every joining and leaving by comparing it."""
    await store.ensure_user(User(id="cleo", display_name="Cleo"))
    seen = [await store.membership_versions(["cleo"])]
    await store.add_participant(conversation.id, "cleo")
    seen.append(await store.membership_versions(["cleo"]))
    assert await store.memberships(["cleo", "nobody"]) == {"cleo": {conversation.id}, "nobody": set()}
    await store.remove_participant(conversation.id, "cleo")
    seen.append(await store.membership_versions(["cleo"]))
    other = await started(store, "ann", "cleo")
    seen.append(await store.membership_versions(["cleo"]))
    assert [one["cleo"] for one in seen] == sorted({one["cleo"] for one in seen})
    assert await store.memberships(["cleo", "ann"]) == {"cleo": {other.id}, "ann": {conversation.id, other.id}}


def position(conversation: Conversation, user_id: str, kind: PositionKind, seq: int) -> Position:
    return Position(conversation_id=conversation.id, user_id=user_id, kind=kind, seq=seq)


async def test_positions_only_move_forward(store: Store, conversation: Conversation) -> None:
    """A late or doubled report moves nothing, one beyond the head is cut, a stranger's is left out."""
    for n in range(5):
        await store.append(draft(conversation, text=str(n)))
    covered, delivered, read = PositionKind.COVERED, PositionKind.DELIVERED, PositionKind.READ
    moved = await store.advance([position(conversation, "bob", delivered, 3)])
    assert {(one.kind, one.seq) for one in moved} == {(delivered, 3), (covered, 3)}, "who has it needs no push"
    assert await store.advance([position(conversation, "bob", delivered, 2)]) == []
    moved = await store.advance([position(conversation, "bob", read, 99)])
    assert {(one.kind, one.seq) for one in moved} == {(read, 5), (delivered, 5), (covered, 5)}, "who has read it has it"
    assert await store.advance([position(conversation, "mallory", read, 1)]) == []
    assert (await store.positions([conversation.id]))[conversation.id] == {
        "ann": MemberPositions(),
        "bob": MemberPositions(delivered=5, read=5),
    }


async def test_unread_is_what_others_said_since(store: Store, conversation: Conversation) -> None:
    """One's own messages are not unread; reading up to a number counts those behind it."""
    for sender in ("ann", "bob", "ann", "ann"):
        await store.append(draft(conversation, sender=sender))
    other = await started(store, "bob", "cleo")
    assert await store.unread_counts("bob") == {conversation.id: 3, other.id: 0}
    assert await store.unread_counts("ann") == {conversation.id: 1}
    await store.advance([position(conversation, "bob", PositionKind.READ, 3)])
    assert (await store.unread_counts("bob"))[conversation.id] == 1


async def test_many_report_at_once(store: Store, conversation: Conversation) -> None:
    """Reports that come together end where each alone would have ended."""
    for n in range(9):
        await store.append(draft(conversation, text=str(n)))
    reports = [position(conversation, user, PositionKind.READ, seq) for user in ("ann", "bob") for seq in range(1, 10)]
    await asyncio.gather(*(store.advance([report]) for report in reports))
    assert set((await store.positions([conversation.id]))[conversation.id].values()) == {
        MemberPositions(delivered=9, read=9)
    }


async def test_who_is_behind_is_named(store: Store, conversation: Conversation) -> None:
    """How far each member is covered, of all or of those asked for; covering is not shown as delivery."""
    for _ in range(3):
        await store.append(draft(conversation))
    assert await store.uncovered([conversation.id, "nothing"]) == {
        conversation.id: Uncovered(3, {"ann": 0, "bob": 0}),
    }
    await store.advance([position(conversation, "bob", PositionKind.COVERED, 2)])
    await store.advance([position(conversation, "ann", PositionKind.READ, 3)])
    found = (await store.uncovered([conversation.id]))[conversation.id]
    assert found == Uncovered(3, {"ann": 3, "bob": 2})
    assert found.behind == {"bob": 2}
    assert (await store.positions([conversation.id]))[conversation.id]["bob"] == MemberPositions()
    assert await store.uncovered([conversation.id], ["bob", "nobody"]) == {conversation.id: Uncovered(3, {"bob": 2})}
    assert await store.uncovered([conversation.id], ["nobody"]) == {conversation.id: Uncovered(3, {})}
    await store.advance([position(conversation, "bob", PositionKind.COVERED, 3)])
    assert (await store.uncovered([conversation.id]))[conversation.id].behind == {}


async def test_a_conversation_is_uncovered_until_it_is_marked(store: Store, conversation: Conversation) -> None:
    """From the first message on; a mark behind what came since does not hide it, and no mark goes back."""
    quiet = await started(store, "cleo")

    async def found() -> dict[str, int]:
        ours = {conversation.id, quiet.id}
        return {name: head for name, head in (await store.uncovered_conversations("", 10_000)).items() if name in ours}

    assert await found() == {}
    await store.append(draft(conversation))
    assert await found() == {conversation.id: 1}
    await store.mark_covered({conversation.id: 1})
    assert await found() == {}
    await store.append(draft(conversation))
    await store.mark_covered({conversation.id: 1})
    assert await found() == {conversation.id: 2}
    await store.mark_covered({conversation.id: 2})
    await store.mark_covered({conversation.id: 1})
    assert await found() == {}


async def test_who_joins_is_covered_for_what_was_said_before(store: Store, conversation: Conversation) -> None:
    """Nobody is pushed a history."""
    await store.append(draft(conversation))
    await store.ensure_user(User(id="cleo", display_name="Cleo"))
    await store.add_participant(conversation.id, "cleo")
    assert "cleo" not in (await store.uncovered([conversation.id]))[conversation.id].behind
    await store.append(draft(conversation))
    assert (await store.uncovered([conversation.id]))[conversation.id].behind["cleo"] == 1


async def test_an_instance_may_ask_about_as_many_as_it_has(store: Store, conversation: Conversation) -> None:
    """More than a database takes parameters in one statement: names go as one value."""
    many = [f"c-{number}" for number in range(40_000)]
    assert await store.heads([*many, conversation.id]) == dict.fromkeys([*many, conversation.id], 0)
    assert set(await store.membership_versions([*many, "ann"])) == {"ann"}
    assert (await store.memberships([*many, "ann"]))["ann"] == {conversation.id}
