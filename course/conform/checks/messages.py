"""Sending: what an ack means, sending again, and who gets a message."""

from course.conform.check import ACCESS, DURABLE_ACK, EACH_ONCE, check, require
from course.conform.frames import data_of, shown
from course.conform.world import World

STORE = "reference_impl/adapters/store_sql_messages.py"
SERVICE = "reference_impl/services/message_service.py"
FEED = "reference_impl/core/conversation_feed.py"


@check(EACH_ONCE, see=FEED)
async def others_get_it(world: World) -> None:
    """What one member sends, the others get as `new_message`: on the same instance, too."""
    conversation_id = await world.conversation("alice", "bob")
    alice, bob = [await world.open(name, conversation_id) for name in ("alice", "bob")]
    await bob.expect("connected")
    await alice.send({"type": "text", "content": "hello", "client_message_id": "mine-1"})
    await bob.expect("new_message", text="hello")
    await bob.expect_none("new_message", text="hello")


@check(DURABLE_ACK, see="reference_impl/api/frame_actions.py")
async def a_message_is_acked(world: World) -> None:
    """A `text` frame is answered by an `ack` with its client_message_id, and the message's id and seq."""
    alice = await world.open("alice", await world.conversation("alice"))
    ack = await alice.say("hello", client_message_id="mine-1")
    require(isinstance(ack.get("id"), str), f"id is {ack.get('id')!r}")
    require(ack.get("seq") == 1, f"the seq of the first message is {ack.get('seq')!r}")


@check(DURABLE_ACK, see=STORE, needs=("a-message-is-acked", "history-in-pages"))
async def acked_means_stored(world: World) -> None:
    """The moment the ack is there, the message is in the history, under that id and seq. Not a little later."""
    conversation_id = await world.conversation("alice")
    alice = await world.open("alice", conversation_id)
    for number in range(1, 6):
        ack = await alice.say(f"message {number}")
        history = await world.history(conversation_id, "alice", at=world.last)
        last = history[-1] if history else {}
        same = (last.get("id"), last.get("seq")) == (ack.get("id"), ack.get("seq"))
        require(
            same, f"message {number} is acked as {shown(ack)}, and the history ends with {shown(last) or 'nothing'}"
        )


@check(DURABLE_ACK, see=SERVICE, needs=("a-message-is-acked", "others-get-it"))
async def sending_again_is_safe(world: World) -> None:
    """The same client_message_id again gets the same id and seq: no ack came, so the client had to repeat it."""
    conversation_id = await world.conversation("alice", "bob")
    alice, bob = await world.sockets(conversation_id, "alice", "bob")
    first = await alice.say("hello", client_message_id="mine-1")
    second = await alice.say("hello", client_message_id="mine-1")
    require(_same(first, second), f"acked as {shown(first)}, then as {shown(second)}")
    await alice.say("the next one")
    texts = [one.get("content") for one in await bob.messages("the next one")]
    require(len(texts) == 2, f"sent twice under one name, and bob has {len(texts) - 1} copies of it")


@check(DURABLE_ACK, see=SERVICE, needs=("sending-again-is-safe", "message-over-http"))
async def sending_again_by_the_other_door(world: World) -> None:
    """One client_message_id is one message, whether it comes over WebSocket or HTTP."""
    conversation_id = await world.conversation("alice")
    alice = await world.socket("alice", conversation_id)
    first = await alice.say("hello", client_message_id="mine-1")
    body = {"type": "text", "content": "hello", "client_message_id": "mine-1"}
    answer = await world.http("POST", f"/api/v1/conversations/{conversation_id}/messages", by="alice", body=body)
    again = answer.body if isinstance(answer.body, dict) else {}
    require(_same(first, again), f"acked as {shown(first)}; over HTTP {answer}")


@check(DURABLE_ACK, see=SERVICE, needs=("sending-again-is-safe",), two=True)
async def sending_again_on_the_other_instance(world: World) -> None:
    """One client_message_id is one message on all instances: after a crash a client repeats it elsewhere."""
    conversation_id = await world.conversation("alice")
    first = await (await world.socket("alice", conversation_id)).say("hello", client_message_id="mine-1")
    again = await (await world.socket("alice", conversation_id, at=1)).say("hello", client_message_id="mine-1")
    require(_same(first, again), f"acked as {shown(first)} by one instance, as {shown(again)} by the other")


@check(EACH_ONCE, see="reference_impl/core/message_router.py", two=True)
async def others_get_it_on_the_other_instance(world: World) -> None:
    """Members on another instance get it, too: once."""
    conversation_id = await world.conversation("alice", "bob")
    alice, bob = [await world.open(name, conversation_id, at=at) for at, name in enumerate(("alice", "bob"))]
    await bob.expect("connected")
    await alice.send({"type": "text", "content": "hello", "client_message_id": "mine-1"})
    await bob.expect("new_message", text="hello")
    await bob.expect_none("new_message", text="hello")


@check(EACH_ONCE, see="reference_impl/core/connection_manager.py", needs=("others-get-it",))
async def own_other_devices_get_it(world: World) -> None:
    """Alice writes on her phone, and her laptop shows it: exclude the connection that sent it, not the user."""
    conversation_id = await world.conversation("alice")
    phone = await world.socket("alice", conversation_id, device_id="phone", device_type="mobile")
    laptop = await world.socket("alice", conversation_id, device_id="laptop", device_type="desktop", at=world.last)
    await phone.send({"type": "text", "content": "from my phone", "client_message_id": "mine-1"})
    await laptop.expect("new_message", text="from my phone")


@check(EACH_ONCE, see="reference_impl/services/broadcasting_service.py", needs=("others-get-it", "message-over-http"))
async def both_doors_lead_to_all(world: World) -> None:
    """What is sent over HTTP arrives at the sockets, flat and complete; flags and metadata survive the way."""
    conversation_id = await world.conversation("alice", "bob")
    bob = await world.socket("bob", conversation_id, at=world.last)
    sent = {"type": "text", "content": "over HTTP", "is_important": True, "extra_metadata": {"mood": "good"}}
    path = f"/conversations/{conversation_id}/messages"
    stored = await world.api("POST", path, status=201, by="alice", body=sent)
    got = data_of(await bob.expect("new_message", text="over HTTP"))
    differing = {name: got.get(name, "nothing") for name, value in stored.items() if got.get(name) != value}
    require(not differing, f"other than what POST answered: {shown(differing)}")


@check(ACCESS, see="reference_impl/model/frames.py", needs=("others-get-it",))
async def the_server_says_who_sent_it(world: World) -> None:
    """Sender, number and time are the server's: those that a client claims are ignored, or refused."""
    conversation_id = await world.conversation("alice", "bob")
    alice, bob = await world.sockets(conversation_id, "alice", "bob")
    claim = {"sender_id": (await world.user("bob")).id, "seq": 999, "timestamp": "1999-01-01T00:00:00Z", "id": "1"}
    await alice.send({"type": "text", "content": "I am bob", "client_message_id": "mine-1"} | claim)
    await alice.send({"type": "text", "content": "done", "client_message_id": "mine-2"})
    for got in await bob.messages("done"):
        taken = [name for name, value in claim.items() if got.get(name) == value]
        require(not taken, f"bob got it with the {', '.join(taken)} that alice claimed")


def _same(one: dict[str, object], other: dict[str, object]) -> bool:
    return (one.get("id"), one.get("seq")) == (other.get("id"), other.get("seq")) and one.get("seq") is not None
