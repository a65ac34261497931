"""The bounded queue between a connection and its one writer."""

import asyncio
from collections import deque

from reference_impl.model.envelope import EncodedFrame


class Outbox:
    """Frames that wait for one socket, bounded in number and in bytes.

    Putting never waits. That is the point: who fans a message out to a thousand sockets must not stand
    still because one of them reads slowly. A full outbox refuses, and its connection is closed.
    """

    def __init__(self, max_frames: int, max_bytes: int) -> None:
        self.max_frames = max_frames
        self.max_bytes = max_bytes
        self.bytes = 0
        self._frames: deque[EncodedFrame] = deque()
        self._changed = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        """Frames waiting now."""
        return len(self._frames)

    def put(self, frame: EncodedFrame) -> bool:
        """Queues a frame; False when it is full or closed and the frame was not taken."""
        if self._closed or len(self._frames) >= self.max_frames or self.bytes + frame.size > self.max_bytes:
            return False
        self._frames.append(frame)
        self.bytes += frame.size
        self._changed.set()
        return True

    def close(self, *, discard: bool = False) -> None:
        """Takes no more frames. What waits is still handed out, unless ``discard``."""
        self._closed = True
        if discard:
            self._frames.clear()
            self.bytes = 0
        self._changed.set()

    async def get(self) -> EncodedFrame | None:
        """The next frame; None when the outbox is closed and empty."""
        while not self._frames:
            if self._closed:
                return None
            self._changed.clear()
            await self._changed.wait()
        frame = self._frames.popleft()
        self.bytes -= frame.size
        return frame
