"""What is kept of a run: enough to diagnose it anew and to see what the oracle saw, in a few tens of kilobytes."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.verdicts.inside_figures import Inside
from bench.verdicts.oracle_figures import FIGURES
from ganlib.diagnosis.history import History
from ganlib.records import STEP_COLUMNS, EpochEvaluation, LayerGradients, Null
from ganlib.spec.request import RunRequest
from ganlib.spec.run import RunSpec

RECORDINGS = Path(__file__).parent / "recordings"
LARGEST = 65_000.0  # float16 ends at 65,504; what was infinite stays so
NULL_FIELDS = ("mean", "q05", "q95")


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One recorded run."""

    request: RunRequest
    history: History
    oracle: NDArray[np.float32]
    """[evaluations, len(FIGURES)], epoch 0 first."""
    pictures: dict[int, NDArray[Any]]
    """By epoch: images [n, channels, height, width] as uint8, or points [n, d]."""
    seconds: float
    """Of training alone, on one thread."""
    evaluation_seconds: float
    bins: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 2), np.float32))
    """[K, 2] shares of the training data and of the last fakes, NDB bin by bin; [0, 2] where they were not kept."""
    inside: Inside | None = None
    """None in recordings of the suite's first runs."""

    @cached_property
    def spec(self) -> RunSpec:
        """The run's spec."""
        return self.request.resolve()

    def figure(self, name: str) -> NDArray[np.float32]:
        """[evaluations] what the oracle saw, epoch 0 first."""
        return self.oracle[:, FIGURES.index(name)]


def save(recording: Recording, path: Path) -> None:
    """Write it, all or nothing."""
    history = recording.history
    names = sorted(history.evaluations[-1].values)
    last = history.evaluations[-1]
    layers = sorted(history.gradients[-1].ratios)
    arrays: dict[str, Any] = {
        "request": np.array(recording.request.model_dump_json()),
        "evaluation": np.array(json.dumps(_head(last) | {"names": names, "layers": layers})),
        "seconds": np.array([recording.seconds, recording.evaluation_seconds], np.float32),
        "steps": _halved(history.steps),
        "epochs": np.array([e.epoch for e in history.evaluations], np.int32),
        "values": np.array([[e.values[n] for n in names] for e in history.evaluations], np.float32),
        "nulls": np.array([[_null(last, n, field) for field in NULL_FIELDS] for n in names], np.float32),
        "gradient_steps": np.array([g.step for g in history.gradients], np.int32),
        "gradients": np.array([[g.ratios[layer] for layer in layers] for g in history.gradients], np.float32),
        "oracle": recording.oracle.astype(np.float32),
        "bins": recording.bins.astype(np.float16),
        **{f"picture_{epoch}": picture for epoch, picture in recording.pictures.items()},
        **({} if recording.inside is None else _of_inside(recording.inside)),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    _pack(part, arrays)
    part.rename(path)


def _pack(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """As numpy's own archives, which numpy reads, but packed by LZMA: a quarter smaller."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def load(path: Path) -> Recording:
    """The recording in a file."""
    with np.load(path, allow_pickle=False) as arrays:
        request = RunRequest.model_validate_json(str(arrays["request"]))
        head = json.loads(str(arrays["evaluation"]))
        spec = request.resolve()
        seconds, evaluation_seconds = arrays["seconds"].tolist()
        return Recording(
            request=request,
            history=History(
                objective=spec.objective.name,
                steps_per_epoch=spec.steps_per_epoch,
                epochs_total=spec.training.epochs,
                steps=arrays["steps"].astype(np.float32),
                evaluations=_evaluations(head, arrays["epochs"], arrays["values"], arrays["nulls"]),
                gradients=tuple(
                    LayerGradients(step=int(step), ratios=dict(zip(head["layers"], map(float, row), strict=True)))
                    for step, row in zip(arrays["gradient_steps"], arrays["gradients"], strict=True)
                ),
            ),
            oracle=arrays["oracle"],
            pictures={int(n[8:]): arrays[n] for n in arrays.files if n.startswith("picture_")},
            seconds=seconds,
            evaluation_seconds=evaluation_seconds,
            **({"bins": arrays["bins"].astype(np.float32)} if "bins" in arrays.files else {}),
            inside=_inside(arrays) if "shares" in arrays.files else None,
        )


def _of_inside(inside: Inside) -> dict[str, Any]:
    return {
        "shares": inside.shares.astype(np.float16),
        "discriminator": np.array(json.dumps(inside.discriminator)),
        "fake_bins": inside.bins.astype(np.uint16),
        "movement": inside.movement.astype(np.float32),
        **{f"space_{name}": looks.astype(np.float32) for name, looks in inside.elsewhere.items()},
        **{f"change_{name}": looks.astype(np.float32) for name, looks in inside.changes.items()},
    }


def _inside(arrays: Mapping[str, NDArray[Any]]) -> Inside:
    return Inside(
        shares=arrays["shares"].astype(np.float32),
        discriminator=json.loads(str(arrays["discriminator"])),
        bins=arrays["fake_bins"].astype(np.int32),
        movement=arrays["movement"],
        elsewhere=_by_name(arrays, "space_"),
        changes=_by_name(arrays, "change_"),
    )


def _by_name(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[np.float32]]:
    return {name.removeprefix(prefix): arrays[name] for name in arrays if name.startswith(prefix)}


def _head(evaluation: EpochEvaluation) -> dict[str, Any]:
    return {n: getattr(evaluation, n) for n in ("space", "n_real", "n_fake", "n_subset", "num_bins")}


def _null(evaluation: EpochEvaluation, name: str, field: str) -> float:
    return getattr(evaluation.nulls[name], field) if name in evaluation.nulls else float("nan")


def _evaluations(
    head: dict[str, Any], epochs: NDArray[np.int32], values: NDArray[np.float32], nulls: NDArray[np.float32]
) -> tuple[EpochEvaluation, ...]:
    names = head["names"]
    first = EpochEvaluation(
        epoch=0,
        **{n: head[n] for n in ("space", "n_real", "n_fake", "n_subset", "num_bins")},
        values={},
        nulls={},
        shift={},
        bins=(),
    )
    return tuple(
        replace(
            first,
            epoch=int(epoch),
            values=dict(zip(names, map(float, row), strict=True)),
            nulls={
                name: Null(mean=float(null[0]), q05=float(null[1]), q95=float(null[2]), excess=float(value - null[0]))
                for name, null, value in zip(names, nulls, row, strict=True)
                if not np.isnan(null[0])
            },
        )
        for epoch, row in zip(epochs, values, strict=True)
    )


def _halved(steps: NDArray[np.float32]) -> NDArray[np.float16]:
    """Half the bits, of which the last three are 0: eight binary digits are enough, and what is finite stays so.

    Column after column, which packs a tenth smaller than row after row.
    """
    clipped = np.where(np.isfinite(steps), np.clip(steps, -LARGEST, LARGEST), steps)
    assert clipped.shape[1] == len(STEP_COLUMNS)
    bits = clipped.astype(np.float16).view(np.uint16).astype(np.uint32)
    rounded = np.where(np.isfinite(clipped), (bits + 4) & ~np.uint32(7), bits).astype(np.uint16)
    return np.asfortranarray(rounded.view(np.float16))
