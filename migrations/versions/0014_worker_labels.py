"""Labels of workers."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Workers say them with their next heartbeat."""
    with op.batch_alter_table("workers") as workers:
        workers.add_column(sa.Column("labels", sa.JSON(), server_default="[]", nullable=False))


def downgrade() -> None:
    """Forgets them."""
    with op.batch_alter_table("workers") as workers:
        workers.drop_column("labels")
