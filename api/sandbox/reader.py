"""Archives of other people, read in a process that may crash: one a file, with rations, and killed when it hangs.

Arrays in .npy files are read here: nothing is decoded of them but a header, by Python.
"""

import errno
import logging
import math
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

import api
import ganlib
from api.sandbox.messages import MIB, NAME_BYTES, Answer, Rations, Task
from ganlib.data.archives import DifferentSizes, InvalidUpload, Limits, ReadSamples, read_samples
from ganlib.data.array_files import MAGIC
from ganlib.data.picture_files import Convert
from store.core.settings import needed_by_python

CHILD: tuple[str, ...] = (sys.executable, "-m", "api.sandbox.child")
LEAST_S, S_A_MIB, MOST_S = 60.0, 2.0, 135.0
"""Processor time, over ten times what pictures take. Clients wait for ten minutes, for two files at most."""
WALL_FACTOR = 2  # time on the clock for each second of a processor
RATIONED = {errno.EMFILE, errno.EFBIG}
BY_RATIONS = {-signal.SIGXCPU, -signal.SIGKILL}
"""How it ends that takes too much, also before it comes to a picture: of a list of a million files, say."""
TYPES = ("|u1", "<f4")
LOG_BYTES = 2000

logger = logging.getLogger(__name__)


class ReadingFailed(RuntimeError):
    """The process that should have read an upload failed before it came to a picture: no fault of the upload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    """Files without names that the process writes into."""

    samples: BinaryIO
    labels: BinaryIO
    answer: BinaryIO
    entry: BinaryIO
    log: BinaryIO

    @classmethod
    def made(cls, folder: Path | None, stack: ExitStack) -> "_Files":
        def make() -> BinaryIO:
            return cast("BinaryIO", stack.enter_context(tempfile.TemporaryFile(dir=folder)))

        return cls(samples=make(), labels=make(), answer=make(), entry=make(), log=make())

    @property
    def shared(self) -> dict[str, int]:
        """Descriptors by the names that a `Task` has for them."""
        return {name: getattr(self, name).fileno() for name in ("samples", "labels", "answer", "entry")}


def read_apart(
    file: BinaryIO,
    limits: Limits,
    image_size: int | None = None,
    *,
    pairs: bool = False,
    convert: Convert | None = None,
    rations: Rations | None = None,
    child: Sequence[str] | None = None,
) -> ReadSamples:
    """As `ganlib.data.archives.read_samples`, but what breaks a decoder of pictures breaks another process.

    Raises:
        DifferentSizes: pictures have different sizes.
        InvalidUpload: it cannot be used, or reading it crashed, hung or took too much memory.
        OSError: there is no room for what is in it.
        ReadingFailed: the service cannot read uploads.
    """
    file.seek(0)
    if file.read(len(MAGIC)) == MAGIC:
        return read_samples(file, limits, image_size, pairs=pairs)
    rations = rations or Rations(seconds=seconds_for(file.seek(0, os.SEEK_END)))
    with ExitStack() as stack:
        files = _Files.made(limits.scratch, stack)
        task = Task(
            upload=file.fileno(),
            **files.shared,
            limits=limits,
            image_size=image_size,
            pairs=pairs,
            convert=convert,
            rations=rations,
        )
        status = _run(task, files.log, child or CHILD)
        if status == 0:
            return _samples(_answer(files), files, limits, rations)
        if status not in BY_RATIONS:
            _require_begun(files, f"ended with the status {status}")
        raise InvalidUpload(_why_it_died(status, rations, files))


def seconds_for(packed: int) -> float:
    """How long a file of so many bytes may be read."""
    return min(MOST_S, LEAST_S + S_A_MIB * packed / MIB)


def _run(task: Task, log: BinaryIO, child: Sequence[str]) -> int:
    """Exit status; negative: the signal that ended it. A fresh program, since a fork of threads may lock up."""
    descriptors = (task.upload, task.samples, task.labels, task.answer, task.entry)
    process = subprocess.Popen(
        [*child, task.to_json()],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        pass_fds=descriptors,
        env=_environment(),
        start_new_session=True,
    )
    try:
        return process.wait(WALL_FACTOR * task.rations.seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return -signal.SIGXCPU
    finally:
        process.kill()  # nothing where it has ended
        process.wait()


def _environment() -> dict[str, str]:
    """What Python needs to start and to find our modules, and none of the service's secrets."""
    roots = dict.fromkeys(str(Path(package).resolve().parent) for package in (*api.__path__, *ganlib.__path__))
    return {
        **needed_by_python(),
        "PYTHONPATH": os.pathsep.join(roots),
        "PYTHONSAFEPATH": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",  # its buffers for threads would count as memory
        "LC_ALL": "C.UTF-8",
    }


