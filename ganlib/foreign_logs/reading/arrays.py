"""Columns that are arrays: of an .npz file, and of JSON with a list for each name."""

import io
import lzma
import tokenize
import zipfile
import zlib
from collections import Counter
from typing import Any, cast

import numpy as np

from ganlib.foreign_logs.column_names import InvalidHistory, signal_of
from ganlib.foreign_logs.formats.registry import KNOWN_KEYS
from ganlib.foreign_logs.reading.numbers import digits_of
from ganlib.foreign_logs.reading.sheet import RawColumn, Sheet
from ganlib.foreign_logs.reading.text import MAX_BYTES
from ganlib.foreign_logs.table import MAX_ROWS, Floats

BROKEN = (
    zipfile.BadZipFile,  # a directory, a name or a checksum
    zlib.error,  # an entry that is packed with deflate,
    lzma.LZMAError,  # with LZMA,
    OSError,  # or with bzip2
    NotImplementedError,  # a method nobody has
    EOFError,  # an entry that ends before its array does
    ValueError,  # an array's header, its text, or objects that would have to be unpickled
    SyntaxError,  # NumPy reads the header as Python does,
    tokenize.TokenError,  # after it has looked for numbers of Python 2,
    RecursionError,  # as deep as it goes
    MemoryError,  # a shape that is too large for the machine,
    OverflowError,  # or for an index
)
"""What NumPy and the standard library raise where an .npz file is damaged: 120,000 files with one to four wrong bytes,
a third of them in an array's header, raised these and no other."""
ENCRYPTED = 1 << 0 | 1 << 6 | 1 << 13
"""Flags of an entry: by a password, strongly, with the directory as well (PKWARE's APPNOTE, 4.4.4)."""


def read_npz(source: str, data: bytes) -> Sheet:
    """The one-dimensional arrays of an .npz file; nothing is unpickled.

    Raises:
        InvalidHistory: it is damaged, encrypted or too large, or an array is not one number a step.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
        encrypted, size = any(e.flag_bits & ENCRYPTED for e in entries), sum(e.file_size for e in entries)
        arrays = _arrays(data) if size <= MAX_BYTES and not encrypted else {}
    except BROKEN as error:
        raise InvalidHistory(
            f"{source} holds no arrays that can be read ({str(error)[:100] or type(error).__name__}); "
            "save one number a step with numpy.savez, or write CSV"
        ) from None
    if encrypted:
        raise InvalidHistory(f"{source} is encrypted; pack it without a password")
    if size > MAX_BYTES:
        raise InvalidHistory(f"{source} unpacks to {size:,} bytes; allowed: {MAX_BYTES:,}. Keep every tenth step")
    return sheet_of_arrays(source, arrays)


def _arrays(data: bytes) -> dict[str, Any]:
    """The arrays by their names; of those that hold no known signal only the ones that can be a column."""
    found: dict[str, Any] = {}
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        for name in stored.files:
            try:
                found[name] = stored[name]
            except ValueError:  # objects, which would have to be unpickled
                if _is_known(name):
                    raise
                found[name] = None
    return found


def sheet_of_arrays(source: str, arrays: dict[str, Any]) -> Sheet:
    """A sheet of columns that are lists of numbers of one length; others are named and left out.

    Raises:
        InvalidHistory: a column whose name is known is no list of numbers, or not as long as the others.
    """
    columns = {name: column for name, values in arrays.items() if (column := _column(source, name, values)) is not None}
    known = [(name, len(column.numbers)) for name, column in columns.items() if _is_known(name)]
    for name, length in known:
        if length != known[0][1]:
            raise InvalidHistory(
                f"{source}: '{known[0][0]}' has {known[0][1]} values, '{name}' {length}; give one value a step in each"
            )
    lengths = Counter(len(column.numbers) for column in columns.values())
    rows = known[0][1] if known else max(lengths, key=lambda length: lengths[length], default=0)
    kept = {name: column for name, column in columns.items() if len(column.numbers) == rows}
    return Sheet(
        source=source,
        columns=kept,
        lines=np.arange(1, rows + 1),
        place="row",
        form="arrays",
        unread=tuple(name for name in arrays if name not in kept),
    )


def _column(source: str, name: str, values: Any) -> RawColumn | None:
    """The values as a column; None where they are none and nobody asks for them."""
    try:
        numbers: Floats = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        if not _is_known(name):
            return None
        raise InvalidHistory(f"{source}: '{name}' holds other things than numbers; give one number a step") from None
    if numbers.ndim != 1 or len(numbers) > MAX_ROWS:
        if not _is_known(name):
            return None
        raise InvalidHistory(
            f"{source}: '{name}' has the shape {list(numbers.shape)}; give a list of numbers, at most {MAX_ROWS:,}"
        )
    digits = digits_of(cast("list[object]", values)) if isinstance(values, list) else None
    return RawColumn(numbers=numbers, given=np.ones(len(numbers), dtype=np.bool_), digits=digits)


def _is_known(name: str) -> bool:
    return name in KNOWN_KEYS or signal_of(name) is not None
