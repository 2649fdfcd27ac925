"""Files of other trainers' losses, whatever their form, and how several of them belong together.

A file is taken for what it holds, whatever its name.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ganlib.foreign_logs.column_names import ORDERS, InvalidHistory, signal_of
from ganlib.foreign_logs.reading import event_files, series
from ganlib.foreign_logs.reading.arrays import read_npz
from ganlib.foreign_logs.reading.delimited import looks_delimited, read_delimited
from ganlib.foreign_logs.reading.documents import read_json
from ganlib.foreign_logs.reading.folders import FoundLog, logs_by_kind
from ganlib.foreign_logs.reading.printed import NOT_TRAINING, read_printed
from ganlib.foreign_logs.reading.sheet import Sheet
from ganlib.foreign_logs.reading.text import MAX_BYTES, decoded, is_binary, plain, unpacked
from ganlib.foreign_logs.reading.understand import check_asked, tables_of
from ganlib.foreign_logs.table import Table

PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
STANDARD_INPUT = "standard input"


def read_logs(
    paths: Sequence[Path], columns: Mapping[str, str] | None = None, *, standard_input: bytes | None = None
) -> list[Table]:
    """What files and folders hold, a table for each game and run; `-` is the standard input's content.

    Raises:
        InvalidHistory: a file cannot be read; the message names file, line and column where there are any, and the fix.
    """
    sheets: list[Sheet] = []
    for path in paths:
        if standard_input is not None and str(path) == "-":
            sheets.append(sheet_of(STANDARD_INPUT, standard_input))
        elif path.is_dir():
            sheets += _sheets_of_folder(path)
        else:
            sheets.append(sheet_of(str(path), read_bytes(path)))
    sheets = _together(sheets)
    asked = [_asked_of(sheet, columns or {}, alone=len(sheets) == 1) for sheet in sheets]
    if columns and not any(asked):
        check_asked(sheets[0], columns)
    tables = [(sheet, table) for sheet, said in zip(sheets, asked, strict=True) for table in tables_of(sheet, said)]
    if len(sheets) < 2:
        return [table for _, table in tables]
    places = [Path(sheet.source).absolute() for sheet in sheets if _has_place(sheet)]
    shared = Path(os.path.commonpath([place.parent for place in places])) if places else Path()
    return [replace(table, name=_name(sheet, table, shared)) for sheet, table in tables]


def read_table(path: Path) -> Table:
    """The first table of one file."""
    return read_logs([path])[0]


def _has_place(sheet: Sheet) -> bool:
    """Whether its source is one file or folder."""
    return sheet.source != STANDARD_INPUT and not sheet.files


def _name(sheet: Sheet, table: Table, shared: Path) -> str:
    """Which of several files or folders a table is of; of several files that make one, which run they are of."""
    if sheet.files and table.name:
        return table.name
    name = str(Path(sheet.source).absolute().relative_to(shared)) if _has_place(sheet) else sheet.source
    return f"{name} {table.name}".strip()


def _asked_of(sheet: Sheet, columns: Mapping[str, str], *, alone: bool) -> dict[str, str]:
    """What is said of the columns of this sheet; of a single metric `Value` may be said."""
    found: dict[str, str] = {}
    for signal, name in columns.items():
        if series.is_single(sheet) and name.lower() == "value":
            name = next(column for column in sheet.columns if column != "step")
        if alone or name in sheet.columns:
            found[signal] = name
    return found


# --- files that belong together ---------------------------------------------------------------------------------


def _together(sheets: list[Sheet]) -> list[Sheet]:
    """Files of one metric each as one sheet a run; and files that hold different signals of the same steps."""
    single = [sheet for sheet in sheets if series.is_single(sheet)]
    rest = [sheet for sheet in sheets if not series.is_single(sheet)]
    if len(single) > 1:
        single = [_of_files(sheet, single) for sheet in series.histories_of(single, _sources(single))]
    rest = single + rest
    if len(rest) > 1 and _are_parts(rest):
        return [_of_files(replace(series.stacked(rest, _sources(rest)), merged=True), rest)]
    return rest


def _of_files(sheet: Sheet, parts: Iterable[Sheet]) -> Sheet:
    return replace(sheet, files=tuple(part.source for part in parts))


def _are_parts(sheets: Sequence[Sheet]) -> bool:
    """Whether each holds signals that no other one has, of steps that are counted alike."""
    held = [[signal for name in sheet.columns if (signal := signal_of(name))] for sheet in sheets]
    values = [signal for part in held for signal in part if signal not in ORDERS]
    orders = [{name for name in sheet.columns if signal_of(name) in ORDERS} for sheet in sheets]
    return (
        len(values) == len(set(values))
        and all(set(part) - set(ORDERS) for part in held)
        and all("step" in part for part in held)
        and all(names == orders[0] for names in orders)
        and not any(sheet.labels or sheet.printed for sheet in sheets)
    )


def _sources(sheets: Iterable[Sheet]) -> str:
    return ", ".join(sheet.source for sheet in sheets)


def _sheets_of_folder(root: Path) -> list[Sheet]:
    """The logs of a folder, of the surest kind that it holds."""
    refused: list[str] = []
    for logs in logs_by_kind(root):
        sheets = [sheet for log in logs for sheet in _sheets_of_log(log, refused)]
        known = [sheet for sheet in sheets if _holds_signals(sheet, refused)]
        trained = [sheet for sheet in known if not NOT_TRAINING.search(Path(sheet.source).name)]
        if known:
            return trained or known
    said = f"; {refused[0]}" if refused else ""
    raise InvalidHistory(f"{root} holds no log that is known{said}. `ganclinic formats` lists what is read")


def _sheets_of_log(log: FoundLog, refused: list[str]) -> list[Sheet]:
    """What the files of one folder hold: those of a metric each, and those of one training, as one sheet."""
    read: list[Sheet] = []
    for path in log.paths:
        try:
            read.append(sheet_of(str(path), read_bytes(path)))
        except InvalidHistory as error:
            refused.append(str(error))
    single = [sheet for sheet in read if sheet.form == series.FORM]
    if len(single) > 1:
        return series.histories_of(single, str(log.folder))
    if read and (log.is_one_training or read[0].form == event_files.FORM):
        return [replace(_tagged(series.stacked(read, str(log.folder)), log.folder), batch_size=log.batch_size)]
    return read


def _tagged(sheet: Sheet, folder: Path) -> Sheet:
    """With the folder's name for the tag that it adds to: `add_scalars("loss", {"D": …})` makes a folder `loss_D`."""
    columns = {
        folder.name
        if signal_of(name) is None and folder.name.startswith(f"{name.replace('/', '_')}_")
        else name: column
        for name, column in sheet.columns.items()
    }
    return replace(sheet, columns=columns)


def _holds_signals(sheet: Sheet, refused: list[str]) -> bool:
    try:
        return bool(tables_of(sheet))
    except InvalidHistory as error:
        refused.append(str(error))
        return False


# --- one file ---------------------------------------------------------------------------------------------------


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
    if event_files.looks_like_events(data):
        return event_files.read_events(source, data)
    if data.startswith(b"PK\3\4"):
        return read_npz(source, data)
    if data.startswith(PICKLES):
        raise InvalidHistory(
            f"{source} is a pickle, which could run any code and is not read; save its lists as JSON or .npz"
        )
    if is_binary(data):
        raise InvalidHistory(f"{source} is no text; give what the trainer prints, or its CSV, JSON lines or .npz")
    text = plain(decoded(data))
    start = [line for line in re.split(r"[\r\n]+", text[:20_000]) if line.strip()][:3]
    if not start:
        return read_delimited(source, text)
    if start[0].lstrip().startswith(("{", "[")) and _is_json(text, start[0]):
        return read_json(source, text)
    found = series.read_series(source, text, start)
    if found is not None:
        return found
    return read_delimited(source, text) if looks_delimited(start) else read_printed(source, text)


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
