"""Whole instances in one process, in virtual time: everything but the network, the database and Redis."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from fastapi import FastAPI

from reference_impl.adapters.push_console import ConsolePushProvider
from reference_impl.adapters.queue_memory import MemoryWorkQueue
from reference_impl.adapters.store_memory import MemoryStore
from reference_impl.api import websocket
from reference_impl.app import compose
from reference_impl.chat_system import ChatSystem
from reference_impl.model.conversations import Conversation, User
from reference_impl.model.notification_content import NotificationData
from reference_impl.services.authentication_service import Identity
from reference_impl.settings import Settings
from tests.fakes import NOON
from tests.property.links import ForgetfulPresenceStore, Link, LossyBroker, LossyBus

SECRET = "a secret that nobody has to guess"


class Phones(ConsolePushProvider):
    """Notes who was pushed which message."""

    def __init__(self, pushes: Counter[tuple[str, str]]) -> None:
        super().__init__()
        self._pushes = pushes

    async def send(self, user_id: str, notification: NotificationData, *, idempotency_key: str) -> None:
        self._pushes[user_id, notification["message_id"]] += 1


class Instance:
    """One instance with its own links. ``crash`` is ``kill -9``: nothing is given back."""

    def __init__(self, world: "World", name: str) -> None:
        self.name = name
        self.is_alive = True
        self.broker = LossyBroker(world.bus)
        self.chat = self._composed(world)
        self.app = FastAPI(openapi_url=None)
        self.app.state.services, self.app.state.peer_urls = self.chat.services, ()
        self.app.include_router(websocket.router)
        self.sockets: set[asyncio.Task[None]] = set()

    def _composed(self, world: "World") -> ChatSystem:
        settings = Settings(instance_id=self.name, secret_key=SECRET, **world.settings)
        return compose(
            settings,
            {
                "clock": world.clock,
                "store": Link(world.store, lambda: self.is_alive),
                "broker": self.broker,
                "presence_store": Link(world.presence, lambda: self.is_alive and world.bus.is_up),
                "push_queue": Link(world.push_queue, lambda: self.is_alive and world.bus.is_up),
                "push_provider": Phones(world.pushes),
            },
        )

    async def crash(self) -> None:
        """Its sockets break, its tasks end, and nobody outside hears a word of it."""
        self.is_alive = False
        await self.broker.stop()
        for socket in tuple(self.sockets):
            socket.cancel()
        await asyncio.gather(*self.sockets, return_exceptions=True)
        await self.chat.stop()


class World:
    """What instances share, the instances, and the time. ``settings`` are those of every instance."""

    def __init__(self, **settings: Any) -> None:
        defaults: dict[str, Any] = {"rate_limit_max_messages": 10**6, "max_connections_per_user": 100}
        self.settings = defaults | settings
        self.store = MemoryStore()
        self.presence = ForgetfulPresenceStore(lambda: self.clock().timestamp())
        self.push_queue = MemoryWorkQueue()
        self.pushes: Counter[tuple[str, str]] = Counter()
        """User, message id → how often they were pushed it."""
        self.bus = LossyBus()
        self.instances: list[Instance] = []
        self.window = 10_000
        """How far behind a client may be and still get all it missed."""
        self._started = 0

    def clock(self) -> datetime:
        """Noon, and what has passed since."""
        return NOON + timedelta(seconds=asyncio.get_running_loop().time())

    async def start(self, count: int = 2) -> "World":
        """Starts ``count`` instances."""
        for _ in range(count):
            self.instances.append(await self._started_instance())
        return self

    async def stop(self) -> None:
        """Ends all instances, in order. Their sockets must be closed."""
        for instance in self.instances:
            await instance.chat.stop()

    async def replace(self, place: int) -> None:
        """Kills an instance without a warning, and starts another in its place."""
        await self.instances[place].crash()
        self.instances[place] = await self._started_instance()

    async def conversation(self, name: str, *members: str) -> None:
        """Creates a conversation, and its members if need be."""
        for member in members:
            await self.store.ensure_user(User(id=member, display_name=member))
        await self.store.create_conversation(
            Conversation(
                id=name, title=name, creator_id=members[0], participant_ids=list(members), created_at=self.clock()
            )
        )

    async def say(self, place: int, conversation_id: str, user_id: str, text: str) -> None:
        """One message through the HTTP door's service."""
        await self.instances[place].chat.services.messages.create_message(conversation_id, self.identity(user_id), text)

    async def remove(self, place: int, conversation_id: str, user_id: str) -> None:
        """The member leaves."""
        conversations = self.instances[place].chat.services.conversations
        await conversations.remove_participant(conversation_id, user_id, by=user_id)

    async def add(self, place: int, conversation_id: str, user_id: str, *, by: str) -> None:
        """A member adds somebody."""
        await self.instances[place].chat.services.conversations.add_participant(conversation_id, user_id, by=by)

    def identity(self, user_id: str) -> Identity:
        """Somebody who is signed in."""
        return Identity(
            user_id=user_id,
            display_name=user_id,
            expires_at=self.clock() + timedelta(hours=1),
            token_id=user_id,
        )

    async def pass_time(self, seconds: float) -> None:
        """Returns when ``seconds`` have passed."""
        await asyncio.sleep(seconds)

    async def until(self, condition: Callable[[], bool], deadline: float = 30) -> None:
        """Returns once ``condition()`` holds. Fails after ``deadline`` virtual seconds."""
        async with asyncio.timeout(deadline):
            while not condition():  # noqa: ASYNC110 - waits for anything; the time is virtual
                await asyncio.sleep(0.05)

    async def _started_instance(self) -> Instance:
        self._started += 1
        instance = Instance(self, f"i-{self._started}")
        await instance.chat.start()
        return instance
