"""The clock of a whole instance."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The current time, aware, UTC. Parts are given a clock; only ``app.py`` and defaults name this one."""
    return datetime.now(UTC)
