"""Treatments, and the runs that they make."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Every run so far was made by people."""
    with op.batch_alter_table("runs") as runs:
        runs.add_column(sa.Column("parent_id", sa.Text(), nullable=True))
        runs.add_column(sa.Column("treatment_id", sa.Text(), nullable=True))
        runs.add_column(sa.Column("remedy", sa.Text(), nullable=True))
        runs.add_column(sa.Column("patch", sa.JSON(), nullable=True))
        runs.add_column(sa.Column("warm_start", sa.JSON(), nullable=True))
        runs.create_foreign_key("fk_runs_parent_id", "runs", ["parent_id"], ["id"])
        runs.create_index("ix_runs_parent_id", ["parent_id"])
        runs.create_index("ix_runs_treatment_id", ["treatment_id"])
    op.create_table(
        "treatments",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("finding", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("max_tries", sa.Integer(), nullable=False),
        sa.Column("max_epochs", sa.Integer(), nullable=False),
        sa.Column("best_run_id", sa.Text(), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_treatments"),
        sa.UniqueConstraint("idempotency_key", name="uq_treatments_idempotency_key"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_treatments_run_id"),
        sa.ForeignKeyConstraint(["best_run_id"], ["runs.id"], name="fk_treatments_best_run_id"),
    )
    op.create_index("ix_treatments_run_id", "treatments", ["run_id"])


def downgrade() -> None:
    """Forgets the treatments; the runs that they made stay, as if people had made them."""
    op.drop_table("treatments")
    with op.batch_alter_table("runs") as runs:
        runs.drop_index("ix_runs_treatment_id")
        runs.drop_index("ix_runs_parent_id")
        runs.drop_constraint("fk_runs_parent_id", type_="foreignkey")
        for column in ("warm_start", "patch", "remedy", "treatment_id", "parent_id"):
            runs.drop_column(column)
