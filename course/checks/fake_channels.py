"""A Redis with channels for exercise 6: goes away, comes back, breaks links, and counts what it is asked."""

import asyncio
from collections import deque

LOOP = 30
"""More publishes than that in one step are not passed on any more: they would never end."""


class FakeChannels:
    """What all instances share."""

    def __init__(self) -> None:
        self.is_away = False
        self.links: list[FakeLink] = []
        self.published = 0
        self.calls = 0
        """Of everybody: as long as they grow, somebody is busy."""

    def publish(self, channel: str, text: str) -> None:
        """To every link that is subscribed."""
        self._require_there()
        self.published += 1
        if self.published <= LOOP:
            for link in self.links:
                link.take(channel, text)

    def open(self, owner: str) -> "FakeLink":
        """A new link."""
        self._require_there()
        self.links.append(FakeLink(self, owner))
        return self.links[-1]

    def cut(self, owner: str | None = None) -> None:
        """Breaks the links of one instance, or all."""
        for link in self.links:
            if owner in (None, link.owner):
                link.cut()
        self.links = [link for link in self.links if not link.is_broken]

    def _require_there(self) -> None:
        if self.is_away:
            raise ConnectionError("Redis is away")


class FakeLink:
    """One link to listen on."""

    def __init__(self, channels: FakeChannels, owner: str) -> None:
        self.owner = owner
        self._all = channels
        self.is_broken = False
        self.channels: set[str] = set()
        self.heard: list[str] = []
        self._waiting: deque[tuple[str, str]] = deque()
        self._something = asyncio.Event()

    async def subscribe(self, channel: str) -> None:
        """From now on. Raises ``ConnectionError``."""
        await self._round_trip()
        self.channels.add(channel)

    async def unsubscribe(self, channel: str) -> None:
        """No more. Raises ``ConnectionError``."""
        await self._round_trip()
        self.channels.discard(channel)

    async def next(self) -> tuple[str, str]:
        """Channel and text of what comes next. Raises ``ConnectionError`` when the link has broken."""
        await asyncio.sleep(0)
        while not self._waiting and not self.is_broken:
            self._something.clear()
            await self._something.wait()
        self._all.calls += 1
        if self.is_broken:
            raise ConnectionError("the link has broken")
        channel, text = self._waiting.popleft()
        self.heard.append(channel)
        return channel, text

    def take(self, channel: str, text: str) -> None:
        """Something was published."""
        if channel in self.channels:
            self._waiting.append((channel, text))
            self._something.set()

    def cut(self) -> None:
        """It breaks, and stays so; what waits is lost."""
        self.is_broken = True
        self._something.set()

    async def _round_trip(self) -> None:
        self._all.calls += 1
        await asyncio.sleep(0)
        if self.is_broken:
            raise ConnectionError("the link has broken")


class FakeBroker:
    """What one instance gets to see."""

    def __init__(self, channels: FakeChannels, owner: str) -> None:
        self.tries = 0
        self._channels = channels
        self._owner = owner

    async def publish(self, channel: str, text: str) -> None:
        """Raises ``ConnectionError`` while Redis is away."""
        self._channels.calls += 1
        await asyncio.sleep(0)
        self._channels.publish(channel, text)

    async def open(self) -> FakeLink:
        """A new link. Raises ``ConnectionError`` while Redis is away."""
        self._channels.calls += 1
        self.tries += 1
        await asyncio.sleep(0)
        return self._channels.open(self._owner)
