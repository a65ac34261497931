"""How the tables got to be what they are, step by step, for Alembic."""
