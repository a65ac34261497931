"""The assistant in a whole instance, without a network: asked, answered once, and heard of when it can not answer."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import jwt
import msgspec
import pytest

from reference_impl.adapters.push_console import ConsolePushProvider
from reference_impl.adapters.queue_memory import MemoryWorkQueue
from reference_impl.adapters.store_memory import MemoryStore
from reference_impl.app import compose
from reference_impl.chat_system import ChatSystem
from reference_impl.core import message_queue
from reference_impl.core.ai_port import AiProvider
from reference_impl.core.clock import utc_now
from reference_impl.core.message_queue import MessageQueue
from reference_impl.core.queue_ports import WorkQueue
from reference_impl.model.assistant import ASSISTANT_ID, AiRequest, Author, Turn
from reference_impl.model.errors import AuthenticationFailed, Invalid, Unavailable
from reference_impl.model.events import AIEvent, EventTypes
from reference_impl.model.health import HealthState
from reference_impl.model.jobs import Job, PermanentFailure
from reference_impl.model.messages import MessageInfo
from reference_impl.services import ai_questions
from reference_impl.services.authentication_service import Identity
from reference_impl.settings import Settings
from tests.fakes import until

SECRET = "the word that no log has"


class Model(AiProvider):
    """Answers ``yes`` in two pieces, or with what is in ``next``: a text, or an error that is raised."""

    name = "test"

    def __init__(self) -> None:
        self.asked: list[Sequence[Turn]] = []
        self.next: deque[str | Exception] = deque()
        self.always: str | Exception = "yes indeed"
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def stream(self, turns: Sequence[Turn]) -> AsyncGenerator[str, None]:
        self.asked.append(turns)
        answer = self.next.popleft() if self.next else self.always
        if isinstance(answer, Exception):
            raise answer
        head, _, tail = answer.partition(" ")
        yield head
        await self.may_end.wait()
        yield f" {tail}" if tail else ""

    async def stop(self) -> None:
        pass


class QuickQueue(MessageQueue):
    """Tries again at once."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments, delay_s=lambda _: 0.0)


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def work_queue() -> WorkQueue:
    return MemoryWorkQueue()


@pytest.fixture
def console() -> ConsolePushProvider:
    return ConsolePushProvider()


Start = Callable[..., Any]


@pytest.fixture
async def start(
    model: Model, work_queue: WorkQueue, console: ConsolePushProvider, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Start]:
    """Starts instances over one store and one queue."""
    monkeypatch.setattr(message_queue, "WAIT_S", 0.02)
    monkeypatch.setattr(message_queue, "IDLE_WAIT_S", 0.02)
    monkeypatch.setattr(ai_questions, "COLLECT_S", 0.0)
    monkeypatch.setattr(ai_questions, "MEMBERSHIP_KNOWN_S", 0.01)
    store = MemoryStore()
    async with AsyncExitStack() as stack:

        async def start_one(**settings: Any) -> ChatSystem:
            overrides = {"store": store, "ai_queue": work_queue, "ai_provider": model, "ai_message_queue": QuickQueue}
            chat = compose(Settings(demo_login=True, **settings), overrides | {"push_provider": console})
            await chat.start()
            stack.push_async_callback(chat.stop)
            return chat

        yield start_one


@pytest.fixture
async def chat(start: Start) -> ChatSystem:
    started: ChatSystem = await start()
    return started


def person(chat: ChatSystem, name: str) -> Identity:
    return chat.services.authentication.issue_token(name)[1]


async def talk(chat: ChatSystem, *others: str) -> str:
    """A conversation of Ann, the others and the assistant."""
    view = await chat.services.conversations.create(person(chat, "ann"), "talk", [*others, ASSISTANT_ID])
    return view.conversation.id


async def say(chat: ChatSystem, conversation_id: str, text: str, sender: str = "ann") -> MessageInfo:
    return await chat.services.messages.create_message(conversation_id, person(chat, sender), text)


async def said(chat: ChatSystem, conversation_id: str) -> list[MessageInfo]:
    return [one for one in await chat.store.history(conversation_id) if one.sender_type == "ai"]


async def until_read(chat: ChatSystem, conversation_id: str) -> None:
    """Until the assistant has read everything, and every answer that it was asked for is there, or given up."""
    async with asyncio.timeout(5):
        while not await _is_read(chat, conversation_id):  # noqa: ASYNC110 - it tells nobody when it is done
            await asyncio.sleep(0.005)


async def _is_read(chat: ChatSystem, conversation_id: str) -> bool:
    read = (await chat.store.positions([conversation_id]))[conversation_id][ASSISTANT_ID].read
    unread = await chat.store.history(conversation_id, after_seq=read)
    counts = chat.ai_service.queue.counts
    return all(one.sender_type == "ai" for one in unread) and counts["enqueued"] <= counts["done"] + counts["dead"]


