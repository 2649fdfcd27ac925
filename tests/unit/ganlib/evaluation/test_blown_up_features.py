"""What a discriminator whose weights blew up sees of samples is still evaluated, so that its run gets a verdict."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ganlib.data.load import load_dataset
from ganlib.evaluation.cache import Cache
from ganlib.evaluation.for_run import run_reference
from ganlib.evaluation.reference import Embed, Samples, evaluate
from ganlib.records import EpochEvaluation
from ganlib.spec.evaluation import UNPAIRED_MEASURES
from ganlib.spec.request import RunRequest

SPEC = RunRequest(
    spec={"dataset": {"name": "ring8", "size": 400}, "generator": {"family": "mlp"}, "discriminator": {"family": "mlp"}}
).resolve()


def _evaluated(embed: Embed, data_dir: Path) -> EpochEvaluation:
    """In the space of a discriminator that sees samples so, by every measure of points."""
    measures = tuple(name for name in UNPAIRED_MEASURES if name != "modes")
    comparison = {"space": "discriminator", "measures": measures}
    spec = SPEC.model_copy(update={"evaluation": SPEC.evaluation.model_copy(update=comparison)})
    data = load_dataset(spec.dataset, data_dir, spec.seed)
    reference = run_reference(spec, data, data_dir, device=torch.device("cpu"), cache=Cache(None), embed=embed)
    return evaluate(reference, np.asarray(data.samples[:200], np.float32), 1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_features_that_are_no_numbers_or_too_large_to_square_are_evaluated(value: float, tmp_path: Path) -> None:
    def embed(samples: Samples) -> NDArray[np.float32]:
        return np.where(np.arange(len(samples))[:, None] % 2 == 0, np.float32(value), samples).astype(np.float32)

    found = _evaluated(embed, tmp_path)
    assert found.values["precision"] >= 0
    assert np.isfinite(found.values["missing_mass"])


def test_features_that_are_all_no_numbers_are_evaluated(tmp_path: Path) -> None:
    found = _evaluated(lambda samples: np.full_like(samples, np.nan), tmp_path)
    assert np.isfinite(found.values["fake_distance"])
