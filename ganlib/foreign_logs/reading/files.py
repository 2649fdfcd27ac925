"""Files of other trainers' losses, whatever their form: printed lines, CSV, JSON, JSON lines and arrays.

A file is taken for what it holds, whatever its name.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from ganlib.foreign_logs.column_names import InvalidHistory
from ganlib.foreign_logs.reading.arrays import read_npz
from ganlib.foreign_logs.reading.delimited import looks_delimited, read_delimited
from ganlib.foreign_logs.reading.documents import read_json
from ganlib.foreign_logs.reading.printed import read_printed
from ganlib.foreign_logs.reading.sheet import Sheet
from ganlib.foreign_logs.reading.text import MAX_BYTES, decoded, is_binary, plain, unpacked
from ganlib.foreign_logs.reading.understand import tables_of
from ganlib.foreign_logs.table import Table


def read_logs(paths: list[Path], columns: Mapping[str, str] | None = None) -> list[Table]:
    """What the files hold, a table for each game and run.

    Raises:
        InvalidHistory: a file cannot be read; the message names file, line and column where there are any, and the fix.
    """
    return [table for path in paths for table in tables_of(sheet_of(str(path), read_bytes(path)), columns)]


def read_table(path: Path) -> Table:
    """The first table of one file."""
    return read_logs([path])[0]


def read_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        InvalidHistory: there is none, it is too large, or it cannot be read.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InvalidHistory(f"{path} has {size:,} bytes; allowed: {MAX_BYTES:,}. Keep every tenth step, say")
        return path.read_bytes()
    except FileNotFoundError:
        raise InvalidHistory(f"There is no file {path}") from None
    except OSError as error:
        raise InvalidHistory(f"{path} cannot be read: {error.strerror or error}") from None


def sheet_of(source: str, data: bytes) -> Sheet:
    """The columns of a file, by what it begins with.

    Raises:
        InvalidHistory: it is none of what is read.
    """
    data = unpacked(source, data)
    if data.startswith(b"PK\3\4"):
        return read_npz(source, data)
    if is_binary(data):
        raise InvalidHistory(f"{source} is no text; give what the trainer prints, or its CSV, JSON lines or .npz")
    text = plain(decoded(data))
    start = [line for line in text[:20_000].split("\n") if line.strip()][:3]
    if start and start[0].lstrip().startswith(("{", "[")) and _is_json(text, start[0]):
        return read_json(source, text)
    if not start or looks_delimited(start):
        return read_delimited(source, text)
    return read_printed(source, text)


def _is_json(text: str, first: str) -> bool:
    """Whether the text is JSON and not a line that only begins as JSON does."""
    stripped = first.strip()
    if stripped[1:].lstrip()[:1] in ('"', "") or (stripped[0] == "[" and stripped[1:].lstrip()[:1] == "{"):
        return True
    try:
        json.loads(stripped if len(stripped) < len(text) else text)
    except ValueError:
        return False
    return True
