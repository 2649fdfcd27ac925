import os
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import BigInteger, insert, inspect, select, text

from ganlib.spec.run import RunSpec
from ganlib.step_blocks import encode
from ganlib.wire.watching import WatchRequest
from store import migrate, watched
from store.core.db import current_revision, make_engine, migrating, require_migrated, transaction, upgrade
from store.core.errors import DatabaseNotMigrated, DatabaseTooNew
from store.core.models import Base, EvaluationRow, Run, RunTagRow
from store.runs import pauses
from store.runs.endings import finish, pause
from store.runs.lifecycle import attempts, get, list_runs
from store.runs.lineage import family
from store.runs.recording import record_comparison
from store.runs.records import evaluations
from store.scheduling import workers
from tests.support.api import with_bins
from tests.support.comparison import create_comparison
from tests.support.sharing import ADA, submit
from tests.support.store import claim_run, create_run, evaluation
from tests.support.treatment import end, last_try, make_run, treat

ROOT = Path(__file__).parents[3]


def test_migrations_make_exactly_the_tables_of_the_models(database_url: str) -> None:
    engine = make_engine(database_url)
    upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        indexes = {index["name"] for index in inspect(connection).get_indexes("runs")}
    assert {index.name for index in Base.metadata.tables["runs"].indexes} <= indexes
    engine.dispose()


