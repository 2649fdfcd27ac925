"""The trace that a run belongs to."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Runs so far belong to none."""
    with op.batch_alter_table("runs") as runs:
        runs.add_column(sa.Column("traceparent", sa.Text(), nullable=True))


def downgrade() -> None:
    """Forgets it."""
    with op.batch_alter_table("runs") as runs:
        runs.drop_column("traceparent")
