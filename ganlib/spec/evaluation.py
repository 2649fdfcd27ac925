"""How fakes are compared with reals, and when. Imports no torch."""

from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from ganlib.spec.part import Part

Space = Literal["pixels", "discriminator", "efficientnet-lite0", "inception-v3"]
"""`pixels`: pixel values, or coordinates of points. `discriminator`: what the run's own discriminator sees before its
last layer. `efficientnet-lite0`, `inception-v3`: an extractor trained on ImageNet; images only."""


MeasureName = Literal[
    "ndb",
    "chi_square",
    "prdc",
    "repetition",
    "vendi",
    "memorisation",
    "modes",
    "frechet",
    "kernel",
    "diversity",
    "paired",
]


UNPAIRED_MEASURES: tuple[MeasureName, ...] = tuple(name for name in get_args(MeasureName) if name != "paired")


CHEAP_MEASURES: tuple[MeasureName, ...] = ("ndb", "chi_square", "prdc", "repetition", "memorisation", "modes")


class Comparison(Part):
    """How two sets of samples are compared, fakes with reals."""

    measures: tuple[MeasureName, ...] = Field(default=CHEAP_MEASURES, min_length=1)
    """What is measured. `modes` needs known modes or labels, `diversity` images; elsewhere they are left out. `paired`
    compares each fake with the real of its number, in two uploaded sets of images, or with the target of its input.
    `memorisation` is left out in the space `discriminator` of more than 10,000 samples, which change with every
    update."""
    space: Space = "pixels"
    """Feature space of all measures."""
    num_bins: int | None = Field(default=None, ge=2, le=1000)
    """K of NDB; null: the largest that the sample counts support, at most 100 (25 samples a bin)."""
    whiten: bool = False
    """Divide every feature by its standard deviation over the reals before binning."""
    max_dims: int | None = Field(default=None, ge=1)
    """Bin on this many features, drawn at random; null: on all of them."""
    neighbours: int = Field(default=5, ge=1, le=50)
    """k of precision, recall, density and coverage."""

    @model_validator(mode="after")
    def _each_measure_once(self) -> Self:
        if len(set(self.measures)) != len(self.measures):
            raise ValueError("measures: each measure may be named once")
        return self


class Evaluation(Comparison):
    """How fakes are compared with real data while a run trains."""

    every_epochs: int = Field(default=1, ge=1)
    """Evaluate after every this many epochs, and after the last."""
    num_samples: int = Field(default=1000, ge=50, le=50_000)
    """Fakes compared. Most measures use fewer where half of the real data is smaller: their null needs two halves."""
    fake_statistics: Literal["batch", "moving"] = "batch"
    """Statistics of the generator's batch norms while it makes fakes for evaluation and pictures."""

    @property
    def comparison(self) -> Comparison:
        """The part that says how, without when."""
        return Comparison(**{name: getattr(self, name) for name in Comparison.model_fields})


IMAGE_SPACES: tuple[Space, ...] = ("efficientnet-lite0", "inception-v3")


SAMPLES_PER_BIN = 25  # fewer cannot flag an empty average bin: at K = 10 it takes 35 samples, at K = 100 381


def check_num_bins(num_bins: int, n_real: int, n_fake: int, field: str) -> None:
    """Returns where the sample counts support so many bins.

    Raises:
        ValueError: they do not; it names the smallest counts that would, and the most bins that these support.
    """
    smallest, needed = min(n_real, n_fake), num_bins * SAMPLES_PER_BIN
    if smallest < needed:
        raise ValueError(
            f"{field}: {num_bins} bins need at least {needed} fakes and {needed} reals "
            f"({SAMPLES_PER_BIN} a bin), the smaller has {smallest}; allowed: 2 to {smallest // SAMPLES_PER_BIN}"
        )
