"""The assistant reads along: finds what it is asked, and asks the queue for each answer, once."""

import asyncio
import logging
import time
from collections import OrderedDict
from contextlib import suppress
from typing import TypeVar

from reference_impl.core.event_bus import EventBus
from reference_impl.core.message_queue import MessageQueue
from reference_impl.core.ports import Clock, Store
from reference_impl.model.assistant import ASSISTANT_ID, SENDER_TYPE, AiRequest, is_question
from reference_impl.model.errors import Forbidden, QueueFull, Unavailable
from reference_impl.model.events import AIEvent, EventTypes, MessageEvent
from reference_impl.model.messages import MessageInfo
from reference_impl.model.positions import PositionKind
from reference_impl.services.activity_service import ActivityService

logger = logging.getLogger(__name__)

Known = TypeVar("Known")

COLLECT_S = 0.05
"""Messages within this time are looked at together: a few queries a round, whatever the rate."""

MEMBERSHIP_KNOWN_S = 1.0
"""How long it is taken as known in which conversations the assistant is. Who adds it to one that is being talked in
waits so long at most for it to begin to read; a conversation that is new here is asked about at once.
"""

AGAIN_S = 1.0
SWEEP_S = 10.0
"""How often all unread conversations are looked at: those of an instance that has died are among them."""

PAGE = 200
MAX_REMEMBERED = 10_000

LARGE = 50
LARGE_KNOWN_S = 10.0
"""The members of a conversation with more than ``LARGE`` are not read again for so long."""


