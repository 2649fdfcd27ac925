"""Which evaluation fits a run. Imports no torch."""

from ganlib.spec.checks.networks import sees_without_class
from ganlib.spec.checks.pairs import check_pairs
from ganlib.spec.evaluation import IMAGE_SPACES, SAMPLES_PER_BIN, check_num_bins
from ganlib.spec.fields import RunFields


def check_evaluation(spec: RunFields) -> None:
    """Returns where the data, the networks and the sample counts allow the evaluation that is asked for.

    Raises:
        ValueError: they do not; the field is named first.
    """
    if spec.evaluation.space in IMAGE_SPACES and len(spec.data.shape) != 3:
        raise ValueError(
            f"evaluation.space: '{spec.evaluation.space}' needs images, {spec.dataset.name} has points; allowed: "
            f"'pixels', 'discriminator'"
        )
    if spec.evaluation.space == "discriminator" and not sees_without_class(spec.discriminator):
        raise ValueError("evaluation.space: 'discriminator' needs the class of every sample; allowed: 'pixels'")
    smallest = min(spec.evaluation.num_samples, spec.dataset.size)
    if smallest < 2 * SAMPLES_PER_BIN:
        raise ValueError(
            f"dataset: {spec.dataset.size} samples cannot be evaluated; at least {2 * SAMPLES_PER_BIN} are needed"
        )
    check_pairs(spec)
    subset = min(spec.evaluation.num_samples, spec.dataset.size // 2)
    if spec.evaluation.neighbours >= subset:
        raise ValueError(
            f"evaluation.neighbours: {spec.evaluation.neighbours} needs as many other samples in half of the data and "
            f"in the fakes, the smaller has {subset}; allowed: 1 to {subset - 1}"
        )
    if spec.evaluation.num_bins is not None and "ndb" in spec.evaluation.measures:
        check_num_bins(spec.evaluation.num_bins, spec.dataset.size, spec.evaluation.num_samples, "evaluation.num_bins")
