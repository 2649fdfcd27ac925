"""A watched training without a service: what is kept, what is judged, and that its trainer never notices."""

import contextlib
import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

import ganclinic
from ganclinic.watching import spool as spool_module
from ganclinic.watching import watch as watch_module
from ganclinic.watching.local import LocalJudge
from ganclinic.watching.rows import StepBuilder, blocks, numbers_of, samples_of
from ganclinic.watching.sender import Refused, Sender
from ganclinic.watching.spool import Kind, Spool, SpooledRun
from ganclinic.watching.watch import EPOCH_STEPS, INTERVAL_S, WatchedTraining
from ganlib.step_blocks import MAX_NAMES, decode, is_absent
from tests.support.images import CHECKOUT


def local(tmp_path: Path, **options: Any) -> WatchedTraining:
    return ganclinic.watch("toy", mode="local", folder=tmp_path, **options)


def kept(folder: Path) -> tuple[list[dict[str, float]], list[int]]:
    """Every step that a spool holds, by its names, and the number of steps by the end of each epoch."""
    steps: list[dict[str, float]] = []
    ends: list[int] = []
    for record in Spool.at(folder).records():
        if record.kind == "steps":
            names, values = decode(record.content)
            steps += [
                {
                    name: float(value)
                    for name, value in zip(names, row, strict=True)
                    if not is_absent(value.reshape(1))[0]
                }
                for row in values
            ]
        elif record.kind == "epoch":
            ends.append(len(steps))
    return steps, ends


@contextlib.contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch, *kinds: str) -> Iterator[None]:
    """No message is added in here, or none of these kinds."""
    add = Spool.add

    def added(spool: Spool, kind: Kind, content: bytes, **options: Any) -> None:
        if not kinds or kind in kinds:
            raise OSError(28, "No space left on device")
        add(spool, kind, content, **options)

    with monkeypatch.context() as full:
        full.setattr(Spool, "add", added)
        yield


def test_a_training_is_kept_and_judged_without_a_service(tmp_path: Path) -> None:
    with local(tmp_path, objective="bce") as w:
        for _ in range(2):
            for i in range(120):
                w.step(d_loss_real=0.1, d_loss_fake=0.1, g_loss=float("nan") if i == 60 else 0.7)
            w.epoch()
        assert w.wait().name == "divergence"
    assert w.verdict.severe
    assert (w.verdict.epoch, w.verdict.cancelled) == (2, False)
    assert w.folder is not None
    steps, ends = kept(w.folder)
    assert ends == [120, 240]
    assert sorted(steps[0]) == ["d_loss_fake", "d_loss_real", "g_loss"]
    last = json.loads((w.folder / "diagnoses.jsonl").read_text().splitlines()[-1])
    assert (last["epoch"], last["verdict"]) == (2, "divergence")
    assert "fakes and reals" in last["missing"]


def test_samples_that_were_judged_or_left_out_are_deleted(tmp_path: Path) -> None:
    spool = Spool.begin(tmp_path / "run", SpooledRun(name=None, objective=None, epochs=None, key="k"))
    judge = LocalJudge(spool)
    for epoch in (1, 2, 3):
        ((block, _),) = blocks([{"g_loss": 1.0}])
        spool.add("steps", block)
        spool.save_samples(spool.samples_path(epoch), np.zeros((60, 2), np.float32))
        spool.add("epoch", b"{}")
        if epoch != 2:  # which is left out then, for the last is judged
            judge.judge()
    spool.save_samples(spool.samples_path(4), np.zeros((60, 2), np.float32))  # its end is not written yet
    judge.judge()
    spool.close()
    assert judge.diagnosis is not None
    assert judge.diagnosis.epoch == 3
    assert [path.name for path in (tmp_path / "run").glob("epoch-*")] == ["epoch-4.npy"]


