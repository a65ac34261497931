"""How far each member is covered: on a socket, or by a push."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Nobody is pushed what was said before there were pushes."""
    op.add_column("conversations", sa.Column("covered_seq", sa.Integer, nullable=False, server_default="0"))
    op.add_column("participants", sa.Column("last_covered_seq", sa.Integer, nullable=False, server_default="0"))
    conversations = sa.table("conversations", sa.column("id"), sa.column("seq"), sa.column("covered_seq"))
    participants = sa.table("participants", sa.column("conversation_id"), sa.column("last_covered_seq"))
    head = sa.select(conversations.c.seq).where(conversations.c.id == participants.c.conversation_id)
    op.execute(sa.update(conversations).values(covered_seq=conversations.c.seq))
    op.execute(sa.update(participants).values(last_covered_seq=head.scalar_subquery()))
    is_uncovered = sa.text("covered_seq < seq")
    op.create_index(
        "conversations_uncovered", "conversations", ["id"], sqlite_where=is_uncovered, postgresql_where=is_uncovered
    )
