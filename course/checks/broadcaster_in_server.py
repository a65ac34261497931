"""A learner's broadcaster inside the chat server: two instances, real sockets, and Redis' own count of commands.

A case is a list of steps:

- ``["join", device, user, instance]``: a device of a user connects
- ``["say", device, text]``: everybody else waits for it. Of a text with ``ANSWER_LOST`` in it the first command works,
  and its answer is lost: the learner's code sees a ``ConnectionError``
- ``["count"]``: which commands carried which message, and who got which text how often

An observation has one entry a step, or is ``[["no start", why]]``.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Any

from course.checks.case import Case, Observation, within
from course.errors import UserError
from course.workbench.client import Ack, ExpectationFailed, LabClient
from course.workbench.lab import Lab
from reference_impl.core.connection_manager import ConnectionManager
from reference_impl.core.message_router import CONVERSATION_CHANNEL, MessageRouter
from reference_impl.model.bus_messages import ConversationMessage, decode_bus_message, encode_bus_message
from reference_impl.model.envelope import EncodedFrame
from reference_impl.model.errors import Unavailable
from reference_impl.model.messages import MessageInfo
from reference_impl.model.signatures import Forged

logger = logging.getLogger(__name__)

ANSWER_LOST = "(the answer is lost)"
MARK = b"\0"
"""In front of what a broadcaster has published: all else on these channels is the server's own."""
LIMITS = {"attempts": 3, "remember": 100, "page_size": 3, "at_once": 2}
PATIENCE_S = 5.0
RAISED = "the broadcaster raised in "
"""What stands in an instance's log before the name of a method and of what it raised."""


class QuietConnections(ConnectionManager):
    """Takes no new message to a conversation's sockets: here the learner's broadcaster does that, alone."""

    def send_to_conversation(
        self,
        conversation_id: str,
        frame: EncodedFrame,
        except_connection: str | None = None,
        except_user: str | None = None,
    ) -> int:
        """Only what is no message: typing, positions, presence."""
        if frame.message_id is not None:
            return 0
        return super().send_to_conversation(conversation_id, frame, except_connection, except_user)


