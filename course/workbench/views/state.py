"""What the managers of an instance hold, as a table."""

from html import escape
from typing import Any

Rows = list[tuple[str, ...]]


class InstanceState(dict[str, Any]):
    """An instance's snapshot: plain values, shown as the indexes they are.

    Ids are long and differ from run to run; they are shown as ``#1``, ``#2`` … in the order of connecting.
    """

    def tables(self) -> list[tuple[str, Rows]]:
        """Title and rows of each index; the first row names the columns."""
        short = self._short_ids()
        by_id: Rows = [("connection", "user", "device", "waiting frames")]
        for record in self["connections"]:
            row = (record["user_id"], record["device_type"], str(record["outbox_frames"]))
            by_id.append((short[record["connection_id"]], *row))
        by_user: Rows = [("user", "connections")]
        for user, ids in sorted(self["connections_by_user"].items()):
            by_user.append((user, " ".join(sorted(short[one] for one in ids))))
        by_conversation: Rows = [("conversation", "connections", "last seq")]
        names = sorted(self["connections_by_conversation"])
        for number, name in enumerate(names, 1):
            members = " ".join(sorted(short[one] for one in self["connections_by_conversation"][name]))
            by_conversation.append((f"conversation {number}", members, str(self["conversations"].get(name, "?"))))
        return [
            ("connections_by_id", by_id),
            ("connections_by_user", by_user),
            ("by_conversation", by_conversation),
        ]

    def _short_ids(self) -> dict[str, str]:
        ids = sorted(record["connection_id"] for record in self["connections"])  # uuid7: by time
        return {connection_id: f"#{number}" for number, connection_id in enumerate(ids, 1)}

    def __repr__(self) -> str:
        blocks = [str(self["instance_id"])]
        for title, rows in self.tables():
            blocks.append(title + "\n" + _as_text(rows))
        return "\n\n".join(blocks)

    def _repr_html_(self) -> str:
        tables = "".join(f"<div><b><code>{title}</code></b>{_as_html(rows)}</div>" for title, rows in self.tables())
        return (
            f"<div><b>{escape(str(self['instance_id']))}</b>"
            f"<div style='display:flex;gap:2em;align-items:flex-start;flex-wrap:wrap'>{tables}</div></div>"
        )


def _as_text(rows: Rows) -> str:
    if len(rows) == 1:
        return "  (empty)"
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _as_html(rows: Rows) -> str:
    if len(rows) == 1:
        return "<p><i>empty</i></p>"
    head, *body = rows
    head_row = "".join(f"<th style='text-align:left'>{escape(cell)}</th>" for cell in head)
    body_rows = "".join(
        "<tr>" + "".join(f"<td style='text-align:left'>{escape(cell)}</td>" for cell in row) + "</tr>" for row in body
    )
    return f"<table><tr>{head_row}</tr>{body_rows}</table>"
