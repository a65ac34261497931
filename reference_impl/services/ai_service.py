"""The assistant answers: from a request in the queue to a stored message, or to a word why there is none."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import aclosing

import msgspec

from reference_impl.core.ai_port import AiProvider
from reference_impl.core.event_bus import EventBus
from reference_impl.core.message_queue import MessageQueue
from reference_impl.core.ports import Clock, Store
from reference_impl.model.assistant import (
    ASSISTANT_ID,
    ASSISTANT_NAME,
    CONTEXT_MESSAGES,
    LONGEST_ANSWER,
    SENDER_TYPE,
    AiRequest,
    Author,
    Turn,
    bounded_answer,
    turns_of,
)
from reference_impl.model.circuit_breaker import CircuitBreaker
from reference_impl.model.conversations import User
from reference_impl.model.errors import Forbidden, Unavailable
from reference_impl.model.events import AIEvent, EventTypes
from reference_impl.model.health import Health, health_behind
from reference_impl.model.jobs import Job, PermanentFailure
from reference_impl.model.messages import MessageInfo
from reference_impl.model.server_frames import AiResponseData
from reference_impl.services.broadcasting_service import BroadcastingService
from reference_impl.services.message_service import MessageService

logger = logging.getLogger(__name__)

SHOW_EVERY_S = 0.15
"""How often the others see how far an answer has come. Each such frame has all of it so far."""

ATTEMPTS = 3

REASONS = {
    "timeout": "The assistant took too long to answer.",
    "unavailable": "The assistant can not be reached.",
    "away": "The assistant can not be reached for the moment. Ask again in a minute.",
    "refused": "The assistant can not answer this.",
}
"""Code → what the conversation is told."""

_decode = msgspec.json.Decoder(AiRequest).decode


class AnswerTimeout(Unavailable):
    """The answer was not complete in time."""


class CircuitIsOpen(PermanentFailure):
    """The provider keeps failing: whoever asks is told at once, instead of waiting for one more failure."""


class AIService:
    """The handler of the AI queue: at least once, on any instance, and its effect is idempotent.

    While an answer comes, members see it grow in ``ai_response`` frames, which are stored nowhere. The whole answer is
    a message like every other one, by ``MessageService``, under the job's id as its ``client_message_id``: however
    often a job is done, there is one answer. A job that is given up leaves a message, too, and a dead letter; when an
    operator replays it, the answer may still come.
    """

    def __init__(
        self,
        *,
        queue: MessageQueue,
        provider: AiProvider,
        messages: MessageService,
        store: Store,
        broadcasting: BroadcastingService,
        event_bus: EventBus,
        clock: Clock,
        timeout_s: float,
        breaker: CircuitBreaker | None = None,
        now: Callable[[], float] = time.monotonic,
        show_every_s: float = SHOW_EVERY_S,
    ) -> None:
        self.queue = queue
        self.provider = provider
        self.breaker = breaker or CircuitBreaker()
        self._messages = messages
        self._store = store
        self._broadcasting = broadcasting
        self._event_bus = event_bus
        self._clock = clock
        self._timeout_s = timeout_s
        self._now = now
        self._show_every_s = show_every_s

    async def start(self) -> None:
        """Begins to answer. Makes the assistant a user that can be added to conversations. Raises ``Unavailable``."""
        await self._store.ensure_user(User(id=ASSISTANT_ID, display_name=ASSISTANT_NAME))
        await self.queue.start(self.answer, self.give_up)

    async def stop(self, timeout: float) -> None:
        """Finishes what is on its way, within ``timeout`` seconds; the rest is another instance's. Idempotent."""
        await self.queue.stop(timeout)
        await self.provider.stop()

    def health(self) -> Health:
        """As the circuit breaker knows it."""
        return health_behind(self.breaker, "ai", self._now())

    async def answer(self, job: Job) -> None:
        """Handles one request. Raises ``Unavailable`` or ``PermanentFailure``."""
        request = _request_of(job)
        answer = await self._answer_before(request, job.id)
        if answer is None:
            turns = await self._turns(request)
            text = await self._generate(request, turns)
            answer = await self._say(request, {"text": text}, "text", job.id)
        if answer is not None:
            self._tell(EventTypes.AI_RESPONSE_GENERATED, request, answer=answer)

    async def give_up(self, job: Job, error: Exception) -> None:
        """There will be no answer: says so in the conversation, once. Raises ``Unavailable``."""
        try:
            request = _request_of(job)
        except PermanentFailure:
            return  # it asks nothing that could be answered, nor anybody who could be told
        reason = _reason_of(error)
        content = {"text": REASONS[reason], "code": f"ai_{reason}"}
        if await self._say(request, content, "system", f"{job.id}:failed") is not None:
            self._tell(EventTypes.AI_RESPONSE_FAILED, request, reason=reason)

    async def _turns(self, request: AiRequest) -> list[Turn]:
        history = await self._store.history(request.conversation_id, before_seq=request.seq + 1, limit=CONTEXT_MESSAGES)
        if not history or history[-1].id != request.message_id:
            raise PermanentFailure("the question is not in the store")
        return turns_of(history)

    async def _answer_before(self, request: AiRequest, name: str) -> MessageInfo | None:
        """The answer, if an instance died after it was stored: it need not be generated again."""
        since = await self._store.history(request.conversation_id, after_seq=request.seq, limit=CONTEXT_MESSAGES)
        return next((message for message in since if _is_answer(message, name)), None)

    async def _generate(self, request: AiRequest, turns: list[Turn]) -> str:
        permit = self.breaker.admit(self._now())
        if permit is None:
            raise CircuitIsOpen("the AI service is taken for dead")
        try:
            async with asyncio.timeout(self._timeout_s):
                text = await self._stream(request, turns)
        except TimeoutError as error:
            self.breaker.failed(permit, self._now())
            raise AnswerTimeout(f"no complete answer in {self._timeout_s:g} s") from error
        except PermanentFailure:
            self.breaker.succeeded(permit, self._now())  # it answered
            raise
        except Exception:
            self.breaker.failed(permit, self._now())
            raise
        self.breaker.succeeded(permit, self._now())
        if not text.strip():
            raise PermanentFailure("the answer is empty")
        return text

    async def _stream(self, request: AiRequest, turns: list[Turn]) -> str:
        text, shown_at = "", -self._show_every_s
        async with aclosing(self.provider.stream(turns)) as pieces:
            async for piece in pieces:
                text = bounded_answer(text + piece)
                if self._now() - shown_at >= self._show_every_s:
                    shown_at = self._now()
                    await self._broadcasting.broadcast_answer(request.conversation_id, _progress(request, text))
                if len(text) >= LONGEST_ANSWER:
                    break
        return text

    async def _say(
        self, request: AiRequest, content: dict[str, str], message_type: str, name: str
    ) -> MessageInfo | None:
        """Stores a message of the assistant. None when it takes no part any more: then there is nobody to tell."""
        try:
            return await self._messages.create_message(
                request.conversation_id,
                Author(),
                content,
                message_type,
                sender_type=SENDER_TYPE,
                client_message_id=name,
                reply_to_message_id=request.message_id,
            )
        except Forbidden:
            logger.info("the assistant was removed before it could answer message %s", request.message_id)
            return None

    def _tell(
        self, event_type: str, request: AiRequest, *, answer: MessageInfo | None = None, reason: str | None = None
    ) -> None:
        self._event_bus.publish(
            AIEvent(
                type=event_type,
                timestamp=self._clock(),
                source="ai_service",
                conversation_id=request.conversation_id,
                user_id=request.user_id,
                assistant_id=ASSISTANT_ID,
                question_id=request.message_id,
                answer=answer,
                reason=reason,
            )
        )


def _request_of(job: Job) -> AiRequest:
    try:
        return _decode(job.payload)
    except msgspec.DecodeError as error:
        raise PermanentFailure("the job is no AI request") from error


def _is_answer(message: MessageInfo, name: str) -> bool:
    return message.sender_type == SENDER_TYPE and message.client_message_id == name


def _progress(request: AiRequest, text: str) -> AiResponseData:
    return AiResponseData(message_id=request.message_id, user_id=ASSISTANT_ID, text=text, is_final=False)


def _reason_of(error: Exception) -> str:
    match error:
        case CircuitIsOpen():
            return "away"
        case AnswerTimeout() | TimeoutError():
            return "timeout"
        case Unavailable():
            return "unavailable"
        case _:
            return "refused"