def _answer(files: _Files) -> Answer:
    try:
        return Answer.read(files.answer)
    except ValueError as error:
        _require_begun(files, f"gave no answer: {error}")
        _log(files, f"gave no answer: {error}")
        raise InvalidUpload(f"cannot be read{_at(files)}; pack it again") from None


def _require_begun(files: _Files, what: str) -> None:
    """Returns where the process had come to a picture, which may then be what broke it.

    Raises:
        ReadingFailed: it had not: it is broken itself.
    """
    if not _at(files):
        _log(files, what, logging.ERROR)
        raise ReadingFailed("the process that reads uploads failed; the log says what it said") from None


def _samples(answer: Answer, files: _Files, limits: Limits, rations: Rations) -> ReadSamples:
    """What the process has read. It is believed no more than the file: it may have been taken over."""
    if answer.outcome == "different sizes":
        raise DifferentSizes(answer.words)
    if answer.outcome == "refused":
        raise InvalidUpload(answer.words)
    if answer.outcome == "failed" and answer.errno not in RATIONED:
        raise OSError(answer.errno, os.strerror(answer.errno))
    if answer.outcome == "no memory":
        raise InvalidUpload(_too_much_memory(rations, files))
    try:
        return _believed(answer, files, limits)
    except (TypeError, ValueError, OverflowError) as error:
        _log(files, f"gave what is none: {error}")
        raise InvalidUpload(f"cannot be read{_at(files)}; pack it again") from None


def _believed(answer: Answer, files: _Files, limits: Limits) -> ReadSamples:
    shape = tuple(int(length) for length in answer.shape)
    if answer.dtype not in TYPES or len(shape) < 2 or min(shape) < 1 or shape[0] < limits.min_samples:
        raise ValueError(f"samples of {answer.dtype!r} and the shape {shape}")
    dtype = np.dtype(answer.dtype)
    size = files.samples.seek(0, os.SEEK_END)
    if size != math.prod(shape) * dtype.itemsize or size > 2 * limits.unpacked_bytes:
        raise ValueError(f"{size} bytes for the shape {shape}")
    array: NDArray[Any] = np.memmap(files.samples, dtype=dtype, mode="r", shape=shape)
    if answer.classes is None:
        return ReadSamples(array=array)
    names = tuple(str(name) for name in answer.classes)
    files.labels.seek(0)
    labels = np.frombuffer(files.labels.read(8 * shape[0] + 1), "<i8").astype(np.int64)
    if len(labels) != shape[0] or labels.min() < 0 or labels.max() >= len(names):
        raise ValueError(f"{len(labels)} labels of {len(names)} classes")
    return ReadSamples(array=array, labels=labels, class_names=names)


def _why_it_died(status: int, rations: Rations, files: _Files) -> str:
    _log(files, f"ended with the status {status}")
    if status == -signal.SIGXCPU:
        return f"takes longer to read than {rations.seconds:g} s{_at(files)}; leave that picture out, or save it again"
    if status == -signal.SIGKILL:  # by the kernel, which has no memory left
        return _too_much_memory(rations, files)
    return f"makes the decoder crash{_at(files)}; leave that picture out, or save it again"


def _too_much_memory(rations: Rations, files: _Files) -> str:
    allowed = f"{rations.memory_bytes // MIB:,} MiB"
    return f"takes more memory to read than {allowed}{_at(files)}; save smaller pictures, or fewer in one file"


def _at(files: _Files) -> str:
    """Which picture it was, in words; nothing where none had been begun."""
    files.entry.seek(0)
    name = files.entry.read(NAME_BYTES).rstrip(b"\0").decode("utf-8", "replace")
    return f" at {name!r:.100}" if name else ""


def _log(files: _Files, what: str, level: int = logging.WARNING) -> None:
    size = files.log.seek(0, os.SEEK_END)
    files.log.seek(max(0, size - LOG_BYTES))
    said = files.log.read(LOG_BYTES).decode("utf-8", "replace")
    words = said.strip() or "it said nothing"
    logger.log(level, "the process that reads an upload %s%s: %s", what, _at(files), words)