class BroadcasterRouter(MessageRouter):
    """Publishes messages with a learner's broadcaster, and gives it what arrives. It is its ``redis`` and ``members``.

    What the broadcaster calls the text of a message is the server's whole message, with the frame for the sockets.
    """

    def __init__(self, subject: Any, connections: list[ConnectionManager], **arguments: Any) -> None:
        super().__init__(**arguments)
        self._connections = connections
        self._answers_to_lose = 1
        self._arrived: asyncio.Queue[str] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self.broadcaster = subject(redis=self, members=self, send=self.send, **LIMITS)

    async def start(self, *handlers: Any) -> None:
        """Receives, too."""
        self._task = asyncio.create_task(self._receive())
        await super().start(*handlers)

    async def stop(self) -> None:
        """Ends receiving."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await super().stop()

    async def publish_message(self, message: MessageInfo, frame: bytes, origin_connection_id: str | None) -> None:
        """By the broadcaster."""
        whole = ConversationMessage(
            instance_id=self.instance_id,
            conversation_id=message.conversation_id,
            message_id=message.id,
            seq=message.seq,
            frame=frame,
            origin_connection_id=origin_connection_id,
        )
        try:
            await self.broadcaster.publish(message.conversation_id, encode_bus_message(whole).decode("latin-1"))
        except Exception as error:
            if not isinstance(error, ConnectionError):
                logger.error("%s%s", RAISED, _told("publish", error))  # noqa: TRY400 - one line, for a learner
            raise Unavailable(str(error)) from error

    async def publish(self, channel: str, text: str) -> int:
        """One PUBLISH of the real Redis."""
        name = channel.replace("conversation:", CONVERSATION_CHANNEL, 1)
        taken = await self._broker.publish(name, self._signer.sign(name, MARK + text.encode()))
        if ANSWER_LOST in text and self._answers_to_lose:
            self._answers_to_lose -= 1
            raise ConnectionError("the connection to Redis broke, and the answer did not come")
        return taken

    async def of(self, conversation_id: str) -> list[str]:
        """Those who are connected here: this part of the server has no database to ask."""
        return self._here(conversation_id)

    async def here(self, conversation_id: str, after: str | None, limit: int) -> list[str]:
        """A page of them."""
        return [user for user in self._here(conversation_id) if after is None or user > after][:limit]

    async def send(self, user_id: str, message: Any) -> None:
        """Into the outbox of each socket of the user that is on the conversation, but for the one that sent it."""
        whole = decode_bus_message(message["text"].encode("latin-1"))
        if not isinstance(whole, ConversationMessage):
            return
        for connection in list(self._on(whole.conversation_id).values()):
            if connection.user_id == user_id and connection.connection_id != whole.origin_connection_id:
                connection.send(EncodedFrame(whole.frame, whole.message_id))

    def _here(self, conversation_id: str) -> list[str]:
        return sorted({connection.user_id for connection in self._on(conversation_id).values()})

    def _on(self, conversation_id: str) -> dict[str, Any]:
        (connections,) = self._connections
        return connections.index.by_conversation.get(conversation_id, {})

    def _on_payload(self, channel: str, signed: bytes) -> None:
        with suppress(Forged):
            payload = self._signer.verify(channel, signed)
            if payload.startswith(MARK):
                self._arrived.put_nowait(payload.removeprefix(MARK).decode())
                return
        super()._on_payload(channel, signed)

    async def _receive(self) -> None:
        while True:
            text = await self._arrived.get()
            try:
                await self.broadcaster.receive(text)
            except Exception as error:  # noqa: BLE001 - a learner's code may raise anything
                logger.error("%s%s", RAISED, _told("receive", error))  # noqa: TRY400 - one line, for a learner


def _told(method: str, error: Exception) -> str:
    return f"{method}: {type(error).__name__}: {error}".rstrip(": ")


def overrides_with(subject: Any) -> dict[str, Any]:
    """The server's parts that a learner's broadcaster replaces."""
    made: list[ConnectionManager] = []

    def make_connections(**arguments: Any) -> ConnectionManager:
        made.append(QuietConnections(**arguments))
        return made[0]

    def make_router(**arguments: Any) -> BroadcasterRouter:
        return BroadcasterRouter(subject, made, **arguments)

    return {"message_router": make_router, "connection_manager": make_connections}


@within(60)
async def drive_in_server(subject: Any, case: Case) -> Observation:
    """Starts two instances with the learner's broadcaster, and takes the steps over real sockets.

    2 s on an idle machine; on one that grades a class ten times that.
    """
    try:
        async with Lab(instances=2, overrides=overrides_with(subject)) as lab:
            devices: dict[str, LabClient] = {}
            acks: dict[str, Ack | None] = {}
            async with lab.redis.monitor() as seen:
                steps = await _until_not_heard(lab, devices, acks, case[:-1])
            commands = {
                text: sum(command.name == "PUBLISH" for command in seen.of(ack)) if ack else 0
                for text, ack in acks.items()
            }
            got = {name: {text: device.texts.count(text) for text in acks} for name, device in devices.items()}
            return [*steps, {"commands": commands, "got": got, "raised": _raised(lab)}]
    except (UserError, ExpectationFailed) as error:
        return [["no start", str(error)[-300:]]]


async def _until_not_heard(lab: Lab, devices: Any, acks: Any, steps: Case) -> list[Any]:
    """What came of each step. After a message that did not reach everybody there is nothing more to see."""
    seen: list[Any] = []
    for step in steps:
        seen.append(await _take(lab, devices, acks, step))
        if "not" in seen[-1][-1]:
            break
    return seen


def _raised(lab: Lab) -> list[str]:
    """What the broadcasters raised, as the logs have it."""
    lines = [line for instance in range(2) for line in lab.log(instance, 500).splitlines()]
    return [line.partition(RAISED)[2] for line in lines if RAISED in line]


async def _take(lab: Lab, devices: dict[str, LabClient], acks: dict[str, Ack | None], step: list[Any]) -> list[Any]:
    match step:
        case ["join", device, user, instance]:
            devices[device] = await lab.client(user, instance=instance, device_id=device)
            return ["joined"]
        case ["say", device, text]:
            acks[text] = await _in_time(devices[device].send(text, timeout=PATIENCE_S))
            others = [other for name, other in devices.items() if name != device]
            hearing = (_in_time(other.expect("new_message", text=text, timeout=PATIENCE_S)) for other in others)
            heard = await asyncio.gather(*hearing)
            return ["acked" if acks[text] else "not acked", "heard" if all(heard) else "not heard"]
    raise ValueError(f"unknown step {step}")


async def _in_time(awaitable: Any) -> Any:
    """What came; None when it did not come in time."""
    try:
        return await awaitable
    except (ExpectationFailed, UserError):
        return None
