"""The cache of evaluation: computed once, shared by processes, never half-written."""

import multiprocessing
import time
from pathlib import Path

import numpy as np
import pytest

from ganlib.evaluation.cache import Cache, content_key


def test_equal_parts_are_computed_once(tmp_path):
    made = []

    def make() -> dict[str, np.ndarray]:
        made.append(1)
        return {"a": np.arange(3), "b": np.array(1.5)}

    for _ in range(2):
        found = Cache(tmp_path).arrays("bins", (np.ones((2, 2)), 7, "x"), make)
        assert (found["a"] == [0, 1, 2]).all()
        assert found["b"] == 1.5
    assert len(made) == 1


@pytest.mark.parametrize(
    "parts",
    [
        (np.ones((2, 2)), 8),
        (np.ones((4,)), 7),
        (np.ones((2, 2), dtype=np.float32), 7),
        (np.ones((2, 2)) * 2, 7),
        (np.ones((2, 2)), "7"),
    ],
)
def test_other_parts_have_other_keys(parts):
    assert content_key(*parts) != content_key(np.ones((2, 2)), 7)


def test_without_a_directory_nothing_is_kept():
    cache, numbers = Cache(None), iter(range(2))
    found = [int(cache.arrays("bins", (1,), lambda: {"a": np.array(next(numbers))})["a"]) for _ in range(2)]
    assert found == [0, 1]
    assert not cache.keeps


def test_a_damaged_file_is_made_anew(tmp_path):
    cache = Cache(tmp_path)
    cache.arrays("bins", (1,), lambda: {"a": np.arange(1000)})
    (path,) = tmp_path.glob("*.npz")
    path.write_bytes(path.read_bytes()[:200])
    assert len(cache.arrays("bins", (1,), lambda: {"a": np.arange(5)})["a"]) == 5
    assert len(cache.arrays("bins", (1,), lambda: {"a": np.arange(9)})["a"]) == 5


def test_what_fails_leaves_nothing(tmp_path):
    def fail() -> dict[str, np.ndarray]:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        Cache(tmp_path).arrays("bins", (1,), fail)
    assert not list(tmp_path.glob("*.npz"))
    assert not list(tmp_path.glob(".tmp-*"))


def _ask(root: Path) -> None:
    def make() -> dict[str, np.ndarray]:
        time.sleep(0.3)
        with (root / "made").open("a") as log:
            log.write("x")
        return {"a": np.arange(10)}

    assert Cache(root).arrays("bins", (1,), make)["a"].sum() == 45


def test_of_processes_that_ask_at_once_one_computes(tmp_path):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_ask, args=(tmp_path,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert (tmp_path / "made").read_text() == "x"
