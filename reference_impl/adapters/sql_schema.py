"""The tables."""

from functools import cache

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

metadata = MetaData()
"""What changes here needs a step in ``migrations/versions``; a test compares the two."""

users = Table(
    "users",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("display_name", String(200), nullable=False),
    Column("membership_version", Integer, nullable=False, server_default="0"),  # +1: joined, left, was barred
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("title", String(200), nullable=False),
    Column("creator_id", ForeignKey("users.id"), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("seq", Integer, nullable=False, default=0),  # the head: the last number given out
    Column("covered_seq", Integer, nullable=False, server_default="0"),  # nobody needs a push for what is up to it
)

Index(
    "conversations_uncovered",  # few at a time: those with a message that somebody may still need a push for
    conversations.c.id,
    sqlite_where=conversations.c.covered_seq < conversations.c.seq,
    postgresql_where=conversations.c.covered_seq < conversations.c.seq,
)

participants = Table(
    "participants",
    metadata,
    Column("conversation_id", ForeignKey("conversations.id"), primary_key=True),
    Column("user_id", ForeignKey("users.id"), primary_key=True),
    Column("position", Integer, nullable=False, default=0),  # keeps the order in which they were named
    Column("last_read_seq", Integer, nullable=False, server_default="0"),
    Column("last_delivered_seq", Integer, nullable=False, server_default="0"),
    Column("last_covered_seq", Integer, nullable=False, server_default="0"),
    Index("participants_by_user", "user_id"),
)

messages = Table(
    "messages",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("conversation_id", ForeignKey("conversations.id"), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("sender_id", String(64), nullable=False),
    Column("sender_type", String(20), nullable=False),
    Column("sender_name", String(200), nullable=False),
    Column("sender_avatar", String(500)),
    Column("type", String(20), nullable=False),
    Column("content", JSON, nullable=False),
    Column("timestamp", DateTime(timezone=True), nullable=False),
    Column("is_important", Boolean, nullable=False),
    Column("reply_to_message_id", String(36)),
    Column("client_message_id", String(100)),
    Column("extra_metadata", JSON),
    UniqueConstraint("conversation_id", "seq"),  # also the index that history reads by
    UniqueConstraint("sender_id", "client_message_id"),
)

bans = Table(  # of user ids that may never have been seen
    "bans",
    metadata,
    Column("user_id", String(64), primary_key=True),
    Column("banned_at", DateTime(timezone=True), nullable=False),
)

revoked_tokens = Table(  # signed out; a row is deleted once its token has expired by itself
    "revoked_tokens",
    metadata,
    Column("token_id", String(64), primary_key=True),
    Column("user_id", String(64), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Index("revoked_tokens_by_user", "user_id"),
)

outbox = Table(  # messages that are stored and that no instance is known to have announced yet
    "outbox",
    metadata,
    Column("conversation_id", ForeignKey("conversations.id"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("created_at", DateTime(timezone=True), nullable=False),
    sqlite_with_rowid=False,  # one tree instead of two: every message is put in and taken out
)


@cache
def longest_text(table: Table) -> dict[str, int]:
    """The columns that hold text, and how many characters each can take. SQLite would take more."""
    return {
        column.name: column.type.length
        for column in table.columns
        if isinstance(column.type, String) and column.type.length is not None
    }
