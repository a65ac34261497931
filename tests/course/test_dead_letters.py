"""``course dead-letters``: the operator's view of work that was given up."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from uuid_utils import uuid7

from reference_impl.adapters.queue_redis import RedisWorkQueue
from reference_impl.adapters.redis_client import RedisLink
from reference_impl.model.jobs import QueueSizes

Run = Callable[..., "subprocess.CompletedProcess[str]"]
SECRET = b"a secret text"


@pytest.fixture
def prefix() -> str:
    return f"test-{uuid7().hex[-8:]}:"


@pytest.fixture
def course(redis_url: str, prefix: str) -> Run:
    """Runs ``course dead-letters …`` over the test's own queue."""

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        settings = {"CHAT_REDIS_URL": redis_url, "CHAT_REDIS_PREFIX": prefix, "COLUMNS": "120"}
        command = [sys.executable, "-m", "course", "dead-letters", *arguments]
        return subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, timeout=30)

    return run


def with_queue(redis_url: str, prefix: str, *dead: str) -> QueueSizes:
    """Buries jobs with these ids, and counts."""

    async def bury() -> QueueSizes:
        queue = RedisWorkQueue(redis_url, RedisLink(redis_url), name="push", prefix=prefix)
        for job_id in dead:
            await queue.enqueue(job_id, SECRET)
            (claim,) = await queue.claim("w1", 1, 0)
            await queue.bury(claim, "PermanentFailure: [red]410[/] \x1b[31mgone")
        sizes = await queue.sizes()
        await queue.stop()
        return sizes

    return asyncio.run(bury())


def test_an_empty_list_says_so(course: Run) -> None:
    """And is no error."""
    shown = course("list")
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, "0 dead letters in queue push\n", "")


def test_the_list_says_what_and_why(course: Run, redis_url: str, prefix: str) -> None:
    """As a table and as JSON; never what a job carries, and never what a terminal would act on."""
    with_queue(redis_url, prefix, "push:m-1:bob", "push:m-2:bob", "push:m-3:bob")
    shown = course("list")
    assert shown.returncode == 0
    assert "push:m-1:bob" in shown.stdout
    assert "PermanentFailure: [red]410[/] �[31mgone" in shown.stdout
    assert "3 dead letters in queue push" in shown.stdout
    as_json = course("list", "--json", "--limit", "2")
    lines = [json.loads(line) for line in as_json.stdout.splitlines()]
    assert [line["id"] for line in lines] == ["push:m-1:bob", "push:m-2:bob"]
    assert lines[0]["attempts"] == 1
    assert "3 dead letters in queue push; the oldest 1 are shown" in course("list", "--limit", "1").stdout
    assert SECRET.decode() not in shown.stdout + as_json.stdout


def test_one_is_replayed_and_one_purged(course: Run, redis_url: str, prefix: str) -> None:
    """By their ids; the others stay."""
    with_queue(redis_url, prefix, "a", "b", "c")
    assert course("replay", "a").stdout == "1 replayed\n"
    assert course("purge", "b").stdout == "1 purged\n"
    assert with_queue(redis_url, prefix) == QueueSizes(waiting=1, running=0, delayed=0, dead=1)
    unknown = course("replay", "c", "d")
    assert (unknown.returncode, unknown.stdout) == (1, "1 replayed\n")
    assert unknown.stderr == "there is no dead letter d in queue push\n"


def test_all_of_them(course: Run, redis_url: str, prefix: str) -> None:
    """Only when it is said."""
    with_queue(redis_url, prefix, *(f"job-{n}" for n in range(5)))
    nothing_named = course("replay")
    assert (nothing_named.returncode, nothing_named.stderr) == (2, "name the ids, or say --all\n")
    assert course("replay", "job-1", "--all").returncode == 2
    assert course("replay", "--all").stdout == "5 replayed\n"
    assert course("purge", "--all").stdout == "0 purged\n"
    assert with_queue(redis_url, prefix) == QueueSizes(waiting=5, running=0, delayed=0, dead=0)


def test_another_queue_is_another_queue(course: Run, redis_url: str, prefix: str) -> None:
    """Named by ``--queue``."""
    with_queue(redis_url, prefix, "a")
    assert course("purge", "--all", "--queue", "ai").stdout == "0 purged\n"
    assert with_queue(redis_url, prefix).dead == 1


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://:password@127.0.0.1:1/0", "no Redis answers at 127.0.0.1:1"),
        ("http://127.0.0.1", "--redis-url: "),
    ],
)
@pytest.mark.parametrize("command", [["list"], ["replay", "--all"], ["purge", "a"]])
def test_a_mistake_is_one_line_and_exit_2(course: Run, command: list[str], url: str, says: str) -> None:
    """Without the password."""
    shown = course(*command, "--redis-url", url)
    assert shown.returncode == 2
    assert shown.stderr.startswith(says)
    assert shown.stderr.count("\n") == 1
    assert "password" not in shown.stderr


def test_no_redis_named_is_said() -> None:
    """By the name of the option."""
    inherited = {name: value for name, value in os.environ.items() if not name.endswith("REDIS_URL")}
    command = [sys.executable, "-m", "course", "dead-letters", "list"]
    shown = subprocess.run(command, env=inherited, capture_output=True, text=True, timeout=30)
    assert shown.returncode == 2
    assert "--redis-url" in shown.stderr
    assert "Traceback" not in shown.stderr
