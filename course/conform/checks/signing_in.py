"""Every way in, and the first frame."""

from course.conform.check import CLOSE_CODES, SIGNING_IN, Broken, NotTried, check, require
from course.conform.frames import Frame, data_of, shown
from course.conform.world import World
from course.workbench.sign_in import SignIn

SEE = "reference_impl/api/sign_in.py"
FIRST_FRAME_DEADLINE_S = 5.0
BAD_TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9."  # noqa: S105 - "alg": "none", the classic forgery


@check(SIGNING_IN, see=SEE)
async def sign_in_by_subprotocol(world: World) -> None:
    """The subprotocols `chat.v1, bearer.<token>` sign a socket in: `connected` comes first. Browsers can do that."""
    await _signs_in(world, "subprotocol")


@check(SIGNING_IN, see=SEE, needs=("sign-in-by-subprotocol",))
async def token_is_not_echoed(world: World) -> None:
    """Of the offered subprotocols the server selects `chat.v1`. The other one is a secret, and answers get logged."""
    socket = await world.open("alice", await world.conversation("alice"), way="subprotocol")
    require(socket.subprotocol == "chat.v1", f"it selected {(socket.subprotocol or 'none').partition('.')[0]}")


@check(SIGNING_IN, see=SEE)
async def sign_in_by_header(world: World) -> None:
    """An `Authorization: Bearer` header signs a socket in."""
    await _signs_in(world, "header")


@check(SIGNING_IN, see=SEE)
async def sign_in_by_ticket(world: World) -> None:
    """A ticket from `POST /auth/ticket` signs a socket in, as `?ticket=`."""
    await _signs_in(world, "ticket")


@check(SIGNING_IN, see=SEE, needs=("sign-in-by-ticket",))
async def ticket_works_once(world: World) -> None:
    """A ticket is used up by its first use, whoever finds it in a log: the second gets 4001."""
    conversation_id = await world.conversation("alice")
    ticket = (await world.api("POST", "/auth/ticket", status=200, by="alice"))["ticket"]
    first = await world.open("alice", conversation_id, way="ticket", credential=ticket)
    await first.expect("connected")
    code = await world.close_code(world.open("alice", conversation_id, way="ticket", credential=ticket, at=world.last))
    require(code == 4001, f"the second use was closed with {code}")


@check(SIGNING_IN, see=SEE)
async def sign_in_by_first_frame(world: World) -> None:
    """With nothing in the handshake, a first frame `{"type": "auth", "token": …}` signs a socket in."""
    await _signs_in(world, "first_frame")


@check(SIGNING_IN, see=SEE)
async def sign_in_by_query(world: World) -> None:
    """`?token=` signs a socket in in demo mode. Elsewhere it is off: URLs end in logs."""
    socket = await world.open("alice", await world.conversation("alice"), way="query")
    try:
        await socket.expect("connected")
    except Broken:
        if not socket.is_open and await socket.closed() == 4001:
            raise NotTried("it is off here, which is allowed") from None
        raise


@check(SIGNING_IN, see=SEE)
async def connected_says_where_you_are(world: World) -> None:
    """`connected` has connection_id, instance_id, user_id, seq (the number of the last message), heartbeat_interval."""
    conversation_id = await world.conversation("alice")
    data = await _connected(world, conversation_id)
    missing = [name for name in ("connection_id", "instance_id", "user_id", "seq", "heartbeat_interval")
               if name not in data]  # fmt: skip
    require(not missing, f"its data has no {', '.join(missing)}: {shown(data)}")
    require(data["user_id"] == (await world.user("alice")).id, f"user_id is {data['user_id']!r}, another user's")
    require(data["seq"] == 0, f"nobody has said anything, and seq is {data['seq']!r}")
    another = await _connected(world, conversation_id)
    require(another["connection_id"] != data["connection_id"], "two connections have the same connection_id")


@check(SIGNING_IN, see=SEE, needs=("sign-in-by-subprotocol",))
async def token_can_be_renewed(world: World) -> None:
    """An `auth` frame with a newer token of the same user is taken; with another user's it is an `error`."""
    alice = await world.open("alice", await world.conversation("alice"))
    await alice.expect("connected")
    await alice.send({"type": "auth", "token": (await world.user("alice")).token})
    await alice.expect_none("error")
    await alice.send({"type": "auth", "token": (await world.user("mallory")).token})
    await alice.expect("error")


@check(CLOSE_CODES, see=SEE)
async def bad_token_gets_4001(world: World) -> None:
    """A forged token is answered by close code 4001, after the handshake: before it there are no close codes."""
    conversation_id = await world.conversation("alice")
    ways: tuple[SignIn, ...] = ("subprotocol", "header", "first_frame")
    for way in ways:
        code = await world.close_code(world.open("alice", conversation_id, way=way, credential=BAD_TOKEN))
        require(code == 4001, f"a forged token by {way.replace('_', ' ')} was closed with {code}")


@check(CLOSE_CODES, see=SEE, waits=True)
async def unauthenticated_sockets_end(world: World) -> None:
    """A socket that does not sign in is closed with 4001 within 5 s: open sockets cost memory."""
    conversation_id = await world.conversation("alice")
    within = FIRST_FRAME_DEADLINE_S + world.grace_s
    silent = world.open("alice", conversation_id, way="first_frame", credential="")
    code = await world.close_code(silent, within=within)
    require(code == 4001, f"it was closed with {code}")


async def _signs_in(world: World, way: SignIn) -> None:
    conversation_id = await world.conversation("alice")
    socket = await world.open("alice", conversation_id, way=way)
    await socket.expect("connected")
    require(socket.frames[0].get("action") == "connected", f"the first frame was {shown(socket.frames[0])}")


async def _connected(world: World, conversation_id: str) -> Frame:
    return data_of(await (await world.open("alice", conversation_id)).expect("connected"))
