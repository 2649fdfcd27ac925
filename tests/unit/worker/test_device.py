import dataclasses
import subprocess
from pathlib import Path

import pytest
import torch

from store.core.models import Attempt
from worker.attempt.device import DeviceUnavailable, choose_device, code_version, this_machine

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
    for name, other in (("threads", 1), ("cpu_capability", "VAX"), ("device", "cuda: A"), ("versions", {})):
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
