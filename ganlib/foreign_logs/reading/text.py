"""Bytes of a log as text, whatever the terminal, the shell and the packer made of it."""

import gzip
import re
import zlib

from ganlib.foreign_logs.column_names import InvalidHistory

MAX_BYTES = 200 * 1024**2
MARKS = ((b"\xff\xfe\x00\x00", "utf-32-le"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
UTF8_MARK = b"\xef\xbb\xbf"
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
"""What colours a terminal, moves its cursor, or sets its title."""
SAMPLE = 4096


def unpacked(source: str, data: bytes) -> bytes:
    """Bytes without gzip around them.

    Raises:
        InvalidHistory: they are damaged, or too many.
    """
    if not data.startswith(b"\x1f\x8b"):
        return data
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    found = bytearray()
    try:
        while data:
            found += unpacker.decompress(data, MAX_BYTES + 1 - len(found))
            if len(found) > MAX_BYTES:
                raise InvalidHistory(f"{source} unpacks to more than {MAX_BYTES:,} bytes. Keep every tenth step, say")
            data = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
            if unpacker.eof and data.startswith(b"\x1f\x8b"):  # a file that was appended to
                unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
            elif unpacker.eof:
                break
    except (zlib.error, gzip.BadGzipFile) as error:
        raise InvalidHistory(f"{source} is damaged within its gzip ({error}); pack it again") from None
    return bytes(found)  # one that is cut off holds what came before


def decoded(data: bytes) -> str:
    """Text in UTF-8, in UTF-16 as PowerShell writes it, or else in what Windows calls ANSI."""
    if data.startswith(UTF8_MARK):
        return data[len(UTF8_MARK) :].decode("utf-8", errors="replace")
    for mark, encoding in MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, errors="replace")
    start = data[:SAMPLE]
    if start.count(0) > len(start) // 4:  # UTF-16 without a mark: of Latin text every second byte is 0
        return data.decode("utf-16-le" if not start[0:2].startswith(b"\0") else "utf-16-be", errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def is_binary(data: bytes) -> bool:
    """Whether it is no text in any of the encodings that logs have."""
    if data.startswith((UTF8_MARK, *(mark for mark, _ in MARKS))):
        return False
    text = decoded(data[:SAMPLE])
    control = sum(1 for letter in text if letter < " " and letter not in "\t\n\r\x08\x1b\x0c\x07")
    return control > max(2, len(text) // 50)


def plain(text: str) -> str:
    """Text without colours and movements of the cursor."""
    if "\x1b" in text:
        text = ESCAPES.sub("", text)
    text = text.replace("\r\n", "\n")
    return text if "\n" in text.strip() else text.replace("\r", "\n")  # as old Macs end lines
