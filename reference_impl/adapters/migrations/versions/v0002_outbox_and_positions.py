"""An outbox, how far each member has come, and a number that tells of joining and leaving."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Nobody has read or got anything yet, as far as is known; everything stored has been announced."""
    op.add_column("users", sa.Column("membership_version", sa.Integer, nullable=False, server_default="0"))
    for name in ("last_read_seq", "last_delivered_seq"):
        op.add_column("participants", sa.Column(name, sa.Integer, nullable=False, server_default="0"))
    op.create_table(
        "outbox",
        sa.Column("conversation_id", sa.String(36), sa.ForeignKey("conversations.id"), primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("outbox_by_age", "outbox", ["created_at"])
