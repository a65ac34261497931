"""Every instance shows all others how it is, and knows how they are."""

import asyncio
import logging

import msgspec

from reference_impl.core.board_ports import Board
from reference_impl.core.figures_source import FiguresSource
from reference_impl.core.ports import Clock
from reference_impl.model.errors import Unavailable
from reference_impl.model.figures import InstanceFigures, judged

logger = logging.getLogger(__name__)

POST_S = 1.0
"""How often: one round trip a second, whatever the traffic, and however many people look."""

KEPT_S = 300.0
"""How long an instance that has died is shown as gone: longer than the monitor takes to look."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(InstanceFigures).decode


class InstanceBoard:
    """Posts this instance's figures and takes in those of the others, in one go.

    Who looks is answered from here: no page costs the others anything.
    """

    def __init__(self, *, board: Board, source: FiguresSource, instance_id: str, clock: Clock) -> None:
        self._board = board
        self._source = source
        self._instance_id = instance_id
        self._clock = clock
        self._own = source.read()
        self._others: dict[str, InstanceFigures] = {}
        self._reading_since: float | None = None  # without an outage, seconds since 1970
        self._has_complained = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to post. Returns at once, also when the board is away."""
        self._own = self._source.read()  # the one from before the start knows of nothing yet
        self._task = asyncio.create_task(self._post_forever(), name="instance board")

    async def stop(self) -> None:
        """Takes the note off: who leaves in order is not gone, but not there any more. Idempotent."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        self._task = None
        try:
            await self._board.remove(self._instance_id)
        except Unavailable as error:
            logger.info("this instance will be shown as gone for a while: %s", error)
        await self._board.stop()

    @property
    def is_away(self) -> bool:
        """Whether the last post failed: then the others are shown as they were."""
        return self._reading_since is None

    def instances(self) -> list[InstanceFigures]:
        """All that are known, this one included, by id."""
        now = self._clock().timestamp()
        others = [judged(figures, now, reading_since=self._reading_since) for figures in self._others.values()]
        return sorted([self._own, *others], key=lambda figures: figures.instance_id)

    async def post(self) -> None:
        """Once, now. Raises ``Unavailable``."""
        self._own = self._source.read()
        try:
            notes = await self._board.post(self._instance_id, _encode(self._own), KEPT_S)
        except Unavailable:
            self._reading_since = None
            raise
        self._others = {name: found for name, note in notes.items() if (found := self._read(name, note)) is not None}
        self._reading_since = self._reading_since or self._clock().timestamp()
        self._source.note_silent(sum(figures.status == "gone" for figures in self.instances()))

    def _read(self, name: str, note: bytes) -> InstanceFigures | None:
        if name == self._instance_id:
            return None
        try:
            return _decode(note)
        except msgspec.DecodeError:  # of another release, which is being rolled out or replaced
            logger.debug("the note of %s makes no sense to this release", name)
            return None

    async def _post_forever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._try_to_post()
            due = loop.time() + POST_S
            await asyncio.sleep(POST_S)
            self._source.loop_lag_s = max(0.0, loop.time() - due)

    async def _try_to_post(self) -> None:
        try:
            await self.post()
            self._has_complained = False
        except Unavailable as error:
            if not self._has_complained:
                logger.warning("the other instances do not see this one: %s", error)
            self._has_complained = True
        except Exception:
            logger.exception("posting on the board failed, going on")
