"""The families of runs that treatments make."""

from itertools import pairwise

import pytest
from sqlalchemy import Engine, update

from store.core.db import reading, transaction
from store.core.errors import RunNotFound
from store.core.models import Run
from store.runs.lineage import family
from tests.support.store import create_run
from tests.support.treatment import end, last_try, make_run, treat


def test_a_family_is_the_same_whichever_member_is_asked_for(engine: Engine) -> None:
    with transaction(engine) as session:
        root = make_run(session, "mode collapse")
        first = last_try(session, treat(session, root).id)
        end(session, first.id, "memorisation")
        second = last_try(session, str(first.treatment_id))
        end(session, second.id, "memorisation")
        third = last_try(session, str(first.treatment_id))
        end(session, third.id, "mode collapse")
        other = last_try(session, treat(session, third.id).id)
        stranger = create_run(session).id
    expected = [(root, 0), (first.id, 1), (second.id, 2), (third.id, 2), (other.id, 3)]
    with reading(engine) as session:
        for run_id, _ in expected:
            assert [(m.run.id, m.depth) for m in family(session, run_id)] == expected
        assert [(m.run.id, m.depth) for m in family(session, stranger)] == [(stranger, 0)]
        with pytest.raises(RunNotFound):
            family(session, "nothing")


def test_a_family_may_be_as_deep_as_it_likes(sqlite_engine: Engine) -> None:
    with transaction(sqlite_engine) as session:
        ids = [create_run(session).id for _ in range(1200)]
        for parent, child in pairwise(ids):
            session.execute(update(Run).where(Run.id == child).values(parent_id=parent))
    with reading(sqlite_engine) as session:
        members = family(session, ids[600])
    assert [member.run.id for member in members] == ids
    assert members[-1].depth == 1199
