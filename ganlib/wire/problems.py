"""Problem documents (RFC 9457): what the service answers where it refuses or fails."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from ganlib.wire.view import View

MAX_FIELD_PROBLEMS = 100  # a batch of 1,000 specs with the same mistake needs no more to be understood
MAX_TEXT = 1000


def _readable(text: str) -> str:
    """Text that echoes a request, short and without the half characters that no JSON document may hold."""
    whole = text.encode("utf-8", "replace").decode()
    return whole if len(whole) <= MAX_TEXT else whole[: MAX_TEXT - 1] + "…"


Readable = Annotated[str, BeforeValidator(_readable)]


class FieldProblem(View):
    """One field that is wrong."""

    field: Readable
    """Its path, e.g. `training.epochs`, or in a batch `runs[3].training.epochs`."""
    message: Readable
    """What is wrong with it, and what is allowed."""


class Problem(View):
    """A problem document (RFC 9457)."""

    type: str = "about:blank"
    """Names the kind of problem; `about:blank` where the status says all."""
    title: str
    status: int
    detail: Readable | None = None
    """What went wrong this time."""
    instance: str | None = None
    """Path of the request."""
    errors: list[FieldProblem] | None = Field(default=None, max_length=MAX_FIELD_PROBLEMS)
    """With status 422: the fields that are wrong."""

    @property
    def fields(self) -> dict[str, str]:
        """Field → what is wrong with it and what is allowed."""
        return {problem.field: problem.message for problem in self.errors or ()}
