"""A WebSocket as the checks see it: every wait has a deadline, and what came is never lost."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from uuid_utils import uuid7
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from course.conform.check import Broken
from course.conform.frames import Frame, data_of, fits, shown, wanted

QUIET_S = 0.3
"""How long a frame that must not come is waited for."""

NO_CLOSE_FRAME = 1006


class Socket:
    """One open connection. Frames are taken in any order, each once. Pings are answered."""

    def __init__(self, connection: ClientConnection, who: str, patience_s: float, note: Callable[[Any], None]) -> None:
        self.who = who
        self.frames: list[Frame] = []
        self.answers_pings = True
        self.patience_s = patience_s
        self._connection = connection
        self._note = note
        self._taken: set[int] = set()
        self._arrived = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    @property
    def subprotocol(self) -> str | None:
        """What the server has selected."""
        return self._connection.subprotocol

    async def send(self, frame: Frame | str | bytes) -> None:
        """Sends an object as JSON, or exactly this text or these bytes. Raises ``Broken`` when it is closed."""
        try:
            await self._connection.send(json.dumps(frame) if isinstance(frame, dict) else frame)
        except ConnectionClosed as error:
            raise Broken(f"{self.who}'s socket was closed: {self._ending()}") from error

    async def say(self, text: str, **fields: Any) -> Frame:
        """Sends a message, and returns the data of its ``ack``."""
        name = fields.pop("client_message_id", None) or str(uuid7())
        await self.send({"type": "text", "content": text, "client_message_id": name} | fields)
        return await self.answer_to(name)

    async def answer_to(self, client_message_id: str) -> Frame:
        """The data of the ``ack`` of this name. Raises ``Broken`` for an ``error``, too."""
        found = await self.answer(client_message_id)
        if found["action"] == "error":
            raise Broken(f"{self.who} sent a good message and got {shown(found)}")
        return data_of(found)

    async def answer(self, client_message_id: str) -> Frame:
        """The ``ack`` or the ``error`` of this name."""
        return await self._take(
            lambda frame: (
                frame.get("action") in ("ack", "error") and data_of(frame).get("client_message_id") == client_message_id
            ),
            "the ack",
            self.patience_s,
        )

    async def expect(self, action: str, *, within: float | None = None, **fields: Any) -> Frame:
        """The next frame that fits and was not taken. Raises ``Broken`` with what came instead."""
        return await self._take(
            lambda frame: fits(frame, action, fields), wanted(action, fields), within or self.patience_s
        )

    async def expect_none(self, action: str, *, within: float = QUIET_S, **fields: Any) -> None:
        """Raises ``Broken`` if such a frame comes, or has come and was not taken."""
        try:
            frame = await self.expect(action, within=within, **fields)
        except Broken:
            return
        raise Broken(f"{self.who} was to get no {wanted(action, fields)}, and got {shown(frame)}")

    async def messages(self, last_text: str) -> list[Frame]:
        """The data of all ``new_message`` frames so far, once the one with this text is there."""
        await self._until(lambda: any(fits(one, "new_message", {"text": last_text}) for one in self.frames), last_text)
        return [data_of(frame) for frame in self.frames if frame.get("action") == "new_message"]

    async def closed(self, within: float | None = None) -> int:
        """The close code that the server sent; 1006 when the connection broke without one."""
        within = within or self.patience_s
        await asyncio.wait([self._reader], timeout=within)
        if not self._reader.done():
            raise Broken(f"{self.who}'s socket was still open after {within:g} s")
        return self._connection.close_code or NO_CLOSE_FRAME

    @property
    def is_open(self) -> bool:
        """Whether the connection stands."""
        return not self._reader.done()

    async def close(self) -> None:
        """Says goodbye, and waits for the answer no longer than needed. Idempotent."""
        self.resume_reading()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.patience_s):
                await self._connection.close()
        self._connection.transport.abort()
        await asyncio.wait([self._reader])

    def stall(self) -> None:
        """Reads no more from the network, as a client does that hangs."""
        self._connection.transport.pause_reading()

    def resume_reading(self) -> None:
        """Reads again."""
        self._connection.transport.resume_reading()

    async def ping(self) -> None:
        """A ping of the WebSocket protocol itself. Raises ``Broken`` without a pong."""
        try:
            async with asyncio.timeout(self.patience_s):
                await (await self._connection.ping())
        except (TimeoutError, ConnectionClosed) as error:
            raise Broken("a WebSocket ping got no pong") from error

    async def _read(self) -> None:
        with suppress(ConnectionClosed):
            async for raw in self._connection:
                try:
                    frame = json.loads(raw)
                except (ValueError, RecursionError):
                    frame = raw
                self._note(frame)
                self.frames.append(frame if isinstance(frame, dict) else {"action": None, "data": frame})
                self._arrived.set()
                if self.answers_pings and self.frames[-1].get("action") == "ping":
                    pong = {"type": "pong", "timestamp": data_of(self.frames[-1]).get("timestamp")}
                    await self._connection.send(json.dumps(pong))
        self._arrived.set()

    async def _take(self, is_it: Callable[[Frame], bool], what: str, within: float) -> Frame:
        def find() -> int | None:
            places = (place for place, frame in enumerate(self.frames) if place not in self._taken and is_it(frame))
            return next(places, None)

        await self._until(lambda: find() is not None, what, within)
        place = find()
        assert place is not None  # noqa: S101 - `_until` has just seen it
        self._taken.add(place)
        return self.frames[place]

    async def _until(self, condition: Callable[[], bool], what: str, within: float | None = None) -> None:
        within = within or self.patience_s
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not condition() and self.is_open:
                    self._arrived.clear()
                    await self._arrived.wait()
        if not condition():
            raise Broken(self._instead(what, within))

    def _instead(self, what: str, within: float) -> str:
        left = [
            shown(frame)
            for place, frame in enumerate(self.frames)
            if place not in self._taken and frame.get("action") not in ("connected", "ping")
        ]
        came = "; ".join(left[-3:]) or "nothing"
        ending = "" if self.is_open else f"; then the socket was closed: {self._ending()}"
        return f"{self.who} waited {within:g} s for {what}; instead came {came}{ending}"

    def _ending(self) -> str:
        code = self._connection.close_code
        if code in (None, NO_CLOSE_FRAME):
            return "the connection broke, without a close code"
        return f"{code} {self._connection.close_reason}".strip()
