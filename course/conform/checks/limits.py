"""Limits, read gently: as a new user, and only as far as the defaults."""

import asyncio

from course.conform.check import CLOSE_CODES, LIMITS, Broken, NotTried, check, require
from course.conform.frames import data_of, shown
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


@check(LIMITS, see="reference_impl/model/rate_limiter.py", needs=("a-message-is-acked",))
async def too_many_messages_are_refused(world: World) -> None:
    """Over the limit (100 in 60 s) a message gets an `error`, rate_limited with retry_after, and the socket stays."""
    conversation_id = await world.conversation("alice")
    sockets = [await world.socket("alice", conversation_id, at=at) for at in range(len(world.server.urls))]
    tries = MESSAGES * (MUCH if world.server.is_slow_allowed else 1) + 1
    for number in range(tries):
        name = f"c-{number}"
        await sockets[number % len(sockets)].send({"type": "text", "content": name, "client_message_id": name})

    async def answers() -> None:
        def count() -> int:
            return sum(frame.get("action") in ("ack", "error") for socket in sockets for frame in socket.frames)

        while count() < tries:  # noqa: ASYNC110 - of several sockets
            await asyncio.sleep(0.02)

    try:
        async with asyncio.timeout(3 * world.patience_s):
            await answers()
    except TimeoutError as error:
        raise Broken(f"{tries} messages were sent, and not all of them got an ack or an error") from error
    errors = [data_of(one) for socket in sockets for one in socket.frames if one.get("action") == "error"]
    if not errors:
        raise NotTried(f"{tries} messages in a row were taken: the limit is set higher here")
    wrong = [one for one in errors if one.get("code") != "rate_limited" or not one.get("retry_after")]
    require(not wrong, f"refused with {shown(wrong[:1])}")
    require(all(socket.is_open for socket in sockets), "the socket was closed")
