"""A learner's event bus as the chat server's, and handlers that make trouble in it."""

import asyncio
import gc
import inspect
import weakref
from collections import Counter
from functools import partial
from typing import Any

from reference_impl.core.clock import utc_now
from reference_impl.model.event_factories import create_system_notification
from reference_impl.model.events import Audience, Event, EventTypes, MessageEvent

MUST_BE_AWAITED = "publish gives back something to await, and nobody awaits it here"
LAST_WORDS = "goodbye"
"""After this message no handler waits for another."""


class ServerBus:
    """A learner's bus with what else the server asks of its own: figures, and a limit to draining."""

    def __init__(self, bus: Any) -> None:
        self._bus = bus
        self.published: Counter[str] = Counter()
        self.slow = 0
        self.subscribe = bus.subscribe
        self.subscribe_async = bus.subscribe_async
        self.unsubscribe = bus.unsubscribe

    @property
    def failures(self) -> int:
        """Handlers that raised, as the learner's bus counts them."""
        return int(self._bus.failures)

    async def start(self) -> None:
        """The server awaits no ``publish``: one that has to be awaited ends the start. Raises ``TypeError``."""
        answer = self._bus.publish(Event(type="server_started", timestamp=utc_now()))
        if inspect.iscoroutine(answer):
            answer.close()
            raise TypeError(MUST_BE_AWAITED)

    def publish(self, event: Event) -> None:
        """Counts the event and hands it on."""
        self.published[event.type] += 1
        self._bus.publish(event)

    async def publish_async(self, event: Event) -> None:
        """Publishes, and waits for whoever is busy."""
        self.publish(event)
        await self._bus.drain()

    async def drain(self, timeout: float) -> None:
        """Gives up after ``timeout`` seconds."""
        async with asyncio.timeout(timeout):
            await self._bus.drain()


class Trouble:
    """Handlers of sent messages that fail, leave, or take their time. The server knows nothing of them."""

    def __init__(self, bus: ServerBus) -> None:
        self.bus = bus
        self._waiting: list[weakref.ref[asyncio.Future[None]]] = []

    def raises(self, _event: MessageEvent) -> None:
        """Fails at every message."""
        raise RuntimeError("a sync handler has failed")

    async def raises_later(self, _event: MessageEvent) -> None:
        """Fails at every message, in the middle."""
        await asyncio.sleep(0)
        raise RuntimeError("an async handler has failed")

    def leaves(self, _event: MessageEvent) -> None:
        """Wants to hear of one message only."""
        self.bus.unsubscribe(EventTypes.CHAT_MESSAGE_SENT, self.leaves)

    async def waits(self, event: MessageEvent) -> None:
        """Is busy until the next message comes, and then says so to the conversation."""
        self._wake_up()
        if event.message.content["text"] == LAST_WORDS:
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(weakref.ref(future))
        await future
        self.bus.publish(
            create_system_notification(
                "done",
                f"done with {event.message.content['text']}",
                source="trouble",
                timestamp=utc_now(),
                audience=Audience.CONVERSATION,
                conversation_id=event.message.conversation_id,
            )
        )

    def _wake_up(self) -> None:
        gc.collect()  # who holds no task of a handler that waits loses it here
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            future = one()
            if future is not None and not future.done():
                future.set_result(None)


TROUBLE = {
    "raises": Trouble.raises,
    "raises later": Trouble.raises_later,
    "leaves": Trouble.leaves,
    "waits": Trouble.waits,
}


def server_bus(bus: Any, trouble: list[str]) -> ServerBus:
    """The bus of a server, with these handlers subscribed before all others."""
    whole = ServerBus(bus)
    makes = Trouble(whole)
    for what in trouble:
        if what == "leaves":
            handler: Any = makes.leaves  # a method: a new object each time it is named
        else:
            handler = partial(TROUBLE[what], makes)
        subscribe = whole.subscribe_async if what in ("raises later", "waits") else whole.subscribe
        subscribe(EventTypes.CHAT_MESSAGE_SENT, handler)
    return whole
