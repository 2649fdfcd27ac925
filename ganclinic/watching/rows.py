"""What a trainer logs, as steps: calls that say different things of one step are put together, then packed."""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganlib.step_blocks import ABSENT, MAX_BLOCK_STEPS, MAX_NAME, MAX_NAMES, encode

MAX_BLOCK_BYTES = 900_000  # of the megabyte that the service takes, for a header may be long
MOST_SAMPLES = 1000
"""Of an epoch: as many as an evaluation takes."""
Row = dict[str, float]


def numbers_of(values: Mapping[str, Any]) -> Row:
    """The values that are numbers, or hold one, as tensors do; a text, a picture or a histogram is left out."""
    row: Row = {}
    for name, value in values.items():
        if type(value) is float:  # nearly every one: no call
            row[name] = value
            continue
        try:
            row[name] = float(value)
        except Exception:  # noqa: BLE001, S112  whatever a stranger's type raises, its trainer goes on
            continue
    return row


class StepBuilder:
    """Puts rows together that are of one step.

    A row belongs to the step before unless it says something again that was said of it, or has another number.
    """

    def __init__(self) -> None:
        self.open: Row | None = None

    def add(self, row: Row) -> Row | None:
        """Takes a row; the step that it has closed, if any."""
        before = self.open
        if before is None:
            self.open = dict(row)
            return None
        again = before.keys() & row.keys()
        if not again or (again == {"step"} and before["step"] == row["step"]):
            before.update(row)
            return None
        self.open = dict(row)
        return before

    def close(self) -> Row | None:
        """The step that is not closed yet, if any."""
        before, self.open = self.open, None
        return before


def blocks(rows: Sequence[Row], known: dict[str, None] | None = None) -> Iterator[tuple[bytes, int]]:
    """The rows as blocks that the service takes, with the number of steps of each.

    `known`: the names of the run so far, as keys, to which these are added. Names beyond `MAX_NAMES` are left out.
    """
    known = {} if known is None else known
    found = [name for name in dict.fromkeys(name for row in rows for name in row) if _is_sent(name)]
    for name in found:
        if len(known) < MAX_NAMES:
            known.setdefault(name)
    names = [name for name in found if name in known] or [next(iter(known), "step")]
    known.setdefault(names[0])
    most = max(1, min(MAX_BLOCK_STEPS, MAX_BLOCK_BYTES // (8 * len(names))))
    for start in range(0, len(rows), most):
        some = rows[start : start + most]
        values = np.array([[row.get(name, ABSENT) for name in names] for row in some], np.float64)
        yield encode(names, values), len(some)


def _is_sent(name: object) -> bool:
    return isinstance(name, str) and 1 <= len(name) <= MAX_NAME and name.isprintable()


def array_of(samples: Any) -> NDArray[Any]:
    """Samples as an array: [n, channels, height, width], or [n, d].

    Takes arrays, tensors of any library that NumPy can read, and pictures with their channels last, or without any.

    Raises:
        ValueError: they are no samples.
    """
    tensor = samples.detach() if hasattr(samples, "detach") else samples
    array: NDArray[Any] = np.asarray(tensor.cpu() if hasattr(tensor, "cpu") else tensor)
    if array.ndim == 3:
        array = array[:, None]
    if array.ndim not in (2, 4) or len(array) == 0 or array.dtype.kind not in "uif":
        raise ValueError(f"samples have the shape {list(array.shape)}; give [n, channels, height, width] or [n, d]")
    if array.ndim == 4 and array.shape[1] not in (1, 3) and array.shape[3] in (1, 3):
        array = array.transpose(0, 3, 1, 2)
    return array


def samples_of(samples: Any) -> NDArray[Any]:
    """At most 1,000 of a batch of samples, copied, as bytes or float32.

    Raises:
        ValueError: they are no samples.
    """
    array = array_of(samples)
    if len(array) > MOST_SAMPLES:
        chosen = random.Random(0).sample(range(len(array)), MOST_SAMPLES)  # noqa: S311  which are looked at
        array = array[np.sort(np.array(chosen))]
    return np.array(array, dtype=np.uint8 if array.dtype == np.uint8 else np.float32, order="C")
