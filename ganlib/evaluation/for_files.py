# pyright: standard
"""Fakes and reals in files, evaluated as a run's are: `python -m ganlib.evaluation.for_files`, JSON in and JSON out.

A process of its own, so that a client without torch can do without it. In: `real`, a file; `fakes`, pairs of an epoch
or null and a file; `last_epoch`; `epochs_known`; `tile`, pixels or null. Out: `evaluations` and `notes`, or `error`,
with exit status 2.

Arrays are [n, …] in .npy or .npz files; nothing is unpickled. Bytes are pixels. With four axes the channels are the
second axis, or the last one where that has length 1 or 3 and the second has not. Floats with three or four axes are
pixels, whose scale is told file by file (`scales`); with two axes they are points, and stay as they are.
A .pt file holds one tensor, a folder a picture a sample, and a picture is a grid of samples, as large as the reals or
as `tile` says.
"""

import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ganlib.data.archives import BROKEN
from ganlib.data.array_files import read_npy, read_npz
from ganlib.data.load import as_float
from ganlib.data.samples import CHANNELS, InvalidUpload, Limits
from ganlib.evaluation.cache import Cache
from ganlib.evaluation.measures.table import Context
from ganlib.evaluation.pictures import found_tile, is_picture, read_folder, read_grid, read_tensor
from ganlib.evaluation.reference import Reference, evaluate, flat, prepare_reference
from ganlib.evaluation.scales import SIGNED, Scale, scale_of_fakes, scale_of_reals, span
from ganlib.records import EpochEvaluation
from ganlib.seeding import Stream, numpy_generator
from ganlib.spec.evaluation import Comparison
from ganlib.spec.evaluation import Evaluation as EvaluationSpec

USED_FAKES: int = EvaluationSpec.model_fields["num_samples"].default
"""As many fakes as a run's evaluation takes: thresholds were set at that number."""
FEWEST = 50
EPOCH_PREFIX = "epoch_"
TENSOR_SUFFIXES = (".pt", ".pth")
PICKLE = b"\x80"
Array = NDArray[Any]


class InvalidFiles(ValueError):
    """The files cannot be compared; the message names the file and the fix."""


