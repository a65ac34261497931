"""The assistant among real instances: seen to answer on each of them, and survived by its answer."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

from course import Lab
from reference_impl.adapters.ai_offline import OfflineAiProvider
from reference_impl.core.ai_port import AiProvider
from reference_impl.core.message_queue import MessageQueue
from reference_impl.model.assistant import Turn

ANSWER = 'I am the offline assistant, ann. You said: "hello there" (2 words, 1 messages so far).'


async def test_everybody_sees_the_answer_come() -> None:
    """Ann and Bob are on different instances: both see that it comes, that it is there, and the message that stays."""
    async with Lab(instances=2) as lab:
        ann = await lab.client("ann", instance=0)
        bob = await lab.client("bob", instance=1)
        await lab.conversation("general", "assistant")
        ack = await ann.send("hello there @assistant")
        for member in (ann, bob):
            first = await member.expect("ai_response", is_final=False)
            assert (first["data"]["message_id"], first["data"]["user_id"]) == (ack.id, "assistant")
            stored = await member.expect("new_message", sender_type="ai", timeout=10)
            assert stored["data"]["reply_to_message_id"] == ack.id
            last = await member.expect("ai_response", is_final=True, timeout=10)
            assert (last["data"]["text"], last["data"]["error"]) == (stored["data"]["content"]["text"], None)
            read = await member.expect("read", user_id="assistant")
            assert read["data"]["seq"] >= ack.seq
        answered = [one for one in bob.received("new_message") if one["data"]["sender_type"] == "ai"]
        assert len(answered) == 1


def die_first(mark: Path) -> None:
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def dies_once(mark: Path) -> type[AiProvider]:
    """A provider whose first answer, of all instances, is the end of its instance."""

    class DiesOnce(OfflineAiProvider):
        async def stream(self, turns: Sequence[Turn]) -> AsyncGenerator[str, None]:
            yield "I am"
            die_first(mark)
            async for piece in super().stream(turns):
                yield piece

    return DiesOnce


class QuickClaims(MessageQueue):
    """Takes over from the dead after a second."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments, claim_s=1.0)


async def test_a_killed_instance_s_question_is_answered_by_another(tmp_path: Path) -> None:
    """Killed in the middle of its answer: the other one answers, once, and nobody had to ask again."""
    overrides = {"ai_provider": dies_once(tmp_path / "died"), "ai_message_queue": QuickClaims}
    async with Lab(instances=2, overrides=overrides) as lab:
        clients = [await lab.client("ann", instance=number, conversation="talk") for number in range(2)]
        await lab.conversation("talk", "assistant")
        await clients[0].send_frame({"type": "text", "content": "hello there", "client_message_id": "q-1"})
        ends = [asyncio.create_task(one.wait_closed(20)) for one in clients]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        (survivor,) = [one for one in clients if one.is_open]
        answer = await survivor.expect("new_message", sender_type="ai", timeout=20)
        assert answer["data"]["content"]["text"] == "I am" + ANSWER
        for end in ends:
            end.cancel()
        await asyncio.wait(ends)
