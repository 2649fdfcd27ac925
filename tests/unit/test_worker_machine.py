import dataclasses

import pytest
import torch

from store.models import Attempt
from worker.machine import DeviceUnavailable, choose_device, this_machine

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("wanted", "workers", "device"),
    [
        ("auto", "cpu", "cpu"),
        ("cpu", "cpu", "cpu"),
        ("cpu", "cuda:1", "cpu"),
        ("auto", "cuda:1", "cuda:1"),
        ("cuda", "cuda:1", "cuda:1"),
    ],
)
def test_a_spec_and_a_worker_agree_on_a_device(wanted, workers: str, device: str) -> None:
    assert choose_device(wanted, workers) == torch.device(device)


def test_a_gpu_that_is_wanted_and_missing_is_named_with_its_cure() -> None:
    with pytest.raises(DeviceUnavailable, match=r"--set resources\.device=auto"):
        choose_device("cuda", "cpu")


def test_machines_differ_where_their_numbers_may() -> None:
    machine = this_machine(CPU, 2)
    same = Attempt(**dataclasses.asdict(machine))
    assert machine.is_reproducible
    assert machine.equals(same)
    for name, other in (("threads", 1), ("cpu_capability", "VAX"), ("device", "cuda: A"), ("versions", {})):
        changed = Attempt(**(dataclasses.asdict(machine) | {name: other}))
        assert not machine.equals(changed), name
