"""A recording of the verdicts' suite that nothing was trained for."""

import numpy as np

from bench.verdicts import suite
from bench.verdicts.recording import Recording
from ganlib.diagnosis.history import History
from ganlib.records import STEP_COLUMNS, EpochEvaluation, LayerGradients, Null


def a_recording() -> Recording:
    """Ten updates, among them losses that are infinite, no number, and too large for what is kept."""
    run = suite.planned()[0]
    steps = np.linspace(0, 1, 10 * len(STEP_COLUMNS)).reshape(10, -1).astype(np.float32)
    steps[3, 0], steps[4, 0], steps[5, 0] = np.inf, np.nan, 1e30
    return Recording(
        request=run.request,
        history=History(
            objective="bce",
            steps_per_epoch=60,
            epochs_total=40,
            steps=steps,
            evaluations=(an_evaluation(0), an_evaluation(1)),
            gradients=(LayerGradients(step=5, ratios={"generator.a": 0.5}),),
        ),
        oracle=np.zeros((2, 5), np.float32),
        pictures={1: np.zeros((3, 1, 2, 2), np.uint8)},
        seconds=3.0,
        evaluation_seconds=1.0,
        bins=np.array([[0.75, 0.25], [0.25, 0.75]], np.float32),
    )


def an_evaluation(epoch: int) -> EpochEvaluation:
    return EpochEvaluation(
        epoch=epoch,
        space="pixels",
        n_real=100,
        n_fake=50,
        n_subset=50,
        num_bins=4,
        values={"precision": 0.5 + epoch / 10, "spread": 0.25},
        nulls={"precision": Null(mean=0.9, q05=0.8, q95=1.0, excess=-0.4 + epoch / 10)},
        shift={},
        bins=(),
    )
