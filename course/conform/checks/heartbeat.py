"""Pings and pongs."""

from course.conform.check import HEARTBEAT, NotTried, check, require
from course.conform.frames import Frame, data_of, shown
from course.conform.world import World

SEE = "reference_impl/core/heartbeat_manager.py"
SHORT_S = 3.0
LONG_S = 120.0
ENOUGH_PINGS = 3
"""One or two may be on their way before the message that they are to count."""


@check(HEARTBEAT, see=SEE)
async def websocket_pings_are_answered(world: World) -> None:
    """A ping of the WebSocket protocol gets its pong, and a `pong` frame that nobody asked for does no harm."""
    alice = await world.open("alice", await world.conversation("alice"))
    await alice.ping()
    await alice.send({"type": "pong", "timestamp": 0})
    await alice.ping()
    require(alice.is_open, "after a pong that nobody asked for the socket was closed")


@check(HEARTBEAT, see=SEE, needs=("connected-says-where-you-are", "a-message-is-acked", "others-get-it"))
async def the_server_pings(world: World) -> None:
    """Within `heartbeat_interval` comes a `ping` with timestamp and seq: by it a client sees that it is behind."""
    conversation_id = await world.conversation("alice")
    alice = await world.open("alice", conversation_id)
    interval = data_of(await alice.expect("connected")).get("heartbeat_interval")
    if not isinstance(interval, int | float) or interval > (LONG_S if world.server.is_slow_allowed else SHORT_S):
        raise NotTried(f"it would take {interval} s: --slow")
    await alice.say("hello")
    ping: Frame = {}
    for _ in range(ENOUGH_PINGS):
        ping = data_of(await alice.expect("ping", within=2 * interval + world.grace_s))
        if ping.get("seq") != 0:
            break
    require(isinstance(ping.get("timestamp"), int | float | str), f"the ping has no timestamp: {shown(ping)}")
    require(ping.get("seq") == 1, f"one message was sent, and the ping's seq is {ping.get('seq')!r}")
    await alice.say("a pong in between eats no message")
