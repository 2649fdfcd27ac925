from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from store.core.db import reading, transaction
from store.core.errors import EpochOutOfOrder, LeaseLost
from store.core.models import Base, Epoch
from store.files.artifacts import StoredArtifact
from store.runs import recording, records
from store.runs.claims import Claim
from store.runs.endings import finish, hand_over
from store.runs.lifecycle import get
from store.runs.series import read_steps
from tests.support.store import STEPS, claim_run, create_run, diagnosis, epoch_record, evaluation, step_block

PICTURE = StoredArtifact(sha256="ab" * 32, size=123, media_type="image/png")


def record(session: Session, claimed: Claim, last: int, first: int = 1) -> None:
    for epoch in range(first, last + 1):
        recording.record_epoch(session, epoch_record(claimed, epoch, artifacts={"samples": PICTURE}))


def rows_of(engine: Engine) -> dict[str, int]:
    """Number of rows in each table that epochs are recorded in."""
    names = ("epochs", "series", "evaluations", "diagnoses", "artifacts")
    with reading(engine) as session:
        return {
            name: session.scalars(select(func.count()).select_from(Base.metadata.tables[name])).one() for name in names
        }


# --- recording ---


def test_an_epoch_is_recorded_with_everything_it_leaves_behind(engine: Engine) -> None:
    with transaction(engine) as session:
        claimed = claim_run(session)
        record(session, claimed, 2)
    with reading(engine) as session:
        first, second = records.epochs(session, claimed.run_id)
        history = records.history(session, claimed.run_id)
        steps, evaluations = history.steps, history.evaluations
        diagnoses = records.diagnoses(session, claimed.run_id)
        picture = records.artifact(session, claimed.run_id, "samples", 2)
    assert (first.epoch, first.attempt, first.first_step, first.num_steps) == (1, 1, 0, STEPS)
    assert (second.epoch, second.first_step, second.seconds) == (2, STEPS, 1.5)
    assert second.checkpoint == "attempt-1-epoch-2.safetensors"
    assert steps.dtype == np.float32
    np.testing.assert_array_equal(steps, np.concatenate([step_block(1), step_block(2)]))
    assert [e.epoch for e in evaluations] == [0, 1, 2]
    assert evaluations[2].values["ndb_over_k"] == evaluation(2).values["ndb_over_k"]
    assert np.isnan(evaluations[2].values["js"])
    assert diagnoses == [diagnosis(1), diagnosis(2)]
    assert picture is not None
    assert (picture.sha256, picture.size, picture.media_type) == (PICTURE.sha256, PICTURE.size, PICTURE.media_type)


def test_the_run_says_how_far_and_how_well_it_is(engine: Engine) -> None:
    with transaction(engine) as session:
        claimed = claim_run(session)
        record(session, claimed, 1)
        recording.record_epoch(session, epoch_record(claimed, 2, diagnosis=diagnosis(2, collapse_since=2)))
    with reading(engine) as session:
        run = get(session, claimed.run_id)
    assert (run.epochs_done, run.step) == (2, 2 * STEPS)
    assert (run.verdict, run.severity, run.first_epoch_seen) == ("mode collapse", "severe", 2)


def test_what_the_same_attempt_records_again_is_there_already(engine: Engine) -> None:
    """The answer of a commit may be lost with the connection: who tries again must not lose the attempt for that."""
    with transaction(engine) as session:
        claimed = claim_run(session)
        record(session, claimed, 2)
    before = rows_of(engine)
    with transaction(engine) as session:
        assert not recording.record_epoch(session, epoch_record(claimed, 2))
        with pytest.raises(EpochOutOfOrder):
            recording.record_epoch(session, epoch_record(claimed, 4))
    with transaction(engine) as session:
        assert recording.record_epoch(session, epoch_record(claimed, 3))
        finish(session, claimed.run_id, claimed.token, "succeeded")
    with transaction(engine) as session:
        assert not recording.record_epoch(session, epoch_record(claimed, 3))
        finish(session, claimed.run_id, claimed.token, "succeeded")
        with pytest.raises(LeaseLost):
            finish(session, claimed.run_id, claimed.token, "failed")
        with pytest.raises(LeaseLost):
            recording.record_epoch(session, epoch_record(claimed, 4))
        assert get(session, claimed.run_id).status == "succeeded"
    assert {name: count - before[name] for name, count in rows_of(engine).items()} == {
        "epochs": 1,
        "series": 1,
        "evaluations": 1,
        "diagnoses": 1,
        "artifacts": 0,
    }


