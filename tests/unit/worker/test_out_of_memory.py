"""Out of memory: which smaller batches there are, and which of them fits."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ganlib.data.load import load_dataset
from ganlib.spec.request import RunRequest
from ganlib.spec.run import RunSpec
from tests.support.memory import LittleMemory
from worker.attempt.channel import Stopped
from worker.attempt.out_of_memory import (
    CONTEXT_BYTES,
    OutOfMemory,
    advise,
    explain,
    fraction_of,
    limit_memory,
    smaller_batches,
)

CPU = torch.device("cpu")
WIDTH = 64
ROW_BYTES = 4 * WIDTH
"""Of the largest tensor that grows with the batch, for each of its samples."""


def make_spec(**settings: Any) -> RunSpec:
    spec = {
        "dataset": {"name": "ring8", "size": 5000},
        "generator": {"family": "mlp", "width": WIDTH},
        "discriminator": {"family": "mlp", "width": WIDTH},
        "training": {"batch_size": 3000},
        "evaluation": {"num_samples": 50},
        "samples": {"count": 4},
    }
    return RunRequest(spec=spec, set=settings).resolve()


def sizes(spec: RunSpec) -> list[tuple[int, int | None]]:
    return [(s.training.batch_size, s.training.discriminator_batch_size) for s in smaller_batches(spec)]


def test_smaller_batches_are_powers_of_two_down_to_the_smallest_that_is_allowed() -> None:
    assert sizes(make_spec(**{"training.batch_size": 9})) == [(8, None), (4, None), (2, None), (1, None)]
    assert sizes(make_spec(**{"training.batch_size": 8})) == [(4, None), (2, None), (1, None)]
    assert sizes(make_spec(**{"training.batch_size": 1})) == []


def test_each_of_several_gpus_has_a_power_of_two() -> None:
    three = make_spec(**{"training.batch_size": 96, "resources.gpus": 3, "dataset.size": 6000})
    assert [batch for batch, _ in sizes(three)] == [48, 24, 12, 6, 3]
    uneven = make_spec(**{"training.batch_size": 99, "resources.gpus": 3, "dataset.size": 6000})
    assert [batch for batch, _ in sizes(uneven)] == [96, 48, 24, 12, 6, 3]


def test_only_what_is_too_large_becomes_smaller() -> None:
    both = make_spec(**{"training.batch_size": 3, "training.discriminator_batch_size": 16})
    assert sizes(both) == [(3, 8), (3, 4), (2, 2), (1, 1)]


def test_sizes_that_the_spec_does_not_allow_are_left_out() -> None:
    packed = make_spec(**{"training.batch_size": 16, "remedies.packing": {"samples": 4}})
    assert [batch for batch, _ in sizes(packed)] == [8, 4]


@pytest.mark.parametrize("fitting", [1024, 256])
def test_the_largest_batch_that_fits_is_found_by_trying(fitting: int) -> None:
    spec = make_spec()
    data = load_dataset(spec.dataset, Path(), spec.seed)
    with LittleMemory(fitting * ROW_BYTES):
        error = advise("CUDA out of memory.", spec, data, CPU)
    assert str(error) == (
        f"CUDA out of memory. A batch size of {fitting} fits (tried on this GPU): --set training.batch_size={fitting}"
    )


def test_every_batch_size_that_has_to_change_is_named() -> None:
    spec = make_spec(**{"training.discriminator_batch_size": 2000})
    data = load_dataset(spec.dataset, Path(), spec.seed)
    with LittleMemory(512 * ROW_BYTES):
        error = advise("Full.", spec, data, CPU)
    assert str(error).endswith("--set training.batch_size=512 --set training.discriminator_batch_size=512")


def test_where_no_batch_fits_the_message_says_so() -> None:
    spec = make_spec(**{"training.batch_size": 4})
    data = load_dataset(spec.dataset, Path(), spec.seed)
    with LittleMemory(100):
        error = advise("Full.", spec, data, CPU)
    assert "Not even a batch size of 1 fits: make the networks narrower" in str(error)


def test_a_worker_that_stops_ends_the_trials() -> None:
    spec = make_spec()
    data = load_dataset(spec.dataset, Path(), spec.seed)

    def stop() -> None:
        raise Stopped("stop")

    with pytest.raises(Stopped):
        advise("Full.", spec, data, CPU, before_a_trial=stop)


def test_a_trial_makes_the_samples_too() -> None:
    spec = make_spec(**{"samples.count": 600, "training.batch_size": 2})  # as 300 at a time
    data = load_dataset(spec.dataset, Path(), spec.seed)
    with LittleMemory(299 * ROW_BYTES):
        assert "Not even a batch size of 1" in str(advise("Full.", spec, data, CPU))


def test_torchs_advice_about_its_allocator_is_left_out() -> None:
    said = "CUDA out of memory. Tried to allocate 2 GiB. If reserved but unallocated memory is large try setting …"
    assert explain(torch.OutOfMemoryError(said)) == "CUDA out of memory. Tried to allocate 2 GiB."


def test_the_context_of_a_process_is_part_of_its_budget() -> None:
    total = 80 * 1024**3
    assert fraction_of(total // 2 + CONTEXT_BYTES, total) == 0.5
    assert fraction_of(2 * total, total) == 1
    assert 0 < fraction_of(1, total) < 1e-9


@pytest.mark.parametrize(("name", "index"), [("cuda", 1), ("cuda:0", 0), ("cuda:2", 2)])
def test_the_budget_is_that_of_the_gpu_that_trains(monkeypatch: pytest.MonkeyPatch, name: str, index: int) -> None:
    limits: list[tuple[float, int]] = []
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=80 * 10**9))
    monkeypatch.setattr("torch.cuda.memory._lazy_init", lambda: None)
    monkeypatch.setattr("torch._C._cuda_setMemoryFraction", lambda *limit: limits.append(limit), raising=False)
    limit_memory(torch.device(name), 40 * 10**9)
    assert limits == [(fraction_of(40 * 10**9, 80 * 10**9), index)]
    limit_memory(torch.device(name), None)
    limit_memory(CPU, 40 * 10**9)
    assert len(limits) == 1


def test_out_of_memory_is_final() -> None:
    from worker.attempt.training import FINAL_ERRORS, LOCAL_ERRORS

    assert OutOfMemory in FINAL_ERRORS
    assert OutOfMemory not in LOCAL_ERRORS
