# pyright: standard
"""How cost grows with runs, epochs, steps, image size, bins, samples and workers: the exponent of each.

    make bench-growth   # ten minutes; writes bench/results/growth.json and docs/images/growth.png

CPU time of one thread, the least of some calls, since other work on the machine only ever adds to it. An exponent is
the slope of the logarithms between the two largest sizes: 0 where the size costs nothing more, 1 where twice as much
costs twice as much.
"""

import argparse
import math
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from bench import results
from ganlib.data.load import load_dataset
from ganlib.diagnosis.rules import diagnose
from ganlib.evaluation.cache import Cache
from ganlib.evaluation.measures.ndb import fit_bins
from ganlib.evaluation.measures.table import Context
from ganlib.evaluation.reference import evaluate, flat, prepare_reference
from ganlib.spec.evaluation import Comparison
from ganlib.spec.request import RunRequest
from ganlib.training.loop import TrainingLoop
from store.core.db import make_engine, reading, transaction, upgrade
from store.runs import claims, endings, lifecycle, recording
from store.runs.series import downsample, read_steps
from store.scheduling import workers
from tests.support import histories
from tests.support.store import LEASE, claim_run, create_run, epoch_record, fill_runs, step_block

PICTURE = Path("docs/images/growth.png")
CALLS = 5
Work = Callable[[], object]


def least_ms(work: Work, calls: int = CALLS) -> float:
    """Milliseconds of CPU time."""
    work()
    taken: list[float] = []
    for _ in range(calls):
        started = time.process_time()
        work()
        taken.append(1e3 * (time.process_time() - started))
    return round(min(taken), 3)


def database(folder: Path, name: str) -> Any:
    """A migrated SQLite file."""
    engine = make_engine(f"sqlite:///{folder / name}.db")
    upgrade(engine)
    return engine


def listing(folder: Path, runs: int) -> Work:
    """The newest 50 of so many runs."""
    engine = database(folder, f"runs-{runs}")
    with transaction(engine) as session:
        fill_runs(session, create_run(session).id, runs)

    def work() -> None:
        with reading(engine) as session:
            lifecycle.list_runs(session, limit=50)

    return work


def claiming(folder: Path, queued: int) -> Work:
    """A claim, undone again, with so many runs of one owner queued."""
    engine = database(folder, f"queued-{queued}")
    with transaction(engine) as session:
        fill_runs(session, create_run(session).id, queued)

    def work() -> None:
        with transaction(engine) as session:
            assert claims.claim(session, "worker", LEASE) is not None
            session.rollback()

    return work


def polling(folder: Path, training: int) -> Work:
    """A look for work where none is queued, and so many workers train."""
    engine = database(folder, f"workers-{training}")
    with transaction(engine) as session:
        claimed = claim_run(session)
        fill_runs(
            session,
            claimed.run_id,
            training,
            status="'running'",
            lease_worker="'worker-' || n",
            lease_expires_at="1e12",
        )
        for number in range(training):
            workers.begin(session, f"worker-{number}")

    def work() -> None:
        with transaction(engine) as session:
            endings.requeue_expired(session, 3)
            workers.describe(session, "worker-0", gpu_memory=None, obstacle=None)
            claims.claim(session, "worker-0", LEASE)

    return work


def recording_an_epoch(folder: Path, epochs: int) -> Work:
    """The transaction of an epoch after so many others."""
    engine = database(folder, f"epochs-{epochs}")
    with transaction(engine) as session:
        claimed = claim_run(session)
        for epoch in range(1, epochs + 1):
            recording.record_epoch(session, epoch_record(claimed, epoch))
    done = [epochs]

    def work() -> None:
        done[0] += 1
        with transaction(engine) as session:
            recording.record_epoch(session, epoch_record(claimed, done[0]))

    return work


def diagnosing(_: Path, epochs: int) -> Work:
    """The diagnosis after so many epochs of 30 steps, each with an evaluation."""
    history = histories.history(epochs)
    return lambda: diagnose(history)