def test_what_is_off_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with ganclinic.watch(mode="off") as w:
        w.step(g_loss=1.0)
        w.log({"errD": 1.0})
        assert w.epoch(samples=object()).name is None
    assert list(tmp_path.iterdir()) == []


class Broken:
    def __float__(self) -> float:
        raise RuntimeError("no")


@pytest.mark.parametrize("value", ["text", None, [1, 2], object(), Broken(), np.zeros(3)])
def test_a_trainer_may_log_anything(tmp_path: Path, value: Any) -> None:
    with local(tmp_path) as w:
        w.step(g_loss=0.5, other=value)
        w.log({"errD": 0.5, "picture": value}, step=3)
        w.epoch(samples=value)
        w.epoch(samples=np.zeros((0, 3)))
    assert w.folder is not None
    steps, ends = kept(w.folder)
    assert [step for step in steps if step] == [{"g_loss": 0.5}, {"step": 3.0, "errD": 0.5}]
    assert len(ends) == 2


def test_what_a_full_disk_does_not_take_is_written_when_it_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = local(tmp_path)
    with full_disk(monkeypatch):
        w.step(g_loss=1.0)
        w.epoch()
        w.wait(0.2)
        w.step(g_loss=2.0)
        w.end(timeout_s=0.7)
        assert w.wait(0.2).epoch == 0
    assert w.wait(60).epoch == 2
    assert w.folder is not None
    assert kept(w.folder) == ([{"g_loss": 1.0}, {"g_loss": 2.0}], [1, 2])
    assert [record.kind for record in Spool.at(w.folder).records()][-1] == "end"


def test_samples_keep_their_epoch_over_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[str] = []

    def save_samples(_: Spool, path: Path, __: Any) -> None:
        saved.append(path.name)

    monkeypatch.setattr(Spool, "save_samples", save_samples)
    w = local(tmp_path)
    w.step(g_loss=1.0)
    with full_disk(monkeypatch, "epoch"):
        w.epoch(samples=np.zeros((4, 2)))
        w.wait(0.2)
    w.end(timeout_s=60)
    assert len(saved) > 1
    assert set(saved) == {"epoch-1.npy"}


def test_the_end_is_written_though_the_service_takes_no_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def refusing() -> Sender:
        raise Refused("it was cancelled")

    spool = Spool.begin(tmp_path / "run", SpooledRun(name=None, objective=None, epochs=None, key="k"))
    w = WatchedTraining(spool, refusing, steps_per_epoch=None)
    deadline = time.monotonic() + 60
    while "takes no more" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.05)
    w.step(g_loss=1.0)
    w.end(timeout_s=60)
    assert [record.kind for record in Spool.at(tmp_path / "run").records()] == ["steps", "epoch", "end"]
    assert "not all was written" not in caplog.text


def test_what_is_logged_is_written_while_the_service_lets_one_wait(tmp_path: Path) -> None:
    is_asked, answers = threading.Event(), threading.Event()

    def hanging() -> Sender:
        is_asked.set()
        answers.wait(60)
        raise Refused("it was cancelled")

    spool = Spool.begin(tmp_path / "run", SpooledRun(name=None, objective=None, epochs=None, key="k"))
    w = WatchedTraining(spool, hanging, steps_per_epoch=None)
    assert is_asked.wait(60)
    w.step(g_loss=1.0)
    deadline = time.monotonic() + 20
    while not kept(tmp_path / "run")[0] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert kept(tmp_path / "run")[0] == [{"g_loss": 1.0}]
    answers.set()
    w.end()


def test_a_message_that_is_being_added_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool.begin(tmp_path / "run", SpooledRun(name=None, objective=None, epochs=None, key="k"))
    seen: list[int] = []

    def fsync(_: int) -> None:
        seen.append(len(list(spool.records())))

    monkeypatch.setattr(os, "fsync", fsync)
    spool.add("epoch", b"{}", safe=True)
    read = spool.records()
    next(read)
    spool.add("epoch", b"{}", safe=True)
    assert list(read) == [], "whoever reads comes to an end, however much is added"
    assert (seen, len(list(spool.records()))) == ([0, 1], 2)
    spool.close()


