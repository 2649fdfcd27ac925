"""Training on an NVIDIA GPU through the same code as on the CPU."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ganlib.data.load import load_dataset
from ganlib.evaluation.cache import Cache
from ganlib.evaluation.for_run import run_reference
from ganlib.evaluation.reference import evaluate
from ganlib.spec.request import RunRequest
from ganlib.training import checkpoint
from ganlib.training.loop import TrainingLoop
from store.core.settings import visible_gpus
from worker.attempt.out_of_memory import CONTEXT_BYTES, advise, limit_memory
from worker.gpus import read_use

pytestmark = pytest.mark.gpu
SPEC = RunRequest(
    preset="digit8-stable",
    set={
        "dataset.name": "mnist-5k",
        "generator.width": 8,
        "discriminator.width": 8,
        "training.epochs": 2,
        "training.steps_per_epoch": 3,
        "evaluation.num_samples": 50,
    },
).resolve()


def test_the_first_step_is_that_of_the_cpu_up_to_rounding():
    data = load_dataset(SPEC.dataset, Path(), SPEC.seed)
    on_cpu, on_gpu = (next(TrainingLoop(SPEC, data, device=torch.device(d)).epochs()) for d in ("cpu", "cuda"))
    assert np.allclose(on_cpu.steps[0], on_gpu.steps[0], rtol=1e-2, atol=1e-3)


def test_a_checkpoint_of_the_gpu_goes_on_there_and_on_the_cpu(tmp_path):
    data = load_dataset(SPEC.dataset, Path(), SPEC.seed)
    training = TrainingLoop(SPEC, data, device=torch.device("cuda"))
    next(training.epochs())
    checkpoint.save(tmp_path / "c.safetensors", training.state())
    state = checkpoint.load(tmp_path / "c.safetensors")
    for device in ("cuda", "cpu"):
        [report] = list(TrainingLoop(SPEC, data, device=torch.device(device), state=state).epochs())
        assert report.epoch == 2
        assert np.isfinite(report.steps).all()


def test_out_of_memory_names_a_batch_size_that_fits():
    wide = {"generator.width": 512, "discriminator.width": 512, "training.batch_size": 16_384, "dataset.size": 20_000}
    spec = RunRequest(
        spec={"dataset": {"name": "ring8"}, "generator": {"family": "mlp"}, "discriminator": {"family": "mlp"}},
        set=wide,
    ).resolve()
    device, data = torch.device("cuda"), load_dataset(spec.dataset, Path(), spec.seed)
    limit_memory(device, CONTEXT_BYTES + 100 * 1024**2)
    try:
        with pytest.raises(torch.OutOfMemoryError):
            next(TrainingLoop(spec, data, device=device).epochs())
        assert "fits (tried on this GPU): --set training.batch_size=" in str(advise("Full.", spec, data, device))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)  # of the current GPU


def test_the_driver_lists_a_process_that_computes():
    torch.zeros(2**20, device="cuda")
    use = read_use(0, visible_gpus())
    assert use is not None
    assert use.memory_used > 0
    assert use.memory_total >= torch.cuda.get_device_properties(0).total_memory


def test_an_evaluation_on_the_gpu_says_what_the_cpu_says():
    data, rng = load_dataset(SPEC.dataset, Path(), SPEC.seed), np.random.default_rng(0)
    fakes = rng.uniform(-1, 1, (50, 1, 28, 28)).astype(np.float32)
    on_cpu, on_gpu = (
        evaluate(run_reference(SPEC, data, Path(), device=torch.device(d), cache=Cache(None)), fakes, 1)
        for d in ("cpu", "cuda")
    )
    for name, value in on_cpu.values.items():
        assert on_gpu.values[name] == pytest.approx(value, rel=1e-3, abs=1e-3, nan_ok=True), name
