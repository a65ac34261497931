"""What a fan-out leans on, counted: an encoder, a Redis, sockets, and timers that never go off."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

NEVER_S = 3600.0


class CountedEncoder:
    """Turns a message into a text nobody can guess, and remembers which message each text is."""

    def __init__(self) -> None:
        self.count = 0
        self._names: dict[Any, str] = {}

    def __call__(self, message: dict[str, Any]) -> str:
        """One encoding."""
        self.count += 1
        text = f"<{self.count}: {message['text']}>"
        self._names[text] = message["text"]
        return text

    def name(self, text: Any) -> str:
        """The message that a text is; the text itself when it was not encoded here."""
        return self._names.get(text, repr(text)) if isinstance(text, str) else repr(text)


class CountedRedis:
    """One instance's connection to Redis. Every call is one command."""

    def __init__(self, instance: str, commands: list[list[str]], published: deque[tuple[str, str]]) -> None:
        self.subscribed: set[str] = set()
        self._instance = instance
        self._commands = commands
        self._published = published

    def publish(self, conversation_id: str, text: str) -> None:
        """For all instances that are subscribed, also for this one."""
        self._note("publish", conversation_id)
        self._published.append((conversation_id, text))

    def subscribe(self, conversation_id: str) -> None:
        """From now on."""
        self._note("subscribe", conversation_id)
        self.subscribed.add(conversation_id)

    def unsubscribe(self, conversation_id: str) -> None:
        """No more."""
        self._note("unsubscribe", conversation_id)
        self.subscribed.discard(conversation_id)

    def _note(self, command: str, conversation_id: str) -> None:
        self._commands.append([self._instance, command, str(conversation_id)])


class CountedSocket:
    """Takes lists of texts. A case can stall it, let it go on, and let it die."""

    def __init__(self, name: str, encoder: CountedEncoder) -> None:
        self.name = name
        self.writes: list[list[str]] = []
        self.got: list[str] = []
        self.closed: list[Any] = []
        self.overlaps = False
        self.happened = 0
        """Writes begun and ended, since the start."""
        self._encoder = encoder
        self._writing = 0
        self._dead = False
        self._can_take = asyncio.Event()
        self._can_take.set()

    async def write(self, texts: list[str]) -> None:
        """One call of the operating system, for all texts together."""
        names = [self._encoder.name(text) for text in texts]
        self.writes.append(names)
        self.happened += 1
        self.overlaps |= self._writing > 0
        turns = 1 if self._writing else 3  # so a second write overtakes the first one
        self._writing += 1
        try:
            for _ in range(turns):
                await asyncio.sleep(0)
            await self._can_take.wait()
        finally:
            self._writing -= 1
            self.happened += 1
        if self._dead:
            raise ConnectionError("the peer is gone")
        self.got += names

    def close(self, code: int = 1000) -> None:
        """What is not written is lost."""
        self.closed.append(code)
        self.die()

    def stall(self) -> None:
        """From now on a write waits. A dead one stays dead."""
        if not self._dead:
            self._can_take.clear()

    def read(self) -> None:
        """Goes on."""
        self._can_take.set()

    def die(self) -> None:
        """Every write raises, also the one that waits."""
        self._dead = True
        self._can_take.set()


class HeldTimers:
    """Counts who asks to be woken later, and wakes nobody: what waits for a timer is still waiting at the end."""

    def __init__(self) -> None:
        self.count = 0

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """As long as the block lasts."""
        loop = asyncio.get_running_loop()
        call_at = loop.call_at

        def later(when: float, callback: Callable[..., Any], *args: Any, **options: Any) -> Any:
            if when <= loop.time():  # due already: that is the next turn, and no waiting
                return call_at(when, callback, *args, **options)
            self.count += 1
            return call_at(when + NEVER_S, callback, *args, **options)

        loop.call_at = later  # type: ignore[assignment]
        try:
            yield
        finally:
            del loop.call_at
