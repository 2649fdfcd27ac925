"""Claims for a place that has only so much room, and what is said to a run that waits for it. On both databases."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from store.core.db import transaction
from store.core.models import Run
from store.runs import claims, pauses
from store.runs.lifecycle import create, get
from store.scheduling import workers
from store.scheduling.accounts import EQUAL
from store.scheduling.explain import Waiting, why_waiting
from store.scheduling.owners import Owner
from store.scheduling.requirements import GB, ResourceRequests, requests_of
from tests.support.sharing import ADA, CYD, RUNNING_1, have_used
from tests.support.store import LEASE, claim_run, outcomes, request


@dataclass(kw_only=True)
class Gpu:
    """A place with one GPU of 80 GB, so much of which is free."""

    free_gb: float = 80
    largest_gpu: int | None = 80 * GB
    most_gpus: int = 1
    labels: tuple[str, ...] = ()
    asked: list[ResourceRequests] = field(default_factory=list[ResourceRequests])

    def takes(self, needs: ResourceRequests) -> bool:
        self.asked.append(needs)
        wanted = self.largest_gpu if needs.gpu_memory is None else needs.gpu_memory
        return (wanted or 0) <= self.free_gb * GB


def submit(
    session: Session,
    gb: float | None,
    owner: Owner = ADA,
    *,
    priority: int = 0,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    """A queued run that asks for so much of a GPU; later ones are younger."""
    wanted = request(None, **{"resources.gpu_memory_gb": gb}, **settings)
    run = create(session, wanted, wanted.resolve(), priority=priority, owner=owner)
    run.created_at += run.created_at - int(run.created_at)  # of one transaction all have one clock
    session.flush()
    return run.id


def claimed(session: Session, place: Gpu | None, worker: str = "w") -> str | None:
    claim = claims.claim(session, worker, LEASE, EQUAL, place)
    return None if claim is None else claim.run_id


def why(session: Session, run_id: str) -> Waiting:
    return why_waiting(session, get(session, run_id), EQUAL)


def describe(session: Session, name: str, *, gpu_gb: float | None = None, obstacle: str | None = None) -> None:
    memory = None if gpu_gb is None else round(gpu_gb * GB)
    workers.describe(session, name, gpu_memory=memory, obstacle=obstacle)


@pytest.mark.parametrize(
    ("spec", "needs"),
    [
        (
            {"resources": {"device": "auto", "gpu_memory_gb": 1.5}},
            ResourceRequests(on_gpu=True, gpu_memory=1_500_000_000),
        ),
        (
            {"resources": {"device": "cuda", "gpu_memory_gb": None}},
            ResourceRequests(on_gpu=True, needs_gpu=True, gpu_memory=None),
        ),
        ({"resources": {"device": "auto", "gpus": 4}}, ResourceRequests(on_gpu=True, gpu_memory=None, gpus=4)),
        ({"resources": {"device": "cpu"}}, ResourceRequests(on_gpu=False, gpu_memory=None)),
        ({"resources": {"labels": ["a", "b"]}}, ResourceRequests(on_gpu=True, gpu_memory=None, labels=("a", "b"))),
        ({}, ResourceRequests(on_gpu=True, gpu_memory=None)),
    ],
)
def test_a_spec_says_what_its_run_takes(spec: dict[str, Any], needs: ResourceRequests) -> None:
    assert requests_of(spec) == needs


def test_a_run_that_has_room_is_claimed(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id, place = submit(session, 10), Gpu(free_gb=10)
        assert claimed(session, place) == run_id
        assert place.asked == [ResourceRequests(on_gpu=True, gpu_memory=10 * GB)]


def test_for_a_run_without_room_nothing_else_is_claimed_and_nothing_is_written(engine: Engine) -> None:
    with transaction(engine) as session:
        first, _small = submit(session, None, priority=1), submit(session, 1)
        assert claimed(session, Gpu(free_gb=79)) is None
    with transaction(engine) as session:
        run = get(session, first)
        assert (run.status, run.attempt, run.token, run.lease_worker) == ("queued", 0, 0, None)
        assert outcomes(session, first) == []
        assert claimed(session, Gpu()) == first


def test_a_run_that_never_fits_here_is_left_to_other_workers(engine: Engine) -> None:
    with transaction(engine) as session:
        large, small = submit(session, 100, priority=1), submit(session, 10)
        assert claimed(session, Gpu()) == small
        assert claimed(session, Gpu(free_gb=200, largest_gpu=200 * GB)) == large


def test_a_run_of_the_same_priority_behind_one_that_never_fits_is_claimed(engine: Engine) -> None:
    with transaction(engine) as session:
        submit(session, 100)
        small = submit(session, 10)
        submit(session, 10, CYD)
        have_used(session, CYD, 3600)
        assert claimed(session, Gpu()) == small


def test_memory_does_not_matter_without_a_gpu_nor_to_a_run_on_the_cpu(engine: Engine) -> None:
    with transaction(engine) as session:
        large = submit(session, 100)
        assert claimed(session, Gpu(free_gb=1000, largest_gpu=None)) == large
        on_cpu = submit(session, 100, settings={"resources.device": "cpu"})
        assert claimed(session, Gpu(free_gb=1000)) == on_cpu


def test_a_run_for_a_gpu_is_left_to_workers_that_have_one(engine: Engine) -> None:
    with transaction(engine) as session:
        on_gpu = submit(session, None, priority=1, settings={"resources.device": "cuda"})
        anywhere = submit(session, None)
        without = Gpu(largest_gpu=None)
        assert [claimed(session, without) for _ in range(2)] == [anywhere, None]
        assert get(session, on_gpu).attempt == 0
        assert claimed(session, Gpu()) == on_gpu


def test_runs_of_a_version_that_knew_no_memory_are_claimed(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = submit(session, None)
        old = {key: value for key, value in get(session, run_id).spec.items() if key != "resources"}
        session.execute(update(Run).where(Run.id == run_id).values(spec=old))
        assert claimed(session, Gpu()) == run_id


def test_a_run_without_room_is_not_claimed_within_a_quota_either(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = submit(session, 50)
        assert claims.claim(session, "w", LEASE, RUNNING_1, Gpu(free_gb=40)) is None
        assert get(session, run_id).status == "queued"
        claim = claims.claim(session, "w", LEASE, RUNNING_1, Gpu())
        assert claim is not None
        assert claim.run_id == run_id


# --- why a run waits --------------------------------------------------------------------------------------------


def test_what_is_in_a_workers_way_is_the_reason_and_hides_when_it_begins(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = submit(session, None)
        text = "GPU 0 of worker w is in use by a process outside the service: pid 4711, 12000 MiB"
        for name in ("w.1", "w.2"):
            describe(session, name, gpu_gb=80, obstacle=text)
        found = why(session, run_id)
        assert [(reason.kind, reason.text) for reason in found.reasons] == [("no room", text)]
        assert found.starts_in_s is None
        for name in ("w.1", "w.2"):
            describe(session, name, gpu_gb=80)
        assert why(session, run_id).reasons == ()


def test_what_was_in_the_way_of_a_worker_that_trains_or_is_drained_is_no_reason(engine: Engine) -> None:
    with transaction(engine) as session:
        claim_run(session, "busy")
        run_id = submit(session, None)
        for name in ("busy", "drained"):
            describe(session, name, gpu_gb=80, obstacle="of before")
        workers.drain(session, "drained")
        assert [reason.kind for reason in why(session, run_id).reasons] == ["busy"]
        workers.describe(session, "busy", bf16_speedup=0.62)
        assert {w.name: w.bf16_speedup for w in workers.list_workers(session)} == {"busy": 0.62, "drained": None}
        assert {w.name: w.obstacle for w in workers.list_workers(session)} == {"busy": None, "drained": "of before"}


def test_a_run_that_wants_more_than_any_gpu_has_says_so(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = submit(session, 100)
        describe(session, "a", gpu_gb=24)
        describe(session, "b", gpu_gb=80)
        (reason,) = why(session, run_id).reasons
        assert reason.kind == "too large"
        assert "it wants 100 GB of a GPU, and the largest of all workers that are alive has 80.0 GB" in reason.text
        describe(session, "c", gpu_gb=141)
        assert why(session, run_id).reasons == ()
        workers.end(session, "c")
        describe(session, "d")  # without a GPU it trains on the CPU
        assert why(session, run_id).reasons == ()


def test_a_run_for_a_gpu_that_no_worker_has_says_so(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = submit(session, None, settings={"resources.device": "cuda"})
        describe(session, "a")
        (reason,) = why(session, run_id).reasons
        assert reason.kind == "no gpu"
        assert reason.text.startswith("resources.device: it is for a GPU ('cuda'), and no worker that is alive has one")
        assert "--set resources.device=auto" in reason.text
        describe(session, "b", gpu_gb=24)
        assert why(session, run_id).reasons == ()
        workers.drain(session, "b")
        (reason,) = why(session, run_id).reasons
        assert reason.text == "all workers with a GPU that are alive (1) are drained: they claim nothing more"


@pytest.mark.parametrize(
    ("settings", "gb", "said"),
    [
        (
            {"resources.labels": ["x"], "resources.device": "cuda"},
            None,
            "no worker with the label x that is alive has one",
        ),
        ({"resources.device": "cuda", "resources.gpus": 5}, None, "no worker with a GPU that is alive has more than 2"),
        ({"resources.device": "cuda"}, 90, "the largest of all workers with a GPU that are alive has 80.0 GB"),
        (
            {"resources.labels": ["x"], "resources.gpus": 2},
            None,
            "no worker with the label x that is alive has more than 1",
        ),
    ],
)
def test_a_run_that_no_single_worker_could_train_says_what_is_missing(
    engine: Engine, settings: dict[str, Any], gb: float | None, said: str
) -> None:
    """Each thing that it asks for is there, on one worker or another."""
    with transaction(engine) as session:
        run_id = submit(session, gb, settings=settings)
        workers.describe(session, "cpu", labels=["x"])
        workers.describe(session, "wide", gpus=2, gpu_memory=24 * GB)
        workers.describe(session, "large", gpus=1, gpu_memory=80 * GB)
        (reason,) = why(session, run_id).reasons
        assert said in reason.text
        assert why(session, run_id).ahead is None


def test_a_run_on_several_gpus_is_for_workers_that_have_as_many(engine: Engine) -> None:
    with transaction(engine) as session:
        both = submit(session, None, priority=1, settings={"resources.gpus": 2})
        alone = submit(session, None)
        assert claimed(session, Gpu()) == alone
        describe(session, "a", gpu_gb=80)
        (reason,) = why(session, both).reasons
        assert reason.kind == "too large"
        assert "it wants 2 GPUs, and no worker that is alive has more than 1" in reason.text
        workers.describe(session, "b", gpus=2)
        assert why(session, both).reasons == ()
        assert claimed(session, Gpu(most_gpus=2)) == both


def test_a_paused_run_waits_for_nothing_else(engine: Engine) -> None:
    with transaction(engine) as session:
        run_id = submit(session, 100)
        describe(session, "a", gpu_gb=24, obstacle="full")
        pauses.pause(session, run_id)
        assert [reason.kind for reason in why(session, run_id).reasons] == ["paused"]
