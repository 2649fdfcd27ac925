"""The diagnosis of a training that GAN Clinic did not run. No service is asked.

found = diagnose("history.csv", fakes="fakes.npz", real="real.npz")
found.diagnosis.verdict
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ganclinic.errors import InvalidInput
from ganlib.foreign_logs.column_names import InvalidHistory
from ganlib.foreign_logs.history import DLoss, HistoryDiagnosis, Reading, diagnose_reading, read_history
from ganlib.foreign_logs.reading.files import read_logs
from ganlib.foreign_logs.table import Table
from ganlib.records import EpochEvaluation

EVALUATOR = "ganlib.evaluation.for_files"
NEEDED = ("torch", "torchvision", "scipy", "sklearn")
NO_TORCH = (
    "the fakes were not looked at: comparing them with reals needs {missing}. Install them with "
    "`pip install 'ganclinic[train]'`"
)

PathLike = str | Path
Fakes = PathLike | Mapping[int, PathLike]
"""One file, of the history's last epoch or with arrays called `epoch_3`; or a file for each epoch."""
Logs = PathLike | Sequence[PathLike] | Mapping[str, Any]
"""Files and folders that trainers write, or arrays by the names of their columns."""


def diagnose(
    history: Logs,
    *,
    fakes: Fakes | None = None,
    real: PathLike | None = None,
    objective: str | None = None,
    steps_per_epoch: int | None = None,
    d_loss: DLoss | None = None,
    columns: Mapping[str, str] | None = None,
    tile: int | None = None,
) -> HistoryDiagnosis:
    """What the losses of a training show, and its fakes beside reals where both are given.

    `history` is what a trainer writes or prints: a file, a folder or several (docs/foreign-logs.md), or arrays by the
    names of their columns. `columns` says what nobody knows: {"d_loss": "LossD"}. `objective`, and whether a column
    `d_loss` is the mean or the sum of its parts on reals and on fakes, are inferred where nobody says them. Fakes and
    reals are .npy, .npz or .pt files, folders of pictures, or a picture that is a grid of `tile` pixels a sample
    (default: as large as the reals).

    Raises:
        InvalidInput: a file or a value cannot be used, or there are several trainings, which `diagnose_each` tells
            apart; it says where and what to do.
    """
    found = diagnose_each(
        history,
        fakes=fakes,
        real=real,
        objective=objective,
        steps_per_epoch=steps_per_epoch,
        d_loss=d_loss,
        columns=columns,
        tile=tile,
    )
    if len(found) > 1:
        raise InvalidInput(f"There are {len(found)} trainings: {', '.join(found)}. ganclinic.diagnose_each takes each.")
    return next(iter(found.values()))


def diagnose_each(
    history: Logs,
    *,
    fakes: Fakes | None = None,
    real: PathLike | None = None,
    objective: str | None = None,
    steps_per_epoch: int | None = None,
    d_loss: DLoss | None = None,
    columns: Mapping[str, str] | None = None,
    tile: int | None = None,
    standard_input: bytes | None = None,
) -> dict[str, HistoryDiagnosis]:
    """The diagnosis of each game and run of a log by its name, as the trainer calls it; one alone may have none.

    The arguments are those of `diagnose`; `standard_input` is what the file `-` holds.

    Raises:
        InvalidInput: a file or a value cannot be used; it says where and what to do.
    """
    if (fakes is None) != (real is None):
        raise InvalidInput("Fakes are compared with reals: give both, fakes and real, or neither.")
    try:
        sources = _sources(history, columns, standard_input)
        readings = {
            name: read_history(source, objective=objective, steps_per_epoch=steps_per_epoch, d_loss=d_loss)
            for name, source in sources.items()
        }
    except InvalidHistory as error:
        raise InvalidInput(f"{error}.") from None
    if fakes is None or real is None:
        return {name: diagnose_reading(reading) for name, reading in readings.items()}
    if len(readings) > 1:
        raise InvalidInput(f"Fakes are of one training, and there are {len(readings)}: {', '.join(readings)}.")
    [(name, reading)] = readings.items()
    missing = [module for module in NEEDED if find_spec(module) is None]
    if missing:
        note = NO_TORCH.format(missing=", ".join(missing))
        return {name: diagnose_reading(replace(reading, notes=(*reading.notes, note)))}
    evaluations, notes = _evaluate(reading, fakes, Path(real), tile)
    return {name: diagnose_reading(replace(reading, notes=(*reading.notes, *notes)), evaluations)}


def _sources(
    history: Logs, columns: Mapping[str, str] | None, standard_input: bytes | None
) -> dict[str, Table | Mapping[str, Any]]:
    """What is to be diagnosed, by name; names that come twice are numbered."""
    if isinstance(history, Mapping):
        return {"": history}
    paths = [history] if isinstance(history, str | Path) else history
    found: dict[str, Table | Mapping[str, Any]] = {}
    for table in read_logs([Path(path) for path in paths], columns, standard_input=standard_input):
        name, number = table.name, 2
        while name in found:
            name, number = f"{table.name} ({number})", number + 1
        found[name] = table
    return found


def _evaluate(
    reading: Reading, fakes: Fakes, real: Path, tile: int | None
) -> tuple[Sequence[EpochEvaluation], Sequence[str]]:
    """In a process of its own: this package imports no torch."""
    pairs = fakes.items() if isinstance(fakes, Mapping) else [(None, fakes)]
    request = {
        "real": str(real),
        "fakes": [[epoch, str(path)] for epoch, path in pairs],
        "last_epoch": reading.history.epoch,
        "epochs_known": reading.epochs_known,
        "tile": tile,
    }
    done = subprocess.run(
        [sys.executable, "-P", "-m", EVALUATOR],  # -P: a trainer's folder may hold a `random.py` of its own
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"])[-1]
        raise InvalidInput(f"The fakes could not be compared with the reals: {last}.") from None
    if "error" in answer:
        raise InvalidInput(f"{answer['error']}.")
    return [EpochEvaluation.from_json(found) for found in answer["evaluations"]], answer["notes"]
