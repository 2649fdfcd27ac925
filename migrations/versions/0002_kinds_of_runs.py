"""Runs of two kinds: trainings, and comparisons of uploaded samples."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES_OF_RUNS = ("artifacts", "diagnoses", "evaluations", "series", "epochs", "attempts")


def upgrade() -> None:
    """Adds the kind; every run so far is a training."""
    op.add_column("runs", sa.Column("kind", sa.Text(), server_default="training", nullable=False))
    op.drop_index("ix_runs_created_at", "runs")
    op.create_index("ix_runs_list", "runs", ["kind", "created_at", "id"])


def downgrade() -> None:
    """Forgets every comparison: to the version before, each run is a training."""
    for table in TABLES_OF_RUNS:
        op.execute(
            f"DELETE FROM {table} WHERE run_id IN (SELECT id FROM runs WHERE kind <> 'training')"  # noqa: S608  ours
        )
    op.execute("DELETE FROM runs WHERE kind <> 'training'")
    op.drop_index("ix_runs_list", "runs")
    op.create_index("ix_runs_created_at", "runs", ["created_at", "id"])
    with op.batch_alter_table("runs") as runs:
        runs.drop_column("kind")
