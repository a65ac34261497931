"""Brings the tables of any release up to today's. What each step changes is in ``migrations/versions``."""

from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, insert, inspect, select

from reference_impl.adapters.sql_schema import metadata
from reference_impl.model.errors import Unavailable

HEAD = "0005"
"""The revision that ``sql_schema`` describes: the last one in ``migrations/versions``."""

FIRST_RELEASE = "0001"
"""The revision of a database that does not say: the first release kept no note of it."""

MIGRATIONS = Path(__file__).with_name("migrations")

version_table = Table(  # Alembic's own, to the letter
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)


def revision_of(connection: Connection) -> str | None:
    """Which revision the tables are of; None where there are none."""
    names = inspect(connection).get_table_names()
    noted = connection.scalar(select(version_table.c.version_num)) if version_table.name in names else None
    return noted or (FIRST_RELEASE if "messages" in names else None)


def bring_up_to_date(connection: Connection) -> None:
    """In the caller's transaction, which has to keep other instances out. Raises ``Unavailable``.

    An empty database gets today's tables at once, without a walk through history. That gives the same tables,
    as a test proves, and spares the start the import of Alembic.
    """
    revision = revision_of(connection)
    if revision is None:
        metadata.create_all(connection)
        version_table.create(connection, checkfirst=True)
        connection.execute(insert(version_table).values(version_num=HEAD))
    elif revision != HEAD:
        upgrade(connection, HEAD)


def upgrade(connection: Connection, to: str) -> None:
    """Takes every step up to a revision. Raises ``Unavailable`` for tables that a newer release has made."""
    from alembic import command  # noqa: PLC0415 - slow to import, and hardly ever needed
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    revision = revision_of(connection)
    try:
        if revision == FIRST_RELEASE:
            command.stamp(config, FIRST_RELEASE)
        command.upgrade(config, to)
    except CommandError as error:
        raise Unavailable(f"the database is at revision {revision}, which only a newer release knows") from error
