"""A block of steps on its way from a trainer: a short header of JSON, and every number as eight bytes.

block = encode(["errD", "errG"], [[1.2, 0.7], [1.1, 0.8]])     # first step, then the next one
names, values = decode(block)

    4 bytes   GCS1
    4 bytes   length of the header, little-endian
    header    {"names": ["errD", "errG"], "steps": 2}
    values    little-endian float64, step after step, in the order of the names

Not-a-number and infinities are data. A cell that the trainer has not sent is one certain not-a-number, `ABSENT`.
"""

import json
import struct
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

MAGIC = b"GCS1"
HEAD = struct.Struct("<4sI")
MAX_NAMES = 200
MAX_NAME = 200
MAX_BLOCK_STEPS = 50_000
MEDIA_TYPE = "application/vnd.ganclinic.steps"
ABSENT_BITS = 0x7FF8_0000_0000_0A15
ABSENT: float = struct.unpack("<d", struct.pack("<Q", ABSENT_BITS))[0]


class InvalidBlock(ValueError):
    """The bytes are no block of steps; the message says why."""


def encode(names: Sequence[str], steps: Sequence[Sequence[float]] | NDArray[np.float64]) -> bytes:
    """The block of these steps, [n, len(names)]."""
    values = np.ascontiguousarray(steps, dtype="<f8")
    header = json.dumps({"names": list(names), "steps": len(values)}).encode()
    return HEAD.pack(MAGIC, len(header)) + header + values.tobytes()


def decode(block: bytes) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Names and steps [n, len(names)] of a block.

    Raises:
        InvalidBlock: saying what is wrong.
    """
    if len(block) < HEAD.size or not block.startswith(MAGIC):
        raise InvalidBlock(f"begins with {block[:4]!r}, not with GCS1")
    _, length = HEAD.unpack_from(block)
    names, count = _header(block[HEAD.size : HEAD.size + length])
    body = block[HEAD.size + length :]
    if len(body) != 8 * count * len(names):
        raise InvalidBlock(
            f"holds {len(body):,} bytes of numbers; {count:,} steps of {len(names)} names are "
            f"{8 * count * len(names):,}"
        )
    return names, np.frombuffer(body, dtype="<f8").reshape(count, len(names)).astype(np.float64, copy=False)


def _header(text: bytes) -> tuple[tuple[str, ...], int]:
    try:
        header: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidBlock("has no header of JSON") from None
    if not isinstance(header, dict):
        raise InvalidBlock("has no header with names and steps")
    held = cast("dict[str, Any]", header)
    names, count = _names(held.get("names")), held.get("steps")
    if names is None:
        raise InvalidBlock(
            f"names has to be a list of 1 to {MAX_NAMES} different printable texts of at most {MAX_NAME} characters"
        )
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MAX_BLOCK_STEPS:
        raise InvalidBlock(f"steps has to be a number from 1 to {MAX_BLOCK_STEPS:,}")
    return names, count


def _names(names: Any) -> tuple[str, ...] | None:
    """The names; None where they are not what they have to be."""
    if not isinstance(names, list):
        return None
    found = tuple(cast("list[Any]", names))
    if 1 <= len(found) <= MAX_NAMES and all(map(_is_name, found)) and len(set(found)) == len(found):
        return found
    return None


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and 1 <= len(name) <= MAX_NAME and name.isprintable()


def is_absent(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which cells the trainer has not sent, of any shape."""
    return np.ascontiguousarray(values, dtype=np.float64).view(np.uint64) == ABSENT_BITS
