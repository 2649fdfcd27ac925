"""Hashes of checkpoints, and a way from a stored file to the runs that it belongs to."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The hashes of checkpoints so far are not known: they are taken as they are."""
    with op.batch_alter_table("epochs") as epochs:
        epochs.add_column(sa.Column("checkpoint_sha256", sa.Text(), nullable=True))
    op.create_index("ix_artifacts_sha256", "artifacts", ["sha256"])


def downgrade() -> None:
    """Forgets the hashes."""
    op.drop_index("ix_artifacts_sha256", "artifacts")
    with op.batch_alter_table("epochs") as epochs:
        epochs.drop_column("checkpoint_sha256")