def test_every_migration_can_be_undone_and_made_again(database_url: str) -> None:
    engine = make_engine(database_url)
    upgrade(engine)
    with migrating(engine) as config:
        command.downgrade(config, "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    assert current_revision(engine) is None
    upgrade(engine)
    require_migrated(engine)
    engine.dispose()


def test_the_version_before_comparisons_sees_trainings_alone(database_url: str) -> None:
    engine = make_engine(database_url)
    upgrade(engine)
    with transaction(engine) as session:
        create_comparison(session)
        compared = claim_run(session)
        record_comparison(session, compared.run_id, compared.token, evaluation(1))
        run_id = create_run(session).id
    with migrating(engine) as config:
        command.downgrade(config, "0001")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT id FROM runs")).scalars().all() == [run_id]
        assert connection.execute(text("SELECT run_id FROM evaluations")).all() == []
    upgrade(engine)
    with transaction(engine) as session:
        assert [(run.id, run.kind) for run in list_runs(session).items] == [(run_id, "training")]
    engine.dispose()


def test_the_version_before_watched_runs_sees_none(database_url: str) -> None:
    engine = make_engine(database_url)
    upgrade(engine)
    with transaction(engine) as session:
        run_id = create_run(session).id
        sent = watched.create(session, WatchRequest(name="elsewhere"))
        session.execute(insert(RunTagRow).values(run_id=sent.id, tag="mine"))
        block = encode(["g_loss"], [[1.0]])
        watched.receive(session, sent.id, 1, watched.SentSteps(block=block, count=1, names=("g_loss",)))
        assert watched.receive(session, sent.id, 2, watched.EpochEnd(seconds=1.0)).is_queued
    with migrating(engine) as config:
        command.downgrade(config, "0020")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT id FROM runs")).scalars().all() == [run_id]
        assert connection.execute(text("SELECT run_id FROM run_tags")).all() == []
    upgrade(engine)
    with transaction(engine) as session:
        assert [(run.id, run.watched) for run in list_runs(session).items] == [(run_id, False)]
    engine.dispose()


def test_evaluations_of_an_earlier_version_can_still_be_read(database_url: str) -> None:
    engine = make_engine(database_url)
    upgrade(engine)
    with transaction(engine) as session:
        create_comparison(session)
        claim = claim_run(session)
        record_comparison(session, claim.run_id, claim.token, with_bins(1))
    with migrating(engine) as config:
        command.downgrade(config, "0003")
    with engine.connect() as connection:
        (before,) = connection.execute(select(EvaluationRow.document)).scalars()
    assert "n_neighbours" in before
    assert before["nulls"]["ndb_over_k"].keys() == {"mean", "q05", "q95"}
    upgrade(engine)
    with transaction(engine) as session:
        (found,) = evaluations(session, claim.run_id)
    assert found.n_subset == with_bins(1).n_subset
    assert found.nulls["ndb_over_k"].excess == pytest.approx(0.45)
    assert [b.missing for b in found.bins] == [False, False]
    engine.dispose()


def test_the_version_before_halts_sees_runs_that_were_cancelled(database_url: str) -> None:
    engine = make_engine(database_url)
    upgrade(engine)
    with transaction(engine) as session:
        claim = claim_run(session)
        finish(session, claim.run_id, claim.token, "halted")
    with migrating(engine) as config:
        command.downgrade(config, "0005")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT status FROM runs")).scalars().all() == ["cancelled"]
        assert connection.execute(text("SELECT outcome FROM attempts")).scalars().all() == ["cancelled"]
        (spec,) = connection.execute(select(Run.spec)).scalars()
    assert "diagnosis" not in spec
    assert spec["training"]["epochs"] == claim.spec.model_dump()["training"]["epochs"]
    upgrade(engine)
    with transaction(engine) as session:
        assert RunSpec.model_validate(get(session, claim.run_id).spec) == claim.spec
    engine.dispose()


def test_the_version_before_treatments_sees_their_runs_as_any_other(database_url: str) -> None:
    engine = make_engine(database_url)
    upgrade(engine)
    with transaction(engine) as session:
        sick = make_run(session, "mode collapse")
        treated = last_try(session, treat(session, sick).id).id
    with migrating(engine) as config:
        command.downgrade(config, "0006")
    with engine.connect() as connection:
        assert set(connection.execute(text("SELECT id FROM runs")).scalars()) == {sick, treated}
    assert "treatments" not in inspect(engine).get_table_names()
    upgrade(engine)
    with transaction(engine) as session:
        assert [member.run.id for member in family(session, treated)] == [treated]
        end(session, treated, "mode collapse")
    engine.dispose()


def test_the_version_before_scheduling_sees_runs_of_nobody_and_none_that_is_paused(database_url: str) -> None:
    engine = make_engine(database_url)
    upgrade(engine)
    with transaction(engine) as session:
        claim = claim_run(session)
        pauses.pause(session, claim.run_id)
        pause(session, claim.run_id, claim.token)
        sick = make_run(session, "mode collapse")
        treatment = treat(session, sick).id
        treated = pauses.pause(session, last_try(session, treatment).id).id
        waits = create_run(session).id
        (shared,) = submit(session, ADA)
    with migrating(engine) as config:
        command.downgrade(config, "0007")
    with engine.connect() as connection:
        found = dict(connection.execute(text("SELECT id, status FROM runs")).all())
        paused = {claim.run_id: "cancelled", treated: "cancelled"}
        assert found == {**paused, sick: "succeeded", waits: "queued", shared: "queued"}
        ended = "SELECT id FROM runs WHERE finished_at > created_at AND cancel_requested"
        assert set(connection.execute(text(ended)).scalars()) == paused.keys()
        outcome = text("SELECT outcome FROM attempts WHERE run_id = :run_id")
        assert connection.execute(outcome, {"run_id": claim.run_id}).scalars().all() == ["handed over"]
        (over,) = connection.execute(text("SELECT * FROM treatments")).mappings()
        assert (over["status"], over["finished_at"] > over["created_at"]) == ("cancelled", True)
        assert over["reason"] == "its try was paused, which the version before does not know"
    assert not {"owners", "workers", "drains"} & set(inspect(engine).get_table_names())
    upgrade(engine)
    with transaction(engine) as session:
        assert {run.user for run in list_runs(session).items} == {"default"}
        assert {claim_run(session).run_id for _ in range(2)} == {waits, shared}
    engine.dispose()


def test_the_version_before_labels_forgets_those_of_workers(database_url: str) -> None:
    engine = make_engine(database_url)
    upgrade(engine)
    with transaction(engine) as session:
        workers.describe(session, "w", gpus=2, labels=["h100"])
    with migrating(engine) as config:
        command.downgrade(config, "0013")
    upgrade(engine)
    with transaction(engine) as session:
        (worker,) = workers.list_workers(session)
    assert (worker.name, worker.gpus, worker.labels) == ("w", 2, ())
    engine.dispose()


def test_upgrading_an_upgraded_database_changes_nothing(database_url: str) -> None:
    engine = make_engine(database_url)
    upgrade(engine)
    upgrade(engine)
    require_migrated(engine)
    engine.dispose()


def test_two_processes_may_upgrade_at_once(database_url: str, tmp_path: Path) -> None:
    processes = [_migrate(database_url, tmp_path) for _ in range(2)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    engine = make_engine(database_url)
    require_migrated(engine)
    engine.dispose()


def _migrate(url: str, home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "store.migrate"],
        cwd=ROOT,
        env={**os.environ, "GANCLINIC_DATABASE_URL": url, "GANCLINIC_HOME": str(home)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_the_service_refuses_a_database_that_was_not_migrated(database_url: str) -> None:
    engine = make_engine(database_url)
    with pytest.raises(DatabaseNotMigrated, match=r"is empty, this code needs 0023; run: python -m store\.migrate"):
        require_migrated(engine)
    engine.dispose()


def test_a_database_of_a_newer_version_is_refused_and_left_alone(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = make_engine(database_url)
    upgrade(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'future'")
    with pytest.raises(DatabaseTooNew, match="is at revision future, which this code does not know"):
        require_migrated(engine)
    monkeypatch.setenv("GANCLINIC_DATABASE_URL", database_url)
    monkeypatch.setenv("GANCLINIC_HOME", str(tmp_path))
    assert migrate.main() == 1
    assert "is at revision future" in capsys.readouterr().err
    assert current_revision(engine) == "future"
    engine.dispose()


def test_migrating_a_database_that_does_not_answer_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GANCLINIC_DATABASE_URL", f"postgresql://nobody@/gone?host={tmp_path}")
    monkeypatch.setenv("GANCLINIC_HOME", str(tmp_path))
    assert migrate.main() == 1
    assert capsys.readouterr().err.startswith("the database does not answer")


def test_a_table_that_others_refer_to_can_be_altered(database_url: str) -> None:
    engine = make_engine(database_url)
    upgrade(engine)
    with transaction(engine) as session:
        run_id = claim_run(session).run_id
    with migrating(engine) as config:
        operations = Operations(MigrationContext.configure(config.attributes["connection"]))
        with operations.batch_alter_table("runs", recreate="auto") as table:
            table.alter_column("priority", type_=BigInteger())
    with transaction(engine) as session:
        assert [attempt.run_id for attempt in attempts(session, run_id)] == [run_id]
    engine.dispose()
