"""What a server does with what it can not use. Silence is the one wrong answer."""

from course.conform.check import BAD_FRAMES, CLOSE_CODES, Broken, check, require
from course.conform.frames import Frame, data_of, shown
from course.conform.socket import Socket
from course.conform.world import World

PARSING = "reference_impl/model/frames.py"
SESSION = "reference_impl/api/socket_session.py"
ENOUGH_STRIKES = 60
LIMIT = 64 * 1024


@check(BAD_FRAMES, see=PARSING)
async def bad_json(world: World) -> None:
    """Text that is no JSON: an `error` with the code bad_json, and the socket stays."""
    await _is_told(world, "{no json", {"bad_json"})


@check(BAD_FRAMES, see=PARSING)
async def json_that_is_no_object(world: World) -> None:
    """JSON, but an array: an `error` (bad_json or invalid), and the socket stays."""
    await _is_told(world, '["text", "hello"]', {"bad_json", "invalid"})


@check(BAD_FRAMES, see=PARSING)
async def unknown_type(world: World) -> None:
    """A type that nobody knows: an `error` with the code unknown_type, not silence."""
    await _is_told(world, {"type": "dance"}, {"unknown_type"})


@check(BAD_FRAMES, see=PARSING)
async def missing_field(world: World) -> None:
    """A field is missing, or of the wrong type: an `error` with the code invalid."""
    await _is_told(world, {"type": "text", "client_message_id": "c-1"}, {"invalid"})
    await _is_told(world, {"type": "text", "content": 7}, {"invalid"})
    await _is_told(world, {"type": "read", "seq": -1}, {"invalid"})


@check(BAD_FRAMES, see=SESSION, needs=("missing-field",))
async def error_names_the_message(world: World) -> None:
    """The `error` has the client_message_id of what was refused: a client has many on their way."""
    alice = await _alice(world)
    await alice.send({"type": "text", "content": "", "client_message_id": "c-1"})
    await alice.expect("error", client_message_id="c-1")


@check(BAD_FRAMES, see=SESSION)
async def binary_frame(world: World) -> None:
    """A binary frame is answered by an `error`, not by a crash."""
    await _is_told(world, b"\x00\x01\x02", {"bad_json", "invalid", "unknown_type"})


@check(BAD_FRAMES, see="reference_impl/server.py", needs=("others-get-it",))
async def too_large(world: World) -> None:
    """A frame over 64 KiB is refused, by an `error` (too_large) or by 1009; it harms nobody else."""
    conversation_id = await world.conversation("alice", "bob")
    alice, bob = [await world.open(name, conversation_id) for name in ("alice", "bob")]
    await bob.expect("connected")
    for size in (LIMIT + 1, 2 * 1024 * 1024):  # the limit can be set; what is over two megabytes is over any
        if await _is_refused(alice, "x" * size):
            break
    else:
        raise Broken("two megabytes in one frame were taken")
    again = await world.open("alice", conversation_id)
    await again.send({"type": "text", "content": "still here", "client_message_id": "c-1"})
    await bob.expect("new_message", text="still here")


@check(CLOSE_CODES, see=SESSION, needs=("bad-json",))
async def too_many_bad_frames_get_1008(world: World) -> None:
    """A client that only sends what can not be read is closed with 1008 in the end."""
    alice = await _alice(world)
    for _ in range(ENOUGH_STRIKES):
        try:
            await alice.send("{")
        except Broken:
            break
    code = await alice.closed()
    require(code == 1008, f"after {ENOUGH_STRIKES} bad frames it was closed with {code}")


async def _alice(world: World) -> Socket:
    return await world.socket("alice", await world.conversation("alice"))


async def _is_told(world: World, frame: Frame | str | bytes, codes: set[str]) -> None:
    alice = await _alice(world)
    await alice.send(frame)
    data = data_of(await alice.expect("error"))
    require(data.get("code") in codes, f"the error's code is {data.get('code')!r}, not {' or '.join(sorted(codes))}")
    require(isinstance(data.get("message"), str), f"the error has no message for people: {shown(data)}")
    await alice.ping()
    require(alice.is_open, "after the error the socket was closed")


async def _is_refused(socket: Socket, text: str) -> bool:
    """Whether a message of this text is refused in one of the two ways. Raises ``Broken`` for any other."""
    try:
        await socket.say(text, client_message_id="big")
    except Broken as refusal:
        if any(data_of(frame).get("code") == "too_large" for frame in socket.frames):
            return True
        if socket.is_open:
            raise Broken(f"a text of {len(text)} bytes got neither an error nor a close") from refusal
        code = await socket.closed()
        require(code == 1009, f"a text of {len(text)} bytes: the socket was closed with {code}")
        return True
    return False
