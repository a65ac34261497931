"""People who come, say something and go, in every way there is, again and again."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from course.workbench.sign_in import SignIn, open_socket
from tests.soak.target import SoakTarget

AT_ONCE = 16
CONVERSATIONS, PEOPLE = 3, 6
SIGN_INS: tuple[SignIn, ...] = ("subprotocol", "header", "query", "first_frame", "ticket")
REGULAR = "regular"
"""Who is in every conversation. All others are new in each cycle, as the conversations are."""
PEOPLE_A_CYCLE = CONVERSATIONS * PEOPLE + 1


class Place(NamedTuple):
    """A conversation and who is in it."""

    conversation_id: str
    people: list[str]


class Visit(NamedTuple):
    """One socket: by whom, where, and how it comes and goes."""

    number: int
    user: str
    place: Place
    instance: int
    is_device_wide: bool
    resumes: bool
    sign_in: SignIn
    leave: "Leave"


async def one_cycle(target: SoakTarget, cycle: int, visits: int) -> int:
    """So many visits, half of them on each instance, and some strangers. Returns how many sockets that were."""
    target.forget_people()
    members = {
        f"talk {cycle} {number}": [REGULAR, *(f"user-{cycle}-{number}-{person}" for person in range(PEOPLE))]
        for number in range(CONVERSATIONS)
    }
    opened = await target.open_conversations(members)
    places = [Place(opened[title], people) for title, people in members.items()]
    turns = asyncio.Semaphore(AT_ONCE)

    async def in_turn(visit: Callable[[], Awaitable[None]]) -> None:
        async with turns:
            await visit()

    work = [partial(pay_visit, target, visit_number(number, places)) for number in range(visits)]
    work += [partial(stranger, target, instance, places[0]) for stranger in STRANGERS for instance in (0, 1)]
    async with asyncio.timeout(30 + visits / 10), asyncio.TaskGroup() as crowd:
        for one in work:
            crowd.create_task(in_turn(one))
    return len(work)


def visit_number(number: int, places: list[Place]) -> Visit:
    """Every combination comes in turn: the counts of the ways have no divisor in common."""
    place = places[number % CONVERSATIONS]
    return Visit(
        number=number,
        user=place.people[number // CONVERSATIONS % len(place.people)],
        place=place,
        instance=number % 2,
        is_device_wide=number // 2 % 2 == 0,
        resumes=number // 4 % 3 == 0,
        sign_in=SIGN_INS[number // 2 % len(SIGN_INS)],
        leave=LEAVES[number // 2 % len(LEAVES)],
    )


async def pay_visit(target: SoakTarget, visit: Visit) -> None:
    """Comes, types, says something, reads, and goes."""
    conversation_id = visit.place.conversation_id
    credential = token = await target.token(visit.user)
    if visit.sign_in == "ticket":
        credential = await target.ticket(visit.user)
    url = address_of(target, visit.instance, None if visit.is_device_wide else conversation_id)
    device = {"device_type": "web", "device_id": f"device {visit.number}"}
    if visit.resumes and not visit.is_device_wide:
        device["last_seq"] = "0"
    peer = await open_socket(url, visit.sign_in, credential, device)
    try:
        if visit.sign_in == "first_frame":
            await say(peer, type="auth", token=token)
        await until(peer, "connected")
        if visit.resumes and visit.is_device_wide:
            await say(peer, type="resume", conversation_id=conversation_id, last_seq=0)
        await say(peer, type="typing", conversation_id=conversation_id, is_typing=True)
        name = f"{conversation_id}-{visit.number}"
        await say(peer, type="text", content="hello", client_message_id=name, conversation_id=conversation_id)
        await until(peer, "ack")
        await say(peer, type="read", conversation_id=conversation_id, seq=1)
        await visit.leave(peer, conversation_id)
    finally:
        peer.transport.abort()


def address_of(target: SoakTarget, instance: int, conversation_id: str | None) -> str:
    """Of a conversation's sockets, or of those for a whole device."""
    return target.addresses()[instance] + ("/ws" if conversation_id is None else f"/ws/{conversation_id}")


async def say(peer: ClientConnection, **frame: Any) -> None:
    """Sends a frame."""
    await peer.send(json.dumps(frame))


async def until(peer: ClientConnection, action: str) -> None:
    """Reads up to a frame of this action."""
    while json.loads(await peer.recv())["action"] != action:
        pass


# -- ways to go ----------------------------------------------------------------------------------------------

Leave = Callable[[ClientConnection, str], Awaitable[None]]


async def say_goodbye(peer: ClientConnection, _conversation_id: str) -> None:
    """A close frame, and its answer."""
    await peer.close()


async def vanish(peer: ClientConnection, _conversation_id: str) -> None:
    """A reset, as of a machine that was switched off."""
    peer.transport.abort()


async def hang_up(peer: ClientConnection, _conversation_id: str) -> None:
    """The end of the stream, without a close frame."""
    peer.transport.close()
    await peer.wait_closed()


async def vanish_in_a_replay(peer: ClientConnection, conversation_id: str) -> None:
    """Asks for the history, and does not wait for it."""
    await say(peer, type="resume", conversation_id=conversation_id, last_seq=0)
    peer.transport.abort()


async def vanish_in_a_message(peer: ClientConnection, conversation_id: str) -> None:
    """It is stored, and its ack reaches nobody."""
    await say(peer, type="text", content="bye", conversation_id=conversation_id)
    peer.transport.abort()


async def vanish_in_a_frame(peer: ClientConnection, _conversation_id: str) -> None:
    """The head of a frame of 100 bytes, and nothing of them."""
    peer.transport.write(b"\x81\xe4")
    peer.transport.close()
    await peer.wait_closed()


async def be_sent_away(peer: ClientConnection, _conversation_id: str) -> None:
    """Says nothing that makes sense until the server closes."""
    with suppress(ConnectionClosed):
        for _ in range(20):
            await peer.send("no frame")
        while True:
            await peer.recv()


LEAVES: tuple[Leave, ...] = (
    say_goodbye, vanish, hang_up, vanish_in_a_replay, vanish_in_a_message, vanish_in_a_frame, be_sent_away,
)  # fmt: skip


# -- strangers -----------------------------------------------------------------------------------------------


async def with_a_wrong_token(target: SoakTarget, instance: int, place: Place) -> None:
    """Is not let in."""
    await _refused(address_of(target, instance, place.conversation_id), "header", "no token")


async def in_the_wrong_place(target: SoakTarget, instance: int, place: Place) -> None:
    """Somebody with a token, in a conversation of others."""
    await _refused(address_of(target, instance, place.conversation_id), "subprotocol", await target.token("stranger"))


async def without_a_name(target: SoakTarget, instance: int, place: Place) -> None:
    """Is gone before it says who it is."""
    peer = await open_socket(address_of(target, instance, place.conversation_id), "first_frame", "", {})
    peer.transport.abort()


async def with_half_a_handshake(target: SoakTarget, instance: int, _place: Place) -> None:
    """Is gone before its request is there."""
    address = urlsplit(target.cluster.url(instance))
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(b"GET /ws HTTP/1.1\r\nHost: ")
    await writer.drain()
    writer.transport.abort()


async def _refused(url: str, sign_in: SignIn, credential: str) -> None:
    with suppress(InvalidStatus, ConnectionClosed):
        peer = await open_socket(url, sign_in, credential, {})
        while True:
            await peer.recv()


STRANGERS = (with_a_wrong_token, in_the_wrong_place, without_a_name, with_half_a_handshake)
