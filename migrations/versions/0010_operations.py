"""Logs of attempts, readings of GPUs, and the request that made a run."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Runs so far have no request, and their logs stay in files."""
    with op.batch_alter_table("runs") as runs:
        runs.add_column(sa.Column("request_id", sa.Text(), nullable=True))
    op.create_index("ix_epochs_recorded_at", "epochs", ["recorded_at"])
    op.create_table(
        "log_pieces",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "attempt", "start", name="pk_log_pieces"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_log_pieces_run_id"),
    )
    op.create_table(
        "gpu_readings",
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("gpu", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("utilisation", sa.Double(), nullable=False),
        sa.Column("memory_used", sa.BigInteger(), nullable=False),
        sa.Column("memory_total", sa.BigInteger(), nullable=False),
        sa.Column("read_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("worker", "gpu", name="pk_gpu_readings"),
    )


def downgrade() -> None:
    """Forgets all of it."""
    op.drop_table("gpu_readings")
    op.drop_table("log_pieces")
    op.drop_index("ix_epochs_recorded_at", "epochs")
    with op.batch_alter_table("runs") as runs:
        runs.drop_column("request_id")
