"""Batches: many requests at once, given one by one, or as a sweep: one request and what varies in it."""

import itertools
import json
import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self, cast

import numpy as np
from pydantic import BaseModel, ConfigDict, Discriminator, Field, StrictBool, StringConstraints, Tag, model_validator

from ganlib.spec.part import Name
from ganlib.spec.request import MAX_BATCH, RunRequest

LONGEST_NAME = 200
MAX_VARIED = 20
MAX_VALUES = 200
MOST_MEBIBYTES = 32
"""Of all specs of a sweep together, as JSON: a thousand times what its request holds would not fit into memory."""
LARGEST_WHOLE = 2**53
"""Above it, doubles leave whole numbers out: JSON's readers differ in what they take such a number for."""
DIGITS = 6
"""Significant ones of a number that is drawn or lies between two others."""
FieldPath = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$", max_length=200)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class SweepRange(_Part):
    """Numbers from `low` to `high`, both included."""

    low: float = Field(allow_inf_nan=False)
    high: float = Field(allow_inf_nan=False)
    log: StrictBool = False
    """Whether equal ratios are equally likely, or equally far apart, instead of equal differences."""
    integer: StrictBool = False
    """Whether only whole numbers are meant."""
    points: int | None = Field(default=None, ge=2, le=MAX_VALUES)
    """Of a grid: how many values, evenly apart."""

    @model_validator(mode="after")
    def _has_numbers(self) -> Self:
        for name in ("low", "high"):
            if self.integer and not getattr(self, name).is_integer():
                raise ValueError(f"{name}: has to be whole where integer is true, not {getattr(self, name):g}")
            if self.integer and abs(getattr(self, name)) > LARGEST_WHOLE:
                raise ValueError(
                    f"{name}: may be from {-LARGEST_WHOLE} to {LARGEST_WHOLE} where integer is true, not "
                    f"{getattr(self, name):g}"
                )
        if self.low >= self.high:
            raise ValueError(f"high: has to be above low, {self.low:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"low: has to be above 0 where log is true, not {self.low:g}")
        return self

    def grid(self) -> list[float | int]:
        """So many values evenly apart; whole numbers that fall together are one."""
        assert self.points is not None, "a grid's ranges have points"
        shares = np.linspace(0, 1, self.points).tolist()
        return list(dict.fromkeys(self._at(share) for share in shares))

    def draw(self, rng: np.random.Generator) -> float | int:
        """One value at random."""
        if self.integer and not self.log:
            return int(rng.integers(int(self.low), int(self.high), endpoint=True))
        return self._at(float(rng.random()))

    def _at(self, share: float) -> float | int:
        if self.log:
            value = math.exp((1 - share) * math.log(self.low) + share * math.log(self.high))
        else:
            value = (1 - share) * self.low + share * self.high
        value = min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high)
        return round(value) if self.integer else value


def _form(values: Any) -> str:
    """Whether a range or a list is meant, so that only what is wrong with that is told."""
    return "range" if isinstance(values, dict | SweepRange) else "list"


Values = Annotated[
    Annotated[list[Any], Field(min_length=1, max_length=MAX_VALUES), Tag("list")] | Annotated[SweepRange, Tag("range")],
    Discriminator(_form),
]


