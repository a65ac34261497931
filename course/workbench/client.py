"""A chat client for notebooks and tests: it sends, it expects, and it says what did arrive."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec
from uuid_utils import uuid7
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from course.errors import UserError

Frame = dict[str, Any]
NoteHop = Callable[..., None]


class Ack(NamedTuple):
    """The server's word that a message is stored."""

    id: str
    seq: int
    client_message_id: str


class ExpectationFailed(AssertionError):
    """What was expected did not arrive; the message lists what did."""

    def _render_traceback_(self) -> list[str]:
        """In a notebook the message says it all: IPython asks for it by this name."""
        return [str(self)]


class LabClient:
    """One device of one user on one conversation, or on all of them (``conversation_id`` None).

    Frames are read as they come and kept in ``frames``. ``expect`` takes the first one that fits and was not
    taken before, so expectations can be written in any order. It answers pings by itself.
    """

    def __init__(
        self, websocket: ClientConnection, *, user: str, instance: int, conversation_id: str | None, note_hop: NoteHop
    ) -> None:
        self.user = user
        self.instance = instance
        self.conversation_id = conversation_id
        self.frames: list[Frame] = []
        self.connection_id: str | None = None
        self.connected_at: int | None = None
        """When ``connected`` came, in nanoseconds on the machine's monotonic clock."""
        self._websocket = websocket
        self._note_hop = note_hop
        self._is_stalled = False
        self._taken: set[int] = set()
        self._arrived = asyncio.Event()
        self._reader = asyncio.create_task(self._read(), name=f"client {user}")

    async def send(self, text: str, *, client_message_id: str | None = None, timeout: float = 5, **fields: Any) -> Ack:
        """Sends a text message and returns its ack. Raises ``ExpectationFailed`` when an error came instead."""
        name = client_message_id or str(uuid7())
        frame = msgspec.json.encode({"type": "text", "content": text, "client_message_id": name, **fields}).decode()
        self._note_hop("client_sent", self, client_message_id=name, frame=frame)
        await self.send_raw(frame)
        answer = await self._take(
            lambda frame: frame["action"] in ("ack", "error") and frame["data"].get("client_message_id") == name,
            f"the ack of {text!r}",
            timeout,
        )
        if answer["action"] == "error":
            raise ExpectationFailed(f"{self.user} sent {text!r} and got an error: {answer['data']['message']}")
        return Ack(answer["data"]["id"], answer["data"]["seq"], name)

    async def send_frame(self, frame: Frame) -> None:
        """Sends any JSON object."""
        await self.send_raw(msgspec.json.encode(frame).decode())

    async def send_raw(self, data: str | bytes) -> None:
        """Sends exactly this: text as a text frame, bytes as a binary one. Raises ``UserError`` when closed."""
        try:
            await self._websocket.send(data)
        except ConnectionClosed as error:
            raise UserError(f"{self.user}'s connection is closed ({_close_of(self._websocket)})") from error

    async def expect(self, action: str, *, timeout: float = 5, text: str | None = None, **fields: Any) -> Frame:
        """The next frame of this action whose text and data fields fit; waits up to ``timeout`` seconds for it."""
        wanted = ", ".join([action, *(f"{name}={value!r}" for name, value in _given(text, fields).items())])
        return await self._take(lambda frame: _fits(frame, action, text, fields), wanted, timeout)

    async def expect_nothing(self, action: str, *, within: float = 0.3, text: str | None = None, **fields: Any) -> None:
        """Passes when no such frame comes within ``within`` seconds, nor has come and not been taken."""
        try:
            frame = await self.expect(action, timeout=within, text=text, **fields)
        except ExpectationFailed:
            return
        raise UnexpectedFrame(f"{self.user} was to get no {action}, and got {_shown(frame)}")

    def received(self, action: str) -> list[Frame]:
        """All frames of this action so far, taken or not."""
        return [frame for frame in self.frames if frame["action"] == action]

    @property
    def texts(self) -> list[str]:
        """The texts of all messages received so far, in the order of their arrival."""
        return [frame["data"]["content"].get("text", "") for frame in self.received("new_message")]

    def stall(self) -> None:
        """Stops reading from the network, as a client does that hangs. The socket stays open."""
        self._note_hop("client_stalled", self)
        self._is_stalled = True
        self._websocket.transport.pause_reading()

    def resume_reading(self) -> None:
        """Reads again."""
        self._note_hop("client_reads_again", self)
        self._is_stalled = False
        self._websocket.transport.resume_reading()

    async def close(self) -> None:
        """Says goodbye and waits until it is said. Idempotent."""
        self._websocket.transport.resume_reading()  # who does not read does not see the answer to a goodbye
        await self._websocket.close()
        await asyncio.wait([self._reader])

    def kill(self) -> None:
        """Cuts the connection without a word, as a crash or a lost network does."""
        if self.is_open:
            self._note_hop("client_killed", self)
        self._websocket.transport.abort()

    async def wait_closed(self, timeout: float = 5) -> tuple[int, str]:
        """The close code and reason that the server sent; 1006 when it sent none."""
        async with asyncio.timeout(timeout):
            await asyncio.wait([self._reader])
        return self._websocket.close_code or 1006, self._websocket.close_reason or ""

    @property
    def is_open(self) -> bool:
        """Whether the connection stands."""
        return not self._reader.done()

    @property
    def state(self) -> str:
        """How the connection is: ``open``, ``stalled``, ``closed, 1013``."""
        if not self.is_open:
            return f"closed, {self._websocket.close_code or 1006}"
        return "stalled" if self._is_stalled else "open"

    async def _read(self) -> None:
        with suppress(ConnectionClosed):
            async for raw in self._websocket:
                now = time.monotonic_ns()
                frame: Frame = msgspec.json.decode(raw)
                self._note(frame, raw, now)
                if frame["action"] == "ping":
                    with suppress(UserError):  # closed in the meantime: the loop ends by itself
                        await self.send_frame({"type": "pong", "timestamp": frame["data"]["timestamp"]})
                self.frames.append(frame)
                self._arrived.set()
        self._note_hop("client_closed", self, code=self._websocket.close_code or 1006)
        self._arrived.set()

    def _note(self, frame: Frame, raw: str | bytes, now: int) -> None:
        data = frame["data"]
        if frame["action"] == "new_message":
            self._note_hop("client_received", self, message_id=data["id"], t=now, seq=data["seq"], frame=raw)
        elif frame["action"] == "ack":
            name = data["client_message_id"]
            names = {"message_id": data["id"], "client_message_id": name}
            self._note_hop("client_acked", self, **names, t=now, seq=data["seq"], frame=raw)
        elif frame["action"] == "connected":
            self.connection_id, self.connected_at = data["connection_id"], now
            self._note_hop("client_connected", self, t=now, seq=data["seq"], frame=raw)
        elif frame["action"] != "ping":
            self._note_hop("client_heard", self, t=now, action=frame["action"], frame=raw)

    async def _take(self, fits: Callable[[Frame], bool], wanted: str, timeout: float) -> Frame:
        looked_at = 0
        try:
            async with asyncio.timeout(timeout):
                while True:
                    for number in range(looked_at, len(self.frames)):
                        if number not in self._taken and fits(self.frames[number]):
                            self._taken.add(number)
                            return self.frames[number]
                    looked_at = len(self.frames)
                    if self._reader.done():
                        break
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            pass
        raise ExpectationFailed(self._what_came_instead(wanted, timeout))

    def _what_came_instead(self, wanted: str, timeout: float) -> str:
        open_frames = [frame for number, frame in enumerate(self.frames) if number not in self._taken]
        came = "\n".join(f"  {_shown(frame)}" for frame in open_frames[-10:]) or "  nothing"
        closed = "" if self.is_open else f" The connection is closed ({_close_of(self._websocket)})."
        return f"{self.user} expected {wanted}; within {timeout:g} s came:\n{came}{closed}"

    def __repr__(self) -> str:
        state = "open" if self.is_open else f"closed, {_close_of(self._websocket)}"
        return f"<{self.user} on instance {self.instance}: {state}, {len(self.frames)} frames>"


class UnexpectedFrame(ExpectationFailed):
    """Something arrived that was not to."""


def _given(text: str | None, fields: dict[str, Any]) -> dict[str, Any]:
    return ({} if text is None else {"text": text}) | fields


def _fits(frame: Frame, action: str, text: str | None, fields: dict[str, Any]) -> bool:
    data = frame["data"]
    if frame["action"] != action or any(data.get(name) != value for name, value in fields.items()):
        return False
    return text is None or (isinstance(data.get("content"), dict) and data["content"].get("text") == text)


def _shown(frame: Frame) -> str:
    """A frame in one line, what people look for first."""
    data = frame["data"]
    if frame["action"] == "new_message":
        return f"new_message seq={data['seq']} from {data['sender_id']}: {_cut(str(data['content']), 80)}"
    return _cut(f"{frame['action']} {data}", 160)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _close_of(websocket: ClientConnection) -> str:
    code = websocket.close_code
    return "the connection broke" if code in (None, 1006) else f"{code} {websocket.close_reason}".strip()
