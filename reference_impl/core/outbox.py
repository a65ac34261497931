"""The bounded queue between a connection and its socket."""

import asyncio

from reference_impl.model.envelope import EncodedFrame


class Outbox:
    """Frames that wait for one socket, bounded in number and in bytes.

    Putting never waits. That is the point: who fans a message out to a thousand sockets must not stand
    still because one of them reads slowly. A full outbox refuses, and its connection is closed.

    Frames with a key are true for a moment only: somebody types, somebody is online. They wait in a lane of
    their own, behind all others. A newer one takes the place of an older one with the same key, and when the
    lane is full the oldest goes; so they never put a message at risk.
    """

    __slots__ = ("_closed", "_emptier", "_frames", "_latest", "bytes", "max_bytes", "max_frames", "superseded")

    def __init__(self, max_frames: int, max_bytes: int) -> None:
        self.max_frames = max_frames
        self.max_bytes = max_bytes
        self.bytes = 0
        """Of the frames without a key: the others are few and small."""
        self.superseded = 0
        """Frames with a key that were never sent: a newer one came, or the lane was full. Since the start."""
        self._frames: list[EncodedFrame] = []
        self._latest: dict[str, EncodedFrame] = {}
        self._emptier: asyncio.Event | None = None  # there is one while somebody waits for room
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
            return True
        frames, size = self._frames, len(frame.data)
        if frames and (len(frames) >= self.max_frames or self.bytes + size > self.max_bytes):
            return False
        frames.append(frame)
        self.bytes += size
        return True

    def take(self, max_bytes: int) -> list[EncodedFrame]:
        """Takes the next frames out: as many as have ``max_bytes`` together, but one at least; all as a rule."""
        if self.bytes <= max_bytes:
            taken, self._frames, self.bytes = self._frames, [], 0
            if self._latest:
                taken += self._latest.values()
                self._latest.clear()
        else:
            taken = self._frames[: _how_many(self._frames, max_bytes)]
            del self._frames[: len(taken)]
            self.bytes -= sum(frame.size for frame in taken)
        if self._emptier is not None:
            self._emptier.set()
        return taken

    async def room_for(self, frame: EncodedFrame) -> bool:
        """Waits until the frame fits into half of the outbox, so that the other half is left for what is live.

        False when the outbox was closed meanwhile.
        """
        while not self._closed and self._frames and not self._fits_half(frame):
            if self._emptier is None or self._emptier.is_set():
                self._emptier = asyncio.Event()
            await self._emptier.wait()
        return not self._closed

    def close(self, *, discard: bool = False) -> None:
        """Takes no more frames. What waits can still be taken out, unless ``discard``."""
        self._closed = True
        if discard:
            self._frames.clear()
            self._latest.clear()
            self.bytes = 0
        if self._emptier is not None:
            self._emptier.set()

    def _fits_half(self, frame: EncodedFrame) -> bool:
        return len(self._frames) < self.max_frames // 2 and self.bytes + frame.size <= self.max_bytes // 2

    def _put_latest(self, key: str, frame: EncodedFrame) -> None:
        if self._latest.pop(key, None) is not None:
            self.superseded += 1
        elif len(self._latest) >= max(1, self.max_frames // 4):
            del self._latest[next(iter(self._latest))]
            self.superseded += 1
        self._latest[key] = frame


def _how_many(frames: list[EncodedFrame], max_bytes: int) -> int:
    size = 0
    for number, frame in enumerate(frames):
        size += frame.size
        if size > max_bytes:
            return max(1, number)
    return len(frames)
