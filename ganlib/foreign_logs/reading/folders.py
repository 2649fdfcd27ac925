"""Folders that trainers write: which of their files are logs, and which of those belong together."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from ganlib.foreign_logs.column_names import InvalidHistory

MAX_FILES = 20_000
MAX_DEPTH = 8
KINDS: tuple[re.Pattern[str], ...] = (
    re.compile(r"^stats\.jsonl$"),  # StyleGAN
    re.compile(r"^events\.out\.tfevents\."),  # TensorBoard
    re.compile(r"^loss_log\.txt$"),  # pix2pix
    re.compile(r"^metrics\.csv$"),  # Lightning
    re.compile(r"^(?:\d{8}_\d{6}\.log\.json|scalars\.json|\d{8}_\d{6}\.json)$"),  # mmgeneration, mmagic
    re.compile(r"^[^.]+$"),  # MLflow's metrics, Chainer's log: no ending
    re.compile(r"^(?:G|D)_loss.*\.log$"),  # BigGAN
    re.compile(r"\.jsonl(?:\.gz)?$"),
    re.compile(r"\.csv(?:\.gz)?$"),
    re.compile(r"\.(?:log|txt|out)(?:\.gz)?$"),
    re.compile(r"\.(?:json|npz)$"),
)
"""Names of files, the surest first: the first kind that holds logs is read, and no other."""
SURE_KINDS = 5
"""As many of them are of one training where they lie in one folder."""
OPTIONS = "training_options.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLog:
    """Files of one folder that make one log."""

    folder: Path
    paths: tuple[Path, ...]
    is_one_training: bool
    """Whether several files are parts of one training, each begun where it was started again."""
    batch_size: int | None
    """What the options beside it say."""


def logs_by_kind(root: Path) -> list[list[FoundLog]]:
    """The files of each kind, those of one folder together.

    Raises:
        InvalidHistory: the folder is too large to look through.
    """
    kinds: list[dict[Path, list[Path]]] = [{} for _ in KINDS]
    count = 0
    for place, folders, names in os.walk(root):
        folder = Path(place)
        folders.sort()
        if len(folder.relative_to(root).parts) >= MAX_DEPTH:
            folders.clear()
        count += len(names)
        if count > MAX_FILES:
            raise InvalidHistory(f"{root} holds more than {MAX_FILES:,} files; give the folder of one training")
        for name in sorted(names):
            kind = next((at for at, pattern in enumerate(KINDS) if pattern.search(name)), None)
            if kind is not None:
                kinds[kind].setdefault(folder, []).append(folder / name)
    return [
        [
            FoundLog(folder=folder, paths=tuple(paths), is_one_training=at < SURE_KINDS, batch_size=_batch_size(folder))
            for folder, paths in kind.items()
        ]
        for at, kind in enumerate(kinds)
    ]


def _batch_size(folder: Path) -> int | None:
    """How many images an update takes, as StyleGAN's options beside its log say."""
    try:
        options = json.loads((folder / OPTIONS).read_text("utf-8"))
        size = options.get("batch_size")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return size if isinstance(size, int) and size > 0 else None
