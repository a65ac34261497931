"""``course dead-letters``: what background work was given up, and what to do about it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from course.errors import UserError
from reference_impl.adapters.queue_redis import RedisWorkQueue
from reference_impl.adapters.redis_client import RedisLink
from reference_impl.model.errors import QueueFull, Unavailable
from reference_impl.model.jobs import DeadLetter

PAGE = 200
SHOW_PROGRESS_FROM = 1000

Step = Callable[[RedisWorkQueue, DeadLetter], Awaitable[bool]]


def show(redis_url: str, prefix: str, queue_name: str, *, limit: int, as_json: bool) -> int:
    """Prints the oldest ``limit`` of them, without what they carry: that is other people's text."""
    return asyncio.run(_show(redis_url, prefix, queue_name, limit, as_json))


def replay(redis_url: str, prefix: str, queue_name: str, ids: Sequence[str], *, everything: bool) -> int:
    """Lets them be tried again. Returns 1 when there is no such letter, or no room for it."""
    return asyncio.run(_for_each(redis_url, prefix, queue_name, ids, everything, RedisWorkQueue.replay, "replayed"))


def purge(redis_url: str, prefix: str, queue_name: str, ids: Sequence[str], *, everything: bool) -> int:
    """Deletes them for good. Returns 1 when there is no such letter."""
    return asyncio.run(_for_each(redis_url, prefix, queue_name, ids, everything, RedisWorkQueue.purge, "purged"))


@asynccontextmanager
async def _queue(redis_url: str, prefix: str, name: str) -> AsyncIterator[RedisWorkQueue]:
    try:
        queue = RedisWorkQueue(redis_url, RedisLink(redis_url), name=name, prefix=prefix)
    except ValueError as error:
        raise UserError(f"--redis-url: {error}") from error
    try:
        yield queue
    except QueueFull:
        raise
    except Unavailable as error:
        where = urlsplit(redis_url)  # without the password that may be in it
        raise UserError(f"no Redis answers at {where.hostname}:{where.port or 6379}; is --redis-url right?") from error
    finally:
        await queue.stop()


async def _letters(queue: RedisWorkQueue, most: int) -> AsyncIterator[DeadLetter]:
    """The oldest ``most``, page by page. Those that are added meanwhile come behind, and are not reached."""
    last: DeadLetter | None = None
    while most > 0 and (page := await queue.dead_letters(min(PAGE, most), last)):
        for letter in page:
            yield letter
        most -= len(page)
        last = page[-1]


async def _show(redis_url: str, prefix: str, name: str, limit: int, as_json: bool) -> int:
    async with _queue(redis_url, prefix, name) as queue:
        letters = [letter async for letter in _letters(queue, limit)]
        in_all = (await queue.sizes()).dead
    if as_json:
        for letter in letters:
            sys.stdout.write(json.dumps(_described(letter)) + "\n")
        return 0
    if letters:
        Console().print(_table(letters))
    shown = f"; the oldest {len(letters)} are shown" if len(letters) < in_all else ""
    sys.stdout.write(f"{in_all} dead letters in queue {name}{shown}\n")
    return 0


async def _for_each(
    redis_url: str, prefix: str, name: str, ids: Sequence[str], everything: bool, step: Step, done: str
) -> int:
    if bool(ids) == everything:
        raise UserError("name the ids, or say --all")
    wanted, count = set(ids), 0
    async with _queue(redis_url, prefix, name) as queue:
        in_all = (await queue.sizes()).dead
        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=in_all < SHOW_PROGRESS_FROM) as progress:
            bar = progress.add_task(f"{in_all} dead letters", total=in_all)
            try:
                async for letter in _letters(queue, in_all):
                    if everything or letter.job.id in wanted:
                        count += await step(queue, letter)
                        wanted.discard(letter.job.id)
                    progress.advance(bar)
            except QueueFull as error:
                raise UserError(f"{count} {done}, then the queue was full; try again later", exit_code=1) from error
    sys.stdout.write(f"{count} {done}\n")
    if wanted:
        raise UserError(f"there is no dead letter {', '.join(sorted(wanted))} in queue {name}", exit_code=1)
    return 0


def _described(letter: DeadLetter) -> dict[str, object]:
    return {
        "id": letter.job.id,
        "reason": letter.reason,
        "attempts": letter.job.attempts,
        "enqueued_at": _time(letter.job.enqueued_at),
        "died_at": _time(letter.died_at),
    }


def _table(letters: Sequence[DeadLetter]) -> Table:
    made = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("id", "reason"):
        made.add_column(column, overflow="fold")
    for column in ("attempts", "died at"):
        made.add_column(column, no_wrap=True)
    for letter in letters:
        made.add_row(_plain(letter.job.id), _plain(letter.reason), str(letter.job.attempts), _time(letter.died_at))
    return made


def _plain(text: str) -> Text:
    """Neither markup nor an escape sequence: it may quote what came from outside."""
    return Text("".join(one if one.isprintable() else "�" for one in text))


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
