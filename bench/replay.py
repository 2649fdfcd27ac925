"""From recordings to evaluations and diagnoses, as the training process would have made them."""

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from ganlib.data.load import load_dataset
from ganlib.diagnosis.history import History
from ganlib.diagnosis.prescribe import with_remedies
from ganlib.diagnosis.rules import diagnose
from ganlib.diagnosis.verdict import Diagnosis
from ganlib.evaluation.cache import Cache
from ganlib.evaluation.for_run import run_reference
from ganlib.evaluation.reference import Reference, evaluate
from ganlib.records import EpochEvaluation
from ganlib.spec.request import RunRequest
from ganlib.spec.run import RunSpec


class Recording:
    """One recorded run."""

    def __init__(self, path: Path, data_dir: Path) -> None:
        self.arrays = np.load(path)
        self.request = RunRequest.model_validate_json(str(self.arrays["request"]))
        self.spec = self.request.resolve()
        self.steps: np.ndarray = self.arrays["steps"]
        self.data_dir = data_dir

    @property
    def evaluated_epochs(self) -> list[int]:
        """Epochs with fakes, 0 included."""
        return sorted(int(name[6:]) for name in self.arrays.files if name.startswith("fakes_"))

    def evaluations(self) -> list[EpochEvaluation]:
        """All evaluations, in order."""
        reference = _reference(self.spec.model_dump_json(), self.data_dir)
        return [evaluate(reference, unpacked(self.arrays[f"fakes_{e}"]), e) for e in self.evaluated_epochs]

    def diagnoses(self) -> Iterator[Diagnosis]:
        """The diagnosis of every epoch, each from what was known by then."""
        evaluations, previous = self.evaluations(), None
        for epoch in range(1, self.spec.training.epochs + 1):
            history = History(
                objective=self.spec.objective.name,
                steps_per_epoch=self.spec.steps_per_epoch,
                epochs_total=self.spec.training.epochs,
                steps=self.steps[: epoch * self.spec.steps_per_epoch],
                evaluations=tuple(e for e in evaluations if e.epoch <= epoch),
                previous=previous,
            )
            previous = with_remedies(diagnose(history), self.spec)
            yield previous


CACHE = Path(".ganclinic/cache")
PLAIN = {"family": "mlp"}


def unpacked(fakes: np.ndarray) -> np.ndarray:
    """The inverse of `bench.record.packed`, up to rounding to 8 bits."""
    return fakes.astype(np.float32) / np.float32(127.5) - 1 if fakes.dtype == np.uint8 else fakes


@lru_cache(maxsize=8)
def _fitted(spec_json: str, data_dir: Path) -> Reference:
    spec = RunSpec.model_validate_json(spec_json)
    data = load_dataset(spec.dataset, data_dir, spec.seed)
    return run_reference(spec, data, data_dir, device=torch.device("cpu"), cache=Cache(CACHE))


def _reference(spec_json: str, data_dir: Path) -> Reference:
    """The reference of the spec's real data, kept while specs differ in training alone."""
    spec = json.loads(spec_json)
    plain = {"training": {"batch_size": 1}, "optimizer": {}, "discriminator_optimizer": None, "generator": PLAIN}
    return _fitted(json.dumps({**spec, **plain}), data_dir)
