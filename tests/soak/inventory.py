"""What a server process holds at a moment, counted without knowing what its parts are called.

``counting_parts`` puts the count into an instance of a lab. Each SIGUSR2 makes it write an inventory; ``count`` asks.
"""

import asyncio
import gc
import json
import os
import signal
import sys
from collections import Counter, deque
from collections.abc import Iterator
from functools import _lru_cache_wrapper
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import psutil

from course.workbench.process import InstanceProcess
from reference_impl.core.heartbeat_manager import HeartbeatManager

OURS = ("reference_impl", "tests.soak")
ANSWER_DEADLINE_S = 20.0
POLL_S = 0.01
_parts: list[Any] = []
"""In an instance: what it began with."""


class Inventory(NamedTuple):
    """Counts by name, and the memory behind them."""

    counts: Counter[str]
    """``table …``: entries of a dict, set, list or queue that a part holds, by the part's class and attribute;
    ``object …``: living objects of the server's classes; ``tasks``, ``threads``, ``sockets of clients``, ``files``."""
    blocks: int
    """Pieces of memory that Python has given out."""
    rss_kib: int
    """Memory that the process has from the system."""

    @property
    def sizes(self) -> dict[str, int]:
        """Everything by name."""
        return {**self.counts, "blocks": self.blocks, "KiB": self.rss_kib}


def counting_parts(folder: str) -> dict[str, Any]:
    """Overrides for an instance. It writes into ``folder``."""

    class CountingHeartbeat(HeartbeatManager):
        async def start(self) -> None:
            await super().start()
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, write_counts, folder)

    return {"heartbeat_manager": CountingHeartbeat}


async def count(instance: InstanceProcess, folder: Path) -> Inventory:
    """The inventory of an instance at this moment."""
    pid = instance.pid
    assert pid is not None, instance.log_tail()
    path = folder / f"{pid}.json"
    path.unlink(missing_ok=True)
    os.kill(pid, signal.SIGUSR2)
    try:
        async with asyncio.timeout(ANSWER_DEADLINE_S):
            while not path.exists():  # noqa: ASYNC110 - it appears whole
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise AssertionError(f"no inventory came; the log ends:\n{instance.log_tail()}") from None
    said = json.loads(path.read_text())
    process = psutil.Process(pid)
    sockets = [one for one in process.net_connections("tcp") if one.laddr.port == instance.port and one.raddr]
    counts = Counter[str](said["counts"])
    counts |= {"threads": process.num_threads(), "sockets of clients": len(sockets), "files": process.num_fds()}
    return Inventory(counts, said["blocks"], process.memory_info().rss // 1024)


def write_counts(folder: str) -> None:
    """Counts this process and writes that down. Runs in the instance, between two turns of its event loop."""
    gc.collect()
    blocks = sys.getallocatedblocks()
    if not _parts:  # the server has frozen what it began with: get_objects does not show it
        gc.unfreeze()
        _parts.extend(thing for thing in gc.get_objects() if _is_ours(thing))
        gc.freeze()
    counts = {"tasks": len(asyncio.all_tasks())}
    counts |= Counter(_objects_and_tables())
    path = Path(folder, f"{os.getpid()}.json")
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps({"counts": counts, "blocks": blocks}))
    draft.replace(path)


def _objects_and_tables() -> Iterator[str]:
    """A name for each object and for each entry in a table."""
    for thing in [*_parts, *filter(_is_ours, gc.get_objects())]:
        kind = type(thing)
        yield f"object {kind.__module__}.{kind.__qualname__}"
        for attribute, value in vars(thing).items() if hasattr(thing, "__dict__") else ():
            yield from [f"table {kind.__qualname__}.{attribute}"] * _entries(value)
    for name, module in tuple(sys.modules.items()):
        if name.startswith(OURS):
            for attribute, value in vars(module).items():
                yield from [f"table {name}.{attribute}"] * (_entries(value) if attribute != "__builtins__" else 0)


def _is_ours(thing: Any) -> bool:
    return str(type(thing).__module__).startswith(OURS) and not isinstance(thing, type | ModuleType)


def _entries(value: Any) -> int:
    """How much is in a table, and in tables in it. One that is bounded by its making counts as nothing."""
    if isinstance(value, asyncio.Queue):
        return value.qsize()
    if isinstance(value, _lru_cache_wrapper):
        return value.cache_info().currsize if value.__module__.startswith(OURS) else 0
    if not isinstance(value, dict | set | list | deque) or getattr(value, "maxlen", None) is not None:
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return len(value) + sum(len(one) for one in inner if isinstance(one, dict | set | list))
