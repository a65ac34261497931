"""A client for the chat protocol.

    async with ChatClient("ws://127.0.0.1:8000", "general", token) as chat:
        ack = await chat.send("hello")
        async for message in chat:
            print(message["seq"], message["content"])

The server delivers at least once and acks only what it has stored. This client makes of that what an application
wants: each message once, in order, without a gap, and a ``send`` that means one message however often it was tried.
"""

import asyncio
import json
import logging
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, NoReturn
from urllib.parse import quote, urlencode
from uuid import uuid4

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from .errors import ClientClosed, SendRefused, SendTimeout  # relative: the folder can live in any package
from .reconnect import AUTHENTICATION_FAILED, NO_CLOSE_FRAME, NORMAL, Backoff, ReconnectPolicy
from .sequencer import Message, Sequencer

logger = logging.getLogger(__name__)
websocket_logger = logging.getLogger(f"{__name__}.websocket")
websocket_logger.setLevel(logging.INFO)  # at DEBUG it writes down the handshake, and the token is in it

Frame = dict[str, Any]
OnEvent = Callable[[str, Frame], None]
AskToken = Callable[[], Awaitable[str]]
Outgoing = asyncio.Queue[str | None]
"""Frames for the one writer of a connection; None is the goodbye."""

GAP_GRACE_S = 1.0
"""How long a missing message may be missing: it may have been overtaken, or be one of our own without its ack."""

CONNECT_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0
HEARTBEAT_INTERVAL_S = 30.0
"""If the server does not say how often it pings."""

MISSED_HEARTBEATS = 3
"""Heartbeat intervals without a sign of the server, after which the connection is taken for dead."""

TRY_AGAIN = {"rate_limited", "unavailable"}
"""Errors after which the same message may be sent again: nothing was stored."""

RETRY_AFTER_S = 1.0
"""If the server does not say after how long."""


@dataclass(frozen=True)
class Ack:
    """The server's word that a message is stored, and its place in the conversation."""

    id: str
    seq: int
    client_message_id: str


@dataclass
class _Pending:
    """A send that waits for its answer; each try has an answer of its own."""

    frame: Frame
    answer: asyncio.Future[Ack]


