"""What a run has recorded as files, written while they are sent: however long the run, little of it is in memory."""

import io
import zipfile
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
from anyio.to_thread import run_sync
from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from sqlalchemy import Engine
from typing_extensions import override

from api.deps import FoundRun, Reader, ServicesDep
from api.errors import NotRecorded, documented
from api.http.concurrency import LOOK_TURNS
from ganlib.records import STEP_COLUMNS
from store.core.db import reading
from store.core.errors import ArtifactNotFound
from store.core.models import Artifact, Run
from store.files.artifacts import Artifacts
from store.runs import records
from store.runs.series import read_steps

CSV, ZIP = "text/csv", "application/zip"
STEPS_AT_ONCE = 10_000
DIGITS = 9
"""Significant ones, with which every float32 is read as it was."""
ZIP_BEGIN = (1980, 1, 1, 0, 0, 0)  # the same samples are the same file, whenever they are asked for

router = APIRouter(prefix="/runs/{run_id}", tags=["downloads"])


def _file(media_type: str, schema: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": "The file", "content": {media_type: {"schema": schema}}}, **documented(404)}


@router.get("/losses.csv", response_class=StreamingResponse, responses=_file(CSV, {"type": "string"}))
def download_losses(run: FoundRun, services: ServicesDep) -> StreamingResponse:
    """Read losses, accuracies and gradient norms of every step, as CSV."""
    if run.epochs_done == 0:
        raise NotRecorded("epoch yet")
    lines = _losses(services.engine, run)
    return _attachment(lines, f"{CSV}; charset=utf-8", f"{run.id}-losses.csv")


async def _losses(engine: Engine, run: Run) -> AsyncIterator[bytes]:
    yield (",".join(["step", "epoch", *STEP_COLUMNS]) + "\n").encode()
    first = 0
    while lines := await run_sync(_lines, engine, run, first, limiter=LOOK_TURNS.limiter()):
        yield "".join(lines).encode()
        if len(lines) < STEPS_AT_ONCE:
            return
        first += STEPS_AT_ONCE


def _lines(engine: Engine, run: Run, first: int) -> list[str]:
    with reading(engine) as session:
        steps = read_steps(session, run.id, first, first + STEPS_AT_ONCE)
        numbers = np.arange(first + 1, first + 1 + len(steps))
        epochs = records.epochs_of_steps(session, run, numbers)
    line = f"%d,%d{f',%.{DIGITS}g' * len(STEP_COLUMNS)}\n"
    return [
        line % (number, epoch, *values)
        for number, epoch, values in zip(numbers.tolist(), epochs.tolist(), steps.tolist(), strict=True)
    ]


@router.get(
    "/samples.zip",
    response_class=StreamingResponse,
    responses=_file(ZIP, {"type": "string", "format": "binary"}),
)
def download_samples(run: FoundRun, session: Reader, services: ServicesDep) -> StreamingResponse:
    """Read the pictures of samples of all epochs, as one archive."""
    pictures = records.artifacts(session, run.id, "samples")
    if not pictures:
        raise NotRecorded("samples yet")
    return _attachment(_archive(services.artifacts, pictures), ZIP, f"{run.id}-samples.zip")


async def _archive(artifacts: Artifacts, pictures: Sequence[Artifact]) -> AsyncIterator[bytes]:
    written = _Written()
    with zipfile.ZipFile(written, "w") as archive:
        for picture in pictures:
            try:
                content = await run_sync(artifacts.get, picture.sha256, limiter=LOOK_TURNS.limiter())
            except ArtifactNotFound:  # retention, or whoever deletes the run, was faster
                continue
            entry = zipfile.ZipInfo(f"epoch-{picture.epoch:05d}.png", ZIP_BEGIN)
            archive.writestr(entry, content)  # as it is: PNG is compressed already
            yield written.take()
    yield written.take()


class _Written(io.RawIOBase):
    """What was written and not yet taken; it cannot go back."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []

    @override
    def writable(self) -> bool:
        return True

    @override
    def write(self, piece: Any, /) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def take(self) -> bytes:
        """What was written since the last time."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def _attachment(content: AsyncIterator[bytes], media_type: str, name: str) -> StreamingResponse:
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(content, media_type=media_type, headers=headers)
