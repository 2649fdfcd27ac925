"""A run's family: the run that people made, and every run that remedies made of it."""

from dataclasses import dataclass

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, aliased

from store.core.models import Run
from store.runs.lifecycle import get


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One run of a family."""

    run: Run
    depth: int
    """Remedies that were added up in its spec; 0 for the root."""


def family(session: Session, run_id: str) -> list[Member]:
    """The whole family of the run: each member is followed by its children, in their order, and theirs.

    Raises:
        RunNotFound: there is no such run.
    """
    root_id = session.scalars(_root_of(get(session, run_id).id)).one()
    runs = session.scalars(_descendants_of(root_id), execution_options={"populate_existing": True}).all()
    children: dict[str | None, list[Run]] = {}
    for run in runs:
        children.setdefault(run.parent_id, []).append(run)
    members: list[Member] = []
    waiting = [Member(run=run, depth=0) for run in runs if run.id == root_id]
    while waiting:
        member = waiting.pop()
        members.append(member)
        waiting += [Member(run=run, depth=member.depth + 1) for run in reversed(children.get(member.run.id, []))]
    return members


def _root_of(run_id: str) -> Select[str]:
    line = select(Run.id, Run.parent_id).where(Run.id == run_id).cte("line", recursive=True)
    parent = aliased(Run)
    line = line.union_all(select(parent.id, parent.parent_id).where(parent.id == line.c.parent_id))
    return select(line.c.id).where(line.c.parent_id.is_(None))


def _descendants_of(root_id: str) -> Select[Run]:
    """The root and all that descends from it, older children first."""
    tree = select(Run.id).where(Run.id == root_id).cte("tree", recursive=True)
    child = aliased(Run)
    tree = tree.union_all(select(child.id).where(child.parent_id == tree.c.id))
    return select(Run).where(Run.id.in_(select(tree.c.id))).order_by(Run.created_at, Run.seed, Run.id)