def test_what_is_beyond_what_memory_may_take_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watch_module, "MOST_WAITING", 3)
    w = local(tmp_path)
    with full_disk(monkeypatch):
        for i in range(5):
            w.step(g_loss=float(i))
        w.wait(0.7)
    w.end()
    assert w.folder is not None
    assert [step["g_loss"] for step in kept(w.folder)[0]] == [0, 1, 2]
    assert "2 steps were left out" in caplog.text


def test_nothing_stays_of_samples_that_do_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool.begin(tmp_path / "run", SpooledRun(name=None, objective=None, epochs=None, key="k"))

    def save(file: BinaryIO, *_: Any, **__: Any) -> None:
        file.write(b"a part")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", save)
    with pytest.raises(OSError, match="space"):
        spool.save_samples(spool.samples_path(1), np.zeros((4, 2)))
    spool.close()
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["messages", "run.json"]


@pytest.mark.parametrize("call", ["fsync", "truncate"])
def test_a_message_that_did_not_reach_the_disk_is_added_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    spool = Spool.begin(tmp_path / "run", SpooledRun(name=None, objective=None, epochs=None, key="k"))
    spool.add("epoch", b"{}", safe=True)

    def fail(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fail)
        broken.setattr(os, call, fail)
        with pytest.raises(OSError, match="output"):
            spool.add("epoch", b"{}", safe=True)
    spool.add("epoch", b"{}", safe=True)
    spool.close()
    assert [record.sequence for record in Spool.at(tmp_path / "run").records()] == [1, 2]


def test_the_verdict_of_an_epoch_that_is_being_written_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = spool_module.Spool.add

    def add_slowly(*arguments: Any, **options: Any) -> None:
        time.sleep(0.5)
        add(*arguments, **options)

    monkeypatch.setattr(spool_module.Spool, "add", add_slowly)
    w = local(tmp_path)
    w.step(g_loss=1.0)
    w.epoch()
    time.sleep(0.2)
    assert w.wait(30).epoch == 1
    w.end()


