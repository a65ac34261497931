"""Exercise 8, driving: gives messages to a learner's broadcasters on several servers and decides nothing.

Cases of 8.1 and 8.2 are lists of steps; ``["servers", n]``, ``["attempts", n]`` and ``["remember", n]`` come first:

- ``["here", server, conversation, users]``: who is connected to this server
- ``["publish", server, conversation, text, fates]``: what becomes of each command is in ``Network``
- ``["again", n]``: what was published n messages before the last arrives once more
- ``["many", server, conversation, n]``: n messages, one after the other

An observation has one entry a step, a dict with what was published and who got it.

A case of 8.3 is one message, or several at the same time, to many members on one server: see ``drive_gated``.
8.4 starts servers: see ``broadcaster_in_server``.
"""

import asyncio
from typing import Any

from course.checks.broadcaster_in_server import drive_in_server
from course.checks.broadcaster_parts import Network, Server, held
from course.checks.case import Case, Observation, outcome_of, plain

PAGE_SIZE, AT_ONCE = 3, 2
CONVERSATION = "c-1"
TURNS = 20
"""Turns of the event loop after which everybody who can go on has gone on."""


async def drive(subject: Any, case: Case) -> Observation:
    """Takes the steps on servers that share a Redis."""
    settings = {step[0]: step[1] for step in case if step[0] in ("servers", "attempts", "remember")}
    network = Network()
    for _ in range(settings["servers"]):
        server = Server(network)
        network.servers.append(server)
        server.broadcaster = subject(
            redis=network,
            members=server,
            send=server.send,
            attempts=settings["attempts"],
            remember=settings["remember"],
            page_size=PAGE_SIZE,
            at_once=AT_ONCE,
        )
    return [await _take(network, step) for step in case]


async def _take(network: Network, step: list[Any]) -> dict[str, Any]:
    network.channels = []
    for server in network.servers:
        server.got = []
    seen: dict[str, Any] = {"outcome": ["returned", None]}
    match step:
        case ["here", number, conversation, users]:
            network.servers[number].users[conversation] = users
        case ["publish", number, conversation, text, fates]:
            network.fates.extend(fates)
            seen["outcome"] = plain(await outcome_of(network.servers[number].broadcaster.publish(conversation, text)))
            network.fates.clear()
        case ["again", number] if number < len(network.texts):
            network.arrive(*network.texts[-1 - number])
        case ["many", number, conversation, count]:
            for one in range(count):
                await network.servers[number].broadcaster.publish(conversation, f"number {one}")
                await network.arrived()
            given = [network, *network.servers, *(server.send for server in network.servers)]
            seen["held"] = [held(server.broadcaster, given) for server in network.servers]
    seen["failed"] = await network.arrived()
    return seen | {"channels": plain(network.channels), "got": [server.got for server in network.servers]}


class Gated(Server):
    """A server whose sockets take a message only when the case lets them."""

    def __init__(self, network: Network, users: list[str], fails: set[str]) -> None:
        super().__init__(network)
        self.users[CONVERSATION] = users
        self.all_at_once = 0
        """How often all members were asked for at once."""
        self.pages: list[list[Any]] = []  # limit asked for, users read before and not yet sent to
        self.in_flight: list[asyncio.Event] = []
        self.peak = 0
        self._fails = fails
        self._read = self._started = 0

    async def of(self, conversation_id: str) -> list[str]:
        """All members. Noted."""
        self.all_at_once += 1
        return await super().of(conversation_id)

    async def here(self, conversation_id: str, after: str | None, limit: int) -> list[str]:
        """A page. Noted, with how many of the pages before still wait."""
        self.pages.append([plain(limit), self._read - self._started])
        page = await super().here(conversation_id, after, limit)
        self._read += len(page)
        return page

    async def send(self, user_id: str, message: Any) -> None:
        """Waits until the case goes on."""
        self._started += 1
        gate = asyncio.Event()
        self.in_flight.append(gate)
        self.peak = max(self.peak, len(self.in_flight))
        try:
            await gate.wait()
        finally:
            self.in_flight.remove(gate)
        if user_id in self._fails:
            raise ConnectionError("the socket is broken")
        self.got.append([user_id, plain(message)])


async def drive_gated(subject: Any, case: Case) -> Observation:
    """``page_size``, ``at_once``, ``members`` (the first letter and how many), ``fails`` (users), ``messages``.

    The members take their messages one by one: when nobody can go on any more, the one who has waited longest does.
    """
    settings = {step[0]: step[1:] for step in case}
    users = names(*settings["members"])
    network = Network()
    server, publisher = Gated(network, users, set(settings["fails"][0])), Server(network)
    network.servers += [server, publisher]
    for one in network.servers:
        one.broadcaster = subject(
            redis=network,
            members=one,
            send=one.send,
            attempts=1,
            remember=100,
            page_size=settings["page_size"][0],
            at_once=settings["at_once"][0],
        )
    for number in range(settings["messages"][0]):
        await publisher.broadcaster.publish(CONVERSATION, f"hello {number}")
    raised = await _let_go(server, asyncio.ensure_future(network.arrived()))
    got = [sum(user == name for name, _ in server.got) for user in users]
    return [{"peak": server.peak, "pages": server.pages, "all": server.all_at_once, "raised": raised, "got": got}]


async def _let_go(server: Gated, arriving: "asyncio.Future[list[list[Any]]]") -> Any:
    """What the receivers raised, or ``"stuck"``."""
    while True:
        for _ in range(TURNS):
            await asyncio.sleep(0)
        if server.in_flight:
            server.in_flight[0].set()
        elif arriving.done():
            return plain(arriving.result())
        else:
            arriving.cancel()
            return "stuck"


def names(letter: str, count: int) -> list[str]:
    """The members of a big conversation."""
    return [f"{letter}{number:03}" for number in range(count)]


DRIVERS = {"8.1": drive, "8.2": drive, "8.3": drive_gated, "8.4": drive_in_server}
