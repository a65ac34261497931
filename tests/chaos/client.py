"""A chat client of the chaos tests: written from the protocol alone, so that it shares no mistake with the server's
own client library. It reconnects, resumes, sends again under the same name, and writes down what it saw.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from tests.chaos.ledger import Ledger, Seen

OPEN_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 3.0
BACKOFF_S = (0.05, 0.4)
COME_BACK = {1001, 1005, 1006, 1011, 1012, 1013}
"""Close codes after which a client tries again: what the protocol says of them, and a connection that broke."""

TRY_AGAIN = {"unavailable", "rate_limited"}


class ProtocolBroken(AssertionError):
    """The system did what its protocol rules out."""


class ChaosClient:
    """One device of one user, on one conversation; or, with several, on all of the user's.

    ``addresses`` gives the WebSocket base URLs of the instances. Run ``run()`` as a task until ``stop()``.
    """

    def __init__(
        self,
        user: str,
        token: str,
        conversation_ids: tuple[str, ...],
        addresses: Callable[[], list[str]],
        ledger: Ledger,
        dice: random.Random,
    ) -> None:
        self.user = user
        self.reconnects = -1
        self.snapshots = 0
        self._token = token
        self._conversations = conversation_ids
        self._is_device_wide = len(conversation_ids) > 1
        self._addresses = addresses
        self._ledger = ledger
        self._view = ledger.view(user, conversation_ids)
        self._dice = dice
        self._has: dict[str, set[int]] = {name: set() for name in conversation_ids}
        self._complete_to = dict.fromkeys(conversation_ids, 0)
        self._resumed: set[str] = set()
        self._socket: ClientConnection | None = None
        self._is_open, self._moved = asyncio.Event(), asyncio.Event()
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._sends = 0
        self._stopping = False

    # -- what a run does with it -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Stays connected until ``stop``. Raises ``ProtocolBroken``."""
        while not self._stopping:
            try:
                async with await self._connect() as socket:
                    self.reconnects += 1
                    await self._live(socket)
            except (OSError, TimeoutError, WebSocketException):
                await asyncio.sleep(self._dice.uniform(*BACKOFF_S))

    async def send(self, text: str) -> None:
        """Sends a message, as often as it takes: under one name. Returns when it is acked."""
        self._sends += 1
        conversation_id = self._conversations[self._sends % len(self._conversations)]
        name = f"{self.user}-{self._sends}"
        self._ledger.attempted[name] = conversation_id
        frame = {"type": "text", "content": text, "client_message_id": name, "conversation_id": conversation_id}
        while True:
            await self._is_open.wait()
            answer = await self._asked(name, frame)
            if answer is not None and answer["action"] == "ack":
                break
            if answer is not None and answer["data"]["code"] not in TRY_AGAIN:
                raise ProtocolBroken(f"{name} was refused: {answer['data']}")
        seq = answer["data"].get("seq")
        self._ledger.acked[name] = seq
        self._view.own.add(name)
        self._note(conversation_id, seq)

    def kill(self) -> None:
        """Ends the connection without a word."""
        if self._socket is not None:
            self._socket.transport.abort()

    def stall(self) -> None:
        """Reads no more."""
        if self._socket is not None:
            self._socket.transport.pause_reading()

    def resume_reading(self) -> None:
        """Reads again."""
        if self._socket is not None:
            self._socket.transport.resume_reading()

    def stop(self) -> None:
        """Ends ``run``."""
        self._stopping = True
        self.kill()

    async def until_complete(self, heads: dict[str, int]) -> None:
        """Returns when everything up to these numbers is here."""
        while any(self._complete_to[name] < heads[name] for name in self._conversations):
            self._moved.clear()
            await self._moved.wait()

    # -- inside ----------------------------------------------------------------------------------------------

    async def _connect(self) -> ClientConnection:
        url = self._dice.choice(self._addresses()) + "/ws"
        if not self._is_device_wide:
            conversation_id = self._conversations[0]
            url += f"/{conversation_id}?{urlencode({'last_seq': self._complete_to[conversation_id]})}"
        protocols = [Subprotocol("chat.v1"), Subprotocol(f"bearer.{self._token}")]
        return await connect(
            url, subprotocols=protocols, open_timeout=OPEN_TIMEOUT_S, close_timeout=0, ping_interval=None, proxy=None
        )

    async def _live(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._resumed = set()
        try:
            async for raw in socket:
                await self._take(socket, msgspec.json.decode(raw))
        except ConnectionClosed:
            pass
        finally:
            self._is_open.clear()
            self._socket = None
            for answer in self._answers.values():
                answer.cancel()
        if not self._stopping and socket.close_code not in COME_BACK:
            raise ProtocolBroken(f"{self.user} was sent away: {socket.close_code} {socket.close_reason}")

    async def _take(self, socket: ClientConnection, frame: dict[str, Any]) -> None:
        action, data, conversation_id = frame["action"], frame["data"], frame["conversation_id"]
        if action == "connected":
            if self._is_device_wide:
                for name in self._conversations:
                    resume = {"type": "resume", "conversation_id": name, "last_seq": self._complete_to[name]}
                    await socket.send(msgspec.json.encode(resume).decode())
            self._is_open.set()
        elif action == "ping":
            await socket.send(msgspec.json.encode({"type": "pong", "timestamp": data["timestamp"]}).decode())
        elif action == "resumed":
            self._resumed.add(conversation_id)
            self.snapshots += not data["recovered"]
        elif action in ("ack", "error"):
            answer = self._answers.get(data.get("client_message_id", ""))
            if answer is not None and not answer.done():
                answer.set_result(frame)
        elif action == "new_message":
            self._got(conversation_id, data)

    def _got(self, conversation_id: str, message: dict[str, Any]) -> None:
        if self._is_device_wide and conversation_id not in self._resumed and message.get("seq"):
            return  # what came before the answer to `resume` comes again, in order
        seen = Seen(conversation_id, message["client_message_id"], message.get("seq"), self.reconnects)
        self._view.seen.append(seen)
        self._note(conversation_id, seen.seq)

    def _note(self, conversation_id: str, seq: int | None) -> None:
        if seq is None:
            return
        here = self._has[conversation_id]
        here.add(seq)
        while self._complete_to[conversation_id] + 1 in here:
            self._complete_to[conversation_id] += 1
        self._moved.set()

    async def _asked(self, name: str, frame: dict[str, Any]) -> dict[str, Any] | None:
        """Sends it once; None when no answer came."""
        answer = self._answers[name] = asyncio.get_running_loop().create_future()
        try:
            if self._socket is None:
                return None
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await self._socket.send(msgspec.json.encode(frame).decode())
                await asyncio.wait([answer])
            return answer.result() if not answer.cancelled() else None
        except ConnectionClosed:
            self._is_open.clear()  # `_live` is about to notice
            return None
        except TimeoutError:
            return None
        finally:
            del self._answers[name]
