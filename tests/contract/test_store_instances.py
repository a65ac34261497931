"""What two instances do to one database at the same time. In memory, both are the same store."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from uuid_utils import uuid7

from reference_impl.core.ports import Appended, Store
from reference_impl.model.conversations import Conversation, User
from reference_impl.model.errors import Invalid
from reference_impl.model.messages import MessageDraft
from reference_impl.model.positions import MemberPositions, Position, PositionKind
from tests import fakes

NOON = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)
NAMES = ["ann", "bob", "cleo", "dan"]

MakeStore = Callable[[], Awaitable[Store]]


def draft(conversation_id: str, *, client_id: str | None = None, reply_to: str | None = None) -> MessageDraft:
    return fakes.draft(conversation_id, client_message_id=client_id, reply_to_message_id=reply_to)


def talk(*names: str) -> Conversation:
    return Conversation(
        id=str(uuid7()), title="talk", creator_id=names[0], participant_ids=list(names), created_at=NOON
    )


@pytest.fixture
async def stores(make_store: MakeStore) -> tuple[Store, Store]:
    """Two instances over one database in which Ann, Bob, Cleo and Dan are known."""
    one, other = await make_store(), await make_store()
    for name in NAMES:
        await one.ensure_user(User(id=name, display_name=name.title()))
    return one, other


@pytest.fixture
async def conversations(stores: tuple[Store, Store]) -> list[Conversation]:
    """Five, with all four of them in it."""
    made = [talk(*NAMES) for _ in range(5)]
    for conversation in made:
        await stores[0].create_conversation(conversation)
    return made


async def test_retries_over_two_instances_are_one_message(
    stores: tuple[Store, Store], conversations: list[Conversation]
) -> None:
    """Fifty at once with one ``client_message_id``: one message, and all get its number."""
    (here, *_) = conversations
    results = await asyncio.gather(*(stores[n % 2].append(draft(here.id, client_id="c-1")) for n in range(50)))
    assert [result.is_new for result in results].count(True) == 1
    assert len({(result.message.id, result.message.seq) for result in results}) == 1
    assert len(await stores[1].history(here.id)) == 1


async def test_one_client_message_id_in_two_conversations_at_once(
    stores: tuple[Store, Store], conversations: list[Conversation]
) -> None:
    """One instance stores it, the other refuses it: neither sees the other's draft before it is stored."""
    for turn in range(20):
        drafts = [draft(conversation.id, client_id=f"c-{turn}") for conversation in conversations[:2]]
        tasks = [store.append(one) for store, one in zip(stores, drafts, strict=True)]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(result) for result in results} == {Appended, Invalid}
    heads = await stores[0].heads([conversation.id for conversation in conversations])
    assert sum(heads.values()) == 20, "a refused message takes no number"


async def test_groups_over_several_conversations_do_not_block_each_other(
    stores: tuple[Store, Store], conversations: list[Conversation]
) -> None:
    """Two instances write to five conversations in opposite orders: no failure, no gap, no number twice."""
    forwards = [draft(conversation.id) for _ in range(20) for conversation in conversations]
    backwards = [draft(conversation.id) for _ in range(20) for conversation in reversed(conversations)]
    await asyncio.gather(
        *(store.append(one) for store, drafts in zip(stores, (forwards, backwards), strict=True) for one in drafts)
    )
    for conversation in conversations:
        messages = await stores[0].history(conversation.id, limit=100)
        assert [message.seq for message in messages] == list(range(1, 41))
    assert set((await stores[1].unannounced(NOON + timedelta(days=1))).values()) == {40}


async def test_the_same_user_is_created_by_both(stores: tuple[Store, Store]) -> None:
    """Signing in on two instances in the same moment: one user, and nobody is turned away."""
    for turn in range(20):
        user = User(id=f"new-{turn}", display_name="New")
        assert await asyncio.gather(*(store.ensure_user(user) for store in stores)) == [user, user]
        assert await stores[0].find_user(user.id) == user


async def test_the_same_participant_is_added_by_both(stores: tuple[Store, Store]) -> None:
    """Both succeed, the participant is there once, and their number has grown by one change."""
    for _ in range(20):
        here = talk("ann", "bob")
        await stores[0].create_conversation(here)
        before = (await stores[0].membership_versions(["cleo"]))["cleo"]
        await asyncio.gather(*(store.add_participant(here.id, "cleo") for store in stores))
        found = await stores[1].find_conversation(here.id)
        assert found is not None
        assert found.participant_ids == ["ann", "bob", "cleo"]
        assert (await stores[0].membership_versions(["cleo"]))["cleo"] == before + 1


async def test_participants_keep_the_order_in_which_they_join(stores: tuple[Store, Store]) -> None:
    """Two who join at once get two places, and the places stay."""
    here = talk("ann")
    await stores[0].create_conversation(here)
    await asyncio.gather(
        *(store.add_participant(here.id, name) for store, name in zip(stores, NAMES[1:3], strict=True))
    )
    await stores[0].add_participant(here.id, "dan")
    orders = [found.participant_ids for store in stores if (found := await store.find_conversation(here.id))]
    assert orders[0] == orders[1]
    assert (orders[0][0], orders[0][3], set(orders[0])) == ("ann", "dan", set(NAMES))


async def test_conversations_with_the_same_people_are_made_by_both(stores: tuple[Store, Store]) -> None:
    """Named in opposite orders: no failure, and every membership version counts every change."""
    before = await stores[0].membership_versions(NAMES)
    await asyncio.gather(
        *(stores[n % 2].create_conversation(talk(*(NAMES if n % 2 else NAMES[::-1]))) for n in range(40))
    )
    assert await stores[1].membership_versions(NAMES) == {name: version + 40 for name, version in before.items()}


async def test_positions_move_forward_from_both(stores: tuple[Store, Store], conversations: list[Conversation]) -> None:
    """Reports in opposite orders over two instances end where each alone would."""
    for _ in range(5):
        await asyncio.gather(*(stores[0].append(draft(conversation.id)) for conversation in conversations))
    reports = [
        Position(conversation_id=conversation.id, user_id=name, kind=kind, seq=seq)
        for seq in range(1, 6)
        for conversation in conversations
        for name in NAMES
        for kind in PositionKind
    ]
    moved = await asyncio.gather(
        *(store.advance([one]) for one in reports for store in stores),
        *(store.advance([one]) for one in reversed(reports) for store in stores),
    )
    assert set(reports[-8:]) <= {position for positions in moved for position in positions}, "who moved it tells"
    for members in (await stores[1].positions([conversation.id for conversation in conversations])).values():
        assert members == {name: MemberPositions(delivered=5, read=5) for name in NAMES}


async def test_announced_by_both(stores: tuple[Store, Store], conversations: list[Conversation]) -> None:
    """Both take the same messages out of the outbox at once."""
    await asyncio.gather(*(stores[0].append(draft(one.id)) for _ in range(20) for one in conversations))
    up_to = {one.id: 20 for one in conversations}
    backwards = dict(reversed(up_to.items()))
    await asyncio.gather(stores[0].mark_announced(up_to), stores[1].mark_announced(backwards))
    assert await stores[0].unannounced(NOON + timedelta(days=1)) == {}


async def test_a_number_can_be_any_size(stores: tuple[Store, Store], conversations: list[Conversation]) -> None:
    """A client may ask for what follows the largest number that JSON has."""
    (here, *_) = conversations
    await stores[0].append(draft(here.id))
    assert await stores[0].history(here.id, after_seq=2**53) == []
    assert len(await stores[0].history(here.id, before_seq=2**53)) == 1
