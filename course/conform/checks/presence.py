"""Who is there."""

import asyncio
import time

from course.conform.check import PRESENCE, Broken, check, require
from course.conform.world import World

MANAGER = "reference_impl/core/presence_manager.py"
GONE_S = 1.0


@check(PRESENCE, see=MANAGER)
async def others_see_who_comes(world: World) -> None:
    """A first device: `user_online` and `device_connected`, with user_id, device_id and device_type."""
    conversation_id = await world.conversation("alice", "bob")
    alice = await world.socket("alice", conversation_id)
    await world.socket("bob", conversation_id, at=world.last, device_id="phone", device_type="mobile")
    bob = (await world.user("bob")).id
    for action in ("user_online", "device_connected"):
        await alice.expect(action, user_id=bob, device_id="phone", device_type="mobile")


@check(PRESENCE, see=MANAGER, needs=("others-see-who-comes",))
async def others_see_who_goes(world: World) -> None:
    """A clean close of the last device: `user_offline` within 1 s, and `GET /presence` says the same."""
    conversation_id = await world.conversation("alice", "bob")
    alice = await world.socket("alice", conversation_id)
    bob = await world.socket("bob", conversation_id, at=world.last)
    who = (await world.user("bob")).id
    await alice.expect("user_online", user_id=who)
    began = time.monotonic()
    await bob.close()
    await alice.expect("user_offline", user_id=who, within=GONE_S + world.grace_s)
    took = time.monotonic() - began
    require(not await _is_online(world, "bob"), f"user_offline came after {took:.1f} s, and /presence says online")


@check(PRESENCE, see="reference_impl/model/presence.py", needs=("others-see-who-goes", "others-get-it"))
async def devices_are_counted(world: World) -> None:
    """Of two devices one leaves: `device_disconnected`, but no `user_offline`; the other one still gets messages."""
    conversation_id = await world.conversation("alice", "bob")
    alice = await world.socket("alice", conversation_id)
    phone = await world.socket("bob", conversation_id, device_id="phone", device_type="mobile")
    laptop = await world.socket("bob", conversation_id, device_id="laptop", device_type="desktop", at=world.last)
    who = (await world.user("bob")).id
    await alice.expect("device_connected", user_id=who, device_id="laptop")
    await phone.close()
    await alice.expect("device_disconnected", user_id=who, device_id="phone", within=GONE_S + world.grace_s)
    await alice.expect_none("user_offline", user_id=who)
    require(await _is_online(world, "bob"), "one device is left, and /presence says offline")
    await alice.send({"type": "text", "content": "are you there?", "client_message_id": "c-1"})
    await laptop.expect("new_message", text="are you there?")


@check(PRESENCE, see="reference_impl/services/conversation_service.py", needs=("conversations-can-be-made",))
async def presence_is_for_acquaintances(world: World) -> None:
    """`GET /presence` tells only of users one shares a conversation with."""
    conversation_id = await world.conversation("alice", "bob")
    await world.socket("bob", conversation_id)
    bob = (await world.user("bob")).id
    require(await _is_online(world, "bob"), "bob is connected, and /presence tells alice that he is not")
    seen = await world.api("GET", "/presence", status=200, by="mallory", params={"user_ids": bob})
    require(not (isinstance(seen, dict) and seen.get(bob)), "mallory shares no conversation with bob, and sees him")


async def _is_online(world: World, name: str) -> bool:
    """What ``/presence`` tells alice; it is given a little time to say yes."""
    user_id = (await world.user(name)).id
    for _ in range(5):
        seen = await world.api("GET", "/presence", status=200, by="alice", params={"user_ids": user_id}, at=world.last)
        if not isinstance(seen, dict) or not isinstance(seen.get(user_id), bool):
            raise Broken(f"GET /presence answered {seen!r}, not {{user_id: true or false}}")
        if seen[user_id]:
            return True
        await asyncio.sleep(0.02)
    return False
