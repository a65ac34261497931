"""Offline or silent: a message that no socket takes becomes a push."""

import asyncio
import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from reference_impl.core.event_bus import EventBus
from reference_impl.core.ports import Clock, Store
from reference_impl.core.presence_manager import PresenceManager
from reference_impl.model.assistant import ASSISTANT_ID
from reference_impl.model.errors import QueueFull, Unavailable
from reference_impl.model.events import EventTypes, MessageEvent
from reference_impl.model.notification_content import notification_of
from reference_impl.model.positions import Position, PositionKind, Uncovered
from reference_impl.model.push_decision import NOBODY_HEARS, Push, decide, hears_since
from reference_impl.services.notification_service import NotificationService

logger = logging.getLogger(__name__)

COLLECT_S = 0.2
"""Messages within this time are decided on together: a few queries a round, whatever the rate."""

LOOK_AGAIN_S = 1.0
"""How often those are looked at whose sockets have not confirmed yet."""

SWEEP_S = 10.0
"""How often all uncovered conversations are looked at: those of an instance that has died are among them."""

FRESH_S = 60.0
"""A connection that is older has been there for every message that is still undecided."""

LARGEST_ROUND, PAGE, AT_ONCE = 500, 200, 50


class _Wait(NamedTuple):
    """How far a member with a socket was covered, and when this was first seen, in monotonic seconds."""

    covered: int
    began: float


class PushFallback:
    """Makes sure that each member gets each message on a socket, or a push for it; never neither.

    A member is *covered* up to a number once a socket has confirmed it, they have read it, or a push was asked for.
    Whoever is behind and has no socket on the conversation is told at once. Whoever has one gets the time to
    confirm; when their last lease ends unconfirmed, or ``patience_s`` pass, they are told after all.

    Every instance may decide on every conversation: the queue takes each push once. So a message whose instance
    has died is decided on by another. Nothing is marked before its pushes are in the queue.
    """

    def __init__(
        self,
        *,
        event_bus: EventBus,
        store: Store,
        presence_manager: PresenceManager,
        notifications: NotificationService,
        clock: Clock,
        patience_s: float,
    ) -> None:
        self.asked = 0
        """Pushes that were asked for by this instance, since the start."""
        self._store = store
        self._presence = presence_manager
        self._notifications = notifications
        self._clock = clock
        self._patience_s = patience_s
        self._due: set[str] = set()
        self._waiting: dict[str, dict[str, _Wait]] = {}  # conversation_id -> user_id
        self._spoken = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        event_bus.subscribe(EventTypes.CHAT_MESSAGE_SENT, self.note)

    @property
    def undecided(self) -> int:
        """Conversations that this instance watches, since a member there may still need a push."""
        return len(self._due | self._waiting.keys())

    async def start(self) -> None:
        """Begins to decide."""
        self._tasks = [
            asyncio.create_task(self._decide_forever(), name="push fallback"),
            asyncio.create_task(self._sweep_forever(), name="push sweep"),
        ]

    async def stop(self) -> None:
        """Ends. What is undecided is found by another instance, or after the next start. Idempotent."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks = []

    def note(self, event: MessageEvent) -> None:
        """A message was stored: its conversation is due. Does not wait."""
        self._due.add(event.message.conversation_id)
        self._spoken.set()

    async def settle(self, conversation_ids: Iterable[str]) -> None:
        """Decides on these conversations now. Raises ``Unavailable`` and ``QueueFull``; then they are due again."""
        uncovered = await self._store.uncovered(list(conversation_ids))
        members = sorted({user_id for one in uncovered.values() for user_id in one.covered})
        leases = await self._presence.leases(members)
        for conversation_id, one in uncovered.items():
            since = {user_id: hears_since(leases.get(user_id, ()), conversation_id) for user_id in one.covered}
            await self._settle(conversation_id, one, self._without_the_silent(conversation_id, one, since))
        done = {name: one.head for name, one in uncovered.items() if not one.covered}
        if done:
            await self._store.mark_covered(done)

    async def _settle(self, conversation_id: str, uncovered: Uncovered, since: dict[str, float]) -> None:
        """Asks for the pushes of one conversation, page by page."""
        fresh = self._clock().timestamp() - FRESH_S
        covered = {user_id: seq for user_id, seq in uncovered.covered.items() if since[user_id] > fresh}
        while covered:
            messages = await self._store.history(conversation_id, after_seq=min(covered.values()), limit=PAGE)
            decision = decide(messages, covered, since)
            await self._ask_for(decision.pushes)
            await self._store.advance(
                [
                    Position(conversation_id=conversation_id, user_id=user_id, kind=PositionKind.COVERED, seq=seq)
                    for user_id, seq in decision.covered.items()
                ]
            )
            if len(messages) < PAGE:
                break
            # Who has not moved waits for a socket; the others may need the next page, too.
            covered = {user_id: seq for user_id, seq in decision.covered.items() if seq == messages[-1].seq}

    def _without_the_silent(self, conversation_id: str, one: Uncovered, since: dict[str, float]) -> dict[str, float]:
        """``since``, where sockets that have confirmed nothing for too long count as none."""
        now = time.monotonic()
        before = self._waiting.pop(conversation_id, {})
        waits = {user_id: _Wait(one.covered[user_id], now) for user_id, when in since.items() if when != NOBODY_HEARS}
        for user_id, wait in waits.items():
            if user_id in before and before[user_id].covered == wait.covered:
                waits[user_id] = before[user_id]
        if one.covered:
            self._waiting[conversation_id] = waits
        silent = {user_id for user_id, wait in waits.items() if now - wait.began > self._patience_s}
        return {user_id: NOBODY_HEARS if user_id in silent else when for user_id, when in since.items()}

    async def _ask_for(self, pushes: list[Push]) -> None:
        pushes = await self._without_the_deaf(pushes)
        for start in range(0, len(pushes), AT_ONCE):
            asking = [
                self._notifications.send_push_notification(push.user_id, notification_of(push.message))
                for push in pushes[start : start + AT_ONCE]
            ]
            self.asked += sum(await asyncio.gather(*asking))

    async def _without_the_deaf(self, pushes: list[Push]) -> list[Push]:
        """Nobody who is banned hears by push what they may not hear; and a program has no phone, it reads the store."""
        access = await self._store.access_of(sorted({push.user_id for push in pushes})) if pushes else {}
        return [push for push in pushes if push.user_id != ASSISTANT_ID and not access[push.user_id].is_banned]

    async def _decide_forever(self) -> None:
        looked_at = time.monotonic()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN_S):
                    await self._spoken.wait()
                    await asyncio.sleep(COLLECT_S)
            self._spoken.clear()
            if time.monotonic() - looked_at >= LOOK_AGAIN_S:
                looked_at = time.monotonic()
                self._due |= self._waiting.keys()
            await self._try_to_settle()

    async def _try_to_settle(self) -> None:
        due, self._due = sorted(self._due), set()
        for number in range(0, len(due), LARGEST_ROUND):
            try:
                await self.settle(due[number : number + LARGEST_ROUND])
            except (Unavailable, QueueFull) as error:
                logger.warning("pushes are decided on later: %s", error)
                self._due.update(due[number:])
                return
            except Exception:
                logger.exception("deciding on pushes failed; the sweep comes back to it")

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                await self._sweep()
            except Unavailable as error:
                logger.warning("uncovered conversations are looked for later: %s", error)
            except Exception:
                logger.exception("looking for uncovered conversations failed, trying again")

    async def _sweep(self) -> None:
        after = ""
        while page := await self._store.uncovered_conversations(after, LARGEST_ROUND):
            self._due.update(page)
            after = page[-1]
