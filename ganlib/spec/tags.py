"""Tags of runs: words by which people find runs again."""

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

RunTag = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/@+-]{0,63}$")]
"""At most 64 letters, digits and `_.:/@+-`, as `paper/figure-3`."""
MOST_TAGS = 20


def _each_once(tags: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(tags)))


RunTags = Annotated[tuple[RunTag, ...], Field(max_length=MOST_TAGS), AfterValidator(_each_once)]
"""At most 20; sorted, each once."""
