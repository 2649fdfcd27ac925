"""An index behind every filter of the list of runs."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

COLUMNS = ("status", "preset", "verdict", "name", "batch_id")


def upgrade() -> None:
    """A list by a rare value need not look at all runs."""
    for column in COLUMNS:
        op.create_index(f"ix_runs_list_{column}", "runs", ["kind", column, "created_at", "id"])


def downgrade() -> None:
    """Drops them."""
    for column in COLUMNS:
        op.drop_index(f"ix_runs_list_{column}", "runs")
