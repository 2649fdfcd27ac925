"""Answers of the service as values. Private to the client."""

import json
import uuid
from collections.abc import Iterator
from typing import Any, TypeVar

import httpx
from pydantic import ValidationError

from ganclinic.errors import UnexpectedAnswer
from ganclinic.transport import Query, Transport, document_of
from ganlib.spec.problems import problems_of
from ganlib.wire.reading import read

PAGE_SIZE = 100

Answer = TypeVar("Answer")


def new_key() -> str:
    """An idempotency key that was never used."""
    return uuid.uuid4().hex


class Answers:
    """What a service answers; every verb raises `ganclinic.errors.GanClinicError` or one of its kinds."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def view(self, kind: type[Answer], path: str, query: Query | None = None) -> Answer:
        """What a GET answers, as that kind."""
        return self.parsed(kind, self.document(path, query))

    def views(self, kind: type[Answer], path: str, query: Query | None = None) -> list[Answer]:
        """The items of the list that a GET answers, each as that kind; of one page."""
        return [self.parsed(kind, item) for item in self.items(path, query)]

    def pages(self, kind: type[Answer], path: str, query: Query) -> Iterator[Answer]:
        """The items of all pages; each page is fetched as it is reached."""
        cursor: str | None = None
        while True:
            page = self.document(path, {**query, "limit": PAGE_SIZE, "cursor": cursor})
            for item in page.get("items", ()):
                yield self.parsed(kind, item)
            cursor = page.get("next_cursor")
            if not cursor:
                return

    def post(self, kind: type[Answer], path: str) -> Answer:
        """What a POST answers that may be repeated, as repeating it changes nothing."""
        return self.of(kind, self._transport.post(path))

    def put(self, kind: type[Answer], path: str, body: Any) -> Answer:
        """What a PUT answers."""
        return self.of(kind, self._transport.put(path, body=body))

    def create(self, kind: type[Answer], path: str, body: Any, key: str | None = None) -> Answer:
        """What a POST answers that makes something: once with the same key, which is by default a new one."""
        return self.of(kind, self._transport.post(path, body=body, key=key or new_key()))

    def items(self, path: str, query: Query | None = None) -> list[dict[str, Any]]:
        """The items that a GET answers, as they came."""
        return list(self.document(path, query).get("items", ()))

    def document(self, path: str, query: Query | None = None) -> dict[str, Any]:
        """The JSON object that a GET answers."""
        return document_of(self._transport.get(path, query))

    def json_lines(self, path: str) -> list[dict[str, Any]]:
        """The JSON objects that a GET answers, one a line."""
        lines = self._transport.get(path).content.splitlines()
        try:
            return [dict(json.loads(line)) for line in lines]
        except (TypeError, ValueError):
            raise UnexpectedAnswer(self._transport.url, "something that is no JSON lines") from None

    def of(self, kind: type[Answer], answer: httpx.Response) -> Answer:
        """An answer that has come, as that kind."""
        return self.parsed(kind, document_of(answer))

    def parsed(self, kind: type[Answer], document: Any) -> Answer:
        """A document as that kind.

        Raises:
            UnexpectedAnswer: it is none.
        """
        try:
            return read(kind, document)
        except ValidationError as error:
            field, message = next(iter(problems_of(error, whole="it").items()))
            what = f"a {kind.__name__} that is none ({field}: {message})"
            raise UnexpectedAnswer(self._transport.url, what) from None