def test_what_another_attempt_has_recorded_is_not_taken_for_ones_own(engine: Engine) -> None:
    with transaction(engine) as session:
        first = claim_run(session)
        record(session, first, 2)
        hand_over(session, first.run_id, first.token)
        second = claim_run(session)
        assert second.run_id == first.run_id
        with pytest.raises(EpochOutOfOrder):
            recording.record_epoch(session, epoch_record(second, 2))
        recording.rewind(session, second.run_id, second.token, 1)
        assert recording.record_epoch(session, epoch_record(second, 2))
        with pytest.raises(LeaseLost):
            recording.record_epoch(session, epoch_record(first, 2))


def test_the_last_epoch_and_success_are_one_transaction(engine: Engine) -> None:
    with transaction(engine) as session:
        claimed = claim_run(session)

    def succeed_but_fail_to_commit() -> None:
        with transaction(engine) as session:
            record(session, claimed, 3)
            finish(session, claimed.run_id, claimed.token, "succeeded")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        succeed_but_fail_to_commit()
    assert set(rows_of(engine).values()) == {0}
    with reading(engine) as session:
        run = get(session, claimed.run_id)
        assert (run.status, run.epochs_done, run.verdict) == ("running", 0, None)


@pytest.mark.parametrize("epoch", [1, 4, 5])
def test_an_epoch_is_neither_doubled_nor_skipped(engine: Engine, epoch: int) -> None:
    with transaction(engine) as session:
        claimed = claim_run(session)
        record(session, claimed, 2)
    before = rows_of(engine)
    with transaction(engine) as session, pytest.raises(EpochOutOfOrder, match=f"2 epochs: epoch {epoch} cannot"):
        recording.record_epoch(session, epoch_record(claimed, epoch))
    assert rows_of(engine) == before
    with reading(engine) as session:
        assert get(session, claimed.run_id).epochs_done == 2


def test_writers_that_race_record_an_epoch_once(engine: Engine) -> None:
    racers = 4
    with transaction(engine) as session:
        claimed = claim_run(session)
    barrier = Barrier(racers)

    def write(_: int) -> str:
        barrier.wait()
        try:
            with transaction(engine) as session:
                is_new = recording.record_epoch(session, epoch_record(claimed, 1))
        except EpochOutOfOrder:
            return "refused"
        return "recorded" if is_new else "there already"

    with ThreadPoolExecutor(racers) as pool:
        answers = list(pool.map(write, range(racers)))
    assert sorted(answers) == ["recorded"] + ["there already"] * (racers - 1)
    assert rows_of(engine)["epochs"] == 1


def test_an_attempt_that_lost_its_lease_adds_nothing_to_the_one_that_follows(engine: Engine) -> None:
    with transaction(engine) as session:
        stale = claim_run(session)
        record(session, stale, 1)
        hand_over(session, stale.run_id, stale.token)
        newer = claim_run(session)
    with transaction(engine) as session, pytest.raises(LeaseLost):
        recording.record_epoch(session, epoch_record(stale, 2))
    with transaction(engine) as session:
        record(session, newer, 2, first=2)
    with reading(engine) as session:
        assert [(e.epoch, e.attempt) for e in records.epochs(session, newer.run_id)] == [(1, 1), (2, 2)]


def test_steps_that_are_not_finite_are_kept_and_their_means_are_null(engine: Engine) -> None:
    steps = step_block(1)
    steps[0, 0], steps[1, 2], steps[2, 2], steps[3, 5] = np.nan, np.inf, -np.inf, 3e38
    with transaction(engine) as session:
        claimed = claim_run(session)
        recording.record_epoch(session, epoch_record(claimed, 1, steps=steps))
    with reading(engine) as session:
        np.testing.assert_array_equal(read_steps(session, claimed.run_id), steps)
        (recorded,) = records.epochs(session, claimed.run_id)
    assert (recorded.means["d_loss_real"], recorded.means["d_loss"], recorded.means["g_loss"]) == (None, None, None)
    assert recorded.means["d_loss_fake"] == pytest.approx(101.6)
    assert recorded.means["d_grad_norm"] == pytest.approx(0.75e38)


def test_d_loss_is_the_mean_of_both_its_parts() -> None:
    means = recording.column_means(np.array([[1, 3, 0, 0, 0, 0, 0, 0], [2, 4, 0, 0, 0, 0, 0, 0]], np.float32))
    assert (means["d_loss_real"], means["d_loss_fake"], means["d_loss"]) == (1.5, 3.5, 2.5)


# --- reading ---