class ChatClient:
    """Each message of a conversation once, in seq order, without a gap, whatever happens to the connection.

    Iterating yields messages, dicts as in ``MessageInfo``. The client's own are at their place too; before a
    ``resume`` brings them from the server they are made from what was sent and its ack, so without ``sender_name``
    and the like. Several iterators share the messages. What nobody iterates waits in memory without a bound:
    a client that only sends must not stall, and nothing is dropped. Iteration ends after ``close``.

    ``on_event(action, frame)`` gets every other frame (typing, read, presence, system, connected, errors of no
    ``send``), when it arrives: ahead of messages that still wait to be iterated. ``("snapshot", {"last_seq", "seq",
    "replaced"})`` is this client's own: the server can not fill the gap after ``last_seq`` and sends its last messages
    up to ``seq``; ``replaced`` means that ``seq`` is lower, so the history is another one and starts anew. Among the
    messages a snapshot shows as a ``seq`` that is not the one before plus one.
    """

    state: Literal["connecting", "open", "closed"] = "connecting"
    user_id: str | None = None
    """Who the server says this is. None until it is connected."""
    ended: ClientClosed | None = None
    """Why the client is closed."""
    reconnects = 0
    """Connections after the first one."""
    resumes = 0
    """Answers to a ``resume``, on a new connection or on an open one."""
    snapshots = 0
    """Those of them that were a snapshot."""

    def __init__(
        self,
        urls: str | Sequence[str],
        conversation_id: str,
        token: str | AskToken,
        *,
        device_id: str | None = None,
        device_type: str = "web",
        last_seq: int | None = None,
        backoff: Backoff | None = None,
        on_event: OnEvent | None = None,
        connect_timeout: float = CONNECT_TIMEOUT_S,
        gap_grace: float = GAP_GRACE_S,
    ) -> None:
        """``urls``: ``ws://`` or ``http://`` bases of one or more instances, taken in turn.

        ``token``: a string, or a coroutine function asked for one at first and after each rejection. When it raises
        ``OSError`` (``TimeoutError`` too) that counts as a failed attempt; anything else ends the client. ``last_seq``:
        the last message the application has; without it the client starts with what comes after it connects.
        """
        self.conversation_id = conversation_id
        self._urls = [_websocket_base(url) for url in ([urls] if isinstance(urls, str) else urls)]
        self._device = {"device_type": device_type} | ({} if device_id is None else {"device_id": device_id})
        self._ask_token = token if callable(token) else None
        self._token = None if callable(token) else token
        self._policy = ReconnectPolicy(backoff or Backoff(), can_ask_token=self._ask_token is not None)
        self._on_event = on_event
        self._connect_timeout = connect_timeout
        self._gap_grace = gap_grace
        self._sequencer = Sequencer(last_seq or 0)
        self._knows_last_seq = last_seq is not None
        self._inbox: deque[Message] = deque()
        self._pending: dict[str, _Pending] = {}
        self._marks: dict[str, int] = {}
        self._runner: asyncio.Task[None] | None = None
        self._outgoing: Outgoing | None = None  # there is one while a connection is open
        self._silence_limit = connect_timeout
        self._opened_at: float | None = None
        self._attempts = self._connections = 0
        self._closing = False
        self._arrived, self._gap, self._settled, self._over = (asyncio.Event() for _ in range(4))

    @property
    def last_seq(self) -> int:
        """The last message put before the application, in order: what ``resume`` uses. It may not be iterated yet."""
        return self._sequencer.last_seq

    @property
    def duplicates(self) -> int:
        """Messages dropped because they were seen."""
        return self._sequencer.duplicates

    async def __aenter__(self) -> "ChatClient":
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self, timeout: float = 30) -> None:
        """Connects; returns when the server has said ``connected``. Raises ``ClientClosed`` or ``TimeoutError``.

        After a ``TimeoutError`` the client goes on trying until ``close``.
        """
        if self._runner is not None or self.ended is not None:
            raise RuntimeError("a client starts once")
        self._runner = asyncio.create_task(self._run(), name=f"chat client {self.conversation_id}")
        async with asyncio.timeout(timeout):
            await self._settled.wait()
        self._require_not_ended()

    async def close(self) -> None:
        """Sends what was given to it, says goodbye, and ends every task. Idempotent; takes some seconds at most."""
        self._closing = True
        if self._runner is None:
            self._finish(ClientClosed(NORMAL, "closed before it was started"))
            return
        try:
            if self._outgoing is not None:
                self._outgoing.put_nowait(None)
                await asyncio.wait([self._runner], timeout=CLOSE_TIMEOUT_S)
        finally:
            self._runner.cancel()
        await asyncio.wait([self._runner])

    async def send(
        self, content: str | dict[str, Any], *, client_message_id: str | None = None, timeout: float = 30, **fields: Any
    ) -> Ack:
        """Sends a text message and returns its ack; over as many connections as that takes, stored once.

        ``fields``: ``is_important``, ``reply_to_message_id``. Waits and tries again when the server says
        ``rate_limited`` or ``unavailable``. Raises ``SendTimeout`` after ``timeout`` seconds, ``SendRefused``,
        ``ClientClosed``, and ``ValueError`` for an id that is on its way already.
        """
        name = client_message_id or str(uuid4())
        if name in self._pending:
            raise ValueError(f"a message with client_message_id={name!r} is on its way already")
        frame = {"type": "text", "content": content, "client_message_id": name, **fields}
        try:
            async with asyncio.timeout(timeout):
                return await self._send_until_acked(name, frame)
        except TimeoutError as error:
            raise SendTimeout(name) from error
        finally:
            self._pending.pop(name, None)

    async def typing(self, is_typing: bool) -> None:
        """Tells that the user types, or not any more. Lost while there is no connection: it is of no use later."""
        self._put({"type": "typing", "is_typing": is_typing})

    async def read(self, seq: int) -> None:
        """Tells that the user has read all up to ``seq``. Told again on each new connection."""
        self._mark("read", seq)

    async def delivered(self, seq: int) -> None:
        """Tells that all up to ``seq`` have reached this device. Told again on each new connection."""
        self._mark("delivered", seq)

    def __aiter__(self) -> "ChatClient":
        return self

    async def __anext__(self) -> Message:
        while not self._inbox:
            if self.ended is not None:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._inbox.popleft()

    async def _send_until_acked(self, name: str, frame: Frame) -> Ack:
        while True:
            self._require_not_ended()
            self._pending[name] = _Pending(frame, asyncio.get_running_loop().create_future())
            self._put(frame)
            try:
                return await self._pending[name].answer
            except SendRefused as refused:
                if refused.code not in TRY_AGAIN:
                    raise
                pause = RETRY_AFTER_S if refused.retry_after is None else refused.retry_after
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._over.wait()

    def _require_not_ended(self) -> None:
        if self.ended is not None:
            raise ClientClosed(self.ended.code, self.ended.reason) from self.ended.__cause__

    def _mark(self, kind: str, seq: int) -> None:
        self._marks[kind] = max(seq, self._marks.get(kind, 0))
        self._put({"type": kind, "seq": self._marks[kind]})

    def _put(self, frame: Frame) -> None:
        """Hands a frame to the connection's one writer. Without a connection nothing is written."""
        text = json.dumps(frame)  # outside the condition: what is no JSON fails at once, connected or not
        if self._outgoing is not None:
            self._outgoing.put_nowait(text)

    # ---- connections: one after the other, until a close says not to -------------------------------------------

    async def _run(self) -> None:
        ended = ClientClosed(NORMAL, "closed by the application")
        try:
            while True:
                code, reason = await self._connect_once()
                if self._closing:
                    return
                logger.info("conversation %s: connection ended (%s %s)", self.conversation_id, code, reason)
                if code == AUTHENTICATION_FAILED:
                    self._token = None
                pause = self._policy.pause_after(code, reason, self._lasted())
                if pause is None:
                    ended = ClientClosed(code, reason)
                    return
                await asyncio.sleep(pause)
        except Exception as error:
            logger.exception("conversation %s: the client failed", self.conversation_id)
            ended = ClientClosed(NO_CLOSE_FRAME, f"the client failed: {error!r}")
            ended.__cause__ = error
        finally:
            self._finish(ended)

    async def _connect_once(self) -> tuple[int, str]:
        """One connection, from the handshake to its end: the close code and reason, 1006 when none came."""
        self._opened_at = None
        try:
            token = await self._current_token()
            async with connect(
                self._next_url(),
                subprotocols=[Subprotocol("chat.v1"), Subprotocol(f"bearer.{token}")],
                compression=None,  # small frames: it costs more than it saves
                proxy=None,
                open_timeout=self._connect_timeout,
                close_timeout=CLOSE_TIMEOUT_S,
                ping_interval=None,  # the server pings, and says in it what the head is
                logger=websocket_logger,
            ) as websocket:
                await self._serve(websocket)
        except ConnectionClosed as closed:
            return (NO_CLOSE_FRAME, "") if closed.rcvd is None else (closed.rcvd.code, closed.rcvd.reason)
        except (OSError, WebSocketException) as error:
            return NO_CLOSE_FRAME, repr(error)
        finally:
            self._outgoing = None
            self.state = "connecting"

    async def _current_token(self) -> str:
        if self._token is None:
            if self._ask_token is None:
                raise RuntimeError("a fixed token that was rejected ends the client")
            async with asyncio.timeout(self._connect_timeout):
                self._token = await self._ask_token()
        return self._token

    def _next_url(self) -> str:
        base = self._urls[self._attempts % len(self._urls)]
        self._attempts += 1
        query = self._device | ({"last_seq": str(self.last_seq)} if self._knows_last_seq else {})
        return f"{base}/ws/{quote(self.conversation_id, safe='')}?{urlencode(query)}"

    def _lasted(self) -> float | None:
        """Seconds since the server said ``connected``; None if it did not."""
        return None if self._opened_at is None else time.monotonic() - self._opened_at

    def _finish(self, ended: ClientClosed) -> None:
        """Nobody waits for a client that has ended."""
        if self.ended is None:
            self.ended = ended
        self.state = "closed"
        for pending in self._pending.values():
            if not pending.answer.done():
                pending.answer.set_exception(ClientClosed(ended.code, ended.reason))
        for event in (self._settled, self._over, self._arrived):
            event.set()

    # ---- one connection: one reader, one writer ----------------------------------------------------------------

    async def _serve(self, websocket: ClientConnection) -> NoReturn:
        """Reads until the connection ends; raises what ended it."""
        self._silence_limit = self._connect_timeout  # for the first frame
        outgoing = Outgoing()
        helpers = [asyncio.create_task(_write(websocket, outgoing)), asyncio.create_task(self._repair_gaps())]
        try:
            while True:
                async with asyncio.timeout(self._silence_limit):
                    raw = await websocket.recv()
                self._take_safely(raw, outgoing)
        except TimeoutError:
            websocket.transport.abort()  # a goodbye would wait for an answer
            raise
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.wait(helpers)

    def _take_safely(self, raw: str | bytes, outgoing: Outgoing) -> None:
        """A frame that can not be read is skipped: if a message was in it, that is a gap, and gaps are repaired."""
        try:
            frame = json.loads(raw)
            if frame["action"] == "connected":
                self._connected(frame["data"], outgoing)
            self._take(frame)
        except (ValueError, LookupError, TypeError, AttributeError):
            logger.warning("conversation %s: skipped a frame", self.conversation_id, exc_info=True)
        if self._sequencer.has_gap:
            self._gap.set()
        else:
            self._gap.clear()

    def _take(self, frame: Frame) -> None:
        action, data = frame["action"], frame["data"]
        if action == "new_message":
            self._deliver(self._sequencer.offer(data["seq"], data))
        elif action == "ack":
            self._acked(frame)
        elif action == "ping":
            self._put({"type": "pong", "timestamp": data["timestamp"]})
            self._sequencer.note_head(data.get("seq") or 0)
        elif action == "error" and data.get("client_message_id") in self._pending:
            self._refused(data)
        else:
            if action == "resumed":
                self._resumed(data)
            self._tell(action, frame)

    def _connected(self, data: Frame, outgoing: Outgoing) -> None:
        self.user_id = data["user_id"]
        self._silence_limit = MISSED_HEARTBEATS * (data.get("heartbeat_interval") or HEARTBEAT_INTERVAL_S)
        if not self._knows_last_seq:
            self._sequencer = Sequencer(data["seq"])
            self._knows_last_seq = True
        self._sequencer.note_head(data["seq"])
        self._outgoing, self.state = outgoing, "open"
        self._opened_at = time.monotonic()
        self._policy.connected()
        self.reconnects = self._connections
        self._connections += 1
        for kind, seq in self._marks.items():
            self._mark(kind, seq)
        for pending in self._pending.values():
            if not pending.answer.done():
                self._put(pending.frame)
        self._settled.set()

    def _deliver(self, messages: list[Message]) -> None:
        self._inbox.extend(messages)
        self._arrived.set()

    def _acked(self, frame: Frame) -> None:
        data = frame["data"]
        pending = self._pending.get(data["client_message_id"])
        if pending is None:  # its ``send`` gave up; so a resume has to bring it
            self._sequencer.note_head(data["seq"])
            return
        self._deliver(self._sequencer.offer_own(data["seq"], self._own_message(pending.frame, frame)))
        if not pending.answer.done():
            pending.answer.set_result(Ack(data["id"], data["seq"], data["client_message_id"]))

    def _own_message(self, sent: Frame, ack: Frame) -> Message:
        content = {"text": sent["content"]} if isinstance(sent["content"], str) else sent["content"]
        return sent | {
            "id": ack["data"]["id"],
            "seq": ack["data"]["seq"],
            "conversation_id": self.conversation_id,
            "sender_id": self.user_id,
            "content": content,
            "timestamp": ack.get("timestamp"),
        }

    def _refused(self, data: Frame) -> None:
        answer = self._pending[data["client_message_id"]].answer
        if not answer.done():
            answer.set_exception(SendRefused(data["code"], data.get("message", ""), data.get("retry_after")))

    def _resumed(self, data: Frame) -> None:
        self.resumes += 1
        if data["recovered"]:
            self._sequencer.note_head(data["seq"])
            return
        self.snapshots += 1
        head, last_seq = data["seq"], self.last_seq
        if head < last_seq:
            self._marks.clear()  # they are about messages that are no more
        self._sequencer.expect_snapshot(head)
        self._tell("snapshot", {"last_seq": last_seq, "seq": head, "replaced": head < last_seq})

    def _tell(self, action: str, frame: Frame) -> None:
        if self._on_event is None:
            return
        try:
            self._on_event(action, frame)
        except Exception:
            logger.exception("on_event failed on %s", action)  # the application's bug must not stop the messages

    async def _repair_gaps(self) -> None:
        """Asks for a ``resume`` each time that a gap has stayed for the grace and nothing has filled any of it."""
        while True:
            await self._gap.wait()
            stuck_at = self.last_seq
            await asyncio.sleep(self._gap_grace)
            if self._sequencer.has_gap and self.last_seq == stuck_at:
                self._put({"type": "resume", "last_seq": stuck_at})


async def _write(websocket: ClientConnection, outgoing: Outgoing) -> None:
    """Writes frames in their order, until a None: then says goodbye. Ends too when the connection does."""
    with suppress(ConnectionClosed):  # the reader sees that as well
        while (text := await outgoing.get()) is not None:
            await websocket.send(text)
        await websocket.close()


def _websocket_base(url: str) -> str:
    """``http://host/`` as ``ws://host``. Raises ``ValueError`` for any other kind of URL."""
    base = re.sub(r"^http", "ws", url.rstrip("/"))
    if not re.match(r"wss?://", base):
        raise ValueError(f"a chat server's URL starts with ws, wss, http or https, not {url!r}")
    return base
