"""Which runs can be trained together, beside their specs."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

QUEUED = sa.text("status = 'queued'")


def upgrade() -> None:
    """Of runs of before the spec alone tells it: a claim reads it where there is no key."""
    with op.batch_alter_table("runs") as runs:
        runs.add_column(sa.Column("stack_key", sa.Text(), nullable=True))
    columns = ["owner", "stack_key", "created_at", "id"]
    op.create_index("ix_runs_stack", "runs", columns, postgresql_where=QUEUED, sqlite_where=QUEUED)


def downgrade() -> None:
    """Forgets it."""
    op.drop_index("ix_runs_stack", "runs")
    with op.batch_alter_table("runs") as runs:
        runs.drop_column("stack_key")
