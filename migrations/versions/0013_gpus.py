"""What a worker's GPUs hold, and what keeps a worker from claiming."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Workers say so with their next heartbeat."""
    with op.batch_alter_table("workers") as workers:
        workers.add_column(sa.Column("gpus", sa.Integer(), server_default="1", nullable=False))
        workers.add_column(sa.Column("gpu_memory", sa.BigInteger(), nullable=True))
        workers.add_column(sa.Column("obstacle", sa.Text(), nullable=True))


def downgrade() -> None:
    """Forgets it."""
    with op.batch_alter_table("workers") as workers:
        workers.drop_column("obstacle")
        workers.drop_column("gpu_memory")
        workers.drop_column("gpus")
