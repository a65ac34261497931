"""One order, no gap, and who hears which conversation."""

import asyncio

from course.conform.check import BAD_FRAMES, EACH_ONCE, ONE_ORDER, check, require
from course.conform.frames import text_of
from course.conform.world import World

FEED = "reference_impl/core/conversation_feed.py"
EACH = 10


@check(ONE_ORDER, see=FEED, needs=("others-get-it",))
async def one_order_for_everyone(world: World) -> None:
    """Three members send at the same time, on all instances: everybody sees the same order."""
    conversation_id = await world.conversation("alice", "bob", "carol", "dave", "erin")
    senders = await world.sockets(conversation_id, "alice", "bob", "carol")
    readers = await world.sockets(conversation_id, "dave", "erin")

    async def send_all(number: int) -> None:
        for count in range(EACH):
            name = f"{number}-{count}"
            await senders[number].send({"type": "text", "content": name, "client_message_id": name})

    await asyncio.gather(*(send_all(number) for number in range(3)))
    seen = []
    for reader in readers:
        for number in range(3):
            await reader.messages(f"{number}-{EACH - 1}")
        seen.append([text_of({"data": one}) for one in await reader.messages(f"0-{EACH - 1}")])
    for reader, texts in zip(readers, seen, strict=True):
        different = len(set(texts))
        require(different == len(texts), f"{reader.who} got {len(texts) - different} messages twice")
        require(different == 3 * EACH, f"{reader.who} got {different} of {3 * EACH} messages before the last of each")
    place = next((place for place, (one, other) in enumerate(zip(*seen, strict=True)) if one != other), None)
    require(place is None, f"dave and erin see another order, from the message {place} on")


@check(EACH_ONCE, see=FEED, needs=("one-order-for-everyone", "a-message-is-acked"))
async def numbers_without_a_gap(world: World) -> None:
    """`seq` counts 1, 2, 3 …, whoever sends on whatever instance: that is how a client notices what it missed."""
    conversation_id = await world.conversation("alice", "bob", "carol")
    alice, bob, carol = await world.sockets(conversation_id, "alice", "bob", "carol")

    async def send_all(who: str) -> None:
        socket = {"alice": alice, "carol": carol}[who]
        for count in range(EACH):
            await socket.say(f"{who} {count}")

    await asyncio.gather(send_all("alice"), send_all("carol"))
    await bob.messages(f"alice {EACH - 1}")
    numbers = [one.get("seq") for one in await bob.messages(f"carol {EACH - 1}")]
    require(numbers == list(range(1, 2 * EACH + 1)), f"bob got the numbers {numbers}")


@check(EACH_ONCE, see="reference_impl/core/connection_index.py", needs=("others-get-it",))
async def conversations_are_kept_apart(world: World) -> None:
    """A socket on one conversation hears nothing of another one of the same user."""
    here, there = [await world.conversation("alice", "bob") for _ in range(2)]
    bob = await world.socket("bob", here, at=world.last)
    elsewhere = await world.socket("alice", there)
    await elsewhere.send({"type": "text", "content": "elsewhere", "client_message_id": "mine-1"})
    alice = await world.socket("alice", here)
    await alice.send({"type": "text", "content": "here", "client_message_id": "mine-2"})
    await bob.expect("new_message", text="here")
    await bob.expect_none("new_message", text="elsewhere")


@check(EACH_ONCE, see="reference_impl/api/websocket.py", needs=("others-get-it", "conversations-can-be-made"))
async def device_wide_socket(world: World) -> None:
    """`/ws` hears all the user's conversations, new ones too; its frames name the `conversation_id` they are about."""
    first = await world.conversation("alice", "bob")
    bob = await world.socket("bob", None)
    second = await world.conversation("alice", "bob")
    for conversation_id in (first, second):
        alice = await world.socket("alice", conversation_id, at=world.last)
        await alice.send({"type": "text", "content": conversation_id, "client_message_id": conversation_id})
        frame = await bob.expect("new_message", text=conversation_id)
        require(frame.get("conversation_id") == conversation_id, f"its conversation_id is {frame['conversation_id']!r}")
        await bob.say("I hear you", conversation_id=conversation_id)
        await alice.expect("new_message", text="I hear you")


@check(BAD_FRAMES, see="reference_impl/api/frame_actions.py", needs=("device-wide-socket",))
async def device_wide_frames_name_their_conversation(world: World) -> None:
    """On `/ws` a frame without `conversation_id` is an error; one with a stranger's conversation, too."""
    conversation_id = await world.conversation("alice")
    mallory = await world.socket("mallory", None)
    await mallory.send({"type": "text", "content": "where to?", "client_message_id": "mine-1"})
    await mallory.expect("error", client_message_id="mine-1")
    await mallory.send({"type": "text", "content": "hi", "client_message_id": "2", "conversation_id": conversation_id})
    await mallory.expect("error", code="forbidden")
