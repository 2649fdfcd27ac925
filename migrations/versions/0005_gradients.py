"""Epochs keep how hard each layer was pulled."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Earlier epochs have none."""
    with op.batch_alter_table("epochs") as table:
        table.add_column(sa.Column("gradients", sa.JSON(), nullable=False, server_default="[]"))


def downgrade() -> None:
    """Forgets them."""
    with op.batch_alter_table("epochs") as table:
        table.drop_column("gradients")
