"""What the counts of a log count: updates, images, the steps of an epoch; and what a row is then of."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ganlib.foreign_logs.column_names import EPOCH, KIMG, STEP
from ganlib.foreign_logs.table import Column, Table

FEW_VALUES = 300
"""Of lists without a count; as `history.history` of Keras has them, a value an epoch."""
USUAL_BATCHES = (16, 32, 50, 64, 100, 128, 256, 512)
USUAL_INTERVALS = (1, 10, 100, 50, 20, 200, 25, 500, 1000)
"""Batches between two lines, the most usual first."""
DATA_SETS = frozenset({10_000, 50_000, 60_000, 70_000})
"""Images of CIFAR and MNIST: no loop has as many batches an epoch."""
FEWEST_IMAGES = 1000
"""Of a data set. Fewer are batches: MNIST has 938 of 64."""


def counted(table: Table, totals: Mapping[str, int], *, lists: bool) -> Table:
    """The table with its steps in updates, and with what a row is of where its counts tell it."""
    of_batches = _with_epoch_steps(_kimg_as_updates(table), totals)
    return _of_epochs(_epochs_of_bars(_images_as_updates(of_batches, totals)), lists=lists)


def _with_epoch_steps(table: Table, totals: Mapping[str, int]) -> Table:
    """With how many steps an epoch has, where batches are counted anew in each: 782 of `[50/782]`."""
    column = table.columns.get(STEP)
    total = totals.get(column.name) if column is not None else None
    if column is None or total is None or EPOCH not in table.columns or table.row_span != "update":
        return table
    known = column.values[column.given]
    if not len(known) or not np.isfinite(known).all() or not (np.diff(known) < 0).any() or known.max() > total:
        return table
    return table if batch_of_images(known, total) else replace(table, epoch_steps=total)


def _kimg_as_updates(table: Table) -> Table:
    """With steps where images and the size of a batch say which they are."""
    if KIMG not in table.columns or STEP in table.columns or not table.batch_size:
        return table
    kimg = table.columns[KIMG]
    steps = replace(kimg, values=np.round(1000 * kimg.values / table.batch_size), decimals=None, significant=None)
    columns = {signal: column for signal, column in table.columns.items() if signal != KIMG} | {STEP: steps}
    note = f"updates were counted from '{kimg.name}' and batches of {table.batch_size}"
    return replace(table, columns=columns, notes=(*table.notes, note))


def _images_as_updates(table: Table, totals: Mapping[str, int]) -> Table:
    """`[1280/60000]` as step 20: the loops of PyTorch's tutorials count images.

    Source: pytorch/examples mnist/main.py prints `batch_idx * len(data)` and `len(train_loader.dataset)`.
    """
    column = table.columns.get(STEP)
    total = totals.get(column.name) if column is not None else None
    if column is None or total is None or not np.isfinite(column.values[column.given]).all():
        return table
    batch = batch_of_images(column.values[column.given], total)
    if batch is None:
        return table
    steps = replace(column, values=np.round(column.values / batch), decimals=None, significant=None)
    note = f"'{column.name}' counts the {total:,} images of an epoch; an update was taken to be {batch} of them"
    return replace(table, columns=table.columns | {STEP: steps}, notes=(*table.notes, note))


def batch_of_images(counts: np.ndarray, total: int) -> int | None:
    """How many images an update takes where counts are of images; None where they are of batches.

    All are multiples of a usual batch, which batches are not: they are counted by ones, or shown every round number.
    """
    whole = counts[counts < total].astype(np.int64)
    step = math.gcd(*whole.tolist()) if len(whole) else 0
    batches = (step // every for every in USUAL_INTERVALS if step % every == 0)
    found = next((batch for batch in batches if batch in USUAL_BATCHES), 0)
    if not found or total < FEWEST_IMAGES:
        return None
    is_round = len(str(step).rstrip("0")) == 1
    return found if total in DATA_SETS or (found & (found - 1) == 0 and not is_round) else None


def _epochs_of_bars(table: Table) -> Table:
    """`938/938` at the end of each of Keras' bars says how many steps an epoch has, and not which a row is."""
    column = table.columns.get(STEP)
    if column is None or len(table) < 3 or not column.values[0] > 1:
        return table
    *whole, last = column.values.tolist()  # which may be of an epoch that is not over
    if set(whole) != {whole[0]} or not 0 < last <= whole[0]:
        return table
    steps = int(whole[0])
    columns = {signal: held for signal, held in table.columns.items() if signal != STEP}
    if EPOCH not in columns:
        given = np.ones(len(table), dtype=np.bool_)
        columns[EPOCH] = Column(name="rows", values=np.arange(1.0, len(table) + 1), given=given)
    note = f"'{column.name}' is {steps:,} in every row: each was taken for an epoch of so many steps"
    return replace(table, columns=columns, epoch_steps=steps, row_span="epoch", notes=(*table.notes, note))


def _of_epochs(table: Table, *, lists: bool) -> Table:
    """With what a row is of, where there is one row an epoch, or as few values as only epochs have."""
    if table.row_span != "update" or KIMG in table.columns or len(table) < 2:
        return table
    if STEP in table.columns and (np.diff(table.columns[STEP].values) != 0).any():
        return table
    if EPOCH in table.columns:
        epochs = np.floor(table.columns[EPOCH].values)
        return replace(table, row_span="epoch") if len(np.unique(epochs)) == len(epochs) else table
    if lists and len(table) <= FEW_VALUES:
        note = f"nothing says what its {len(table)} values are of; so few are taken for means of epochs"
        return replace(table, row_span="epoch", notes=(*table.notes, note))
    return table
