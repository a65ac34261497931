"""The reference server with one promise broken in each: small changes that a learner might make."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

from reference_impl.app import create_app
from reference_impl.core.connection_manager import ConnectionManager
from reference_impl.core.memberships import Memberships
from reference_impl.core.message_router import BusHandler, MessageRouter
from reference_impl.core.presence_announcer import PresenceAnnouncer
from reference_impl.core.reconciler import Reconciler
from reference_impl.core.replay import Replay
from reference_impl.model.bus_messages import AnyBusMessage, ConversationMessage
from reference_impl.model.messages import MessageInfo
from reference_impl.services.conversation_service import ConversationService
from reference_impl.services.message_service import MessageService

LATE_S = 0.5


class AcksBeforeCommit(MessageService):
    """Acks with the number that the message will probably get, and stores it a little later."""

    _guesses: ClassVar[dict[str, MessageInfo]] = {}
    _later: ClassVar[list[asyncio.Task[None]]] = []

    async def create_message(self, conversation_id: str, sender: Any, content: Any, *rest: Any, **options: Any) -> Any:
        name = options.get("client_message_id") or str(uuid7())
        if options.get("origin_connection_id") is None or not isinstance(content, str) or not 0 < len(content) < 1000:
            return await super().create_message(conversation_id, sender, content, *rest, **options)
        if (known := self._guesses.get(sender.user_id + name)) is not None:
            return known
        heads = await self._store.heads([conversation_id])
        waiting = sum(one.conversation_id == conversation_id for one in self._guesses.values())
        guess = MessageInfo(
            id=str(uuid7()),
            conversation_id=conversation_id,
            seq=max(heads[conversation_id], waiting) + 1,
            sender_id=sender.user_id,
            sender_type="user",
            sender_name=sender.display_name,
            type="text",
            content={"text": content},
            timestamp=self._clock(),
        )
        self._guesses[sender.user_id + name] = guess
        store = super().create_message(conversation_id, sender, content, *rest, **options)
        self._later.append(asyncio.create_task(self._store_later(store, self._later[-1:])))
        return guess

    async def _store_later(self, store: Coroutine[Any, Any, Any], before: list[asyncio.Task[None]]) -> None:
        await asyncio.sleep(LATE_S)
        if before:
            await asyncio.wait(before)
        await store


class ForgetsClientIds(MessageService):
    """Does not look whether a message of this name is there already."""

    async def create_message(self, *arguments: Any, **options: Any) -> Any:
        asked = options.pop("client_message_id", None)
        stored = await super().create_message(*arguments, client_message_id=asked and f"{asked}-{uuid7()}", **options)
        return msgspec.structs.replace(stored, client_message_id=asked)


class SkipsItself(MessageRouter):
    """Ignores what its own instance has published: "we have delivered that already"."""

    async def start(self, handler: BusHandler, on_gap: Callable[[], None]) -> None:
        """Hears the others only."""

        def others_only(message: AnyBusMessage) -> None:
            if not (isinstance(message, ConversationMessage) and message.instance_id == self.instance_id):
                handler(message)

        await super().start(others_only, on_gap)


class RepairsNothing(Reconciler):
    """No safety net, so that a mistake is seen."""

    async def reconcile(self) -> None:
        """Does nothing."""


class Doubles(ConnectionManager):
    """Delivers every message twice."""

    def send_to_conversation(self, conversation_id: str, frame: Any, *rest: Any, **options: Any) -> int:
        if frame.message_id:
            super().send_to_conversation(conversation_id, frame, *rest, **options)
        return super().send_to_conversation(conversation_id, frame, *rest, **options)


class ExcludesTheUser(ConnectionManager):
    """Leaves out all devices of the sender, not only the one that sent it."""

    def send_to_conversation(
        self, conversation_id: str, frame: Any, except_connection: str | None = None, except_user: str | None = None
    ) -> int:
        if frame.message_id and except_connection is not None:
            except_user = json.loads(frame.text)["data"]["sender_id"]
        return super().send_to_conversation(conversation_id, frame, except_connection, except_user)


class AsksNobody(ConversationService):
    """Takes everybody for a participant."""

    async def require_participant(self, conversation_id: str, user_id: str) -> None:
        """Does nothing."""


class LetsThemStay(Memberships):
    """Does not look whether those who are connected may still be there."""

    def _end_if_removed(self, connection: Any, allowed: set[str]) -> None:
        """Does nothing."""


class Ghosts(PresenceAnnouncer):
    """Never says that somebody has gone."""

    def announce(self, change: Any) -> None:
        """Only who comes."""
        if change.action in ("user_online", "device_connected"):
            super().announce(change)


class ResumesFromNow(Replay):
    """Says that all is recovered, and sends only what comes from now on."""

    async def _send_page(self, connection: Any, feed: Any, after_seq: int) -> int | None:
        return int(feed.last_seq)


# -- in front of the reference -----------------------------------------------------------------------------------


def closes_before_accept(app: ASGIApp | None = None) -> ASGIApp:
    """Looks at the token first and accepts then, so that a close is only an HTTP 403."""
    app = app or create_app()

    async def around(scope: Scope, receive: Receive, send: Send) -> None:
        accept: Message | None = None

        async def holding(message: Message) -> None:
            nonlocal accept
            if message["type"] == "websocket.accept" and _brings_a_token(scope):
                accept = message
                return
            if accept is not None:
                held, accept = accept, None
                if message["type"] != "websocket.close":
                    await send(held)
            await send(message)

        await app(scope, receive, holding if scope["type"] == "websocket" else send)

    return around


def echoes_the_token(app: ASGIApp | None = None) -> ASGIApp:
    """Selects the last subprotocol that was offered."""
    app = app or create_app()

    async def around(scope: Scope, receive: Receive, send: Send) -> None:
        async def selecting(message: Message) -> None:
            if message["type"] == "websocket.accept" and message.get("subprotocol"):
                message = dict(message) | {"subprotocol": scope["subprotocols"][-1]}
            await send(message)

        await app(scope, receive, selecting if scope["type"] == "websocket" else send)

    return around


def drops_who_sends_nonsense(app: ASGIApp | None = None) -> ASGIApp:
    """Parses without a net: what is no JSON ends the connection."""
    app = app or create_app()

    async def around(scope: Scope, receive: Receive, send: Send) -> None:
        async def parsing() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive":
                json.loads(message.get("text") or "")
            return message

        try:
            await app(scope, parsing if scope["type"] == "websocket" else receive, send)
        except ValueError:
            await send({"type": "websocket.close", "code": 1011})

    return around


def three_mistakes() -> ASGIApp:
    """All of them, one around the other."""
    return closes_before_accept(echoes_the_token(drops_who_sends_nonsense()))


def _brings_a_token(scope: Scope) -> bool:
    names = {name for name, _ in scope["headers"]}
    return b"authorization" in names or any(one.startswith("bearer.") for one in scope["subprotocols"])
