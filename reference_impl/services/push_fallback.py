"""Offline or silent: a message that no socket takes becomes a push."""

import asyncio
import logging
import time
from collections.abc import Iterable
from contextlib import suppress

from reference_impl.core.attendance import Attendance
from reference_impl.core.event_bus import EventBus
from reference_impl.core.ports import Clock, Store
from reference_impl.model.assistant import ASSISTANT_ID
from reference_impl.model.errors import QueueFull, Unavailable
from reference_impl.model.events import EventTypes, MessageEvent
from reference_impl.model.notification_content import notification_of
from reference_impl.model.positions import Position, PositionKind, Uncovered
from reference_impl.model.push_decision import NOBODY_HEARS, Push, decide
from reference_impl.model.push_waits import FRESH_S, Wait, silent_among, to_decide, waits_of
from reference_impl.services.notification_service import NotificationService

logger = logging.getLogger(__name__)

COLLECT_S = 0.2
"""Messages within this time are decided on together: a few queries a round, whatever the rate."""

LOOK_AGAIN_S = 5.0
"""How often everything that is undecided is looked at: who is silent, and what nobody has told us of."""

RETRY_S = 1.0
"""Pause before what failed is tried again."""

SWEEP_S = 5.0
"""How often conversations are looked for that nobody decides on: those of an instance that has died."""

LARGEST_ROUND, LARGEST_PAGE, PAGE = 100, 1000, 200

AT_ONCE = 200
"""Pushes that are asked for in one round trip. Redis does nothing else meanwhile, for about a millisecond."""


