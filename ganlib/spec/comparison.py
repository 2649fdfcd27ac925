"""The spec of a comparison of two uploaded sets of samples. Imports no torch."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ganlib.spec.evaluation import IMAGE_SPACES, SAMPLES_PER_BIN, Comparison, check_num_bins
from ganlib.spec.part import Part
from ganlib.spec.version import SPEC_VERSION

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ComparisonSpec(Part):
    """One comparison of two uploaded sets of samples, completely described."""

    spec_version: Literal[1] = SPEC_VERSION
    kind: Literal["comparison"] = "comparison"
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seeds every choice that the measures make."""
    comparison: Comparison = Comparison()
    reals: Sha256
    """Hash of the stored array of real samples."""
    fakes: Sha256
    """Hash of the stored array of fakes."""
    n_real: int = Field(ge=1)
    n_fake: int = Field(ge=1)
    shape: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)
    """Of one sample: (channels, height, width) for images."""

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        _check_comparison(self)
        return self


def _check_comparison(spec: ComparisonSpec) -> None:
    comparison = spec.comparison
    images = len(spec.shape) == 3
    if comparison.space == "discriminator" or (comparison.space in IMAGE_SPACES and not images):
        needs = "the discriminator of a run" if comparison.space == "discriminator" else "images"
        allowed = ", ".join(f"'{space}'" for space in ("pixels", *(IMAGE_SPACES if images else ())))
        raise ValueError(f"comparison.space: '{comparison.space}' needs {needs}; allowed: {allowed}")
    for field, count in (("n_real", spec.n_real), ("n_fake", spec.n_fake)):
        if count < 2 * SAMPLES_PER_BIN:
            raise ValueError(f"{field}: {count} samples are too few; at least {2 * SAMPLES_PER_BIN} are needed")
    if 2 * comparison.neighbours >= min(spec.n_real, spec.n_fake):
        raise ValueError(
            f"comparison.neighbours: {comparison.neighbours} needs more than {2 * comparison.neighbours} samples on "
            f"either side, the smaller has {min(spec.n_real, spec.n_fake)}"
        )
    if "paired" in comparison.measures and (not images or spec.n_real != spec.n_fake):
        raise ValueError("comparison.measures: 'paired' needs as many real images as fake ones, in the same order")
    if comparison.num_bins is not None and "ndb" in comparison.measures:
        check_num_bins(comparison.num_bins, spec.n_real, spec.n_fake, "comparison.num_bins")
