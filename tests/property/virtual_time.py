"""An event loop whose time leaps: whoever sleeps wakes at once, in the right order."""

import asyncio
import selectors
from collections.abc import Coroutine, Mapping
from contextlib import nullcontext
from types import TracebackType
from typing import Any, TypeVar
from unittest.mock import patch

T = TypeVar("T")


class _LeapingSelector(selectors.BaseSelector):
    """Where a loop would wait for the next timer, it moves the clock there. There is no network to wait for."""

    def __init__(self) -> None:
        self.now = 0.0
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready now. If nothing is, the time until the next timer has passed."""
        ready = self._real.select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("everybody waits, and nothing is left that could happen")
            self.now += max(0.0, timeout)
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """As ever: the loop wakes itself through a socket pair."""
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """As ever."""
        return self._real.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """As ever."""
        return self._real.get_map()

    def close(self) -> None:
        """As ever."""
        self._real.close()


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._leaping = _LeapingSelector()
        super().__init__(self._leaping)

    def time(self) -> float:
        """Seconds since the loop was made, as its sleepers have counted them."""
        return self._leaping.now


class VirtualTime:
    """Runs coroutines in virtual time. At its end no task may be left.

    ``everywhere``: who asks ``time.monotonic`` is told the virtual time, too; so the server's heartbeat beats.
    """

    def __init__(self, *, everywhere: bool = False) -> None:
        self._runner = asyncio.Runner(loop_factory=_VirtualLoop)
        self._everywhere = everywhere

    def __enter__(self) -> "VirtualTime":
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        self.close(check=kind is None)

    @property
    def now(self) -> float:
        """Virtual seconds since the start."""
        return self._runner.get_loop().time()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs ``work`` to its end. Other tasks go on meanwhile, and stand still afterwards."""
        told = patch("time.monotonic", self._runner.get_loop().time) if self._everywhere else nullcontext()
        with told:
            return self._runner.run(work)

    def close(self, *, check: bool = True) -> None:
        """Ends the loop. ``check``: whoever left a task behind is told."""
        left = asyncio.all_tasks(self._runner.get_loop())
        self._runner.close()
        assert not (check and left), f"left behind: {left}"
