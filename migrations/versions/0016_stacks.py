"""How many runs an attempt trains together."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Attempts of before trained one run each."""
    with op.batch_alter_table("attempts") as attempts:
        attempts.add_column(sa.Column("stack_size", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Forgets it."""
    with op.batch_alter_table("attempts") as attempts:
        attempts.drop_column("stack_size")
