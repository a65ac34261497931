"""Limits, read gently: as a new user, and only as far as the defaults."""

import asyncio

from uuid_utils import uuid7

from course.conform.check import CLOSE_CODES, LIMITS, Broken, NotTried, check, require
from course.conform.frames import Frame, data_of, shown
from course.conform.socket import Socket
from course.conform.world import World

CONNECTIONS = 5
MESSAGES = 100
MUCH = 10
"""How many times the default is tried with ``--slow``."""


@check(CLOSE_CODES, see="reference_impl/core/connection_manager.py", needs=("connected-says-where-you-are",))
async def too_many_connections_get_4008(world: World) -> None:
    """One connection more than a user may have (5) is closed with 4008, over all instances; the others stay."""
    conversation_id = await world.conversation("alice")
    tries = CONNECTIONS * (MUCH if world.server.is_slow_allowed else 1) + 1
    sockets: list[Socket] = []
    for number in range(tries):
        socket = await world.open("alice", conversation_id, at=number % len(world.server.urls))
        try:
            await socket.expect("connected")
        except Broken:
            code = await socket.closed()
            require(code == 4008, f"connection {number + 1} was closed with {code}")
            require(all(one.is_open for one in sockets), "the connections before it did not all stay")
            return
        sockets.append(socket)
    raise NotTried(f"{tries} connections of one user were let in: the limit is set higher here")


@check(LIMITS, see="reference_impl/core/message_limits.py", needs=("a-message-is-acked",))
async def too_many_messages_are_refused(world: World) -> None:
    """Over the limit (100 in 60 s) a message gets an `error`, rate_limited with retry_after, and the socket stays."""
    alice = await world.socket("alice", await world.conversation("alice"))
    tries = MESSAGES * (MUCH if world.server.is_slow_allowed else 1) + 1
    refusals = await _refusals(world, alice, tries)
    if not refusals:
        raise NotTried(f"{tries} messages in a row were taken: the limit is set higher here")
    wrong = [one for one in refusals if one.get("code") != "rate_limited" or not one.get("retry_after")]
    require(not wrong, f"refused with {shown(wrong[:1])}")
    require(alice.is_open, "the socket was closed")


@check(
    LIMITS,
    see="reference_impl/core/message_limits.py",
    needs=("too-many-messages-are-refused",),
    two=True,
    slow=True,
)
async def messages_are_counted_over_all_instances(world: World) -> None:
    """Who is over the limit on one instance is over it on the other: else twice the instances is twice the limit."""
    conversation_id = await world.conversation("alice")
    here, there = [await world.socket("alice", conversation_id, at=at) for at in (0, 1)]
    taken = await _taken(here, MESSAGES * MUCH)
    if taken == MESSAGES * MUCH:
        raise NotTried(f"{taken} messages in a row were taken: the limit is set higher here")
    more = await _taken(there, taken)
    require(more < taken, f"one instance took {taken} messages, and then the other one as many")


async def _taken(socket: Socket, most: int) -> int:
    """How many messages, one after the other, are taken before one is refused; at most so many are sent."""
    for number in range(most):
        name = str(uuid7())
        await socket.send({"type": "text", "content": "one more", "client_message_id": name})
        answer = await socket.answer(name)
        if answer.get("action") == "error":
            return number
    return most


async def _refusals(world: World, socket: Socket, tries: int) -> list[Frame]:
    """Sends so many messages; the data of the errors that came. Raises ``Broken`` if some got no answer."""
    for number in range(tries):
        name = f"c-{number}"
        await socket.send({"type": "text", "content": name, "client_message_id": name})

    def answers() -> list[Frame]:
        return [frame for frame in socket.frames if frame.get("action") in ("ack", "error")]

    try:
        async with asyncio.timeout(5 * world.patience_s):
            while len(answers()) < tries:  # noqa: ASYNC110 - of frames that others take, too
                await asyncio.sleep(0.02)
    except TimeoutError as error:
        raise Broken(f"{tries} messages were sent, and {len(answers())} got an ack or an error") from error
    return [data_of(frame) for frame in answers() if frame.get("action") == "error"]
