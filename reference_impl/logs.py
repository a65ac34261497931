"""What is logged and how. Nothing secret ever is: a URL loses its query before it is written."""

import logging
from typing import Any, Literal

import msgspec


class WithoutQuery(logging.Filter):
    """Cuts the query off every path in a record. ``?token=`` and ``?ticket=`` sign people in."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Changes the record; drops none."""
        if isinstance(record.args, tuple):
            record.args = tuple(_without_query(value) for value in record.args)
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line, for machines to read."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "time": record.created,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def log_config(log_format: Literal["text", "json"]) -> dict[str, Any]:
    """The configuration that uvicorn and the server share, for ``logging.config.dictConfig``."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"without_query": {"()": WithoutQuery}},
        "formatters": {
            "text": {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s"},
            "json": {"()": JsonFormatter},
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": log_format,
                "filters": ["without_query"],
            }
        },
        # It logs the address of each request, and a webhook's address often is its password.
        "loggers": {"httpx2": {"level": "WARNING"}},
        "root": {"handlers": ["stderr"], "level": "INFO"},
    }


def _without_query(value: object) -> object:
    return value.partition("?")[0] if isinstance(value, str) and value.startswith("/") else value
