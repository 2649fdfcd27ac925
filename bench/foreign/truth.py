# pyright: standard
"""What is true of a training of `plain_loop`, from what a diagnosis of its log does not read.

The labels are those of the suite (`bench.verdicts.labels`) by the suite's oracle (`bench.verdicts.oracle`): fakes are
judged by the exact modes of `ring8`, and for the eights by a classifier trained on reals that the loop does not see;
who wins, by accuracies and ranks of every step, which the loop keeps out of its log. One rests on what was planted
too: of `swapped labels`, accuracies are by the labels that the discriminator is taught. Oscillations are labelled by
looking alone, and nobody looked: an alarm of one counts as wrong here.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.foreign.plain_loop import KINDS, Kind
from bench.verdicts.configuration import BASES, Configuration, Planned
from bench.verdicts.labels import POOR, Truth, median_at_end, truth
from bench.verdicts.oracle import oracle_figures
from bench.verdicts.oracle_figures import FIGURES
from bench.verdicts.recording import Recording
from ganlib.data.load import load_dataset
from ganlib.diagnosis.history import History
from ganlib.findings import FINDING_NAMES, FindingName
from ganlib.records import EpochEvaluation

NOTHING_WRONG = "nothing wrong"
"""Nothing harmful, samples neither plainly good nor poor: no verdict without a harmful finding is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is true of a training at its end."""

    labels: tuple[FindingName, ...]
    """Harmful findings that hold, causes first."""
    expected: str
    """The first label; without any `healthy`, `undetermined` (poor samples that still improve) or NOTHING_WRONG."""
    quality: float
    """Share of fakes that show the data, over the same share of reals; median of the last three epochs."""
    missing: float
    """Share of the data in modes that are hardly made; not a number where the fakes show too little."""


def known(
    kind: str, seed: int, unlogged: NDArray[np.float32], fakes: dict[int, NDArray[np.float32]], data_dir: Path
) -> Known:
    """The truth of a training: `unlogged` [steps, len(STEP_COLUMNS)], and its fakes by epoch."""
    run = _planned(kind, seed)
    spec = run.request.resolve()
    data = load_dataset(spec.dataset, data_dir, seed)
    seen = [oracle_figures(spec, data, _as_data(KINDS[kind], fakes[epoch]), data_dir) for epoch in sorted(fakes)]
    recording = Recording(
        request=run.request,
        history=History(
            objective="bce",
            steps_per_epoch=len(unlogged) // max(fakes),
            epochs_total=max(fakes),
            steps=unlogged,
            evaluations=tuple(_at(epoch) for epoch in sorted(fakes)),
        ),
        oracle=np.array([[figures[name] for name in FIGURES] for figures in seen], np.float32),
        pictures={},
        seconds=0.0,
        evaluation_seconds=0.0,
    )
    found = truth(run, recording)
    quality = median_at_end(recording.figure("quality"))
    return Known(
        labels=_harmful(found),
        expected=_expected(found, quality),
        quality=quality,
        missing=median_at_end(recording.figure("missing")),
    )


def _harmful(found: Truth) -> tuple[FindingName, ...]:
    return tuple(name for name in FINDING_NAMES if name in found.labels - {"slow convergence"})


def _expected(found: Truth, quality: float) -> str:
    if harmful := _harmful(found):
        return harmful[0]
    if found.healthy:
        return "healthy"
    return "undetermined" if quality < POOR else NOTHING_WRONG


def _planned(kind: str, seed: int) -> Planned:
    data = KINDS[kind].data
    configuration = Configuration(
        data=f"plain loop {data}",
        objective="bce",
        variant=kind,
        settings={**BASES[data], "objective.name": "bce"},
        seeds=seed + 1,
    )
    return Planned(configuration=configuration, seed=seed)


def _as_data(kind: Kind, fakes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fakes as the data is: pixels in [-1, 1] whatever scale the loop took the reals to be in."""
    return fakes if kind.scaled else 2 * fakes - 1


def _at(epoch: int) -> EpochEvaluation:
    """An evaluation of which only the epoch is asked."""
    return EpochEvaluation(
        epoch=epoch, space="", n_real=0, n_fake=0, n_subset=0, num_bins=0, values={}, nulls={}, shift={}, bins=()
    )