class AIQuestions:
    """Reads the assistant's conversations in order, up to its own read position, which is in the store.

    The position moves on once the requests for all questions up to it are in the queue. So a question is found by
    another instance if this one dies, and asked again at worst; the queue takes it once. The others see how far the
    assistant has read, as they do of everybody.
    """

    def __init__(
        self, *, event_bus: EventBus, store: Store, activity: ActivityService, queue: MessageQueue, clock: Clock
    ) -> None:
        self._event_bus = event_bus
        self._store = store
        self._activity = activity
        self._queue = queue
        self._clock = clock
        self._due: set[str] = set()
        self._spoken = asyncio.Event()
        self._said: set[str] = set()  # since the membership version was last read
        self._said_any = asyncio.Event()
        self._version = -1
        self._is_member: OrderedDict[str, bool] = OrderedDict()  # of conversation, while the version is the same
        self._read: OrderedDict[str, int] = OrderedDict()  # conversation → seq
        self._large: OrderedDict[str, tuple[float, list[str]]] = OrderedDict()
        self._tasks: list[asyncio.Task[None]] = []
        event_bus.subscribe(EventTypes.CHAT_MESSAGE_SENT, self.note)

    async def start(self) -> None:
        """Begins to read, with what nobody has read yet."""
        self._tasks = [
            asyncio.create_task(self._look_forever(), name="assistant reads"),
            asyncio.create_task(self._follow_forever(), name="assistant's conversations"),
            asyncio.create_task(self._sweep_forever(), name="assistant sweep"),
        ]

    async def stop(self) -> None:
        """Ends. What is unread is found by another instance, or after the next start. Idempotent."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks = []

    def note(self, event: MessageEvent) -> None:
        """A message was stored. Does not wait. One that is not for the assistant costs two look-ups."""
        if event.message.sender_type == SENDER_TYPE:
            return
        conversation_id = event.message.conversation_id
        self._said.add(conversation_id)
        self._said_any.set()
        if self._is_member.get(conversation_id, True):  # it takes part, or we have to ask
            self._due.add(conversation_id)
            self._spoken.set()

    async def look_at(self, conversation_id: str) -> None:
        """Reads what is new, and asks for the answers. Raises ``Unavailable`` and ``QueueFull``."""
        members = await self._members_of(conversation_id)
        if ASSISTANT_ID not in members:
            return
        read = await self._read_position(conversation_id)
        while page := await self._store.history(conversation_id, after_seq=read, limit=PAGE):
            now = self._clock()
            for message in page:
                if is_question(message, members, now):
                    await self._ask(message)
            read = page[-1].seq
            with suppress(Forbidden):  # it was removed meanwhile
                await self._activity.advance(conversation_id, ASSISTANT_ID, PositionKind.READ, read)
            _remember(self._read, conversation_id, read)
            if len(page) < PAGE:
                break

    async def _ask(self, question: MessageInfo) -> None:
        request = AiRequest(question.conversation_id, question.id, question.seq, question.sender_id)
        if not await self._queue.enqueue_message(f"ai:{question.id}", request):
            return
        self._event_bus.publish(
            AIEvent(
                type=EventTypes.AI_RESPONSE_REQUESTED,
                timestamp=self._clock(),
                source="ai_questions",
                conversation_id=question.conversation_id,
                user_id=question.sender_id,
                assistant_id=ASSISTANT_ID,
                question_id=question.id,
            )
        )

    async def _read_position(self, conversation_id: str) -> int:
        """What is further back than a page is not read: the assistant may have been added to an old conversation."""
        if (known := self._read.get(conversation_id)) is not None:
            return known
        latest = await self._store.history(conversation_id, limit=PAGE)
        position = (await self._store.positions([conversation_id]))[conversation_id].get(ASSISTANT_ID)
        return max(position.read if position else 0, latest[0].seq - 1 if latest else 0)

    async def _members_of(self, conversation_id: str) -> list[str]:
        read_at, members = self._large.get(conversation_id, (0.0, []))
        if members and time.monotonic() - read_at < LARGE_KNOWN_S:
            return members
        conversation = await self._store.find_conversation(conversation_id)
        members = conversation.participant_ids if conversation else []
        if len(members) > LARGE:
            _remember(self._large, conversation_id, (time.monotonic(), members))
        return members

    async def _joined(self, conversation_ids: list[str]) -> list[str]:
        """Those in which the assistant takes part. Most do not have it: each is asked about once, then remembered."""
        joined = []
        for conversation_id in conversation_ids:
            is_member = self._is_member.get(conversation_id)
            if is_member is None:
                version = self._version
                is_member = await self._store.is_participant(conversation_id, ASSISTANT_ID)
                if version == self._version:  # otherwise it may be older than the change
                    _remember(self._is_member, conversation_id, is_member)
            if is_member:
                joined.append(conversation_id)
        return joined

    async def _follow(self) -> None:
        """When it has joined or left any conversation, all that is known is asked again, for what was said meanwhile.

        The version is read after the messages were stored: who had joined before them is seen. Raises ``Unavailable``.
        """
        said, self._said = self._said, set()
        try:
            version = (await self._store.membership_versions([ASSISTANT_ID])).get(ASSISTANT_ID, 0)
        except BaseException:
            self._said |= said
            raise
        if version != self._version:
            self._version = version
            self._is_member.clear()
            self._large.clear()
            self._due |= said
            self._spoken.set()

    async def _follow_forever(self) -> None:
        while True:
            await self._said_any.wait()
            self._said_any.clear()
            try:
                await self._follow()
            except Unavailable as error:
                logger.warning("the assistant looks later in which conversations it is: %s", error)
                self._said_any.set()
            except Exception:
                logger.exception("the assistant could not see in which conversations it is; the sweep comes back to it")
            await asyncio.sleep(MEMBERSHIP_KNOWN_S)

    async def _look_forever(self) -> None:
        while True:
            await self._spoken.wait()
            await asyncio.sleep(COLLECT_S)
            self._spoken.clear()
            due, self._due = self._due, set()
            try:
                for conversation_id in await self._joined(sorted(due)):
                    await self.look_at(conversation_id)
                    due.discard(conversation_id)
            except (Unavailable, QueueFull) as error:
                logger.warning("the assistant reads later: %s", error)
                self._due |= due
                self._spoken.set()
                await asyncio.sleep(AGAIN_S)
            except Exception:
                logger.exception("the assistant could not read; the sweep comes back to it")

    async def _sweep_forever(self) -> None:
        while True:
            try:
                counts = await self._store.unread_counts(ASSISTANT_ID)
                self._due |= {name for name, unread in counts.items() if unread}
                if self._due:
                    self._spoken.set()
            except Unavailable as error:
                logger.warning("unread conversations are looked for later: %s", error)
            except Exception:
                logger.exception("looking for unread conversations failed, trying again")
            await asyncio.sleep(SWEEP_S)


def _remember(known: OrderedDict[str, Known], name: str, value: Known) -> None:
    """The latest ``MAX_REMEMBERED``."""
    known[name] = value
    known.move_to_end(name)
    if len(known) > MAX_REMEMBERED:
        known.popitem(last=False)
