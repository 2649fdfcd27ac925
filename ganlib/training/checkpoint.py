# pyright: standard
"""A training's whole state as one file: tensors in the safetensors format, the rest as JSON in its header.

Nothing is unpickled when it is read, so a foreign file can at worst be refused.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ganlib.training.loop import TrainingState

FORMAT = "ganclinic-checkpoint-1"
PARTS = ("generator", "discriminator", "generator_optimizer", "discriminator_optimizer", "remedies")


SYSTEM_ERROR = re.compile(r"\(os error (?P<errno>\d+)\)")


class CheckpointUnreadable(ValueError):
    """The file is missing, cut short or not a checkpoint."""


def save(path: Path, state: TrainingState) -> None:
    """Write the state to `path`: after a crash at any moment, the file is either absent or whole.

    Raises:
        OSError: it cannot be written, with the `errno` that says why.
    """
    tensors: dict[str, torch.Tensor] = {}
    rest = {part: _take_tensors(getattr(state, part), part, tensors) for part in PARTS}
    rest |= {"spec_hash": state.spec_hash, "epoch": state.epoch, "step": state.step}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        _save_file(tensors, part, {"format": FORMAT, "state": json.dumps(rest)})
        _sync(part)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def load(path: Path) -> TrainingState:
    """The state that `save` wrote, its tensors on the CPU.

    Raises:
        CheckpointUnreadable: the file is missing, cut short or not a checkpoint.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise CheckpointUnreadable(f"{path} is not a checkpoint of the format {FORMAT}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
    except (OSError, SafetensorError) as error:
        raise CheckpointUnreadable(f"{path} cannot be read: {error}") from None
    rest = json.loads(metadata["state"])
    parts = {part: _put_tensors(rest[part], tensors) for part in PARTS}
    return TrainingState(spec_hash=rest["spec_hash"], epoch=rest["epoch"], step=rest["step"], **parts)


def _save_file(tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str]) -> None:
    try:
        save_file(tensors, path, metadata=metadata)
    except SafetensorError as error:  # tells the system's error in its text alone
        if (found := SYSTEM_ERROR.search(str(error))) is None:
            raise
        raise OSError(int(found["errno"]), os.strerror(int(found["errno"])), str(path)) from None


def _take_tensors(value: Any, path: str, tensors: dict[str, torch.Tensor]) -> Any:
    """The value with tensors moved into `tensors`; dicts become pairs, since JSON would turn number keys to text."""
    match value:
        case torch.Tensor():
            tensors[path] = value.detach().cpu().contiguous().clone()
            return {"tensor": path}
        case dict():
            return {"pairs": [[key, _take_tensors(v, f"{path}/{key}", tensors)] for key, v in value.items()]}
        case list() | tuple():
            return [_take_tensors(v, f"{path}/{i}", tensors) for i, v in enumerate(value)]
        case _:
            return value


def _put_tensors(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    match value:
        case {"tensor": name}:
            return tensors[name]
        case {"pairs": pairs}:
            return {key: _put_tensors(v, tensors) for key, v in pairs}
        case list():
            return [_put_tensors(v, tensors) for v in value]
        case _:
            return value


def _sync(path: Path) -> None:
    """Force a file's content, or a directory's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
