"""How rows of a log lie in time: how many make an epoch, and how many updates one of them stands for."""

import math

import numpy as np

from ganlib.diagnosis.history import FEWEST_ROWS
from ganlib.diagnosis.thresholds import WINDOW_UPDATES
from ganlib.foreign_logs.column_names import EPOCH, KIMG, STEP, InvalidHistory
from ganlib.foreign_logs.table import Column, Table, steps_of, stride

MAX_EPOCHS = 10_000
BLOCKS = 50
"""Parts that a history without epochs is looked at in, at most."""
USUAL_BATCH = 64
"""Where images are counted and nothing says how many an update takes."""
EPOCH_UPDATES = WINDOW_UPDATES / FEWEST_ROWS
"""What an epoch has at the least, where nothing says it: the fewest rows that are judged then cover a window."""


def updates_per_row(table: Table, steps_per_epoch: int | None, notes: list[str]) -> float:
    """From one row to the next, by steps, images or epochs; said where it is only assumed."""
    if STEP in table.columns:
        return _updates_by_epochs(table) or float(stride(table))
    if KIMG in table.columns and len(table) > 1:
        advances = np.diff(table.columns[KIMG].values)
        images = 1000 * float(np.median(advances[advances > 0])) if (advances > 0).any() else 0.0
        notes.append(f"images are counted, and nothing says how many make an update: {USUAL_BATCH} were taken")
        return max(1.0, images / (table.batch_size or USUAL_BATCH))
    if table.row_span == "epoch" or _has_a_row_an_epoch(table):
        return float(steps_per_epoch or table.epoch_steps or EPOCH_UPDATES)
    return 1.0


def _updates_by_epochs(table: Table) -> float | None:
    """By the rows of whole epochs, where it is known how many steps one has; None where it is not."""
    if table.epoch_steps is None or table.row_span != "update" or EPOCH not in table.columns:
        return None
    _, counts = np.unique(np.floor(table.columns[EPOCH].values), return_counts=True)
    return max(1.0, table.epoch_steps / float(np.median(counts[:-1]))) if len(counts) > 1 else None


def _has_a_row_an_epoch(table: Table) -> bool:
    if EPOCH not in table.columns or len(table) < 2:
        return False
    epochs = np.floor(table.columns[EPOCH].values)
    return len(np.unique(epochs)) == len(epochs)


def are_means(table: Table) -> bool:
    """Whether a row is the mean over many updates, as far as is known."""
    return table.row_span != "update"


def rows_per_epoch(table: Table, steps_per_epoch: int | None, notes: list[str]) -> tuple[int, bool]:
    """Rows that make an epoch, and whether that is the trainer's own."""
    every = stride(table)
    if every > 1:
        notes.append(f"there is a row every {every} steps; updates are counted, not rows")
    rows, known = _told(table, steps_per_epoch, every, notes)
    rows = max(1, min(rows, len(table)))
    if len(table) // rows > MAX_EPOCHS:
        raise InvalidHistory(
            f"{table.source}: {len(table) // rows:,} epochs; allowed: {MAX_EPOCHS:,}. Give more steps_per_epoch"
        )
    left = len(table) % rows
    if left and known:
        notes.append(f"the last {left} rows, of an unfinished epoch, count with epoch {len(table) // rows}")
    return rows, known


def _told(table: Table, steps_per_epoch: int | None, every: int, notes: list[str]) -> tuple[int, bool]:
    if steps_per_epoch is not None:
        if steps_per_epoch > (steps := steps_of(table)):
            notes.append(f"there are fewer than {steps_per_epoch} steps: they are looked at as one epoch")
        epochs = steps // steps_per_epoch
        rows = _nearest(steps_per_epoch / every, len(table), epochs)
        return rows, _are_known(table, rows, epochs, notes)
    if EPOCH in table.columns:
        return _of_column(table, table.columns[EPOCH], notes)
    rows = max(WINDOW_UPDATES, math.ceil(len(table) / BLOCKS))
    notes.append(f"nothing says where epochs end; every {min(rows, len(table))} rows are called one (steps_per_epoch)")
    return rows, False


def _nearest(mean: float, total: int, epochs: int) -> int:
    """The whole number next to the mean number of rows an epoch that parts all rows into about so many epochs."""
    rows = {max(1, math.floor(mean)), max(1, math.ceil(mean))}
    return min(sorted(rows), key=lambda count: abs(total // count - epochs))


def _are_known(table: Table, rows: int, epochs: int, notes: list[str]) -> bool:
    """Whether epochs of so many rows are the trainer's own, of which there are `epochs`."""
    made = len(table) // rows
    if abs(made - epochs) <= 1:
        return True
    called = "each row is" if rows == 1 else f"every {rows} rows are"
    notes.append(
        f"{called} called an epoch, which makes {made} of the trainer's {epochs}: epochs of findings are not its own. "
        "Log every step, or as many rows in each epoch"
    )
    return False


def _of_column(table: Table, column: Column, notes: list[str]) -> tuple[int, bool]:
    """Rows of the same epoch, and whether they give the epochs of the column."""
    numbers, counts = np.unique(np.floor(column.values), return_counts=True)
    epochs = int(numbers[-1] - numbers[0]) + 1  # those without a row as well
    if numbers[0] != 1:
        notes.append(f"'{column.name}' begins at {numbers[0]:.0f}; epochs are counted from 1 here")
    if (counts == 1).all():
        notes.append(
            f"there is one row an epoch, {len(table)} in all: what is said rests on means or samples of epochs"
        )
        return 1, _are_known(table, 1, epochs, notes)
    whole, last = counts[:-1], int(counts[-1])
    if len(whole) == 0:
        return last, True
    if (whole == whole[0]).all() and last <= whole[0]:
        return int(whole[0]), _are_known(table, int(whole[0]), epochs, notes)
    rows = _nearest(len(table) / len(counts), len(table), len(counts))
    known = _are_known(table, rows, epochs, notes)
    if known:
        notes.append(
            f"epochs of '{column.name}' have {counts.min()} to {counts.max()} rows; {rows} are called one, so epochs "
            "of findings are about right"
        )
    return rows, known
