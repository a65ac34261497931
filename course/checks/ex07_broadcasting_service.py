"""Exercise 7, driving: gives members, devices and pushes to a learner's broadcasting service and decides nothing.

A case is a list of steps. The first ones say how things are; those stay so until the end, but for ``leaves``:

- ``["member", user]``: takes part in the conversation
- ``["device", user, device, kind]``: is connected
- ``["leaves", device]``: looks connected until somebody sends to it; then it is gone
- ``["breaks", device]``: each send to it raises
- ``["look fails", user]``: asking for the user's devices raises
- ``["push fails", user]``: each push to the user raises

The others let the service do something:

- ``["broadcast", sender, device, text]``: ``device`` is where the message comes from; it may be None
- ``["direct", sender, user, kind, text]``: ``kind`` may be None

An observation has one entry a step: ``[outcome, {device: payloads}, {user: notifications}]`` of this step alone.
"""

import asyncio
from typing import Any

from course.checks.case import Case, Observation, outcome_of, plain

CONVERSATION = "c-1"


class World:
    """Who is there, and what has reached them. ``members``, ``connections`` and ``push`` of the service."""

    def __init__(self) -> None:
        self.users: list[str] = []
        self.devices: dict[str, tuple[str, str]] = {}  # device -> user, kind
        self.leaving: set[str] = set()
        self.broken: set[str] = set()
        self.not_looked_up: set[str] = set()
        self.not_pushed: set[str] = set()
        self.got: dict[str, list[Any]] = {}
        self.pushed: dict[str, list[Any]] = {}

    async def of(self, conversation_id: str) -> list[str]:
        """The members of a conversation."""
        await asyncio.sleep(0)
        return list(self.users) if conversation_id == CONVERSATION else []

    async def is_user_online(self, user_id: str) -> bool:
        """Whether the user has a device now."""
        return bool(await self.devices_of(user_id))

    async def devices_of(self, user_id: str) -> list[tuple[str, str]]:
        """The user's devices now, with their kinds."""
        await asyncio.sleep(0)
        if user_id in self.not_looked_up:
            raise ConnectionError("Redis is away")
        return [(device, kind) for device, (user, kind) in self.devices.items() if user == user_id]

    async def send(self, device_id: str, payload: Any) -> bool:
        """Whether the device has confirmed it."""
        await asyncio.sleep(0)
        if device_id in self.broken:
            raise ConnectionError("the socket is broken")
        if device_id in self.leaving:
            self.devices.pop(device_id, None)
        if device_id not in self.devices:
            return False
        self.got.setdefault(device_id, []).append(plain(payload))
        return True

    async def send_push_notification(self, user_id: str, notification_data: Any) -> None:
        """Rings the user's phone."""
        await asyncio.sleep(0)
        if user_id in self.not_pushed:
            raise ConnectionError("the push provider is away")
        self.pushed.setdefault(user_id, []).append(plain(notification_data))


async def drive(subject: Any, case: Case) -> Observation:
    """Takes the steps with one service."""
    world = World()
    service = subject(members=world, connections=world, push=world)
    seen: Observation = []
    for number, step in enumerate(case):
        world.got, world.pushed = {}, {}
        outcome = await _take(world, service, step, f"m-{number}")
        seen.append([plain(outcome), world.got, world.pushed])
    return seen


async def _take(world: World, service: Any, step: list[Any], message_id: str) -> list[Any]:
    match step:
        case ["broadcast", sender, device, text]:
            return await outcome_of(service.broadcast_message(message(message_id, sender, text), from_device=device))
        case ["direct", sender, user, kind, text]:
            direct = message(message_id, sender, text)
            return await outcome_of(service.send_direct_message(user, direct, device_type=kind))
        case ["member", user]:
            world.users.append(user)
        case ["device", user, device, kind]:
            world.devices[device] = (user, kind)
        case ["leaves", device]:
            world.leaving.add(device)
        case ["breaks", device]:
            world.broken.add(device)
        case ["look fails", user]:
            world.not_looked_up.add(user)
        case ["push fails", user]:
            world.not_pushed.add(user)
        case _:
            raise ValueError(f"unknown step {step}")
    return ["returned", None]


def message(message_id: str, sender: str, text: str) -> dict[str, Any]:
    """What the service is given, as the task says."""
    return {
        "id": message_id,
        "conversation_id": CONVERSATION,
        "sender_id": sender,
        "sender_name": sender.capitalize(),
        "content": text,
    }


DRIVERS = {"7.1": drive, "7.2": drive, "7.3": drive}