class PushFallback:
    """Makes sure that each member gets each message on a socket, or a push for it; never neither.

    A member is *covered* up to a number once a socket has confirmed it, they have read it, or a push was asked for.
    Whoever is behind and has no socket on the conversation is told at once. Whoever has one gets the time to
    confirm; when their last lease ends unconfirmed, or ``patience_s`` pass, they are told after all.

    While everybody has a socket, a message costs nothing here: that it is undecided is noted. Somebody's leaving,
    a new member, or the next look all ``LOOK_AGAIN_S`` seconds decides on it.

    Every instance may decide on every conversation: the queue takes each push once. So a message whose instance
    has died is decided on by another. Nothing is marked before its pushes are in the queue.
    """

    def __init__(
        self,
        *,
        event_bus: EventBus,
        store: Store,
        attendance: Attendance,
        notifications: NotificationService,
        clock: Clock,
        patience_s: float,
    ) -> None:
        self.asked = 0
        """Pushes that were asked for by this instance, since the start."""
        self._store = store
        self._attendance = attendance
        self._notifications = notifications
        self._clock = clock
        self._patience_s = patience_s
        self._look_again_s = min(LOOK_AGAIN_S, patience_s / 4)
        self._due: set[str] = set()
        self._noted: set[str] = set()  # conversations with a message that came after the last look at all members
        self._waiting: dict[str, dict[str, Wait]] = {}  # conversation_id -> user_id, of those who are behind
        self._last_found: dict[str, int] = {}  # conversation_id -> head, by the last sweep
        self._spoken = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        attendance.on_change(self._decide_soon)
        event_bus.subscribe(EventTypes.CHAT_MESSAGE_SENT, self.note)

    @property
    def undecided(self) -> int:
        """Conversations that this instance watches, since a member there may still need a push."""
        return len(self._due | self._noted | self._waiting.keys())

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
        """A message was stored: its conversation is due, unless all its members hear it. Does not wait."""
        conversation_id = event.message.conversation_id
        self._noted.add(conversation_id)
        if not self._attendance.is_attended(conversation_id):
            self._decide_soon(conversation_id)

    async def settle(self, conversation_ids: Iterable[str]) -> None:
        """Decides on these conversations now. Raises ``Unavailable`` and ``QueueFull``; then they are due again."""
        absent = {name: self._attendance.absent(name) for name in conversation_ids}
        if unknown := [name for name, users in absent.items() if users is None]:
            await self._settle_all(unknown)
        if known := {name: users for name, users in absent.items() if users}:
            await self._settle_absent(known)

    async def _settle_all(self, names: list[str]) -> None:
        """Looks at every member of these conversations."""
        self._waiting |= {name: self._waiting.get(name, {}) for name in names}
        self._noted.difference_update(names)  # what is said from here on may not be seen below
        uncovered = await self._store.uncovered(names)
        since = await self._attendance.look({name: _people(one.covered) for name, one in uncovered.items()})
        now, fresh = time.monotonic(), self._clock().timestamp() - FRESH_S
        waits: dict[str, dict[str, Wait]] = {}
        moved: list[Position] = []
        for name, one in uncovered.items():
            here = {user_id: since[name].get(user_id, NOBODY_HEARS) for user_id in one.behind}
            waits[name] = waits_of(one.behind, here, self._waiting[name], now)
            silent = silent_among(waits[name], now, self._patience_s)
            undecided = to_decide(waits[name], here, self._waiting[name], silent=silent, fresh=fresh)
            moved += await self._tell(name, one, undecided)
        await self._cover(moved)
        done = {name: one.head for name, one in uncovered.items() if not one.behind}
        self._waiting |= waits
        for name in done.keys() | (set(names) - uncovered.keys()):
            del self._waiting[name]
        if done:
            await self._store.mark_covered(done)

    async def _settle_absent(self, absent: dict[str, set[str]]) -> None:
        """Looks at those who were without a socket alone. Their leases are read anew: they may be back."""
        uncovered = await self._store.uncovered(sorted(absent), sorted(set().union(*absent.values())))
        since = await self._attendance.look_for(absent)
        moved: list[Position] = []
        for name, one in uncovered.items():
            moved += await self._tell(name, one, since[name])
        await self._cover(moved)

    async def _tell(self, name: str, one: Uncovered, since: dict[str, float]) -> list[Position]:
        """Asks for the pushes of those in ``since`` who are behind, page by page; returns how far they are covered."""
        moved: dict[str, int] = {}
        covered = {user_id: seq for user_id, seq in one.behind.items() if user_id in since}
        while covered:
            messages = await self._store.history(name, after_seq=min(covered.values()), limit=PAGE)
            decision = decide(messages, covered, since)
            await self._ask_for(decision.pushes)
            moved |= decision.covered
            if len(messages) < PAGE:
                break
            # Who has not moved waits for a socket; the others may need the next page, too.
            covered = {user_id: seq for user_id, seq in decision.covered.items() if seq == messages[-1].seq}
        return [
            Position(conversation_id=name, user_id=user_id, kind=PositionKind.COVERED, seq=seq)
            for user_id, seq in moved.items()
        ]

    async def _cover(self, moved: list[Position]) -> None:
        if moved:
            await self._store.advance(moved)

    def _decide_soon(self, conversation_id: str) -> None:
        self._due.add(conversation_id)
        self._spoken.set()

    async def _ask_for(self, pushes: list[Push]) -> None:
        pushes = await self._without_the_deaf(pushes)
        messages = {push.message.id: push.message for push in pushes}
        notices = {message_id: notification_of(message) for message_id, message in messages.items()}
        for start in range(0, len(pushes), AT_ONCE):
            some = [(push.user_id, notices[push.message.id]) for push in pushes[start : start + AT_ONCE]]
            self.asked += await self._notifications.send_push_notifications(some)

    async def _without_the_deaf(self, pushes: list[Push]) -> list[Push]:
        """Nobody who is banned hears by push what they may not hear; and a program has no phone, it reads the store."""
        access = await self._store.access_of(sorted({push.user_id for push in pushes})) if pushes else {}
        return [push for push in pushes if push.user_id != ASSISTANT_ID and not access[push.user_id].is_banned]

    async def _decide_forever(self) -> None:
        looked_at = time.monotonic()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY_S if self._due else self._look_again_s):
                    await self._spoken.wait()
                    await asyncio.sleep(COLLECT_S)
            self._spoken.clear()
            if time.monotonic() - looked_at >= self._look_again_s:
                looked_at = time.monotonic()
                self._look_again()
            await self._try_to_settle()

    def _look_again(self) -> None:
        """Whatever we believe of who is there, what is undecided is due; the rest is not watched any more."""
        for name in self._attendance.known:
            self._attendance.forget(name)
        self._due |= self._noted | self._waiting.keys()

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
                logger.exception("deciding on pushes failed; the next look comes back to it")

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
        """Takes over what has not changed since the last sweep: where people talk, somebody decides."""
        found: dict[str, int] = {}
        after = ""
        while page := await self._store.uncovered_conversations(after, LARGEST_PAGE):
            found |= page
            after = max(page)
        for name, head in found.items():
            if self._last_found.get(name) == head and name not in self._waiting:
                self._decide_soon(name)
        self._last_found = found


def _people(user_ids: Iterable[str]) -> list[str]:
    """Without the assistant: a program has no socket, and must not make a conversation look deserted."""
    return [user_id for user_id in user_ids if user_id != ASSISTANT_ID]
