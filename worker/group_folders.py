"""Where the processes of one training meet: a folder an attempt, `ranks/RUN.ATTEMPT` in the state directory.

It holds the state that the others begin with, as large as a checkpoint. Whoever is killed leaves it behind. So the
worker deletes it once the training process is over, and at its start those of all attempts that are over.
"""

import re
import shutil
from pathlib import Path

from sqlalchemy import Engine

from store.core.db import reading
from store.core.models import Run

NAME = re.compile(r"([0-9a-f]{16})\.(\d+)")


def folder_of(home: Path, run_id: str, attempt: int) -> Path:
    """The folder of that attempt, whether it is there or not."""
    return home / "ranks" / f"{run_id}.{attempt}"


def delete(home: Path, run_id: str, attempt: int) -> None:
    """Deletes the folder of that attempt, if there is one."""
    shutil.rmtree(folder_of(home, run_id, attempt), ignore_errors=True)


def sweep(engine: Engine, home: Path) -> list[str]:
    """Deletes the folders of attempts that are over; their names. Files that are named otherwise stay."""
    folders = sorted(home.joinpath("ranks").glob("*"))
    named = [(folder, found) for folder in folders if (found := NAME.fullmatch(folder.name)) is not None]
    gone: list[str] = []
    with reading(engine) as session:
        for folder, found in named:
            run = session.get(Run, found[1])
            if run is None or run.status != "running" or run.attempt != int(found[2]):
                shutil.rmtree(folder, ignore_errors=True)
                gone.append(folder.name)
    return gone