def test_a_run_without_epochs_has_an_empty_history(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = create_run(session).id
        history = records.history(session, run_id)
        steps, evaluations = history.steps, history.evaluations
        assert (steps.shape, evaluations) == ((0, 8), ())
        assert records.last_checkpoint(session, run_id) is None
        assert records.epochs(session, run_id) == []
        assert records.diagnosis(session, run_id) is None
        assert records.artifact(session, run_id, "samples", 1) is None


def test_a_diagnosis_is_of_one_epoch_by_default_the_last(engine: Engine) -> None:
    with transaction(engine) as session:
        claimed = claim_run(session)
        record(session, claimed, 3)
        assert records.diagnosis(session, claimed.run_id) == diagnosis(3)
        assert records.diagnosis(session, claimed.run_id, 2) == diagnosis(2)
        assert records.diagnosis(session, claimed.run_id, 4) is None


def test_pictures_are_listed_in_the_order_of_their_epochs(engine: Engine) -> None:
    with transaction(engine) as session:
        claimed = claim_run(session)
        record(session, claimed, 3)
        assert [a.epoch for a in records.artifacts(session, claimed.run_id, "samples")] == [1, 2, 3]


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (0, None, (0, 12)),
        (0, 4, (0, 4)),
        (5, 7, (5, 7)),
        (3, 9, (3, 9)),
        (10, 99, (10, 12)),
        (12, None, (0, 0)),
        (6, 6, (0, 0)),
    ],
)
def test_a_range_of_steps_is_cut_out_of_its_blocks(
    sqlite_engine: Engine, first: int, last: int | None, expected: tuple[int, int]
) -> None:
    with transaction(sqlite_engine) as session:
        claimed = claim_run(session)
        record(session, claimed, 3)
        steps = read_steps(session, claimed.run_id, first, last)
    whole = np.concatenate([step_block(epoch) for epoch in (1, 2, 3)])
    np.testing.assert_array_equal(steps, whole[slice(*expected)])


# --- resuming ---


def test_the_last_checkpoint_is_the_newest_that_an_epoch_names(engine: Engine) -> None:
    with transaction(engine) as session:
        claimed = claim_run(session)
        record(session, claimed, 2)
        recording.record_epoch(session, epoch_record(claimed, 3, checkpoint=None))
        assert records.last_checkpoint(session, claimed.run_id) == (2, "attempt-1-epoch-2.safetensors")


@pytest.mark.parametrize(("epoch", "evaluations"), [(0, []), (1, [0, 1]), (2, [0, 1, 2]), (3, [0, 1, 2, 3])])
def test_a_rewound_run_is_as_it_was_after_that_epoch(engine: Engine, epoch: int, evaluations: list[int]) -> None:
    with transaction(engine) as session:
        claimed = claim_run(session)
        record(session, claimed, 2)
        recording.record_epoch(session, epoch_record(claimed, 3, diagnosis=diagnosis(3, collapse_since=3)))
    with transaction(engine) as session:
        recording.rewind(session, claimed.run_id, claimed.token, epoch)
    with reading(engine) as session:
        run = get(session, claimed.run_id)
        history = records.history(session, claimed.run_id)
        steps, kept = history.steps, history.evaluations
        pictures = records.artifacts(session, claimed.run_id, "samples")
        diagnoses = records.diagnoses(session, claimed.run_id)
        recorded = records.epochs(session, claimed.run_id)
    assert (run.epochs_done, run.step) == (epoch, epoch * STEPS)
    assert run.verdict == (None, "healthy", "healthy", "mode collapse")[epoch]
    assert run.first_epoch_seen == (3 if epoch == 3 else None)
    assert [e.epoch for e in kept] == evaluations
    assert len(steps) == epoch * STEPS
    assert [e.epoch for e in recorded] == [d.epoch for d in diagnoses] == [*range(1, epoch + 1)]
    assert [a.epoch for a in pictures] == [*range(1, min(epoch, 2) + 1)]


def test_a_rewound_run_can_be_recorded_again(engine: Engine) -> None:
    with transaction(engine) as session:
        first = claim_run(session)
        record(session, first, 3)
        hand_over(session, first.run_id, first.token)
    with transaction(engine) as session:
        second = claim_run(session)
        recording.rewind(session, second.run_id, second.token, 0)
        record(session, second, 3)
    with reading(engine) as session:
        assert session.scalars(select(Epoch.attempt)).all() == [2, 2, 2]


def test_a_rewind_leaves_other_runs_alone(engine: Engine) -> None:
    with transaction(engine) as session:
        kept, rewound = claim_run(session), claim_run(session)
        record(session, kept, 2)
    before = rows_of(engine)
    with transaction(engine) as session:
        record(session, rewound, 2)
        recording.rewind(session, rewound.run_id, rewound.token, 0)
    assert rows_of(engine) == before


def test_a_run_cannot_be_rewound_to_an_epoch_it_never_had(engine: Engine) -> None:
    with transaction(engine) as session:
        claimed = claim_run(session)
        record(session, claimed, 2)
    with transaction(engine) as session, pytest.raises(EpochOutOfOrder):
        recording.rewind(session, claimed.run_id, claimed.token, 3)
    with reading(engine) as session:
        assert get(session, claimed.run_id).step == 2 * STEPS