class Sweep(_Part):
    """One request, and what varies in it: each combination of values, with each seed, is a run."""

    base: RunRequest
    """The run that all begin from: a preset or a spec, and what to change in it."""
    kind: Literal["grid", "random"] = "grid"
    """`grid`: every combination; `random`: `count` combinations, drawn."""
    vary: dict[FieldPath, Values] = Field(default_factory=dict[str, list[Any] | SweepRange], max_length=MAX_VARIED)
    """Dotted paths of a spec and their values, e.g. `{"optimizer.learning_rate": [1e-4, 2e-4]}`, or a range."""
    count: int | None = Field(default=None, ge=1, le=MAX_BATCH)
    """Combinations of a random sweep."""
    seeds: (
        Annotated[int, Field(ge=1, le=MAX_BATCH)]
        | Annotated[list[Seed], Field(min_length=1, max_length=MAX_BATCH)]
        | None
    ) = None
    """Each combination is trained with so many seeds, from 0, or with these; by default with the base's."""
    draw_seed: Seed = 0
    """Seeds what a random sweep draws: the same sweep gives the same runs."""

    @model_validator(mode="after")
    def _is_a_sweep(self) -> Self:
        if not self.vary and self.seeds is None:
            raise ValueError("vary: nothing varies; give fields with values here, or seeds")
        if self.seeds is not None and "seed" in self.vary:
            raise ValueError("seeds: 'seed' is in vary, too; give one of both")
        for path in self.vary:
            inner = [other for other in self.vary if other.startswith(f"{path}.")]
            if inner:
                raise ValueError(f"vary.{inner[0]}: lies in '{path}', which varies, too")
        if len(set(self.seed_list)) < len(self.seed_list):
            raise ValueError("seeds: one is there twice")
        return self

    @model_validator(mode="after")
    def _its_kind_has_what_it_needs(self) -> Self:
        ranges = {path: values for path, values in self.vary.items() if isinstance(values, SweepRange)}
        if self.kind == "random":
            if self.count is None:
                raise ValueError("count: says how many combinations a random sweep draws")
            if not self.vary:
                raise ValueError("vary: a random sweep draws the values of fields, and there are none")
            if given := [path for path, values in ranges.items() if values.points is not None]:
                raise ValueError(f"vary.{given[0]}.points: is for grids; a random sweep draws from the whole range")
        else:
            if self.count is not None:
                raise ValueError("count: is for random sweeps; a grid has every combination")
            if missing := [path for path, values in ranges.items() if values.points is None]:
                raise ValueError(f"vary.{missing[0]}.points: says how many values of the range a grid has")
        return self

    @model_validator(mode="after")
    def _gives_as_many_runs_as_a_batch_may_have(self) -> Self:
        if self.size > MAX_BATCH:
            raise ValueError(f"vary: gives {self.size:,} runs; allowed: at most {MAX_BATCH:,} in one sweep")
        return self

    @model_validator(mode="after")
    def _is_not_larger_than_memory(self) -> Self:
        mebibytes = self._bytes() / 2**20
        if mebibytes > MOST_MEBIBYTES:
            raise ValueError(
                f"base: gives {mebibytes:,.0f} MiB of specs, {self.size:,} times what 'base' holds and a value "
                f"each of 'vary'; allowed: {MOST_MEBIBYTES} MiB in one sweep"
            )
        return self

    def _bytes(self) -> float:
        """Of all requests, as JSON, at most."""
        each = float(_json_size(self.base.spec) + _json_size(self.base.set))
        for values in self.vary.values():
            if isinstance(values, list):
                sizes = [_json_size(value) for value in values]
                each += sum(sizes) / len(sizes) if self.count is None else max(sizes)
        return each * self.size

    @property
    def seed_list(self) -> list[int | None]:
        """The seeds of each combination; None: that of the base."""
        if self.seeds is None:
            return [None]
        return list(range(self.seeds)) if isinstance(self.seeds, int) else list(self.seeds)

    @property
    def size(self) -> int:
        """How many runs it gives."""
        combinations = self.count if self.count is not None else math.prod(len(v) for v in self._grid().values())
        return combinations * len(self.seed_list)

    def requests(self) -> list[RunRequest]:
        """The runs: of a grid in the order of its fields, the last one varying fastest, and seeds faster still."""
        return [self._request(combination, seed) for combination in self._combinations() for seed in self.seed_list]

    def _grid(self) -> dict[str, list[Any]]:
        return {path: v.grid() if isinstance(v, SweepRange) else v for path, v in self.vary.items()}

    def _combinations(self) -> Iterator[dict[str, Any]]:
        if self.count is None:
            grid = self._grid()
            yield from (dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values()))
            return
        rng = np.random.default_rng(self.draw_seed)
        for _ in range(self.count):
            yield {path: self._drawn(values, rng) for path, values in self.vary.items()}

    @staticmethod
    def _drawn(values: list[Any] | SweepRange, rng: np.random.Generator) -> Any:
        return values.draw(rng) if isinstance(values, SweepRange) else values[int(rng.integers(len(values)))]

    def _request(self, combination: dict[str, Any], seed: int | None) -> RunRequest:
        changed = combination if seed is None else {**combination, "seed": seed}
        words = ", ".join(f"{path.rpartition('.')[2]} {_word(value)}" for path, value in changed.items())
        name = words if self.base.name is None else f"{self.base.name}: {words}"
        # Checked already: validating the base's spec again for each of 1,000 runs takes as long as all else.
        return self.base.model_copy(update={"set": {**self.base.set, **changed}, "name": name[:LONGEST_NAME]})


class BatchRequest(BaseModel):
    """Many runs to make: all of them, or none where one is not valid. Give `runs` or `sweep`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name | None = Field(default=None, description="A name for people.")
    runs: list[RunRequest] | None = Field(default=None, min_length=1, max_length=MAX_BATCH)
    sweep: Sweep | None = Field(default=None, description="One request, and what varies in it.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.runs is None) == (self.sweep is None):
            raise ValueError("runs: give either 'runs' or 'sweep'")
        return self

    def requests(self) -> list[RunRequest]:
        """The runs to make, in their order."""
        return self.sweep.requests() if self.sweep is not None else self.runs or []


def _json_size(value: Any) -> int:
    return len(json.dumps(value, default=str))


def _word(value: Any) -> str:
    if isinstance(value, dict):  # of a part, what it is: its name or family
        value = next(iter(cast("dict[str, Any]", value).values()), "{}")
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return "".join(letter for letter in text if letter.isprintable())  # it will reach terminals