def evaluate_files(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request, both as the module says.

    Raises:
        InvalidFiles: saying which file and why.
    """
    real = Path(request["real"])
    told = _tile_of_grids(request)
    reals = _only(real, told)
    size = told or _tile_size(reals)
    last, known = request["last_epoch"], request["epochs_known"]
    notes: list[str] = []
    sets: dict[int, tuple[str, Array]] = {}
    for epoch, path in request["fakes"]:
        for number, name, found in _sets_of(Path(path), epoch, size):
            array = _coloured(found, reals) if _is_grid(Path(path)) or Path(path).is_dir() else found
            _add(sets, last if number is None else _checked(number, name, last, known), name, array)
    evaluations = list(_evaluated(str(real), reals, sets, notes))
    return {"evaluations": [e.to_json() for e in evaluations], "notes": notes}


def _add(sets: dict[int, tuple[str, Array]], epoch: int, name: str, array: Array) -> None:
    if epoch in sets:
        raise InvalidFiles(f"{name} and {sets[epoch][0]} are both of epoch {epoch}; give one of them")
    sets[epoch] = (name, array)


def _checked(number: int, name: str, last: int, known: bool) -> int:
    if number > 0 and not known:
        raise InvalidFiles(
            f"{name}: which steps make epoch {number}? "
            "Give steps_per_epoch, or log a column `epoch`, and log every step"
        )
    if number > last:
        raise InvalidFiles(f"{name}: epoch {number} comes after the history's last one, {last}")
    return number


# --- reading ----------------------------------------------------------------------------------------------------


def _only(path: Path, size: tuple[int, int] | None) -> Array:
    found = list(_sets_of(path, None, size))
    if len(found) != 1:
        raise InvalidFiles(f"{path} holds {len(found)} arrays; save the real data as one")
    return found[0][2]


def _tile_of_grids(request: dict[str, Any]) -> tuple[int, int] | None:
    """Height and width of a tile as it is told, or else as the lines in one of the pictures part it.

    That is asked of pictures where the reals are a grid, too; other reals say it by their size.
    """
    if (told := request.get("tile")) is not None:
        return told, told
    grids = [path for path in (Path(request["real"]), *(Path(path) for _, path in request["fakes"])) if _is_grid(path)]
    if not grids or str(grids[0]) != request["real"]:
        return None
    try:
        return next((size for path in grids if (size := found_tile(path, Limits(min_samples=FEWEST)))), None)
    except InvalidUpload as error:
        raise InvalidFiles(f"{grids[0]} {error}") from None


def _is_grid(path: Path) -> bool:
    """Whether it is one picture."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return is_picture(file.read(16))


def _coloured(pictures: Array, reals: Array) -> Array:
    """Pictures that happen to be all grey, as constant ones are, in the three channels of the reals."""
    return pictures.repeat(3, axis=1) if pictures.shape[1] == 1 and _channels_first(reals).shape[1] == 3 else pictures


def _tile_size(reals: Array) -> tuple[int, int] | None:
    """Height and width of a tile as large as the reals; None where they are no images."""
    shape = _channels_first(reals).shape
    return (shape[2], shape[3]) if len(shape) == 4 else None


def _sets_of(path: Path, epoch: int | None, size: tuple[int, int] | None) -> Iterator[tuple[int | None, str, Array]]:
    """Epoch, name and array of each set of samples in the file."""
    for name, array in _arrays(path, size):
        number = name.removeprefix(EPOCH_PREFIX)
        named = name.startswith(EPOCH_PREFIX) and number.isdecimal()
        label = f"{path}, {name}" if named else str(path)
        if len(array) < FEWEST:
            raise InvalidFiles(f"{label} holds {len(array)} samples; at least {FEWEST} are needed")
        yield (int(number) if named and epoch is None else epoch), label, array


def _arrays(path: Path, size: tuple[int, int] | None) -> list[tuple[str, Array]]:
    """The arrays of the file, those of an .npz by their names."""
    try:
        return list(_read(path, size))
    except InvalidUpload as error:
        raise InvalidFiles(f"{path} {error}") from None
    except FileNotFoundError:
        raise InvalidFiles(f"There is no file {path}") from None
    except OSError as error:
        raise InvalidFiles(f"{path} cannot be read: {error.strerror or error}") from None
    except BROKEN as error:
        raise InvalidFiles(f"{path} is damaged ({str(error)[:100]}); save it again with numpy.save or savez") from None
    except RuntimeError:
        raise InvalidFiles(f"{path} is encrypted; pack it without a password") from None


def _read(path: Path, size: tuple[int, int] | None) -> Iterator[tuple[str, Array]]:
    limits = Limits(min_samples=FEWEST)
    if path.is_dir():
        yield "", read_folder(path, limits)
        return
    with path.open("rb") as file:
        start = file.read(16)
        if is_picture(start):
            if size is None:
                raise InvalidUpload("is one picture, and nothing says the size of its tiles; say it: --tile PIXELS")
            yield "", read_grid(path, size, limits)
            return
        if path.suffix.lower() in TENSOR_SUFFIXES or start.startswith(PICKLE):
            yield "", read_tensor(path, limits)
            return
        file.seek(0)
        if not zipfile.is_zipfile(file):
            yield "", read_npy(file, limits)
            return
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            limits.check_unpacked(sum(entry.file_size for entry in entries), path.stat().st_size)
            several = [e for e in entries if e.filename.startswith(EPOCH_PREFIX)] or [None]
            for entry in several:
                chosen = entries if entry is None else [entry]
                yield (chosen[0].filename.removesuffix(".npy") if chosen else ""), read_npz(archive, chosen, limits)


# --- comparing --------------------------------------------------------------------------------------------------


def _evaluated(
    real: str, reals: Array, sets: dict[int, tuple[str, Array]], notes: list[str]
) -> Iterator[EpochEvaluation]:
    reals = _channels_first(reals)
    fakes = {epoch: _used(_channels_first(array)) for epoch, (_, array) in sets.items()}
    for epoch, array in fakes.items():
        if array.shape[1:] != reals.shape[1:]:
            raise InvalidFiles(
                f"{sets[epoch][0]}: samples have the shape {list(array.shape[1:])}, those of {real} "
                f"{list(reals.shape[1:])}; save them alike"
            )
    _check_finite(real, reals)
    scale = _scale_of_reals(real, reals)
    scaled = _scaled(reals, real, scale, notes)
    references = {count: _reference(scaled, count) for count in {len(array) for array in fakes.values()}}
    for epoch, array in sorted(fakes.items()):
        name = sets[epoch][0]
        _note_broken(name, array, notes)
        of_fakes = scale_of_fakes(*span(array), scale if _has_scale(reals) else None) if _has_scale(array) else SIGNED
        yield evaluate(references[len(array)], _scaled(array, name, of_fakes, notes), epoch)


def _used(fakes: Array) -> Array:
    """Some of the fakes, by chance: a file may be sorted by class."""
    order = numpy_generator(0, Stream.EVALUATION).permutation(len(fakes))[:USED_FAKES]
    return np.asarray(fakes[np.sort(order)])


def _reference(reals: NDArray[np.float32], num_samples: int) -> Reference:
    context = Context(options=Comparison(), device=torch.device("cpu"))
    return prepare_reference(reals, context, flat, num_samples=num_samples, cache=Cache(None))


def _channels_first(array: Array) -> Array:
    if array.ndim == 4 and array.shape[3] in CHANNELS and array.shape[1] not in CHANNELS:
        return array.transpose(0, 3, 1, 2)
    return array[:, None] if array.ndim == 3 else array


def _has_scale(array: Array) -> bool:
    """Whether these are pixels as floats: bytes have one scale, points none."""
    return array.dtype != np.uint8 and array.ndim > 2


def _check_finite(name: str, reals: Array) -> None:
    if not np.isfinite(reals).all():
        raise InvalidFiles(f"{name} holds values that are not finite; leave those samples out")


def _note_broken(name: str, fakes: Array, notes: list[str]) -> None:
    broken = np.flatnonzero(~np.isfinite(fakes).reshape(len(fakes), -1).all(1))
    if len(broken):
        notes.append(
            f"{name}: {len(broken)} of the {len(fakes)} samples compared hold values that are not finite, and count as "
            "far from all data"
        )


def _scale_of_reals(name: str, reals: Array) -> Scale:
    if not _has_scale(reals):
        return SIGNED
    low, high = span(reals)
    found = scale_of_reals(low, high)
    if found is None:
        raise InvalidFiles(
            f"{name}: pixels reach {max(abs(low), abs(high)):g}; save bytes, or floats in [-1, 1] or [0, 1]"
        )
    return found


def _scaled(array: Array, name: str, scale: Scale, notes: list[str]) -> NDArray[np.float32]:
    """Pixels in [-1, 1], points as they are."""
    if not _has_scale(array) or scale is SIGNED:
        return as_float(array)
    low, high = span(array)
    notes.append(f"{name}: pixels reach from {low:.3g} to {high:.3g}, so they were taken for {scale.name}")
    return scale.signed(as_float(array))


def main() -> None:
    """One request on stdin, its answer on stdout."""
    try:
        answer = evaluate_files(json.load(sys.stdin))
    except InvalidFiles as error:
        answer = {"error": str(error)}
    json.dump(answer, sys.stdout, allow_nan=False)
    sys.exit(2 if "error" in answer else 0)


if __name__ == "__main__":
    main()
