"""Evaluations name the excess of each figure over its null, the bound on each bin, and the data set's own shift."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

EVALUATIONS = sa.table(
    "evaluations", sa.column("run_id", sa.Text), sa.column("epoch", sa.Integer), sa.column("document", sa.JSON)
)


def upgrade() -> None:
    """Fills in what earlier evaluations did not record; what cannot be known is null, or nothing."""
    _rewrite(_to_new)


def downgrade() -> None:
    """Leaves out what the version before does not know."""
    _rewrite(_to_old)


def _rewrite(change: Callable[[dict[str, Any]], None]) -> None:
    connection = op.get_bind()
    for stored in connection.execute(sa.select(EVALUATIONS)).mappings().all():
        document: dict[str, Any] = stored["document"]
        change(document)
        row = sa.and_(EVALUATIONS.c.run_id == stored["run_id"], EVALUATIONS.c.epoch == stored["epoch"])
        connection.execute(sa.update(EVALUATIONS).where(row).values(document=document))


def _to_new(document: dict[str, Any]) -> None:
    if "n_neighbours" not in document:
        return
    document["n_subset"] = document.pop("n_neighbours")
    document["shift"] = {}
    for name, null in document["nulls"].items():
        value = document["values"][name]
        null["excess"] = None if value is None or null["mean"] is None else value - null["mean"]
    for ndb_bin in document["bins"]:
        ndb_bin.update(ratio_upper=None, missing=False)


def _to_old(document: dict[str, Any]) -> None:
    document["n_neighbours"] = document.pop("n_subset")
    del document["shift"]
    for null in document["nulls"].values():
        del null["excess"]
    for ndb_bin in document["bins"]:
        del ndb_bin["ratio_upper"], ndb_bin["missing"]
