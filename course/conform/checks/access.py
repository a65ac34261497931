"""Who may do what: the same rules at both doors, and at once."""

import time
from collections.abc import Awaitable

from course.conform.check import ACCESS, CLOSE_CODES, Broken, check, require
from course.conform.world import API, Answer, World

SERVICE = "reference_impl/services/conversation_service.py"
MEMBERSHIPS = "reference_impl/core/memberships.py"
REVOKED_S = 2.0


@check(CLOSE_CODES, see="reference_impl/api/websocket.py", needs=("conversations-can-be-made",))
async def stranger_gets_4003(world: World) -> None:
    """A socket on somebody else's conversation is closed with 4003, after the handshake."""
    conversation_id = await world.conversation("alice")
    code = await world.close_code(world.open("mallory", conversation_id))
    require(code == 4003, f"it was closed with {code}")


@check(ACCESS, see=SERVICE, needs=("stranger-gets-4003",))
async def guessing_reveals_nothing(world: World) -> None:
    """Another's conversation and one that does not exist look the same, at both doors."""
    real, made_up = await world.conversation("alice"), "01993a5e-7c1f-7d5e-9e0a-3b1c5d7f9a21"
    codes = [await world.close_code(world.open("mallory", name)) for name in (real, made_up)]
    require(codes[0] == codes[1], f"closed with {codes[0]}, and with {codes[1]} when there is none")
    answers = [await world.http("GET", f"{API}/conversations/{name}", by="mallory") for name in (real, made_up)]
    require(answers[0].status == answers[1].status, f"HTTP {answers[0].status}, and {answers[1].status} for none")


@check(ACCESS, see=SERVICE, needs=("conversations-can-be-made", "message-over-http"))
async def stranger_is_refused_over_http(world: World) -> None:
    """A stranger neither reads nor writes nor joins over HTTP: 403 or 404, and nobody gets what they sent."""
    conversation_id = await world.conversation("alice")
    alice = await world.socket("alice", conversation_id)
    mallory = (await world.user("mallory")).id
    path = f"{API}/conversations/{conversation_id}"
    for method, end, body in (
        ("GET", "", None),
        ("GET", "/messages", None),
        ("POST", "/messages", {"type": "text", "content": "let me in"}),
        ("POST", "/read", {"seq": 0}),
        ("POST", "/participants", {"user_id": mallory}),
        ("DELETE", f"/participants/{(await world.user('alice')).id}", None),
    ):
        await _is_refused(world.http(method, path + end, by="mallory", body=body), f"{method} …{end}")
    await alice.expect_none("new_message")


@check(ACCESS, see="reference_impl/api/deps.py")
async def nobody_is_refused_over_http(world: World) -> None:
    """Without a token, and with a forged one: 401 everywhere."""
    conversation_id = await world.conversation("alice")
    path = f"{API}/conversations/{conversation_id}"
    for headers in ({}, {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9."}):
        for method, where in (
            ("GET", path),
            ("GET", f"{path}/messages"),
            ("POST", f"{API}/auth/ticket"),
            ("GET", f"{API}/presence?user_ids=alice"),
        ):
            answer = await world.http(method, where, headers=headers)
            what = "a forged token" if headers else "no token"
            require(answer.status == 401, f"{method} {where.replace(conversation_id, '…')} with {what} got {answer}")


@check(ACCESS, see=MEMBERSHIPS, needs=("stranger-gets-4003", "members-can-be-added"))
async def removal_reaches_live_sockets(world: World) -> None:
    """Who is removed loses their open sockets on it within 2 s, by 4003, and gets nothing more."""
    conversation_id = await world.conversation("alice", "bob")
    alice, bob = await world.sockets(conversation_id, "alice", "bob")
    path = f"{API}/conversations/{conversation_id}/participants/{(await world.user('bob')).id}"
    answer = await world.http("DELETE", path, by="alice")
    require(answer.status in (200, 204), f"DELETE …/participants/… answered {answer}")
    began = time.monotonic()
    code = await bob.closed(REVOKED_S + world.grace_s)
    require(code == 4003, f"bob's socket was closed with {code} after {time.monotonic() - began:.1f} s")
    await alice.send({"type": "text", "content": "he is gone", "client_message_id": "c-1"})
    await _is_refused(
        world.http("GET", f"{API}/conversations/{conversation_id}/messages", by="bob"), "bob's GET …/messages"
    )


@check(ACCESS, see=SERVICE, needs=("conversations-can-be-made",))
async def only_the_creator_removes(world: World) -> None:
    """A participant may leave, but removes nobody else; the creator may."""
    conversation_id = await world.conversation("alice", "bob", "carol")
    path = f"{API}/conversations/{conversation_id}/participants"
    await _is_refused(
        world.http("DELETE", f"{path}/{(await world.user('carol')).id}", by="bob"), "bob's DELETE of carol"
    )
    for name, by in (("bob", "bob"), ("carol", "alice")):
        answer = await world.http("DELETE", f"{path}/{(await world.user(name)).id}", by=by)
        require(answer.status in (200, 204), f"{by}'s DELETE of {name} got {answer}")


async def _is_refused(asking: Awaitable[Answer], what: str) -> None:
    answer = await asking
    if answer.status not in (403, 404):
        raise Broken(f"{what} got {answer}, not 403 or 404")
