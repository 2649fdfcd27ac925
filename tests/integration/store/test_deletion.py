"""Runs that are deleted, and what goes with them."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select, update
from sqlalchemy.orm import Session

from ganlib.wire.annotations import LabelRequest
from store import annotations, treatments
from store.core import db
from store.core.db import transaction
from store.core.errors import ComparisonNotFound, RunInUse, RunNotFound
from store.core.models import ArtifactKind, Attempt, Base, Run
from store.files.artifacts import LocalArtifacts, StoredArtifact
from store.files.local import LocalFiles
from store.files.references import artifacts_in_use
from store.runs import endings, lifecycle, recording
from store.runs.deletion import artifacts_of_nobody, delete_comparison, delete_files_of, delete_run
from store.scheduling.accounts import Quota, Sharing
from tests.support.comparison import create_comparison
from tests.support.sharing import ADA, submit
from tests.support.store import claim_run, create_run, diagnosis, epoch_record, evaluation
from tests.support.treatment import last_try, make_run, treat

HOUR = timedelta(hours=1)


def finished_run(session: Session, picture: StoredArtifact | None = None) -> str:
    """The id of a run that has succeeded, with a record in every table of records."""
    create_run(session)
    claimed = claim_run(session)
    pictures = {} if picture is None else {"artifacts": {"samples": picture}}
    recording.record_epoch(session, epoch_record(claimed, 1, **pictures))
    endings.finish(session, claimed.run_id, claimed.token, "succeeded")
    return claimed.run_id


def finished_comparison(session: Session, **changes: Any) -> str:
    """The id of a comparison that has succeeded, with a picture of its bins."""
    comparison_id = create_comparison(session, **changes).id
    claimed = claim_run(session)
    assert claimed.run_id == comparison_id
    bins: dict[ArtifactKind, StoredArtifact] = {
        "bins": StoredArtifact(sha256="ef" * 32, size=3, media_type="image/png")
    }
    recording.record_comparison(session, comparison_id, claimed.token, evaluation(1), bins)
    return comparison_id


def test_a_deleted_comparison_leaves_no_row_and_names_its_files(engine: Engine) -> None:
    with transaction(engine) as session:
        deleted, other = finished_comparison(session, seed=1), finished_comparison(session, seed=2)
        before = rows_of(session, other)
        assert rows_of(session, deleted) == before == 6  # its attempt, its evaluation, its bins, three events
        assert delete_comparison(session, deleted) == {"ab" * 32, "cd" * 32, "ef" * 32}
    with transaction(engine) as session:
        assert (rows_of(session, deleted), rows_of(session, other)) == (0, before)
        assert lifecycle.find(session, deleted) is None
        assert artifacts_in_use(session, ["ab" * 32, "ef" * 32]) == {"ab" * 32, "ef" * 32}  # the other's
        with pytest.raises(ComparisonNotFound):
            delete_comparison(session, deleted)


def test_runs_and_comparisons_are_not_deleted_as_each_other_nor_before_their_end(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id, comparison_id = finished_run(session), create_comparison(session).id
        with pytest.raises(ComparisonNotFound):
            delete_comparison(session, run_id)
        with pytest.raises(RunNotFound):
            delete_run(session, comparison_id)
        with pytest.raises(RunInUse, match=f"the evaluation '{comparison_id}' cannot be deleted: it is queued; cancel"):
            delete_comparison(session, comparison_id)


def test_a_comparison_that_a_quota_counts_stays(engine: Engine) -> None:
    with transaction(engine) as session:
        comparison_id = finished_comparison(session)
        session.execute(update(Run).where(Run.id == comparison_id).values(user="ada"))
        sharing = Sharing(user_quotas={"ada": Quota(device_hours=1)})
        with pytest.raises(RunInUse, match="the quota device_hours of the user 'ada' counts it"):
            delete_comparison(session, comparison_id, sharing=sharing)
        delete_comparison(session, comparison_id)


def rows_of(session: Session, run_id: str) -> int:
    """How many rows name the run."""
    tables = [table for table in Base.metadata.sorted_tables if "run_id" in table.columns]
    counts = [select(func.count()).select_from(table).where(table.c.run_id == run_id) for table in tables]
    return sum(session.scalars(count).one() for count in counts)


def test_a_deleted_run_leaves_no_row_and_others_as_they_were(engine: Engine) -> None:
    with transaction(engine) as session:
        deleted, other = finished_run(session), finished_run(session)
    with transaction(engine) as session:
        before = rows_of(session, other)
        assert rows_of(session, deleted) == before > 4
        delete_run(session, deleted)
    with transaction(engine) as session:
        assert (rows_of(session, deleted), rows_of(session, other)) == (0, before)
        assert lifecycle.find(session, deleted) is None
        with pytest.raises(RunNotFound):
            delete_run(session, deleted)


def test_a_run_that_is_not_over_stays(engine: Engine) -> None:
    with transaction(engine) as session:
        queued = create_run(session).id
        with pytest.raises(RunInUse, match=rf"'{queued}' cannot be deleted: it is queued; cancel it first"):
            delete_run(session, queued)
        running = claim_run(session)
        with pytest.raises(RunInUse, match="it is running"):
            delete_run(session, running.run_id)


@pytest.mark.parametrize(
    ("sharing", "whose"),
    [
        (Sharing(user_quotas={"ada": Quota(device_hours=0)}), "user 'ada'"),
        (Sharing(team_quotas={"vision": Quota(device_hours=8)}), "team 'vision'"),
    ],
)
def test_a_run_that_a_quota_of_device_hours_counts_stays_for_a_day(
    engine: Engine, sharing: Sharing, whose: str
) -> None:
    others = Sharing(user_quotas={"ada": Quota(running=1), "bob": Quota(device_hours=1)})
    with transaction(engine) as session:
        run_id, other = submit(session, ADA, 2)
        for claimed in (claim_run(session), claim_run(session)):
            endings.finish(session, claimed.run_id, claimed.token, "failed", error="no")
        words = (
            rf"the quota device_hours of the {whose} counts it; wait for 24 h after its end, or ask an administrator"
        )
        with pytest.raises(RunInUse, match=words):
            delete_run(session, run_id, sharing=sharing)
        ended = db.clock(session) - 24 * 3600 - 1
        session.execute(update(Attempt).where(Attempt.run_id == run_id).values(ended_at=ended))
        delete_run(session, run_id, sharing=sharing)
        delete_run(session, other, sharing=others)


def test_labels_are_lost_only_where_that_is_said(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = finished_run(session)
        word = LabelRequest(finding="healthy", holds=True, author="ann", note="")
        annotations.add(session, run_id, word, diagnosis(1))
    with transaction(engine) as session:
        with pytest.raises(RunInUse, match=r"it has 1 label, which would be lost; .* with_labels=true"):
            delete_run(session, run_id)
        delete_run(session, run_id, with_labels=True)
        assert annotations.list_labels(session).items == []


def test_a_run_goes_after_its_tries_and_takes_its_treatment_along(engine: Engine) -> None:
    with transaction(engine) as session:
        sick = make_run(session, "mode collapse")
        treatment = treat(session, sick).id
        tried = last_try(session, treatment).id
    with transaction(engine) as session:
        with pytest.raises(RunInUse, match=f"the treatment '{treatment}' goes on with it"):
            delete_run(session, sick)
        treatments.cancel(session, treatment)
        with pytest.raises(RunInUse, match=f"remedies made of it '{tried}'; delete it first"):
            delete_run(session, sick)
        delete_run(session, tried)
        assert treatments.get(session, treatment).best_run_id is None
        delete_run(session, sick)
        assert treatments.of_run(session, sick) == []


def test_whoever_adds_to_a_run_while_it_is_deleted_is_told_that_it_is_gone(postgres_engine: Engine) -> None:
    with transaction(postgres_engine) as session:
        run_id = finished_run(session)
        sick = make_run(session, "mode collapse")

    def add_label() -> None:
        with transaction(postgres_engine) as session:
            annotations.add(
                session, run_id, LabelRequest(finding="healthy", holds=True, author="ann", note=""), diagnosis(1)
            )

    def begin_treatment() -> None:
        with transaction(postgres_engine) as session:
            treat(session, sick)

    with ThreadPoolExecutor(2) as pool:
        with transaction(postgres_engine) as session:
            delete_run(session, run_id)
            delete_run(session, sick)
            late = [pool.submit(add_label), pool.submit(begin_treatment)]
            time.sleep(0.3)
            assert not any(each.done() for each in late)  # they wait for the row
        for each in late:
            with pytest.raises(RunNotFound):
                each.result()


def test_the_key_of_a_deleted_run_makes_a_new_one(engine: Engine) -> None:
    with transaction(engine) as session:
        first = create_run(session, key="again").id
        lifecycle.cancel(session, first)
        delete_run(session, first)
        second = create_run(session, key="again").id
        assert second != first
        assert create_run(session, key="again").id == second
        assert session.scalars(select(func.count()).select_from(Run)).one() == 1


def test_files_go_unless_another_run_has_the_same_or_they_are_fresh(engine: Engine, tmp_path: Path) -> None:
    artifacts, checkpoints = LocalArtifacts(tmp_path / "artifacts"), LocalFiles(tmp_path / "checkpoints")
    shared, own, fresh = (artifacts.put(content, "image/png") for content in (b"shared", b"own", b"fresh"))
    for stored in (shared, own):
        os.utime(artifacts.path(stored.sha256), (1.0, 1.0))
    with transaction(engine) as session:
        deleted, other = finished_run(session, own), finished_run(session, shared)
    for run_id in (deleted, other):
        path = checkpoints.local_path(f"{run_id}/attempt-1-epoch-1.safetensors")
        path.parent.mkdir(parents=True)
        path.touch()
    with transaction(engine) as session:
        assert delete_run(session, deleted) == {own.sha256}
    with transaction(engine) as session:
        hashes = frozenset(stored.sha256 for stored in (own, shared, fresh))
        unnamed = artifacts_of_nobody(session, hashes)
    delete_files_of(deleted, unnamed, artifacts=artifacts, checkpoints=checkpoints, grace=HOUR)
    assert {entry.name for entry in artifacts.entries()} == {shared.sha256, fresh.sha256}
    assert [entry.name for entry in checkpoints.entries()] == [f"{other}/attempt-1-epoch-1.safetensors"]
