# pyright: standard
"""Train the runs of the suite that are not recorded yet.

    make bench-verdicts-record    # hours; stops and goes on at any time, and what is there is never made again

Runs are taken in an order in which what is recorded so far is never one-sided. Needs MNIST, Fashion-MNIST (in
GANCLINIC_DATA_DIR, or downloaded there) and a zip of class folders of colour images for the rest.
"""

import argparse
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.verdicts.configuration import Planned
from bench.verdicts.data import training_data, unpack_colour
from bench.verdicts.inside import Watcher
from bench.verdicts.inside_figures import Inside
from bench.verdicts.interventions import follow_changes
from bench.verdicts.oracle import CACHE, CPU, mode_shares, oracle_figures
from bench.verdicts.oracle_figures import FIGURES, Ask
from bench.verdicts.recording import RECORDINGS, Recording, save
from bench.verdicts.suite import planned, planned_more
from ganlib.data.load import DataArrays
from ganlib.diagnosis.history import History
from ganlib.evaluation.cache import Cache
from ganlib.evaluation.for_run import run_reference
from ganlib.evaluation.reference import evaluate
from ganlib.records import STEP_COLUMNS, EpochReport
from ganlib.spec.data import MixtureDataset
from ganlib.spec.request import RunRequest
from ganlib.spec.run import RunSpec
from ganlib.training.loop import TrainingLoop
from ganlib.training.sampling import untrained_fakes

PICTURED = 36  # images kept of the last epoch: as many as a sheet shows
PICTURED_POINTS = 400
GOOD_ENOUGH = 0.5
"""Of the oracle's quality times the share of the data that is made: what is better is not followed further."""
LOCKS = Path(".ganclinic/bench/verdicts-locks")


def record(request: RunRequest, data_dir: Path, *, device: torch.device = CPU, ask: Ask = oracle_figures) -> Recording:
    """Train a run, evaluate it as the service would, ask the oracle, and see what changes do to it where it is poor."""
    spec = request.resolve()
    data = training_data(spec.dataset, data_dir, spec.seed)
    cache = Cache(None) if isinstance(spec.dataset, MixtureDataset) else CACHE
    reference = run_reference(spec, data, data_dir, device=device, cache=cache)
    history = History(
        objective=spec.objective.name,
        steps_per_epoch=spec.steps_per_epoch,
        epochs_total=spec.training.epochs,
        steps=np.empty((0, len(STEP_COLUMNS)), np.float32),
    )
    first = untrained_fakes(spec, device, data)
    oracle = [ask(spec, data, first, data_dir)]
    evaluations = [evaluate(reference, first, 0)]
    pictures: dict[int, NDArray[np.uint8] | NDArray[np.float32]] = {}
    loop = TrainingLoop(spec, data, device=device)
    watcher = Watcher(
        loop=loop, data=data, data_dir=data_dir, cache=cache, shares=partial(_shares, spec, data, data_dir)
    )
    watcher.after_evaluation(first, evaluations[0])
    inside: Inside | None = None
    training, evaluating, started = 0.0, 0.0, time.perf_counter()
    for report in loop.epochs(watcher.after_step):
        training += time.perf_counter() - started
        started = time.perf_counter()
        assert report.fakes is not None
        evaluations.append(evaluate(reference, report.fakes, report.epoch))
        evaluating += time.perf_counter() - started
        watcher.after_evaluation(report.fakes, evaluations[-1])
        oracle.append(ask(spec, data, report.fakes, data_dir))
        history = history.after(report, ())
        if report.epoch == spec.training.epochs:
            pictures[report.epoch] = _picture(report)
            inside = watcher.seen(report)
        started = time.perf_counter()
    assert inside is not None, "a run has an epoch"
    if _is_followed(oracle[-1]):
        inside = replace(inside, changes=follow_changes(spec, data, loop.state(), data_dir, ask))
    return Recording(
        request=request,
        history=replace(history, evaluations=tuple(evaluations)),
        oracle=np.array([[figures[name] for name in FIGURES] for figures in oracle], np.float32),
        pictures=pictures,
        seconds=training,
        evaluation_seconds=evaluating,
        bins=np.array([[b.real, b.fake] for b in evaluations[-1].bins], np.float32).reshape(-1, 2),
        inside=inside,
    )


def _is_followed(last: dict[str, float]) -> bool:
    """Whether fakes are poor, or leave much out, and not beyond all help."""
    made = 1 - np.nan_to_num(last["missing"])
    return last["finite"] == 1 and last["quality"] * made < GOOD_ENOUGH


def _shares(spec: RunSpec, data: DataArrays, data_dir: Path, fakes: NDArray[np.float32]) -> NDArray[np.float32]:
    return mode_shares(spec, data, fakes, data_dir)


def _picture(report: EpochReport) -> NDArray[np.uint8] | NDArray[np.float32]:
    assert report.fakes is not None
    if report.fakes.ndim != 4:
        return report.fakes[:PICTURED_POINTS].astype(np.float16).astype(np.float32)
    images = np.nan_to_num(report.fakes[:PICTURED])
    return np.round((images + 1) * 127.5).clip(0, 255).astype(np.uint8)


def path_of(run: Planned) -> Path:
    """Where its recording lies."""
    return RECORDINGS / f"{run.id}.npz"


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Whether this process has that recording to make to itself; the claim ends with the process."""
    LOCKS.mkdir(parents=True, exist_ok=True)
    handle = os.open(LOCKS / path.stem, os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield not path.exists()
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)


def main() -> None:
    """Record what is missing; several processes share the work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path(".ganclinic/data"))
    parser.add_argument("--colour", type=Path, help="zip of class folders of colour images; without it these are left")
    parser.add_argument("--only", default="", help="record only runs whose name has this")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.colour is not None:
        unpack_colour(options.colour)
    for run in (*planned(), *planned_more()):
        if path_of(run).exists() or options.only not in run.configuration.name:
            continue
        if run.configuration.data == "colour" and options.colour is None:
            continue
        with claimed(path_of(run)) as mine:
            if not mine:
                continue
            started = time.perf_counter()
            found = record(run.request, options.data_dir)
            save(found, path_of(run))
        last = " ".join(f"{name} {found.figure(name)[-3:].mean():.2f}" for name in FIGURES)
        print(f"{run.configuration.name}, {run.seed}: {time.perf_counter() - started:.0f} s; {last}", flush=True)


if __name__ == "__main__":
    main()
