"""Redis as it is: the keys and channels at a moment, and the commands that went by. As tables. Pure."""

from html import escape
from typing import NamedTuple

LONGEST_VALUE = 70


class KeyAt(NamedTuple):
    """One key. ``ttl_s`` is None when it stays for ever."""

    name: str
    type: str
    ttl_s: float | None
    value: str


class RedisState:
    """What Redis holds for the lab at a moment. Names are without the lab's prefix; conversations have theirs."""

    def __init__(self, keys: list[KeyAt], channels: dict[str, int], hidden: int = 0) -> None:
        """``channels``: channel → connections that listen. ``hidden`` keys were too many to look at."""
        self.keys = keys
        self.channels = channels
        self.hidden = hidden

    def __repr__(self) -> str:
        keys = [(key.name, key.type, _ttl(key), cut(key.value)) for key in self.keys]
        more = [(f"… {self.hidden} more keys", "", "", "")] * bool(self.hidden)
        shown = as_columns([("key", "type", "ends in", "value"), *keys, *more])
        channels = [(name, str(count)) for name, count in self.channels.items()]
        return f"{shown}\n\n{as_columns([('channel', 'who listens'), *channels])}"

    def _repr_html_(self) -> str:
        keys = [(key.name, key.type, _ttl(key), cut(key.value)) for key in self.keys]
        more = f"<p><i>… {self.hidden} more keys</i></p>" if self.hidden else ""
        channels = [(name, str(count)) for name, count in self.channels.items()]
        return (
            as_html([("key", "type", "ends in", "value"), *keys])
            + more
            + as_html([("channel", "who listens"), *channels])
        )


class Command(NamedTuple):
    """One command that an instance sent. ``at`` is milliseconds since the first one seen; ``ids`` are those in it."""

    at: float
    instance: str
    name: str
    arguments: str
    ids: list[str]


class Commands(list[Command]):
    """Commands in order of time; as a table when shown."""

    @property
    def counts(self) -> dict[str, int]:
        """Name → how often."""
        found: dict[str, int] = {}
        for command in self:
            found[command.name] = found.get(command.name, 0) + 1
        return dict(sorted(found.items()))

    def _rows(self) -> list[tuple[str, ...]]:
        rows = [(f"{c.at:.2f} ms", c.instance, c.name, cut(c.arguments)) for c in self]
        return [("when", "from", "command", "arguments"), *rows]

    def __repr__(self) -> str:
        return as_columns(self._rows())

    def _repr_html_(self) -> str:
        return as_html(self._rows())


def as_columns(rows: list[tuple[str, ...]]) -> str:
    """Rows below one another, the first one names the columns."""
    if len(rows) == 1:
        return f"no {rows[0][0]}"
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def as_html(rows: list[tuple[str, ...]]) -> str:
    """The same as a table of a page."""
    head, *body = rows
    if not body:
        return f"<p><i>no {escape(head[0])}</i></p>"
    shown_head = "".join(f"<th style='text-align:left'>{escape(cell)}</th>" for cell in head)
    cells = ("".join(f"<td style='text-align:left'>{escape(cell)}</td>" for cell in row) for row in body)
    return f"<table><tr>{shown_head}</tr>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


def cut(text: str) -> str:
    """Short enough for a table."""
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


def _ttl(key: KeyAt) -> str:
    return "never" if key.ttl_s is None else f"{key.ttl_s:.1f} s"
