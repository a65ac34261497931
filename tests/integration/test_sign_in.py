"""Every way into a WebSocket, and every way to be kept out, over real sockets."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from websockets.asyncio.client import connect

from course import Lab
from course.workbench.lab import SignIn
from reference_impl.services.authentication_service import AuthenticationService

pytestmark = pytest.mark.asyncio(loop_scope="module")
WAYS: list[SignIn] = ["subprotocol", "header", "ticket", "first_frame", "query"]


@pytest.mark.parametrize("way", WAYS)
async def test_every_way_in_works(lab: Lab, way: SignIn) -> None:
    """Each way of the contract ends in ``connected`` with the fields it promises."""
    client = await lab.client("ann", sign_in=way)
    (connected,) = client.received("connected")
    assert connected["data"].keys() == {"connection_id", "instance_id", "user_id", "seq", "heartbeat_interval"}
    assert connected["data"]["user_id"] == "ann"
    assert connected.keys() == {"action", "data", "conversation_id", "timestamp"}
    await client.close()


async def test_the_token_is_never_echoed(lab: Lab) -> None:
    """Of the subprotocols offered the server selects ``chat.v1``, not the one that holds the token."""
    conversation, token = await lab.conversation("general", "ann"), await lab.token("ann")
    offered: Any = [f"bearer.{token}", "chat.v1"]
    async with connect(lab.ws_url(0, conversation), subprotocols=offered) as socket:
        assert socket.subprotocol == "chat.v1"
        assert json.loads(await socket.recv())["action"] == "connected"


async def test_a_ticket_from_one_instance_opens_the_other_once(lab: Lab) -> None:
    """Tickets are valid on every instance, and used up by the first use."""
    conversation, http = await lab.conversation("general", "ann"), await lab.http("ann", instance=0)
    ticket = (await http.post("/api/v1/auth/ticket")).json()["ticket"]
    codes = []
    for _ in range(2):
        async with connect(f"{lab.ws_url(1, conversation)}?ticket={ticket}") as socket:
            try:
                codes.append(json.loads(await socket.recv())["action"])
            except Exception:  # noqa: BLE001 - a close, looked at below
                codes.append(socket.close_code)
    assert codes == ["connected", 4001]


def forged(**changes: Any) -> str:
    """A token that is right but for ``changes``, signed with a key that is not the server's."""
    claims = {"sub": "ann", "aud": "breakwire", "iss": "breakwire", "exp": datetime.now(UTC) + timedelta(hours=1)}
    return jwt.encode(claims | changes, "not the server's key, but long enough to be one", "HS256")


@pytest.mark.parametrize("token", ["", "nonsense", forged(), jwt.encode({"sub": "ann"}, None, "none")])
async def test_a_bad_token_is_told_4001(lab: Lab, token: str) -> None:
    """The code reaches a real client: the server accepts, then closes."""
    conversation = await lab.conversation("general", "ann")
    client = await lab.connect("ann", instance=0, conversation_id=conversation, token=token)
    code, reason = await client.wait_closed()
    assert code == 4001
    assert token == "" or token not in reason


async def test_expired_and_misdirected_tokens_are_refused() -> None:
    """Expiry, audience and issuer are checked; whatever is wrong, the answer says little."""
    now = [datetime(2030, 1, 1, tzinfo=UTC)]
    key = "a key of the server's own, thirty-two bytes and more"
    service = AuthenticationService(secret_key=key, clock=lambda: now[0])
    token, _ = service.issue_token("ann", "Ann", 60)
    assert service.verify_token(token).display_name == "Ann"
    now[0] += timedelta(seconds=61)
    with pytest.raises(Exception, match="expired"):
        service.verify_token(token)
    now[0] -= timedelta(seconds=61)
    exp = now[0] + timedelta(minutes=1)
    for wrong in ({"aud": "other"}, {"iss": "other"}, {"exp": None}, {"sub": "no such/id"}, {"sub": 7}):
        claims = {"sub": "ann", "aud": "breakwire", "iss": "breakwire", "exp": exp} | wrong
        claims = {name: value for name, value in claims.items() if value is not None}
        with pytest.raises(Exception, match="not valid"):
            service.verify_token(jwt.encode(claims, key, "HS256"))


async def test_a_stranger_is_told_4003_whether_or_not_it_exists(lab: Lab) -> None:
    """A conversation of others and one that is not there look the same."""
    conversation = await lab.conversation("general", "ann")
    token = await lab.token("mallory")
    seen = []
    for name in (conversation, "01a20a2e-0000-7000-8000-000000000000", "no-id-at-all"):
        client = await lab.connect("mallory", instance=1, conversation_id=name, token=token)
        seen.append(await client.wait_closed())
    assert seen == [(4003, "not a participant of this conversation")] * 3


@pytest.mark.parametrize(
    "first", ['{"type":"text","content":"hi"}', "nonsense", b"\x00", '{"type":"auth","token":"x"}']
)
async def test_a_first_frame_that_is_no_sign_in_is_told_4001(lab: Lab, first: str | bytes) -> None:
    """Without credentials in the handshake, anything but an ``auth`` frame ends the connection."""
    conversation = await lab.conversation("general", "ann")
    async with connect(lab.ws_url(0, conversation)) as socket:
        await socket.send(first)
        async with asyncio.timeout(5):
            await socket.wait_closed()
        assert socket.close_code == 4001


async def test_the_token_can_be_renewed_in_place(lab: Lab) -> None:
    """A newer token of the same user is taken silently; another user's is refused."""
    client = await lab.client("ann")
    await client.send_frame({"type": "auth", "token": await lab.token("ann")})
    await client.expect_nothing("error", within=0.1)
    await client.send_frame({"type": "auth", "token": await lab.token("mallory")})
    await client.expect("error", code="forbidden")
    await client.send("still here")
    await client.close()


async def test_nothing_secret_is_in_the_log(lab: Lab) -> None:
    """Tokens, tickets and message texts, looked for by canary in everything both instances have written."""
    token = await lab.token("canary")
    clients = [await lab.client("canary", instance=place, sign_in=way) for place in (0, 1) for way in WAYS]
    await clients[0].send("canary-text-that-nobody-may-log")
    await clients[0].send_raw('{"type":"text","content":7,"canary-field":1}')
    await clients[0].expect("error")
    written = lab.log(0, 10_000) + lab.log(1, 10_000)
    assert "/ws/" in written
    for secret in (token, token.rpartition(".")[2], "ticket=", "token=", "canary-text", "canary-field"):
        assert secret not in written
    for client in clients:
        await client.close()
