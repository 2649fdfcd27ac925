"""Runs whose steps another trainer sends."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

RECORDS = (
    "run_tags",
    "deliveries",
    "events",
    "labels",
    "log_pieces",
    "artifacts",
    "diagnoses",
    "evaluations",
    "series",
    "epochs",
    "attempts",
)
"""Tables whose rows belong to one run."""


def upgrade() -> None:
    """No run so far is one of these."""
    op.add_column("runs", sa.Column("watched", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_table(
        "watches",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("steps", sa.BigInteger(), nullable=False),
        sa.Column("epochs", sa.Integer(), nullable=False),
        sa.Column("heard_at", sa.Double(), nullable=False),
        sa.Column("ending", sa.Text(), nullable=True),
        sa.Column("look_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_watches_run_id"),
        sa.PrimaryKeyConstraint("run_id", name="pk_watches"),
    )
    op.create_index("ix_watches_heard_at", "watches", ["heard_at"])
    op.create_table(
        "watched_blocks",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("first_step", sa.BigInteger(), nullable=False),
        sa.Column("block", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_watched_blocks_run_id"),
        sa.PrimaryKeyConstraint("run_id", "sequence", name="pk_watched_blocks"),
    )
    op.create_table(
        "watched_epochs",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("steps", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_watched_epochs_run_id"),
        sa.PrimaryKeyConstraint("run_id", "epoch", name="pk_watched_epochs"),
    )


def downgrade() -> None:
    """Deletes watched runs and the looks at them: an earlier version would take them for trainings of its own."""
    doomed = "SELECT id FROM runs WHERE watched OR kind = 'look'"
    for table in ("watched_epochs", "watched_blocks", "watches"):
        op.drop_table(table)
    for table in RECORDS:
        op.execute(sa.text(f"DELETE FROM {table} WHERE run_id IN ({doomed})"))  # noqa: S608  names of tables
    op.execute(sa.text("DELETE FROM runs WHERE watched OR kind = 'look'"))
    op.drop_column("runs", "watched")
