"""TensorBoard's event files: records of protocol buffers, of which steps, tags and scalars are read.

Source: tensorflow/core/util/event.proto, framework/summary.proto and framework/tensor.proto; the records are those of
tensorflow/core/lib/io/record_writer.cc: a length, its checksum, the data, its checksum.
"""

import struct
from collections.abc import Iterator

from ganlib.foreign_logs.column_names import InvalidHistory
from ganlib.foreign_logs.reading.sheet import Sheet, SheetBuilder

FORM = "event files"
HEADER = struct.Struct("<QI")
CHECKSUM_BYTES = 4
MAX_RECORD = 64 * 1024**2
STEP_FIELD, SUMMARY_FIELD = 2, 5
VALUE_FIELD, TAG_FIELD, SIMPLE_FIELD, TENSOR_FIELD = 1, 1, 2, 8
DTYPE_FIELD, SHAPE_FIELD, CONTENT_FIELD = 1, 2, 4
NUMBERS: dict[int, tuple[int, str]] = {1: (5, "<f"), 2: (6, "<d"), 19: (0, "<e")}
"""Type of a tensor → the field of its numbers, and how one is packed."""
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

Field = tuple[int, int, int | memoryview]
"""Its number, how it is packed, and its value."""


def looks_like_events(data: bytes) -> bool:
    """Whether the first record is an event that says which version wrote the file."""
    return len(data) > 24 and b"brain.Event:" in data[:64] and data[12:13] == b"\x09"


def read_events(source: str, data: bytes) -> Sheet:
    """Every scalar under its tag, a row each; images, histograms and texts are passed over."""
    builder = SheetBuilder(source)
    count = 0
    for count, (step, tag, value) in enumerate(_scalars(source, memoryview(data)), 1):
        builder.part(("step", tag)).add(count, (float(step), value))
    columns, lines = builder.columns()
    if not count:
        raise InvalidHistory(f"{source} holds no scalars; log losses with add_scalar")
    return Sheet(source=source, columns=columns, lines=lines, place="event", form=FORM, merged=True)


def _scalars(source: str, data: memoryview) -> Iterator[tuple[int, str, float]]:
    """Step, tag and number of each scalar."""
    try:
        for record in _records(data):
            step, summaries = 0, list[memoryview]()
            for number, _, value in _fields(record):
                if number == STEP_FIELD and isinstance(value, int):
                    step = value
                elif number == SUMMARY_FIELD and isinstance(value, memoryview):
                    summaries.append(value)
            for summary in summaries:
                for _, _, value in _fields(summary):
                    if isinstance(value, memoryview) and (found := _value(value)) is not None:
                        yield (step, *found)
    except (IndexError, struct.error, UnicodeDecodeError):
        raise InvalidHistory(f"{source} is damaged: a record of it is no event; copy it again") from None


def _records(data: memoryview) -> Iterator[memoryview]:
    """The data of each record; the last one may be cut off, as its training was."""
    at = 0
    while at + HEADER.size <= len(data):
        length, _ = HEADER.unpack_from(data, at)
        start = at + HEADER.size
        if length > MAX_RECORD or start + length > len(data):
            return
        yield data[start : start + length]
        at = start + length + CHECKSUM_BYTES


def _fields(data: memoryview) -> Iterator[Field]:
    """The fields of one message."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == VARINT:
            value, at = _varint(data, at)
            yield key >> 3, kind, value
            continue
        if kind == BYTES:
            length, at = _varint(data, at)
        else:
            length = {FIXED64: 8, FIXED32: 4}[kind] if kind in (FIXED64, FIXED32) else len(data)
        if at + length > len(data):
            raise IndexError
        yield key >> 3, kind, data[at : at + length]
        at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value, at
        shift += 7


def _value(data: memoryview) -> tuple[str, float] | None:
    """Tag and number of a summary's value; None where it is no scalar."""
    tag, number = "", None
    for field, kind, value in _fields(data):
        if not isinstance(value, memoryview):
            continue
        if field == TAG_FIELD and kind == BYTES:
            tag = str(value, "utf-8")
        elif field == SIMPLE_FIELD and kind == FIXED32:
            (number,) = struct.unpack("<f", value)
        elif field == TENSOR_FIELD and kind == BYTES:
            number = _scalar_of(value)
    return (tag, number) if tag and number is not None else None


def _scalar_of(tensor: memoryview) -> float | None:
    """The number of a tensor without axes; None of any other."""
    dtype, content, packed, shape = 0, b"", dict[int, bytes](), b""
    for field, kind, value in _fields(tensor):
        if field == DTYPE_FIELD and isinstance(value, int):
            dtype = value
        elif field == SHAPE_FIELD and isinstance(value, memoryview):
            shape = bytes(value)
        elif field == CONTENT_FIELD and isinstance(value, memoryview):
            content = bytes(value)
        elif isinstance(value, memoryview) and kind in (BYTES, FIXED32, FIXED64):
            packed[field] = bytes(value)
    if dtype not in NUMBERS or shape:
        return None
    field, form = NUMBERS[dtype]
    held = content or packed.get(field, b"")
    return float(struct.unpack(form, held)[0]) if len(held) == struct.calcsize(form) else None
