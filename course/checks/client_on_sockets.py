"""Runs the client half of exercise 11 over real sockets, against two instances of the reference server.

A case is a list of steps:

- ``["connects", instance]``, ``["cut"]``: the client's connection; it breaks without a word
- ``["ann_sends", text]``: the client's own message
- ``["ann_sends_in_a_tunnel", text]``: it is stored, and the connection breaks before the ack comes back
- ``["bob_writes", text]``: a message of somebody else, who is on instance 1
- ``["kill", instance]``: the instance ends as by a power cut
- ``["settles", instance]``: connects if need be, and waits until the client has come as far as the store

An observation has an entry a step; after ``settles`` that is ``[what the store has, the client's messages, how many
resume frames it has sent]``. Once the client does not get as far as the store, the rest is left out.
"""

import asyncio
import json
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from course.checks.case import Case, Observation
from course.workbench.client import LabClient
from course.workbench.lab import Lab
from course.workbench.sign_in import open_socket

PATIENCE_S = 3.0
"""How long the client may take to get what the store has."""

MOST_FRAMES = 200
"""That a client may send: one that asks for ever would never come to an end."""


async def drive_on_sockets(subject: Any, case: Case) -> Observation:
    """Starts two instances, once, and takes the steps."""
    async with Lab(instances=2, traced=False) as lab:
        room = await lab.conversation("ex11", "ann", "bob")
        bob = await lab.client("bob", instance=1, conversation="ex11")
        line = _Line(lab, room, subject(new_id=lambda: str(uuid.uuid4())))
        try:
            seen = []
            for step in case:
                seen.append(await _take(step, lab, bob, line))
                if line.is_behind:
                    break
            return seen
        finally:
            await line.cut()


async def _take(step: list[Any], lab: Lab, bob: LabClient, line: "_Line") -> Any:
    match step:
        case ["connects", instance]:
            await line.connect(instance)
        case ["cut"]:
            await line.cut()
        case ["ann_sends", text]:
            await line.send(text)
        case ["ann_sends_in_a_tunnel", text]:
            line.enter_tunnel()
            await line.send(text)
            await bob.expect("new_message", text=text)
            await line.cut()
        case ["bob_writes", text]:
            await bob.send(text)
        case ["kill", instance]:
            await lab.kill(instance)
            await line.ended()
        case ["settles", instance]:
            return await _settle(lab, line, instance)
    return None


async def _settle(lab: Lab, line: "_Line", instance: int) -> Any:
    await line.connect(instance)
    http = await lab.http("ann", instance=instance)
    url = f"/api/v1/conversations/{line.room}/messages"
    try:
        async with asyncio.timeout(PATIENCE_S):
            await line.until(lambda: line.is_all_acked)
            head = (await http.get(url)).json()[-1]["seq"]
            await line.until(lambda: bool(line.messages) and line.messages[-1][0] >= head)
    except TimeoutError:
        line.is_behind = True
    stored = [[one["seq"], one["content"]["text"]] for one in (await http.get(url)).json()]
    return [stored, line.messages, line.resumes]


class _Line:
    """The client half, and whatever connection it has at the moment."""

    def __init__(self, lab: Lab, room: str, client: Any) -> None:
        self.room = room
        self.resumes = 0
        self.is_behind = False
        self._lab, self._client = lab, client
        self._unacked: set[str] = set()
        self._sent = 0
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    @property
    def messages(self) -> list[Any]:
        """What the client has put before its application."""
        return [list(message) for message in self._client.messages]

    async def connect(self, instance: int) -> None:
        """Opens a socket and reads from it; where there is one, nothing happens."""
        if self._reader is not None and not self._reader.done():
            return
        url, token = self._lab.ws_url(instance, self.room), await self._lab.token("ann")
        self._socket = await open_socket(url, "subprotocol", token, {})
        if json.loads(await self._socket.recv())["action"] != "connected":
            raise RuntimeError("the server did not say connected")
        await self._write(self._client.opened())
        self._reader = asyncio.create_task(self._read(self._socket))

    async def send(self, text: str) -> None:
        """A message of the client's own, connected or not."""
        await self._write(self._client.send(text))

    def enter_tunnel(self) -> None:
        """From now on nothing reaches the client; what it sends still reaches the server."""
        if self._socket is not None:
            self._socket.transport.pause_reading()

    async def cut(self) -> None:
        """The connection breaks without a goodbye."""
        if self._socket is not None:
            self._socket.transport.abort()
            await self.ended()

    async def ended(self) -> None:
        """Waits for the end of the connection. Raises what the client's code raised while reading."""
        if self._reader is not None:
            reader, self._reader = self._reader, None
            async with asyncio.timeout(PATIENCE_S):
                await reader
            self._client.closed()

    @property
    def is_all_acked(self) -> bool:
        """Whether everything that was sent, under whatever name, has its ack."""
        return not self._unacked

    async def until(self, done: Callable[[], bool]) -> None:
        """Waits for a change that makes it true. Raises what the client's code raised while reading."""
        while not done():
            if self._reader is not None and self._reader.done():
                await self.ended()
                raise TimeoutError
            self._changed.clear()
            await self._changed.wait()

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for raw in socket:
                frame = json.loads(raw)
                if frame["action"] == "ack":
                    self._unacked.discard(frame["data"]["client_message_id"])
                await self._write(self._client.received(frame))
                self._changed.set()
        except ConnectionClosed:
            pass
        finally:
            self._changed.set()

    async def _write(self, frames: list[Any]) -> None:
        for frame in frames:
            self._sent += 1
            if frame["type"] == "text":
                self._unacked.add(frame["client_message_id"])
            self.resumes += frame["type"] == "resume"
            if self._socket is not None and self._sent <= MOST_FRAMES:
                with suppress(ConnectionClosed):  # thrown away, as the task says
                    await self._socket.send(json.dumps(frame))
