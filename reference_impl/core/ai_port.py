"""What the assistant needs from the outside, as a protocol."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from reference_impl.model.assistant import Turn


class AiProvider(Protocol):
    """Something that can go on with a conversation: a language model behind somebody's service, or a stand-in.

    Never logs what it is given, nor what it answers.
    """

    name: str
    """For people who look after the server: ``offline``, ``openai``."""

    def stream(self, turns: Sequence[Turn]) -> AsyncGenerator[str, None]:
        """The answer to the last turn, piece by piece; together the pieces are the answer.

        Raises ``Unavailable`` when another attempt may succeed, ``PermanentFailure`` when none will. Whoever does
        not want the rest closes the iterator, or is cancelled: then nothing is left open.
        """

    async def stop(self) -> None:
        """Ends the connections. Idempotent."""
