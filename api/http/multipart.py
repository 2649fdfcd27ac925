"""A form with files, streamed to disk while it comes. Its files have no names: they vanish when they are closed."""

import tempfile
from collections.abc import AsyncIterator, Collection
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from api.errors import NotMultipart
from ganlib.spec.request import InvalidRequest
from store.files.local import room_in

MAX_TEXT_BYTES = 64 * 1024  # of a field that is no file


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The fields that came, each once."""

    files: dict[str, BinaryIO]
    """Open, at any position."""
    texts: dict[str, str]


@asynccontextmanager
async def receive_form(
    request: Request, folder: Path, files: Collection[str], texts: Collection[str]
) -> AsyncIterator[Form]:
    """The form in the request, with every field of `files` and perhaps those of `texts`.

    Raises:
        NotMultipart: the body is not declared to be one.
        HTTPException: 400, it is not what it is declared to be.
        InvalidRequest: a field is missing, unknown, given twice or too long.
        DiskFull: there is no room for it, or for what is made of it in the `with` block.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise NotMultipart
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with room_in(folder), ExitStack() as stack:
        reader = _Reader(options[b"boundary"], folder, stack, files, texts)
        try:
            async for chunk in request.stream():
                await run_in_threadpool(reader.read, chunk)
        except ClientDisconnect:
            raise _malformed("it ends too early") from None
        yield reader.form()


class _Reader:
    """Takes a form's bytes as they come."""

    def __init__(
        self, boundary: bytes, folder: Path, stack: ExitStack, files: Collection[str], texts: Collection[str]
    ) -> None:
        self._folder, self._stack = folder, stack
        self._names = (files, texts)
        self._files: dict[str, BinaryIO] = {}
        self._texts: dict[str, bytearray] = {}
        self._header_name, self._header_value = bytearray(), bytearray()
        self._field = ""
        """Name of the part that is read."""
        self._is_complete = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": lambda data, start, end: self._header_name.extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._header_value.extend(data[start:end]),
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._open,
                    "on_part_data": lambda data, start, end: self._add(data[start:end]),
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise _malformed(str(error)) from None

    def read(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _malformed(str(error)) from None

    def form(self) -> Form:
        if not self._is_complete:
            raise _malformed("it ends too early")
        missing = [name for name in self._names[0] if name not in self._files]
        if missing:
            raise InvalidRequest(dict.fromkeys(missing, "is missing; send it as a file"))
        for file in self._files.values():
            file.flush()
        texts = {name: text.decode("utf-8", "replace") for name, text in self._texts.items()}
        return Form(files=self._files, texts=texts)

    def _begin(self) -> None:
        self._field = ""

    def _end_header(self) -> None:
        if bytes(self._header_name).lower() == b"content-disposition":
            options = parse_options_header(bytes(self._header_value))[1]
            self._field = options.get(b"name", b"").decode("utf-8", "replace")
        self._header_name.clear()
        self._header_value.clear()

    def _open(self) -> None:
        files, texts = self._names
        if self._field in self._files or self._field in self._texts:
            raise InvalidRequest({self._field: "is given twice"})
        if self._field in files:
            file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115  the stack closes it
            self._files[self._field] = cast("BinaryIO", self._stack.enter_context(file))
        elif self._field in texts:
            self._texts[self._field] = bytearray()
        else:
            raise InvalidRequest(
                {self._field or "body": f"is not a field here; allowed: {', '.join([*files, *texts])}"}
            )

    def _add(self, content: bytes) -> None:
        if self._field in self._files:
            self._files[self._field].write(content)
            return
        text = self._texts[self._field]
        if len(text) + len(content) > MAX_TEXT_BYTES:
            raise InvalidRequest({self._field: f"is too long; allowed: {MAX_TEXT_BYTES:,} bytes"})
        text.extend(content)

    def _end(self) -> None:
        self._is_complete = True


def _malformed(why: str) -> HTTPException:
    return HTTPException(400, f"The body is not a form: {why}.")
