"""Coming back: exactly what was missed, on whatever instance."""

from typing import Any

from course.conform.check import EACH_ONCE, check, require
from course.conform.frames import data_of
from course.conform.socket import Socket
from course.conform.world import World

SEE = "reference_impl/core/replay.py"
NUMBERS = ("acked-means-stored", "numbers-without-a-gap")


@check(EACH_ONCE, see=SEE, needs=NUMBERS)
async def resume_brings_what_was_missed(world: World) -> None:
    """`?last_seq=3` after eight messages: `resumed` with recovered true, then 4 to 8, each once, then the live ones."""
    conversation_id = await world.conversation("alice", "bob")
    alice = await world.socket("alice", conversation_id)
    for number in range(1, 9):
        await alice.say(f"message {number}")
    bob = await world.socket("bob", conversation_id, at=world.last, last_seq="3")
    await _has(bob, recovered=True)
    await alice.say("live again")
    await _numbers(bob, "live again", list(range(4, 10)))


@check(EACH_ONCE, see=SEE, needs=("resume-brings-what-was-missed",))
async def resume_by_frame(world: World) -> None:
    """A `resume` frame does the same on an open socket."""
    conversation_id = await world.conversation("alice", "bob")
    alice = await world.socket("alice", conversation_id)
    for number in range(1, 6):
        await alice.say(f"message {number}")
    bob = await world.socket("bob", conversation_id)
    await bob.send({"type": "resume", "last_seq": 2})
    await _has(bob, recovered=True)
    await _numbers(bob, "message 5", [3, 4, 5])


@check(EACH_ONCE, see=SEE, needs=("resume-brings-what-was-missed",))
async def resume_from_nothing(world: World) -> None:
    """`last_seq=0` is all there is: 1, 2, 3 …"""
    conversation_id = await world.conversation("alice", "bob")
    alice = await world.socket("alice", conversation_id)
    for number in range(1, 4):
        await alice.say(f"message {number}")
    bob = await world.socket("bob", conversation_id, last_seq="0")
    await _has(bob, recovered=True)
    await _numbers(bob, "message 3", [1, 2, 3])


@check(EACH_ONCE, see="reference_impl/model/resume.py", needs=("resume-brings-what-was-missed",))
async def resume_ahead_of_the_head(world: World) -> None:
    """A client that is ahead of the server holds another history: recovered false, and a snapshot replaces it."""
    conversation_id = await world.conversation("alice", "bob")
    alice = await world.socket("alice", conversation_id)
    for number in range(1, 4):
        await alice.say(f"message {number}")
    bob = await world.socket("bob", conversation_id, last_seq="1000")
    await _has(bob, recovered=False)
    await _numbers(bob, "message 3", [1, 2, 3])


@check(EACH_ONCE, see=SEE, needs=("resume-brings-what-was-missed",))
async def resume_while_others_send(world: World) -> None:
    """What is sent meanwhile neither overtakes the missed messages, nor falls between, nor comes twice."""
    conversation_id = await world.conversation("alice", "bob")
    alice = await world.socket("alice", conversation_id, at=world.last)
    for number in range(1, 31):
        await alice.say(f"message {number}")
    bob = await world.open("bob", conversation_id, last_seq="0")
    for number in range(31, 61):
        await alice.send({"type": "text", "content": f"message {number}", "client_message_id": f"c-{number}"})
    await _numbers(bob, "message 60", list(range(1, 61)))


async def _has(socket: Socket, **fields: Any) -> None:
    data = data_of(await socket.expect("resumed", **fields))
    require(isinstance(data.get("seq"), int), f"`resumed` has the seq {data.get('seq')!r}")


async def _numbers(socket: Socket, last_text: str, wanted: list[int]) -> None:
    numbers = [one.get("seq") for one in await socket.messages(last_text)]
    require(numbers == wanted, f"{socket.who} got the numbers {numbers}, not {wanted[0]} to {wanted[-1]}")
