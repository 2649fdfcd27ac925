"""Lists of runs find what they are filtered by in an index, on both databases."""

from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from store.core.db import transaction
from store.core.models import Kind, Run
from store.core.pages import page_of
from store.runs import batches
from tests.support.store import fill_runs, request, resolved

MANY = 3000
"""Runs, of which one has a value that is asked for."""
FILTERS: list[tuple[Kind, str, str]] = [
    ("training", "status", "halted"),
    ("training", "preset", "rare"),
    ("training", "verdict", "rare"),
    ("training", "name", "rare"),
    ("training", "user", "rare"),
    ("training", "batch_id", "rare"),
    ("comparison", "status", "halted"),
]


@pytest.mark.parametrize(("kind", "column", "value"), FILTERS)
def test_every_filter_has_an_index(engine: Engine, kind: Kind, column: str, value: str) -> None:
    with transaction(engine) as session:
        batch = batches.create_batch(session, resolved(request("one")))
        run_id, wanted = batch.runs[0].id, batch.id if column == "batch_id" else value
        fill_runs(session, run_id, MANY)
        session.execute(text("UPDATE runs SET batch_id = NULL WHERE id <> :id"), {"id": run_id})
        changes: dict[Any, str] = {"kind": kind, column: wanted}
        session.query(Run).filter_by(id=run_id).update(changes)
    plan = plan_of(engine, kind, column, wanted)
    assert f"{column} =" in plan.replace('"', "").replace("=?", " ="), plan


def plan_of(engine: Engine, kind: Kind, column: str, value: str) -> str:
    """The conditions that the database looks up in an index, to list such runs."""
    statements: list[tuple[str, Any]] = []
    with engine.begin() as connection:
        connection.execute(text("ANALYZE"))

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            statements.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    with transaction(engine) as session:
        found = page_of(session, Run, limit=50, cursor=None, **{"kind": kind, column: value})
    event.remove(engine, "before_cursor_execute", note)
    assert len(found.items) == 1
    [(statement, parameters)] = statements
    explain = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN "
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(explain + statement, parameters).all()
    lines = [str(row[-1]) for row in rows]
    return "\n".join(line for line in lines if "Index Cond" in line or "USING INDEX" in line)