async def test_between_the_two_of_them_every_text_is_answered(chat: ChatSystem, model: Model) -> None:
    """As a message of the assistant that replies to it; what was said before goes along."""
    conversation = await talk(chat)
    first = await say(chat, conversation, "hello")
    await until_read(chat, conversation)
    await say(chat, conversation, "and now?")
    await until_read(chat, conversation)
    answers = await said(chat, conversation)
    assert [one.content for one in answers] == [{"text": "yes indeed"}] * 2
    assert (answers[0].sender_id, answers[0].sender_name, answers[0].type) == ("assistant", "Assistant", "text")
    assert (answers[0].reply_to_message_id, answers[0].client_message_id) == (first.id, f"ai:{first.id}")
    assert model.asked[1] == [
        Turn("user", "ann: hello"), Turn("assistant", "yes indeed"), Turn("user", "ann: and now?")
    ]  # fmt: skip


async def test_among_others_it_speaks_when_it_is_spoken_to(
    chat: ChatSystem, model: Model, console: ConsolePushProvider
) -> None:
    """It reads everything, and nobody pushes it anything. Bob, who is not there, is pushed three messages."""
    conversation = await talk(chat, "bob")
    await say(chat, conversation, "hello bob")
    await say(chat, conversation, "@assistant hello")
    await until_read(chat, conversation)
    assert len(model.asked) == len(await said(chat, conversation)) == 1
    await until(lambda: console.count == 4)
    assert {one.user_id for one in console.pushed} == {"ann", "bob"}


async def test_programs_do_not_talk_to_each_other(chat: ChatSystem, model: Model) -> None:
    """Not even when one mentions the other."""
    conversation = await talk(chat)
    await chat.services.messages.create_message(conversation, Author(), "@assistant", sender_type="ai")
    await say(chat, conversation, "hello")
    await until_read(chat, conversation)
    assert len(model.asked) == 1


async def test_the_events_of_an_answer(chat: ChatSystem, model: Model) -> None:
    """Requested, then generated, both about the question."""
    events: list[AIEvent] = []
    for event_type in (EventTypes.AI_RESPONSE_REQUESTED, EventTypes.AI_RESPONSE_GENERATED):
        chat.event_bus.subscribe(event_type, events.append)
    question = await say(chat, await talk(chat), "hello")
    await until(lambda: len(events) == 2)
    assert [one.type for one in events] == ["ai_response_requested", "ai_response_generated"]
    assert {(one.question_id, one.user_id) for one in events} == {(question.id, "ann")}
    assert events[1].answer is not None


async def test_a_job_that_comes_twice_has_one_answer(chat: ChatSystem, model: Model) -> None:
    """An instance that dies between the answer and the settlement leaves a job that is done: it is not asked again."""
    conversation = await talk(chat)
    question = await say(chat, conversation, "hello")
    await until_read(chat, conversation)
    request = AiRequest(conversation, question.id, question.seq, "ann")
    job = Job(id=f"ai:{question.id}", payload=msgspec.json.encode(request), enqueued_at=0)
    await chat.ai_service.answer(job)
    assert len(await said(chat, conversation)) == len(model.asked) == 1


async def test_what_fails_is_tried_again(chat: ChatSystem, model: Model) -> None:
    """Its asker sees only the answer."""
    model.next.extend([Unavailable("away"), Unavailable("away")])
    conversation = await talk(chat)
    await say(chat, conversation, "hello")
    await until_read(chat, conversation)
    assert [one.content["text"] for one in await said(chat, conversation)] == ["yes indeed"]
    assert len(model.asked) == 3


