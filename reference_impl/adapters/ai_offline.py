"""The assistant of a laptop without a network: it knows nothing, and says so the same way each time."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from reference_impl.core.ai_port import AiProvider
from reference_impl.model.assistant import Turn

PAUSE_S = 0.03
"""Between two words: an answer that comes word by word can be seen to come."""


class OfflineAiProvider(AiProvider):
    """Repeats what it was asked, and counts. Needs nothing; the same question gets the same answer."""

    name = "offline"

    def __init__(self, pause_s: float = PAUSE_S) -> None:
        self._pause_s = pause_s

    async def stream(self, turns: Sequence[Turn]) -> AsyncGenerator[str, None]:
        """Word by word."""
        for number, word in enumerate(_answer(turns).split(" ")):
            await asyncio.sleep(self._pause_s)
            yield word if number == 0 else f" {word}"

    async def stop(self) -> None:
        """Nothing to close."""


def _answer(turns: Sequence[Turn]) -> str:
    asker, _, question = turns[-1].text.partition(": ")
    words = len(question.split())
    return f'I am the offline assistant, {asker}. You said: "{question}" ({words} words, {len(turns)} messages so far).'
