"""What Alembic runs: over the connection that ``sql_migrations.py`` hands over, or over ``CHAT_DATABASE_URL``.

The second is for developers: ``alembic revision --autogenerate --rev-id 0003 -m "what it adds"``.
"""

import asyncio

from alembic import context
from sqlalchemy import Connection

from reference_impl.adapters.sql_database import SqlDatabase
from reference_impl.adapters.sql_schema import metadata
from reference_impl.settings import Settings


def run(connection: Connection) -> None:
    """In the transaction that is open, so that a failed upgrade leaves nothing half done."""
    context.configure(connection=connection, target_metadata=metadata, compare_server_default=True)
    with context.begin_transaction():
        context.run_migrations()


async def run_over_settings() -> None:
    """Opens the database without changing it first."""
    database = SqlDatabase(Settings(demo_login=True).database_url)
    await database.write(run)
    await database.stop()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    asyncio.run(run_over_settings())
