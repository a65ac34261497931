"""Typing, read, delivered."""

from course.conform.check import ACTIVITY, check, require
from course.conform.world import API, World

SEE = "reference_impl/services/activity_service.py"


@check(ACTIVITY, see=SEE)
async def others_see_typing(world: World) -> None:
    """`typing` reaches the others, with user_id and is_typing; not whoever types."""
    conversation_id = await world.conversation("alice", "bob")
    alice, bob = await world.sockets(conversation_id, "alice", "bob")
    who = (await world.user("alice")).id
    for is_typing in (True, False):
        await alice.send({"type": "typing", "is_typing": is_typing})
        await bob.expect("typing", user_id=who, is_typing=is_typing)
    await alice.expect_none("typing")


@check(ACTIVITY, see=SEE, needs=("a-message-is-acked", "others-get-it"))
async def others_see_what_arrived_and_what_was_read(world: World) -> None:
    """`delivered` and `read` reach the others, with user_id and seq."""
    conversation_id = await world.conversation("alice", "bob")
    alice, bob = await world.sockets(conversation_id, "alice", "bob")
    await alice.say("hello")
    await bob.expect("new_message", text="hello")
    who = (await world.user("bob")).id
    for kind in ("delivered", "read"):
        await bob.send({"type": kind, "seq": 1})
        await alice.expect(kind, user_id=who, seq=1)


@check(ACTIVITY, see=SEE, needs=("others-see-what-arrived-and-what-was-read",))
async def read_over_http(world: World) -> None:
    """`POST …/read` does what the frame does; afterwards the history says `is_read`."""
    conversation_id = await world.conversation("alice", "bob")
    alice = await world.socket("alice", conversation_id, at=world.last)
    await alice.say("hello")
    answer = await world.http("POST", f"{API}/conversations/{conversation_id}/read", by="bob", body={"seq": 1})
    require(answer.status in (200, 204), f"it answered {answer}")
    await alice.expect("read", user_id=(await world.user("bob")).id, seq=1)
    history = await world.history(conversation_id, "alice")
    require(len(history) == 1, f"one message was acked, and the history has {len(history)}")
    message = history[0]
    require(message.get("is_read") is True, f"in the history is_read is {message.get('is_read')!r}")
