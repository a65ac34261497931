"""From asking for a push to the provider, with what can go wrong on the way."""

import logging
from collections.abc import AsyncIterator

import httpx2
import pytest

from reference_impl.adapters.push_console import ConsolePushProvider
from reference_impl.adapters.push_webhook import WebhookPushProvider
from reference_impl.adapters.queue_memory import MemoryWorkQueue
from reference_impl.core.message_queue import MessageQueue
from reference_impl.core.queue_ports import PushProvider, WorkQueue
from reference_impl.model.errors import QueueFull
from reference_impl.model.notification_content import NotificationData
from reference_impl.services.notification_service import NotificationService
from tests.fakes import until

HELLO = NotificationData(title="Ann", body="a secret hello", conversation_id="c-1", message_id="m-1")


@pytest.fixture
def work_queue() -> WorkQueue:
    return MemoryWorkQueue()


@pytest.fixture
def console() -> ConsolePushProvider:
    return ConsolePushProvider(keep=3)


def service_over(work_queue: WorkQueue, provider: PushProvider) -> NotificationService:
    queue = MessageQueue(queue=work_queue, worker="i-1", max_attempts=3, delay_s=lambda attempt: 0.001)
    return NotificationService(queue=queue, provider=provider)


@pytest.fixture
async def notifications(work_queue: WorkQueue, console: ConsolePushProvider) -> AsyncIterator[NotificationService]:
    service = service_over(work_queue, console)
    yield service
    await service.stop(1)


async def test_a_push_arrives(notifications: NotificationService, console: ConsolePushProvider) -> None:
    """With all that was asked for, under a key that names message and user."""
    assert await notifications.send_push_notification("bob", HELLO)
    await notifications.start()
    await until(lambda: console.count == 1)
    assert console.pushed[0] == ("bob", HELLO, "push:m-1:bob")


async def test_many_are_asked_for_together(console: ConsolePushProvider) -> None:
    """Each once, whoever was asked for alone before. What does not fit is told, and can be asked for again."""
    service = service_over(MemoryWorkQueue(max_backlog=3), console)
    assert await service.send_push_notification("bob", HELLO)
    assert await service.send_push_notifications([("bob", HELLO), ("carol", HELLO)]) == 1
    everybody = [(user, HELLO) for user in ("carol", "dave", "eve", "bob")]
    with pytest.raises(QueueFull, match="1 of 4 pushes"):
        await service.send_push_notifications(everybody)
    assert service.queue.counts == {"enqueued": 3, "known": 3, "refused": 1}
    await service.start()
    await until(lambda: console.count == 3)
    await until(lambda: service.queue.counts["done"] == 3)
    assert await service.send_push_notifications(everybody) == 1
    await until(lambda: console.count == 4)
    assert console.pushed[-1] == ("eve", HELLO, "push:m-1:eve")
    await service.stop(1)


async def test_a_message_is_pushed_once_to_each_user(
    notifications: NotificationService, console: ConsolePushProvider
) -> None:
    """However often it is asked for. What is about no message is pushed each time."""
    await notifications.start()
    assert await notifications.send_push_notification("bob", HELLO)
    assert not await notifications.send_push_notification("bob", HELLO)
    assert await notifications.send_push_notification("carol", HELLO)
    await until(lambda: console.count == 2)
    assert not await notifications.send_push_notification("bob", HELLO)
    greeting = NotificationData(title="Hello", body="again", conversation_id="c-1")
    assert await notifications.send_push_notification("bob", greeting)
    assert await notifications.send_push_notification("bob", greeting)
    await until(lambda: console.count == 4)
    assert len(console.pushed) == 3, "it keeps the last ones"


async def test_the_text_is_in_no_log(
    notifications: NotificationService, console: ConsolePushProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """One line a push: to whom, about which conversation."""
    with caplog.at_level(logging.DEBUG):
        await notifications.send_push_notification("bob", HELLO)
        await notifications.start()
        await until(lambda: console.count == 1)
    assert "push to bob about conversation c-1 (push:m-1:bob)" in caplog.text
    assert "secret" not in caplog.text


async def test_a_repetition_is_recognised(console: ConsolePushProvider) -> None:
    """As a provider does that honours the key."""
    for _ in range(2):
        await console.send("bob", HELLO, idempotency_key="push:m-1:bob")
    assert (console.count, console.repeated) == (1, 1)


async def test_the_console_keeps_the_last_few() -> None:
    """And their keys: what it has forgotten is pushed anew."""
    console = ConsolePushProvider(keep=2)
    for key in "abcbca":
        await console.send("bob", HELLO, idempotency_key=key)
    assert [one.idempotency_key for one in console.pushed] == ["c", "a"]
    assert (console.count, console.repeated) == (4, 2)


async def test_a_provider_that_recovers_gets_it_again(work_queue: WorkQueue) -> None:
    """With the same key each time."""
    answers, keys = [503, 500, 200], []

    def endpoint(request: httpx2.Request) -> httpx2.Response:
        keys.append(request.headers["Idempotency-Key"])
        return httpx2.Response(answers.pop(0))

    provider = WebhookPushProvider("https://push.example/", "secret", transport=httpx2.MockTransport(endpoint))
    service = service_over(work_queue, provider)
    await service.send_push_notification("bob", HELLO)
    await service.start()
    await until(lambda: service.queue.counts["done"] == 1)
    assert keys == ["push:m-1:bob"] * 3
    await service.stop(1)


async def test_what_a_provider_refuses_is_a_dead_letter_at_once(work_queue: WorkQueue) -> None:
    """No second attempt; and neither for a job that is no push."""
    transport = httpx2.MockTransport(lambda request: httpx2.Response(410))
    service = service_over(work_queue, WebhookPushProvider("https://push.example/", "secret", transport=transport))
    await service.send_push_notification("bob", HELLO)
    await work_queue.enqueue("nonsense", b"[]")
    await service.start()
    await until(lambda: service.queue.counts["dead"] == 2)
    reasons = {letter.job.id: letter.reason for letter in await work_queue.dead_letters(10)}
    assert reasons == {
        "push:m-1:bob": "PermanentFailure: the push endpoint answered 410",
        "nonsense": "PermanentFailure: the job is no push",
    }
    assert service.queue.counts["retried"] == 0
    await service.stop(1)
