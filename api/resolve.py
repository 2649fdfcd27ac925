"""From requests to specs, with every field that is wrong."""

from collections.abc import Sequence

from api.errors import MAX_FIELD_PROBLEMS
from ganlib.request import InvalidRequest, RunRequest
from ganlib.spec import RunSpec


def resolve(request: RunRequest) -> RunSpec:
    """The spec that the request asks for.

    Raises:
        InvalidRequest: it gives none.
    """
    try:
        return request.resolve()
    except RecursionError:  # a document that json.loads just managed may be too deep for what comes after it
        raise InvalidRequest({"spec": "is nested too deeply"}) from None


def resolve_all(requests: Sequence[RunRequest]) -> list[tuple[RunRequest, RunSpec]]:
    """Each request with its spec.

    Raises:
        InvalidRequest: one gives none; its fields are named as `runs[3].training.epochs`.
    """
    resolved: list[tuple[RunRequest, RunSpec]] = []
    problems: dict[str, str] = {}
    for index, request in enumerate(requests):
        try:
            resolved.append((request, resolve(request)))
        except InvalidRequest as error:
            problems |= {f"runs[{index}].{field}": message for field, message in error.problems.items()}
            if len(problems) >= MAX_FIELD_PROBLEMS:
                break
    if problems:
        raise InvalidRequest(problems)
    return resolved
