"""The bounded queue between a connection and its one writer."""

import asyncio
from collections import deque

from reference_impl.model.envelope import EncodedFrame


class Outbox:
    """Frames that wait for one socket, bounded in number and in bytes.

    Putting never waits. That is the point: who fans a message out to a thousand sockets must not stand
    still because one of them reads slowly. A full outbox refuses, and its connection is closed.

    Frames with a key are true for a moment only: somebody types, somebody is online. They wait in a lane of
    their own, behind all others. A newer one takes the place of an older one with the same key, and when the
    lane is full the oldest goes; so they never put a message at risk.
    """

    def __init__(self, max_frames: int, max_bytes: int) -> None:
        self.max_frames = max_frames
        self.max_bytes = max_bytes
        self.bytes = 0
        """Of the frames without a key: the others are few and small."""
        self.superseded = 0
        """Frames with a key that were never sent: a newer one came, or the lane was full. Since the start."""
        self._frames: deque[EncodedFrame] = deque()
        self._latest: dict[str, EncodedFrame] = {}
        self._changed = asyncio.Event()
        self._emptier = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        """Frames waiting now."""
        return len(self._frames) + len(self._latest)

    def put(self, frame: EncodedFrame) -> bool:
        """Queues a frame; False when it is full or closed and the frame was not taken.

        One frame always fits: if not, a single large message could never be sent, however often a client resumed.
        """
        if self._closed:
            return False
        if frame.key is not None:
            self._put_latest(frame.key, frame)
        elif self._frames and not self._fits(frame, self.max_frames, self.max_bytes):
            return False
        else:
            self._frames.append(frame)
            self.bytes += frame.size
        self._changed.set()
        return True

    async def room_for(self, frame: EncodedFrame) -> bool:
        """Waits until the frame fits into half of the outbox, so that the other half is left for what is live.

        False when the outbox was closed meanwhile.
        """
        while not self._closed and self._frames and not self._fits(frame, self.max_frames // 2, self.max_bytes // 2):
            self._emptier.clear()
            await self._emptier.wait()
        return not self._closed

    def close(self, *, discard: bool = False) -> None:
        """Takes no more frames. What waits is still handed out, unless ``discard``."""
        self._closed = True
        if discard:
            self._frames.clear()
            self._latest.clear()
            self.bytes = 0
        self._changed.set()
        self._emptier.set()

    async def get(self) -> EncodedFrame | None:
        """The next frame; None when the outbox is closed and empty."""
        while not self._frames:
            if self._latest:
                return self._latest.pop(next(iter(self._latest)))
            if self._closed:
                return None
            self._changed.clear()
            await self._changed.wait()
        frame = self._frames.popleft()
        self.bytes -= frame.size
        self._emptier.set()
        return frame

    def _fits(self, frame: EncodedFrame, max_frames: int, max_bytes: int) -> bool:
        return len(self._frames) < max_frames and self.bytes + frame.size <= max_bytes

    def _put_latest(self, key: str, frame: EncodedFrame) -> None:
        if self._latest.pop(key, None) is not None:
            self.superseded += 1
        elif len(self._latest) >= max(1, self.max_frames // 4):
            del self._latest[next(iter(self._latest))]
            self.superseded += 1
        self._latest[key] = frame