def test_a_folder_that_cannot_be_made_costs_the_watch_alone(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with ganclinic.watch(mode="local", folder=tmp_path / "file") as w:
        w.step(g_loss=1.0)
    assert w.folder is None


def test_parts_of_a_step_are_put_together() -> None:
    builder = StepBuilder()
    closed = [
        builder.add(numbers_of(row))
        for row in ({"errD": 1}, {"errG": 2}, {"errD": 3}, {"step": 7, "errD": 4}, {"step": 7, "errG": 5}, {"step": 8})
    ]
    assert [row for row in closed if row] == [{"errD": 1, "errG": 2}, {"errD": 3}, {"step": 7, "errD": 4, "errG": 5}]
    assert builder.close() == {"step": 8}


@pytest.mark.parametrize("step", [None, 7])
def test_parts_of_a_step_are_put_together_however_slow_it_is(tmp_path: Path, step: int | None) -> None:
    with local(tmp_path) as w:
        w.log({"errD": 1.0}, step=step)
        time.sleep(2.5 * INTERVAL_S)
        w.log({"errG": 2.0}, step=step)
    assert w.folder is not None
    ((row,), _) = kept(w.folder)
    assert row == {"errD": 1.0, "errG": 2.0, **({} if step is None else {"step": 7.0})}


def test_a_step_is_not_held_back_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "LONGEST_OPEN_S", INTERVAL_S)
    w = local(tmp_path)
    w.log({"errD": 1.0})
    assert w.folder is not None
    deadline = time.monotonic() + 60
    while not (steps := kept(w.folder)[0]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert steps == [{"errD": 1.0}]
    w.end()


def test_a_step_that_lacks_a_name_says_so() -> None:
    ((block, count),) = blocks([{"a": 1.0}, {"b": float("nan")}])
    names, values = decode(block)
    assert (names, count) == (("a", "b"), 2)
    np.testing.assert_array_equal(is_absent(values), [[False, True], [True, False]])


def test_a_run_has_no_more_names_than_the_service_takes_over_all_of_its_blocks() -> None:
    known: dict[str, None] = {}
    for first in (0, 150, 300):
        ((block, count),) = blocks([{f"loss {number}": 1.0 for number in range(first, first + 150)}], known)
        names, _ = decode(block)
        assert count == 1
        assert set(names) <= set(known)
    assert list(known) == [f"loss {number}" for number in range(MAX_NAMES)]
    ((block, _),) = blocks([{"loss 7": 1.0, "loss 300": 1.0}], known)
    assert decode(block)[0] == ("loss 7",)


def test_many_steps_are_several_blocks_within_a_megabyte() -> None:
    made = list(blocks([{"a": float(i), "b": 0.0} for i in range(120_000)]))
    assert sum(count for _, count in made) == 120_000
    assert max(len(block) for block, _ in made) < 1_000_000


@pytest.mark.parametrize(
    ("samples", "shape", "dtype"),
    [
        (np.zeros((5, 4, 4, 3), np.float64), (5, 3, 4, 4), "float32"),
        (np.zeros((5, 4, 4), np.uint8), (5, 1, 4, 4), "uint8"),
        (np.zeros((1500, 2)), (1000, 2), "float32"),
    ],
)
def test_samples_come_as_trainers_have_them(samples: Any, shape: tuple[int, ...], dtype: str) -> None:
    found = samples_of(samples)
    assert (found.shape, found.dtype.name) == (shape, dtype)


def test_without_epochs_of_its_own_a_training_has_some(tmp_path: Path) -> None:
    w = local(tmp_path)
    for _ in range(2 * EPOCH_STEPS + 10):
        w.step(g_loss=1.0)
    w.end(timeout_s=60)
    assert w.folder is not None
    assert kept(w.folder)[1] == [EPOCH_STEPS, 2 * EPOCH_STEPS, 2 * EPOCH_STEPS + 10]


@pytest.mark.parametrize("options", [{"mode": "x"}, {"objective": "x"}, {"steps_per_epoch": 0}, {"real": "text"}])
def test_a_wrong_argument_is_said_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"allowed|samples"):
        ganclinic.watch(**options)


def test_a_message_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    with local(tmp_path) as w:
        w.step(g_loss=1.0)
        w.epoch()
    assert w.folder is not None
    file = w.folder / "messages"
    whole = len(list(Spool.at(w.folder).records()))
    file.write_bytes(file.read_bytes()[:-3])
    assert len(list(Spool.at(w.folder).records())) == whole - 1


def test_of_a_killed_trainer_no_more_than_the_last_moment_is_missing(tmp_path: Path) -> None:
    program = textwrap.dedent(f"""
        import time, ganclinic
        w = ganclinic.watch(mode="local", folder={str(tmp_path)!r})
        for i in range(10**6):
            w.step(g_loss=float(i), at=time.time())
            time.sleep(0.001)
    """)
    trainer = subprocess.Popen([sys.executable, "-c", program], cwd=CHECKOUT)
    try:
        while not (found := list(tmp_path.glob("*/messages"))) or found[0].stat().st_size < 20_000:
            time.sleep(0.05)
    finally:
        trainer.kill()
    killed_at = time.time()
    trainer.wait()
    steps, _ = kept(found[0].parent)
    assert [step["g_loss"] for step in steps] == [float(i) for i in range(len(steps))]
    assert killed_at - steps[-1]["at"] < 5  # half a second, on a machine that has time


def test_neither_torch_nor_a_server_is_imported() -> None:
    program = (
        "import sys, ganclinic; ganclinic.watch(mode='off'); print({'torch', 'fastapi', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
