"""`python -m api.sandbox.child TASK`: reads one upload, behind walls and with rations, before it looks at a byte.

Decoders of pictures are large, and are written in C: what was made to break one breaks this process, which has neither
the service's secrets in its environment nor a way to anything. It imports neither FastAPI nor torch.
"""

import contextlib
import ctypes
import errno
import os
import resource
import signal
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO, cast

from api.sandbox.messages import MIB, NAME_BYTES, Answer, Rations, Task
from api.sandbox.walls import raise_walls
from ganlib.data import archives
from ganlib.data.archives import DifferentSizes, InvalidUpload, ReadSamples
from ganlib.data.samples import blocks, stored_type

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
ADDRESSES_BYTES = 1024 * MIB  # libraries, and threads' stacks that nobody touches
HARD_S = 5  # from SIGXCPU to SIGKILL: where both limits are equal, Linux sends only the latter


def main() -> int:
    """Answers in the file that the task names."""
    task = Task.from_json(sys.argv[1])
    confine(task.rations, task.limits.unpacked_bytes)
    raise_walls(task.limits.scratch or Path(tempfile.gettempdir()))
    with opened(task.answer) as file:
        answered(task).write(file)
    return 0


def confine(rations: Rations, unpacked_bytes: int) -> None:
    """Holds this process to its rations, and to its parent's life. What the system does not know is left out."""
    seconds = max(1, int(rations.seconds))
    # Unpacked samples lie in files, pairs of them twice, and are looked at through mappings: these are no memory.
    mapped = 2 * unpacked_bytes + ADDRESSES_BYTES
    limits = {
        "RLIMIT_DATA": (rations.memory_bytes, 0),
        "RLIMIT_AS": (rations.memory_bytes + mapped, 0),
        "RLIMIT_CPU": (seconds, HARD_S),
        "RLIMIT_NOFILE": (rations.files, 0),
        "RLIMIT_FSIZE": (2 * unpacked_bytes + ADDRESSES_BYTES, 0),
        "RLIMIT_NPROC": (0, 0),  # no process and no thread; root is exempt
        "RLIMIT_CORE": (0, 0),
    }
    for name, (soft, more) in limits.items():
        with contextlib.suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (soft, soft + more))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def answered(task: Task) -> Answer:
    """Reads the upload, and leaves its samples where the task says."""
    try:
        with opened(task.upload) as upload:
            samples = archives.read_samples(
                upload,
                task.limits,
                task.image_size,
                pairs=task.pairs,
                convert=task.convert,
                begin=lambda name: note(task.entry, name),
            )
        return given(samples, task)
    except DifferentSizes as error:
        return Answer(outcome="different sizes", words=str(error))
    except InvalidUpload as error:
        return Answer(outcome="refused", words=str(error))
    except MemoryError:
        return Answer(outcome="no memory")
    except OSError as error:
        if error.errno == errno.ENOMEM:
            return Answer(outcome="no memory")
        return Answer(outcome="failed", errno=error.errno or 0)


def given(samples: ReadSamples, task: Task) -> Answer:
    """Writes values and labels; says what they are."""
    with opened(task.samples) as file:
        for block in blocks(samples.array):
            file.write(block.data)
    if samples.labels is not None:
        with opened(task.labels) as file:
            file.write(samples.labels.astype("<i8").tobytes())
    return Answer(
        outcome="read",
        shape=samples.array.shape,
        dtype=stored_type(samples.array.dtype).str,
        classes=None if samples.labels is None else samples.class_names,
    )


def note(descriptor: int, name: str) -> None:
    """Leaves the name of the picture that is read next, so that it can be told which one broke the decoder."""
    os.pwrite(descriptor, name[:100].encode("utf-8", "replace").ljust(NAME_BYTES, b"\0"), 0)


def opened(descriptor: int) -> BinaryIO:
    """A file that the parent has opened; it stays open there."""
    return cast("BinaryIO", os.fdopen(descriptor, "r+b"))


if __name__ == "__main__":
    sys.exit(main())
