"""What the API and the process that reads an upload for it say to each other."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self, cast

from ganlib.data.picture_files import Convert
from ganlib.data.samples import Limits

MIB = 1024**2
NAME_BYTES = 400  # of the entry that is being read: 100 characters of at most four bytes each
ANSWER_BYTES = 64 * MIB  # names of classes, most of all


@dataclass(frozen=True, slots=True, kw_only=True)
class Rations:
    """How much of the machine the process may take; the kernel holds it to that."""

    memory_bytes: int = 1024 * MIB
    """A picture of 4096 x 4096 pixels takes about 400 MiB."""
    seconds: float = 60.0
    """Time of a processor; twice as much may pass on the clock."""
    files: int = 32
    """Open at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is read, as which files: numbers of descriptors, whose files have no names."""

    upload: int
    samples: int
    """Where the values are written."""
    labels: int
    answer: int
    entry: int
    """Where the name of the picture stands that is being read."""
    limits: Limits
    image_size: int | None
    pairs: bool
    convert: Convert | None
    rations: Rations

    def to_json(self) -> str:
        """As the process is given it."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` wrote."""
        values: dict[str, Any] = json.loads(text)
        limits: dict[str, Any] = values.pop("limits")
        limits["scratch"] = limits["scratch"] and Path(limits["scratch"])
        rations = Rations(**values.pop("rations"))
        return cls(**values, limits=Limits(**limits), rations=rations)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of it."""

    outcome: Literal["read", "refused", "different sizes", "no memory", "failed"]
    words: str = ""
    """Why it is refused."""
    errno: int = 0
    """Why reading or writing failed."""
    shape: Sequence[int] = field(default_factory=list[int])
    """Of all samples."""
    dtype: str = ""
    classes: Sequence[str] | None = None
    """None where there are no labels."""

    def write(self, file: BinaryIO) -> None:
        """Leaves the answer in the file."""
        file.write(json.dumps(asdict(self)).encode())
        file.flush()

    @classmethod
    def read(cls, file: BinaryIO) -> Self:
        """The answer in the file.

        Raises:
            ValueError: there is none.
        """
        file.seek(0)
        text = file.read(ANSWER_BYTES + 1)
        if len(text) > ANSWER_BYTES:
            raise ValueError("the answer is too long")
        document: Any = json.loads(text)
        if not isinstance(document, dict):
            raise ValueError("the answer is no object")
        try:
            answer = cls(**cast("dict[str, Any]", document))
        except TypeError as error:
            raise ValueError(str(error)) from None
        kinds = (str, str, int, list, str, (list, type(None)))
        if not all(isinstance(getattr(answer, f.name), kind) for f, kind in zip(fields(answer), kinds, strict=True)):
            raise ValueError("the answer holds something of another kind")
        return answer
