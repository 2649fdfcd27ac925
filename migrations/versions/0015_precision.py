"""Precision of attempts, and how fast workers multiply in bf16."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Attempts of before multiplied in float32; workers say their speed with their next heartbeat."""
    with op.batch_alter_table("attempts") as attempts:
        attempts.add_column(sa.Column("precision", sa.Text(), nullable=True))
    with op.batch_alter_table("workers") as workers:
        workers.add_column(sa.Column("bf16_speedup", sa.Double(), nullable=True))


def downgrade() -> None:
    """Forgets them."""
    with op.batch_alter_table("workers") as workers:
        workers.drop_column("bf16_speedup")
    with op.batch_alter_table("attempts") as attempts:
        attempts.drop_column("precision")
