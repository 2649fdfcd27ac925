"""Runs that ask for a worker with labels: claims, what is said to one that waits, giving way. On both databases."""

import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from store.core.db import reading, transaction
from store.core.models import Run
from store.runs import claims
from store.runs.lifecycle import create, get
from store.scheduling import preemption, workers
from store.scheduling.accounts import EQUAL, Sharing
from store.scheduling.explain import Waiting, why_waiting
from store.scheduling.owners import Owner
from store.scheduling.requirements import ResourceRequests
from tests.support.images import CHECKOUT
from tests.support.processes import running
from tests.support.sharing import ADA, BOB, CYD, RUNNING_1, have_used
from tests.support.store import LEASE, claim_run, request
from tests.support.worker import Clinic, clinic_at


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A place without GPUs where there is always room."""

    labels: tuple[str, ...] = ()
    largest_gpu: int | None = None
    most_gpus: int = 1

    def takes(self, needs: ResourceRequests) -> bool:
        return True


def submit(session: Session, *labels: str, owner: Owner = ADA, priority: int = 0, gpus: int = 1) -> str:
    """A queued run that asks for these labels; later ones are younger."""
    wanted = request(None, **{"resources.labels": list(labels), "resources.gpus": gpus})
    run = create(session, wanted, wanted.resolve(), priority=priority, owner=owner)
    run.created_at += run.created_at - int(run.created_at)  # of one transaction all have one clock
    session.flush()
    return run.id


def claimed(session: Session, *labels: str, worker: str = "w", sharing: Sharing = EQUAL) -> str | None:
    claim = claims.claim(session, worker, LEASE, sharing, Bench(labels=labels))
    return None if claim is None else claim.run_id


def why(session: Session, run_id: str) -> Waiting:
    return why_waiting(session, get(session, run_id), EQUAL)


def reasons(session: Session, run_id: str) -> list[tuple[str, str]]:
    return [(reason.kind, reason.text) for reason in why(session, run_id).reasons]


# --- claims -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "has", "is_claimed"),
    [
        ((), (), True),
        ((), ("h100",), True),
        (("h100",), ("h100",), True),
        (("h100",), ("fast", "h100"), True),
        (("fast", "h100"), ("fast", "h100", "near"), True),
        (("h100",), (), False),
        (("h100",), ("fast",), False),
        (("fast", "h100"), ("h100",), False),
        (("h100",), ("H100",), False),
        (("h100",), ("h10", "h1000", "h_00"), False),
        (("a_b",), ("axb",), False),
    ],
)
def test_a_worker_claims_a_run_all_of_whose_labels_it_has(
    engine: Engine, asked: tuple[str, ...], has: tuple[str, ...], is_claimed: bool
) -> None:
    with transaction(engine) as session:
        run_id = submit(session, *asked)
        assert claimed(session, *has) == (run_id if is_claimed else None)


def test_runs_for_other_workers_are_passed_by_whatever_their_turn(engine: Engine) -> None:
    with transaction(engine) as session:
        urgent, first = submit(session, "h100", priority=1), submit(session, "h100")
        plain, other = submit(session), submit(session, owner=CYD)
        have_used(session, CYD, 3600)
        assert [claimed(session) for _ in range(3)] == [plain, other, None]
        assert [claimed(session, "h100") for _ in range(3)] == [urgent, first, None]


def test_shares_decide_among_runs_with_a_label(engine: Engine) -> None:
    with transaction(engine) as session:
        rich, poor = submit(session, "h100", owner=BOB), submit(session, "h100", owner=CYD)
        have_used(session, BOB, 3600)
        assert [claimed(session, "h100") for _ in range(2)] == [poor, rich]


def test_a_quota_holds_back_a_run_with_a_label(engine: Engine) -> None:
    with transaction(engine) as session:
        first, second = submit(session), submit(session, "h100")
        assert claimed(session, sharing=RUNNING_1) == first
        assert claimed(session, "h100", worker="v", sharing=RUNNING_1) is None
        session.execute(update(Run).where(Run.id == first).values(status="succeeded"))
        assert claimed(session, sharing=RUNNING_1) is None
        assert claimed(session, "h100", worker="v", sharing=RUNNING_1) == second


def test_runs_of_a_version_that_knew_no_labels_are_for_any_worker(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = submit(session)
        spec = get(session, run_id).spec
        resources = {key: value for key, value in spec["resources"].items() if key != "labels"}
        session.execute(update(Run).where(Run.id == run_id).values(spec={**spec, "resources": resources}))
        assert claimed(session, "h100") == run_id


# --- why a run waits --------------------------------------------------------------------------------------------


def test_a_run_whose_label_no_worker_has_says_so(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = submit(session, "h100")
        assert [kind for kind, _ in reasons(session, run_id)] == ["no worker"]
        for name, labels in (("a", []), ("b", ["old", "fast"]), ("c", ["fast", "old"])):
            workers.describe(session, name, labels=labels)
        ((kind, text),) = reasons(session, run_id)
        assert kind == "no label"
        assert text == (
            "resources.labels: no worker that is alive has the label h100; those there are have: none; fast, old; "
            "cancel it and ask for others, or start a worker with --label h100"
        )
        assert (why(session, run_id).ahead, why(session, run_id).starts_in_s) == (None, None)
        workers.describe(session, "d", labels=["h100"])
        assert reasons(session, run_id) == []


def test_labels_count_only_together_and_few_are_named(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = submit(session, "h100", "fast")
        for number in range(7):
            workers.describe(session, f"w{number}", labels=[f"l{number}"])
        workers.describe(session, "a", labels=["fast"])
        workers.describe(session, "b", labels=["h100"])
        ((_, text),) = reasons(session, run_id)
        assert "no worker that is alive has the labels fast and h100; those there are have: fast; h100; l0; l1" in text
        assert "l2; and 4 more; cancel it" in text
        assert text.endswith("start a worker with --label fast --label h100")


def test_only_workers_with_the_label_count_as_busy_drained_or_too_small(engine: Engine) -> None:
    with transaction(engine) as session:
        workers.describe(session, "plain", gpus=4)
        workers.describe(session, "able", labels=["h100"])
        submit(session, priority=1)
        assert claimed(session, "h100", worker="able") is not None
        run_id, wide = submit(session, "h100"), submit(session, "h100", gpus=2)
        assert reasons(session, run_id) == [("busy", "the one worker with the label h100 is training")]
        ((kind, text),) = reasons(session, wide)
        assert kind == "too large"
        assert "it wants 2 GPUs, and no worker with the label h100 that is alive has more than 1" in text
        workers.drain(session, "able")
        drained = "all workers with the label h100 that are alive (1) are drained: they claim nothing more"
        assert reasons(session, run_id) == [("drained", drained)]


def test_runs_that_no_worker_takes_are_not_ahead(engine: Engine) -> None:
    with transaction(engine) as session:
        workers.describe(session, "plain")
        for_nobody, run_id = submit(session, "h100", priority=1), submit(session)
        assert (why(session, run_id).ahead, reasons(session, run_id)) == (0, [])
        workers.describe(session, "able", labels=["h100"])
        assert why(session, run_id).ahead == 1
        assert why(session, for_nobody).ahead == 0


# --- giving way -------------------------------------------------------------------------------------------------


def ask(session: Session) -> str | None:
    """Which run is asked to give way, now that those queued have waited long enough."""
    session.execute(update(Run).where(Run.status == "queued").values(created_at=Run.created_at - 100))
    session.expire_all()
    asked = preemption.ask(session, patience=timedelta(seconds=60), rest=timedelta(hours=1))
    return None if asked is None else asked.run_id


@pytest.mark.parametrize(
    ("asked", "has", "gives_way"),
    [
        ([], ["h100"], True),
        (["h100"], ["fast", "h100"], True),
        (["h100"], [], False),
        (["fast", "h100"], ["h100"], False),
        (["h100"], ["H100"], False),
    ],
)
def test_a_run_gives_way_where_its_worker_has_the_labels(
    engine: Engine, asked: list[str], has: list[str], gives_way: bool
) -> None:
    with transaction(engine) as session:
        low = submit(session)
        workers.describe(session, "w", labels=has)
        workers.describe(session, "elsewhere", labels=["fast", "h100"])
        assert claimed(session, *has) == low
        submit(session, *asked, priority=5)
        assert ask(session) == (low if gives_way else None)


def test_the_one_on_a_worker_with_the_label_gives_way_though_another_is_of_lower_priority(engine: Engine) -> None:
    with transaction(engine) as session:
        workers.describe(session, "plain")
        workers.describe(session, "able", labels=["h100"])
        submit(session, priority=-5)
        assert claimed(session, worker="plain") is not None
        there = submit(session)
        assert claimed(session, "h100", worker="able") == there
        submit(session, "h100", priority=5)
        assert ask(session) == there


def test_a_run_that_no_worker_takes_keeps_none_of_its_user_from_being_given_way_to(engine: Engine) -> None:
    with transaction(engine) as session:
        workers.describe(session, "w")
        submit(session)
        low = claim_run(session, "w").run_id
        submit(session, "h100", priority=9)
        assert ask(session) is None
        submit(session, priority=5)
        assert ask(session) == low


def test_an_older_run_of_lower_priority_keeps_none_of_its_user_from_being_given_way_to(engine: Engine) -> None:
    with transaction(engine) as session:
        low = submit(session)
        assert claimed(session) == low
        submit(session)
        submit(session, priority=5)
        assert ask(session) == low


# --- a worker ---------------------------------------------------------------------------------------------------


@pytest.fixture
def clinic(database_url: str, tmp_path: Path) -> Iterator[Clinic]:
    yield from clinic_at(tmp_path, database_url)


def test_a_worker_process_trains_what_its_labels_allow_and_says_them(clinic: Clinic) -> None:
    elsewhere = clinic.create_run(priority=5, **{"resources.labels": ["h100", "near"]})
    labelled, plain = clinic.create_run(priority=1, **{"resources.labels": ["h100"]}), clinic.create_run()
    command = [sys.executable, "-m", "ganclinic", "worker", "--name", "w", "--label", "h100", "--label", "fast"]
    log, environment = clinic.home / "worker.log", clinic.environment(GANCLINIC_WORKER_LABELS="near")
    with running(command, log=log, ready=lambda: True, cwd=CHECKOUT, env=environment) as worker:
        ended = [clinic.wait_for_end(run_id) for run_id in (labelled, plain)]
        assert [run.status for run in ended] == ["succeeded", "succeeded"]
        with reading(clinic.engine) as session:
            assert [known.labels for known in workers.list_workers(session)] == [("fast", "h100")]
            ((kind, text),) = reasons(session, elsewhere)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=20) == 0
    assert kind == "no label"
    assert "has the labels h100 and near; those there are have: fast, h100; cancel it" in text


def test_a_label_that_is_none_ends_the_worker_with_its_name(clinic: Clinic) -> None:
    command, log = [sys.executable, "-m", "worker", "--label", "h 100"], clinic.home / "worker.log"
    with running(command, log=log, ready=lambda: True, cwd=CHECKOUT, env=clinic.environment()) as worker:
        assert worker.wait(timeout=20) == 1
    assert "worker_labels[0]: 'h 100' is no label; allowed: 1 to 32 letters" in log.read_text()
