"""Runs that give way to others, since when a run waits, and whose an upload is."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No run so far gives way to another, and every upload is that of the user of the service's one token."""
    with op.batch_alter_table("runs") as runs:
        runs.add_column(sa.Column("gives_way_to", sa.Text(), nullable=True))
        runs.add_column(sa.Column("waits_since", sa.Double(), nullable=True))
    op.create_index("ix_runs_gives_way_to", "runs", ["gives_way_to"], unique=True)
    if op.get_bind().dialect.name == "postgresql":
        # Every second of a training updates its row: with room in its page, no index has to be written again.
        op.execute("ALTER TABLE runs SET (fillfactor = 50)")
    with op.batch_alter_table("uploads") as uploads:
        uploads.add_column(sa.Column("user", sa.Text(), server_default="default", nullable=False))
        uploads.add_column(sa.Column("team", sa.Text(), nullable=True))


def downgrade() -> None:
    """The version before knows attempts that gave way as handed over; runs that are asked to go on instead."""
    op.execute("UPDATE attempts SET outcome = 'handed over', error = NULL WHERE outcome = 'gave way'")
    op.drop_index("ix_runs_gives_way_to", "runs")
    with op.batch_alter_table("uploads") as uploads:
        uploads.drop_column("team")
        uploads.drop_column("user")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE runs RESET (fillfactor)")
    with op.batch_alter_table("runs") as runs:
        runs.drop_column("waits_since")
        runs.drop_column("gives_way_to")