@pytest.mark.parametrize(
    ("error", "asked", "code"),
    [
        (Unavailable("away"), 3, "ai_unavailable"),
        (PermanentFailure("no"), 1, "ai_refused"),
        (RuntimeError(SECRET), 3, "ai_refused"),
    ],
)
async def test_a_failure_is_seen_in_the_chat(
    chat: ChatSystem,
    model: Model,
    work_queue: WorkQueue,
    error: Exception,
    asked: int,
    code: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As a message that stays, as an event, and as a dead letter that an operator can replay: then it is answered."""
    model.always = error
    failures: list[AIEvent] = []
    chat.event_bus.subscribe(EventTypes.AI_RESPONSE_FAILED, failures.append)
    conversation = await talk(chat)
    question = await say(chat, conversation, "hello")
    await until_read(chat, conversation)
    (notice,) = await said(chat, conversation)
    assert (notice.type, notice.content["code"], notice.reply_to_message_id) == ("system", code, question.id)
    assert (len(model.asked), [one.reason for one in failures]) == (asked, [code.removeprefix("ai_")])
    assert SECRET not in caplog.text
    model.always = "yes indeed"
    (letter,) = await work_queue.dead_letters(10)
    assert await work_queue.replay(letter)
    await until(lambda: chat.ai_service.queue.counts["done"] == 1)
    assert [one.type for one in await said(chat, conversation)] == ["system", "text"]


async def test_an_answer_that_does_not_end_is_given_up(start: Start, model: Model) -> None:
    """After the time that is set, each time."""
    chat = await start(ai_timeout_s=0.02)
    model.may_end.clear()
    conversation = await talk(chat)
    await say(chat, conversation, "hello")
    await until_read(chat, conversation)
    (notice,) = await said(chat, conversation)
    assert (notice.content["code"], len(model.asked)) == ("ai_timeout", 3)


async def test_a_service_that_keeps_failing_is_left_alone(chat: ChatSystem, model: Model) -> None:
    """The circuit opens: whoever asks is told at once, and operators see it."""
    model.always = Unavailable("away")
    conversation = await talk(chat)
    for _ in range(3):
        await say(chat, conversation, "hello")
        await until_read(chat, conversation)
    assert len(model.asked) == chat.ai_service.breaker.failure_threshold
    codes = [one.content["code"] for one in await said(chat, conversation)]
    assert codes == ["ai_unavailable", "ai_away", "ai_away"]
    assert chat.ai_service.health().state is HealthState.AWAY
    assert chat.audit_log.errors["circuit_opened"] == 1


async def test_an_empty_answer_is_none(chat: ChatSystem, model: Model) -> None:
    """An empty message would be refused anyway."""
    model.always = "   "
    conversation = await talk(chat)
    await say(chat, conversation, "hello")
    await until_read(chat, conversation)
    assert [one.content["code"] for one in await said(chat, conversation)] == ["ai_refused"]


async def test_who_adds_it_to_a_conversation_is_heard(chat: ChatSystem, model: Model) -> None:
    """Though this instance has just found that it is not there."""
    view = await chat.services.conversations.create(person(chat, "ann"), "talk", ["bob"])
    conversation = view.conversation.id
    await say(chat, conversation, "hello bob")
    await until(lambda: chat.ai_questions._is_member == {conversation: False})
    await chat.services.conversations.add_participant(conversation, ASSISTANT_ID, by="ann")
    await say(chat, conversation, "@assistant hello")
    await until(lambda: model.asked)
    await until_read(chat, conversation)
    assert [turns[-1].text for turns in model.asked] == ["ann: @assistant hello"]


async def test_where_it_is_not_a_message_costs_it_no_query(chat: ChatSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """The conversation is asked about when it is new here, and when the assistant has joined or left any."""
    asked: list[str] = []
    is_participant = chat.store.is_participant

    async def count(conversation_id: str, user_id: str) -> bool:
        asked.extend([conversation_id] if user_id == ASSISTANT_ID else [])
        return await is_participant(conversation_id, user_id)

    view = await chat.services.conversations.create(person(chat, "ann"), "talk", ["bob"])
    conversation = view.conversation.id
    await say(chat, conversation, "hello")
    await until(lambda: chat.ai_questions._is_member == {conversation: False} and not chat.ai_questions._said)
    monkeypatch.setattr(chat.store, "is_participant", count)
    for _ in range(20):
        await say(chat, conversation, "hello")
    assert (asked, chat.ai_questions._due) == ([], set())
    elsewhere = await talk(chat)
    await say(chat, elsewhere, "hello")
    await until_read(chat, elsewhere)
    await until(lambda: conversation in asked)


async def test_who_was_removed_answers_nothing(chat: ChatSystem, model: Model) -> None:
    """The assistant is sent away while it writes: there is nobody to answer any more, and that is no failure."""
    model.may_end.clear()
    conversation = await talk(chat, "bob")
    await say(chat, conversation, "@assistant hello")
    await until(lambda: model.asked)
    await chat.services.conversations.remove_participant(conversation, ASSISTANT_ID, by="ann")
    model.may_end.set()
    await until(lambda: chat.ai_service.queue.counts["done"] == 1)
    assert await said(chat, conversation) == []


async def test_what_nobody_has_read_is_found_after_a_start(start: Start, model: Model) -> None:
    """The instance that stored the question has died before it was in the queue: the read position tells the next."""
    first = await start()
    await first.ai_questions.stop()
    await first.ai_service.stop(1)
    conversation = await talk(first)
    await say(first, conversation, "hello")
    assert model.asked == []
    second = await start()
    await until_read(second, conversation)
    assert [one.content["text"] for one in await said(second, conversation)] == ["yes indeed"]


async def test_no_text_is_in_any_log(chat: ChatSystem, model: Model, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the question nor the answer."""
    model.always = f"{SECRET} indeed"
    with caplog.at_level(logging.DEBUG):
        conversation = await talk(chat)
        await say(chat, conversation, SECRET)
        await until_read(chat, conversation)
    assert len(await said(chat, conversation)) == 1
    assert "ai_response_generated" in caplog.text
    assert SECRET not in caplog.text


async def test_nobody_signs_in_as_the_assistant(chat: ChatSystem) -> None:
    """No token is issued for it, and one from elsewhere does not count."""
    with pytest.raises(Invalid):
        chat.services.authentication.issue_token("Assistant")
    token = _token_of("assistant", chat)
    with pytest.raises(AuthenticationFailed):
        chat.services.authentication.verify_token(token)


def _token_of(name: str, chat: ChatSystem) -> str:
    """A token that somebody else has signed with our key."""
    authentication = chat.services.authentication
    claims = {"sub": name, "exp": utc_now().timestamp() + 60, "aud": "breakwire", "iss": "breakwire"}
    return jwt.encode(claims, authentication._secret_key, "HS256")
