"""Tags of runs."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No run has any yet."""
    with op.batch_alter_table("runs") as runs:
        runs.add_column(sa.Column("tags", sa.JSON(), server_default="[]", nullable=False))
    op.create_table(
        "run_tags",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_run_tags_run_id"),
        sa.PrimaryKeyConstraint("run_id", "tag", name="pk_run_tags"),
    )
    op.create_index("ix_run_tags_tag", "run_tags", ["tag", "run_id"])


def downgrade() -> None:
    """Forgets them."""
    op.drop_table("run_tags")
    with op.batch_alter_table("runs") as runs:
        runs.drop_column("tags")
