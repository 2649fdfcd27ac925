"""What people use instead of this diagnosis, as detectors that are scored on the same runs.

A detector is any function of a run's history, as the diagnosis sees it, to the findings at its end. These are the
rules that are written about, put into the words of findings; where a source gives no number, ours is named.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ganlib.diagnosis.history import History
from ganlib.diagnosis.replay import replay
from ganlib.findings import FindingName
from ganlib.records import STEP_COLUMNS

Detector = Callable[[History], frozenset[FindingName]]

WINDOW = 100
"""Updates at the end that are looked at."""
SWINGS = 500
"""Updates at the end over which a curve swings or is calm."""
SWINGING = 0.5
"""Standard deviation over the mean: the sources say "large swings" and give no number."""
SURE, HOPELESS = 0.95, 0.05
"""Scores in [0, 1]: the source says "close to 1" and "close to 0"."""
FADED, GROWN = 1e-3, 70.0
"""Of the generator's gradient, against the first updates. Ours: the source compares the layers of one step."""
MOST_BINS = 0.8
"""Of the bins, flagged. The paper gives no cut; this one tells sick from healthy best in the calibration part."""
GAIN = 0.01
"""Of quality, below which a plateau is one."""


def this_diagnosis(history: History) -> frozenset[FindingName]:
    """What is shipped."""
    *_, last = replay(history)
    return frozenset(finding.name for finding in last.findings)


def loss_thresholds(history: History) -> frozenset[FindingName]:
    """What tutorials look for: "the discriminator's loss goes to 0", "the generator's loss swings".

    Source: Brownlee 2019, "How to identify and diagnose GAN failure modes"; the levels are those of its figures.
    """
    steps = _columns(history, WINDOW)
    if not np.isfinite(history.steps[-WINDOW:]).all():
        return frozenset({"divergence"})
    d_loss = float(np.mean((steps["d_loss_real"] + steps["d_loss_fake"]) / 2))
    g_loss = float(np.mean(steps["g_loss"]))
    if d_loss < 0.05 and g_loss < 0.1:
        return frozenset({"convergence failure: both losses vanish"})
    if d_loss < 0.05:
        return frozenset({"convergence failure: discriminator wins"})
    return frozenset({"mode collapse"}) if _swings(_columns(history, SWINGS)["g_loss"]) else frozenset()


def two_scores(history: History) -> frozenset[FindingName]:
    """The scores of both networks: mean probabilities that each reaches its aim.

    Source: MathWorks, "Monitor GAN training progress and identify common failure modes". Of a recorded cross-entropy
    the mean probability is at least exp(-loss), by Jensen's inequality, which stands for it here. Under objectives
    without probabilities there are no scores.
    """
    if not history.objective.endswith("bce"):
        return frozenset()
    steps = _columns(history, WINDOW)
    if not np.isfinite(history.steps[-WINDOW:]).all():
        return frozenset({"divergence"})
    real, fake = np.exp(-steps["d_loss_real"]), np.exp(-steps["d_loss_fake"])
    discriminator, generator = float(((real + fake) / 2).mean()), float(1 - fake.mean())
    if discriminator > SURE and generator < HOPELESS:
        return frozenset({"convergence failure: discriminator wins"})
    if generator > SURE:
        return frozenset({"convergence failure: discriminator inert"})
    late = _columns(history, SWINGS)
    return frozenset({"mode collapse"}) if _swings(1 - np.exp(-late["d_loss_fake"])) else frozenset()


def generic_symptoms(history: History) -> frozenset[FindingName]:
    """What is looked for in any training: numbers that are none, gradients that fade or grow, losses that swing.

    Source: the symptoms of Zhang et al. 2021, "AUTOTRAINER: an automatic DNN training problem detection and repair
    system", of those that are there without its accuracies.
    """
    if not np.isfinite(history.steps[-WINDOW:]).all():
        return frozenset({"divergence"})
    found: set[FindingName] = set()
    norms = history.steps[:, STEP_COLUMNS.index("g_grad_norm")].astype(np.float64)
    first, last = float(np.median(norms[:10])), float(np.median(norms[-WINDOW:]))
    if first > 0 and last / first < FADED:
        found.add("vanishing gradients")
    if first > 0 and last / first > GROWN:
        found.add("exploding gradients")
    if _swings(_columns(history, SWINGS)["g_loss"]):
        found.add("oscillation")
    return frozenset(found)


def ndb_alone(history: History) -> frozenset[FindingName]:
    """Many statistically different bins are a collapse.

    Source: Richardson & Weiss 2018, "On GANs and GMMs".
    """
    last = history.evaluations[-1].values["ndb_over_k"]
    return frozenset({"mode collapse"}) if last > MOST_BINS else frozenset()


def plateau_alone(history: History) -> frozenset[FindingName]:
    """A measure of the samples that no longer rises: here precision and coverage; people take Fréchet distances."""
    values = [(one.values["precision"] + one.values["coverage"]) / 2 for one in history.evaluations]
    late = len(values) // 3
    rises = max(values[-late:], default=0.0) > max(values[:-late], default=0.0) + GAIN
    return frozenset() if rises else frozenset({"stalled"})


BASELINES: dict[str, Detector] = {
    "this diagnosis": this_diagnosis,
    "loss thresholds": loss_thresholds,
    "two scores": two_scores,
    "generic symptoms": generic_symptoms,
    "NDB alone": ndb_alone,
    "plateau alone": plateau_alone,
}


def _columns(history: History, updates: int) -> dict[str, NDArray[np.float64]]:
    late = history.steps[-updates:].astype(np.float64)
    return {name: late[:, index] for index, name in enumerate(STEP_COLUMNS)}


def _swings(values: NDArray[np.float64]) -> bool:
    level = float(np.abs(values).mean())
    return bool(level > 0 and values.std() / level > SWINGING)
