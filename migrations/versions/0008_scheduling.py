"""Who submits runs and what they have used, workers and their heartbeats, drains, and runs that are paused."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

DEFAULT_OWNER = "/default"
RUNS = sa.table("runs", *(sa.column(name) for name in ("status", "treatment_id", "cancel_requested", "finished_at")))
TREATMENTS = sa.table("treatments", *(sa.column(name) for name in ("id", "status", "reason", "finished_at")))
QUEUE = ["status", "owner", "priority", "created_at", "id"]


def upgrade() -> None:
    """Every run so far was submitted by the user of the service's one token."""
    op.create_table(
        "owners",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("team", sa.Text(), nullable=True),
        sa.Column("device_seconds", sa.Double(), nullable=False),
        sa.Column("as_of", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_owners"),
    )
    owners = sa.table("owners", *(sa.column(name) for name in ("id", "user", "team", "device_seconds", "as_of")))
    op.execute(sa.insert(owners).values(id=DEFAULT_OWNER, user="default", team=None, device_seconds=0, as_of=0))
    op.create_table(
        "workers",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_workers"),
    )
    op.create_table(
        "drains",
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("worker", name="pk_drains"),
    )
    op.drop_index("ix_runs_queue", "runs")
    with op.batch_alter_table("runs") as runs:
        runs.add_column(sa.Column("user", sa.Text(), server_default="default", nullable=False))
        runs.add_column(sa.Column("team", sa.Text(), nullable=True))
        runs.add_column(sa.Column("owner", sa.Text(), server_default=DEFAULT_OWNER, nullable=False))
        runs.add_column(sa.Column("pause_requested", sa.Boolean(), server_default=sa.false(), nullable=False))
        runs.add_column(sa.Column("extended_from", sa.JSON(), nullable=True))
        runs.add_column(sa.Column("extension_key", sa.Text(), nullable=True))
        runs.create_foreign_key("fk_runs_owner", "owners", ["owner"], ["id"])
    op.create_index("ix_runs_queue", "runs", QUEUE)
    op.create_index("ix_runs_user", "runs", ["user", "kind", "created_at", "id"])
    op.create_index("ix_runs_team", "runs", ["team"])
    op.create_index("ix_attempts_ended_at", "attempts", ["ended_at"])


def downgrade() -> None:
    """To the version before, runs belong to nobody, and paused ones were cancelled, which ends their treatments."""
    ended: dict[str, object] = {"status": "cancelled", "finished_at": time.time()}
    paused = RUNS.c.status == "paused"
    theirs = TREATMENTS.c.id.in_(sa.select(RUNS.c.treatment_id).where(paused))
    reason = "its try was paused, which the version before does not know"
    op.execute(sa.update(TREATMENTS).where(theirs, TREATMENTS.c.status == "running").values(reason=reason, **ended))
    op.execute(sa.update(RUNS).where(paused).values(cancel_requested=sa.true(), **ended))
    op.execute("UPDATE attempts SET outcome = 'handed over' WHERE outcome = 'paused'")
    op.drop_index("ix_attempts_ended_at", "attempts")
    for index in ("ix_runs_team", "ix_runs_user", "ix_runs_queue"):
        op.drop_index(index, "runs")
    with op.batch_alter_table("runs") as runs:
        runs.drop_constraint("fk_runs_owner", type_="foreignkey")
        for column in ("extension_key", "extended_from", "pause_requested", "owner", "team", "user"):
            runs.drop_column(column)
    op.create_index("ix_runs_queue", "runs", ["status", "priority", "created_at", "id"])
    for table in ("drains", "workers", "owners"):
        op.drop_table(table)
