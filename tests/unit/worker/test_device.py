import dataclasses
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from ganlib.spec.request import RunRequest
from ganlib.spec.run import RunSpec
from store.core.models import Attempt
from worker.attempt import device
from worker.attempt.device import (
    DeviceUnavailable,
    choose_device,
    choose_precision,
    code_version,
    this_machine,
)

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
def test_a_spec_and_a_worker_agree_on_a_device(
    wanted, workers: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device(wanted, workers) == torch.device(device)


def test_a_gpu_that_is_wanted_and_missing_is_named_with_its_cure() -> None:
    with pytest.raises(DeviceUnavailable, match=r"--set resources\.device=auto"):
        choose_device("cuda", "cpu")


@pytest.mark.parametrize(("workers", "count"), [("cuda", 0), ("cuda:0", 0), ("cuda:2", 2)])
def test_a_gpu_that_torch_cannot_use_is_named_with_its_cure(
    workers: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(DeviceUnavailable, match=rf"'{workers}', .* finds {count} GPUs.* --device cpu"):
        choose_device("auto", workers)


def test_machines_differ_where_their_numbers_may() -> None:
    machine = this_machine(CPU, 2)
    same = Attempt(**dataclasses.asdict(machine))
    assert machine.is_reproducible
    assert machine.equals(same)
    for name, other in (("threads", 1), ("cpu_capability", "VAX"), ("device", "cuda: A"), ("precision", "bf16")):
        changed = Attempt(**(dataclasses.asdict(machine) | {name: other}))
        assert not machine.equals(changed), name


def test_an_attempt_says_which_code_and_libraries_made_it() -> None:
    versions = this_machine(CPU, 1).versions
    assert list(versions) == ["ganclinic", "python", "torch", "torchvision", "numpy"]
    assert all(versions.values())


def test_the_version_of_the_code_names_its_git_revision_and_whether_it_was_changed(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        who = ("-c", "user.name=me", "-c", "user.email=me@here")
        subprocess.run(["git", *who, "-C", str(tmp_path), *arguments], check=True, capture_output=True)

    plain = code_version(tmp_path)
    assert "+" not in plain
    git("init")
    (tmp_path / "code.py").write_text("one")
    git("add", ".")
    git("commit", "-m", "one")
    git("tag", "-a", "v9", "-m", "nine")
    clean = code_version(tmp_path)
    assert clean.startswith(f"{plain}+")
    assert "v9" not in clean
    (tmp_path / "code.py").write_text("two")
    assert code_version(tmp_path) == f"{clean}-dirty"


def attempt_in(precision: str | None) -> Attempt:
    return Attempt(**(dataclasses.asdict(this_machine(CPU, 1)) | {"precision": precision}))


def spec_in(precision: str, **changes: Any) -> RunSpec:
    return RunRequest(preset="digit8-stable", set={"training.precision": precision, **changes}).resolve()


def test_an_attempt_in_another_precision_ran_on_another_machine() -> None:
    in_float32, in_bf16 = this_machine(CPU, 1), this_machine(CPU, 1, "bf16")
    assert in_bf16.equals(attempt_in("bf16"))
    assert not in_bf16.equals(attempt_in("float32"))
    assert in_float32.equals(attempt_in(None))  # of a version that knew nothing else
    assert not in_bf16.equals(attempt_in(None))


@pytest.mark.parametrize(("speedup", "expected"), [(0.6, "float32"), (3.7, "bf16")])
def test_auto_is_what_the_worker_has_measured_to_be_faster(speedup: float, expected: str) -> None:
    assert choose_precision(spec_in("auto"), CPU, [], speedup) == expected


@pytest.mark.parametrize("first", ["float32", "bf16"])
def test_a_resume_multiplies_in_the_precision_of_the_first_attempt(first: str) -> None:
    for speedup in (0.5, 4.0):
        assert choose_precision(spec_in("auto"), CPU, [attempt_in(first), attempt_in(None)], speedup) == first


def test_a_precision_that_a_spec_names_is_taken_and_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "measure_bf16_speedup", lambda _: pytest.fail("measured"))
    assert choose_precision(spec_in("bf16"), CPU, [attempt_in("float32")], None) == "bf16"
    assert choose_precision(spec_in("float32"), CPU, [], None) == "float32"
    assert choose_precision(spec_in("auto", **{"penalties.r1": 1.0}), CPU, [], 4.0) == "float32"


def test_where_the_worker_has_not_measured_the_training_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "measure_bf16_speedup", lambda _: 2.0)
    assert choose_precision(spec_in("auto"), CPU, [], None) == "bf16"
