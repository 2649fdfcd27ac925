"""What people say of verdicts; runs that were halted by their own diagnosis."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

RUNS = sa.table("runs", sa.column("id", sa.Text), sa.column("spec", sa.JSON), sa.column("status", sa.Text))
ATTEMPTS = sa.table("attempts", sa.column("outcome", sa.Text))


def upgrade() -> None:
    """Creates the table of labels."""
    op.create_table(
        "labels",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("finding", sa.Text(), nullable=False),
        sa.Column("holds", sa.Boolean(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=True),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("ruleset", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_labels"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_labels_run_id"),
        sa.UniqueConstraint("idempotency_key", name="uq_labels_idempotency_key"),
    )
    op.create_index("ix_labels_list", "labels", ["created_at", "id"])
    op.create_index("ix_labels_run_id", "labels", ["run_id"])


def downgrade() -> None:
    """Drops the labels; to the version before, a halted run was cancelled, and no spec says what halts it."""
    op.drop_table("labels")
    op.execute(sa.update(RUNS).where(RUNS.c.status == "halted").values(status="cancelled"))
    op.execute(sa.update(ATTEMPTS).where(ATTEMPTS.c.outcome == "halted").values(outcome="cancelled"))
    connection = op.get_bind()
    for run in connection.execute(sa.select(RUNS.c.id, RUNS.c.spec)).mappings().all():
        spec: dict[str, Any] = run["spec"]
        if "diagnosis" in spec:
            del spec["diagnosis"]
            connection.execute(sa.update(RUNS).where(RUNS.c.id == run["id"]).values(spec=spec))
