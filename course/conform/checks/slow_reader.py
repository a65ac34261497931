"""Who does not read."""

import asyncio

from course.conform.check import SLOW_READER, check, require
from course.conform.world import World

SENDERS = ("alice", "dave", "erin", "frank")
EACH = 80
CHARACTERS = 40_000
"""Together twelve megabytes: more than lies in the buffers of two machines."""


@check(
    SLOW_READER,
    see="reference_impl/core/outbox.py",
    needs=("numbers-without-a-gap", "resume-brings-what-was-missed"),
    slow=True,
)
async def a_slow_reader_harms_only_itself(world: World) -> None:
    """A member stops reading: the others get everything meanwhile; that one is closed with 1013, and can resume."""
    conversation_id = await world.conversation("bob", "carol", *SENDERS)
    bob, carol = [await world.socket(name, conversation_id) for name in ("bob", "carol")]
    senders = [await world.socket(name, conversation_id) for name in SENDERS]
    carol.stall()

    async def send_all(number: int) -> None:
        for count in range(EACH):
            await senders[number].say(f"{number} {count} ".ljust(CHARACTERS, "."))

    async with asyncio.timeout(60 + world.grace_s):
        await asyncio.gather(*(send_all(number) for number in range(len(SENDERS))))
    await senders[0].say("the last one")
    got = [one.get("seq") for one in await bob.messages("the last one")]
    head = len(SENDERS) * EACH + 1
    require(got == list(range(1, head + 1)), f"bob got {len(got)} of {head} messages while carol did not read")
    carol.resume_reading()
    code = await carol.closed(30 + world.grace_s)
    require(code == 1013, f"carol was closed with {code}")
    last = max((frame["data"]["seq"] for frame in carol.frames if frame.get("action") == "new_message"), default=0)
    again = await world.socket("carol", conversation_id, last_seq=str(last))
    numbers = [one.get("seq") for one in await again.messages("the last one")]
    require(numbers == list(range(last + 1, head + 1)), f"after {last} carol got {numbers[:3]} … {numbers[-3:]}")
