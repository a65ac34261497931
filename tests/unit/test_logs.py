"""Lines in the log: what they belong to, and that one record is one line."""

import asyncio
import io
import json
import logging
import logging.config
from collections.abc import Iterator
from typing import Any

import pytest

from reference_impl.logs import belonging_to, log_config

logger = logging.getLogger("test")


class Log:
    """The server's own log configuration, written into memory."""

    def __init__(self, **options: Any) -> None:
        self._stream = io.StringIO()
        self.handler = logging.StreamHandler(self._stream)
        config = log_config(**options)
        made = logging.config.DictConfigurator(config)
        handler = config["handlers"]["stderr"]
        self.handler.setFormatter(made.configure_formatter(config["formatters"][handler["formatter"]]))
        for name in handler["filters"]:
            self.handler.addFilter(made.configure_filter(config["filters"][name]))

    @property
    def lines(self) -> list[str]:
        return self._stream.getvalue().splitlines()


@pytest.fixture(params=["text", "json"])
def log_format(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def log(log_format: str) -> Iterator[Log]:
    made = Log(log_format=log_format, instance_id="i-1")
    logger.addHandler(made.handler)
    logger.setLevel(logging.INFO)
    yield made
    logger.removeHandler(made.handler)


@pytest.mark.parametrize("log_format", ["json"])
async def test_a_line_carries_what_it_belongs_to(log: Log) -> None:
    """Ids are fields, nested ones add up, tasks take them along, and afterwards they are gone."""

    async def in_a_task() -> None:
        logger.info("in a task")

    with belonging_to(request_id="r-1", conversation_id=None):
        with belonging_to(message_id="m-1"):
            logger.info("nested")
            task = asyncio.create_task(in_a_task())
        logger.warning("after %d", 1, extra={"fields": {"status": 200}})
    await task
    logger.info("outside")
    nested, after, outside, in_task = sorted(
        (json.loads(line) for line in log.lines), key=lambda line: NAMES[line["message"]]
    )
    assert (nested["request_id"], nested["message_id"], nested["instance_id"]) == ("r-1", "m-1", "i-1")
    assert "conversation_id" not in nested
    assert (after["request_id"], after["status"], after["level"]) == ("r-1", 200, "warning")
    assert outside.keys() & {"request_id", "message_id"} == set()
    assert in_task["message_id"] == "m-1"


NAMES = {"nested": 0, "after 1": 1, "outside": 2, "in a task": 3}


@pytest.mark.parametrize("log_format", ["text"])
def test_people_find_the_ids_at_the_end(log: Log) -> None:
    """After the words, in brackets; before a traceback."""
    with belonging_to(request_id="r-1", message_id="m-1"):
        try:
            raise ValueError("broken")  # noqa: TRY301 - it is about the traceback
        except ValueError:
            logger.exception("it failed")
    assert log.lines[0].endswith("test: it failed  [request_id=r-1 message_id=m-1]")
    assert log.lines[-1] == "ValueError: broken"


def test_nobody_forges_a_line(log: Log) -> None:
    """An id that comes from a URL may have line breaks in it; in the log it does not break the line."""
    with belonging_to(conversation_id="x\n2030-01-01 ERROR forged" + "y" * 1000):
        logger.info("hello")
    [line] = log.lines
    assert "hello" in line


def test_a_path_loses_its_query(log: Log) -> None:
    """What signs people in stands there."""
    logger.info("%s asks for %s", "somebody", "/ws/1?token=secret")
    assert "secret" not in log.lines[0]
    assert "/ws/1" in log.lines[0]
