"""Names of what a trainer has sent, beside its run: so many and no more."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Of runs of before the blocks alone tell them: they are read where there are none."""
    op.add_column("watches", sa.Column("names", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Forgets them."""
    with op.batch_alter_table("watches") as watches:
        watches.drop_column("names")