def reading_a_curve(folder: Path, steps: int) -> Work:
    """So many recorded steps, thinned out to 1,000 points."""
    engine, block = database(folder, f"steps-{steps}"), 1000
    with transaction(engine) as session:
        claimed = claim_run(session)
        for epoch in range(1, steps // block + 1):
            first = (epoch - 1) * block
            record = epoch_record(claimed, epoch, first_step=first, steps=step_block(epoch, block), evaluations=())
            recording.record_epoch(session, record)

    def work() -> None:
        with reading(engine) as session:
            downsample(read_steps(session, claimed.run_id), 1000)

    return work


def training_step(folder: Path, side: int) -> Work:
    """A step of a small convolutional GAN on images of so many pixels a side, batches of 16."""
    network = {"width": 16}
    spec = RunRequest(
        spec={
            "dataset": {"name": "mnist-5k", "limit": 100, "image_size": side},
            "generator": {"family": "deconv", **network},
            "discriminator": {"family": "conv", **network},
            "training": {"epochs": 1, "steps_per_epoch": 1000, "batch_size": 16},
        }
    ).resolve()
    training = TrainingLoop(spec, load_dataset(spec.dataset, folder, 0), device=torch.device("cpu"))
    return training.make_step


def fitting_bins(_: Path, bins: int) -> Work:
    """K bins of 10,000 samples of 64 features."""
    features = np.random.default_rng(0).normal(size=(10_000, 64)).astype(np.float32)
    return lambda: fit_bins(features, bins, np.random.default_rng(0))


def evaluating(_: Path, samples: int) -> Work:
    """All default measures of n fakes against 2n reals, of 64 features."""
    reals, fakes = (np.random.default_rng(n).normal(size=(n, 64)).astype(np.float32) for n in (2 * samples, samples))
    context = Context(options=Comparison())
    reference = prepare_reference(reals, context, flat, num_samples=samples, cache=Cache(None), null_splits=1)
    return lambda: evaluate(reference, fakes, 1)


MEASURED: dict[str, tuple[Callable[[Path, int], Work], tuple[int, ...]]] = {
    "runs, listed": (listing, (1_000, 10_000, 100_000)),
    "runs, queued, at a claim": (claiming, (100, 1_000, 10_000)),
    "workers, at a poll": (polling, (10, 100, 1_000)),
    "epochs, at the next one's record": (recording_an_epoch, (10, 100, 1_000)),
    "epochs, at the next one's diagnosis": (diagnosing, (10, 100, 1_000)),
    "steps, read as a curve": (reading_a_curve, (1_000, 10_000, 100_000)),
    "image side, a training step": (training_step, (16, 32, 64)),
    "bins K, fitted": (fitting_bins, (10, 50, 100, 200)),
    "samples n, evaluated": (evaluating, (500, 1_000, 2_000, 4_000)),
}


def exponent(sizes: tuple[int, ...], taken: list[float]) -> float:
    """Between the two largest sizes."""
    return round(math.log(taken[-1] / taken[-2]) / math.log(sizes[-1] / sizes[-2]), 2)


def draw(found: dict[str, Any]) -> None:
    """A small picture: times against sizes, both as multiples of their smallest."""
    figure = Figure(figsize=(8.6, 3.8), dpi=110, layout="constrained")
    axes = figure.subplots()
    for name, each in found.items():
        sizes, taken = np.array(each["sizes"]), np.array(each["cpu_ms"])
        axes.plot(sizes / sizes[0], taken / taken[0], marker="o", markersize=3, label=f"{name}: {each['exponent']}")
    axes.set(xscale="log", yscale="log", xlabel="size over the smallest", ylabel="CPU time over that of the smallest")
    figure.legend(loc="outside right upper", fontsize=7, title="exponent", title_fontsize=7)
    figure.savefig(PICTURE)


def main() -> None:
    """Measure, draw and write."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # measures run a thread a core
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (make, sizes) in MEASURED.items():
            taken = [least_ms(make(Path(folder), size)) for size in sizes]
            found[name] = {"sizes": list(sizes), "cpu_ms": taken, "exponent": exponent(sizes, taken)}
            print(name, found[name], flush=True)
    draw(found)
    load = [round(value, 1) for value in os.getloadavg()]
    print(results.write("growth", {"load": load, "growth": found}))


if __name__ == "__main__":
    main()
