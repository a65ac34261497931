"""What is logged and how. Nothing secret ever is: no token, no ticket, no word of a message.

Each line says by itself what it belongs to. ``belonging_to(request_id=…)`` puts ids on every line that is written in
its block and by the tasks that are started there; the code that logs does not have to know them.
"""

import logging
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

_ids: ContextVar[Mapping[str, str]] = ContextVar("ids", default={})  # noqa: B039 - it is replaced, never changed


class Block:
    """What ``belonging_to`` gives. A class: for every message one is entered, and a generator takes thrice as long."""

    __slots__ = ("_given", "_token")

    def __init__(self, ids: Mapping[str, str | None]) -> None:
        self._given = ids

    def __enter__(self) -> None:
        ids = {**_ids.get(), **{name: value for name, value in self._given.items() if value is not None}}
        self._token = _ids.set(ids)

    def __exit__(self, *_: object) -> None:
        _ids.reset(self._token)


def belonging_to(**ids: str | None) -> Block:
    """Lines in this block carry these ids, beside those from around it. None: there is none."""
    return Block(ids)


class Belonging(logging.Filter):
    """Puts the ids on a record: ``record.ids``."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Changes the record; drops none."""
        record.ids = _ids.get()
        return True


class WithoutQuery(logging.Filter):
    """Cuts the query off every path in a record. ``?token=`` and ``?ticket=`` sign people in."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Changes the record; drops none."""
        if isinstance(record.args, tuple):
            record.args = tuple(_without_query(value) for value in record.args)
        return True


class TextFormatter(logging.Formatter):
    """For people: the ids at the end of the line."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """The line without a traceback."""
        ids: Mapping[str, str] = getattr(record, "ids", {})
        belongs = " ".join(f"{name}={_on_one_line(value)}" for name, value in ids.items())
        return super().formatMessage(record) + (f"  [{belongs}]" if belongs else "")


class JsonFormatter(logging.Formatter):
    """For machines: one JSON object a line. Ids and what a line says in figures are fields of their own."""

    def __init__(self, instance_id: str | None = None) -> None:
        super().__init__()
        self._instance = {} if instance_id is None else {"instance_id": instance_id}

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._instance,
            **getattr(record, "ids", {}),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def log_config(log_format: Literal["text", "json"], instance_id: str | None = None) -> dict[str, Any]:
    """The configuration that uvicorn and the server share, for ``logging.config.dictConfig``."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"without_query": {"()": WithoutQuery}, "belonging": {"()": Belonging}},
        "formatters": {
            "text": {"()": TextFormatter},
            "json": {"()": JsonFormatter, "instance_id": instance_id},
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": log_format,
                "filters": ["without_query", "belonging"],
            }
        },
        # It logs the address of each request, and a webhook's address often is its password.
        "loggers": {"httpx2": {"level": "WARNING"}},
        "root": {"handlers": ["stderr"], "level": "INFO"},
    }


def _on_one_line(value: str) -> str:
    """An id may be what a client wrote into a URL: it must not look like a line of ours."""
    return value[:64] if value.isprintable() else repr(value[:64])


def _without_query(value: object) -> object:
    return value.partition("?")[0] if isinstance(value, str) and value.startswith("/") else value
