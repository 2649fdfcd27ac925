"""What fits data of pairs, inputs and targets, and what needs them. Imports no torch."""

from ganlib.spec.data import PairChoice
from ganlib.spec.fields import RunFields

SSIM_WINDOW = 11  # pixels: side of the Gaussian window of SSIM (Wang et al. 2004), and of the smallest image for it


def check_pairs(spec: RunFields) -> None:
    """Returns where the spec's data are pairs and the rest fits them, or where nothing needs pairs.

    Raises:
        ValueError: something does not fit; its field is named first.
    """
    if not isinstance(spec.dataset, PairChoice):
        _check_without(spec)
        return
    _check_held_out(spec, spec.dataset)
    if spec.evaluation.space == "discriminator":
        raise ValueError(
            "evaluation.space: 'discriminator' sees an input beside every sample; allowed: 'pixels' and the extractors"
        )
    if "paired" in spec.evaluation.measures and spec.data.shape[-1] < SSIM_WINDOW:
        raise ValueError(
            f"evaluation.measures: 'paired' needs images of at least {SSIM_WINDOW} pixels a side, these have "
            f"{spec.data.shape[-1]}"
        )
    for name in ("diff_augment", "adaptive_augment"):
        part = getattr(spec.remedies, name)
        if part is not None and "colour" in part.ops:
            raise ValueError(
                f"remedies.{name}.ops: 'colour' would mix the colours of input and target; allowed: 'translation', "
                "'cutout'"
            )


def _check_without(spec: RunFields) -> None:
    if "paired" in spec.evaluation.measures:
        raise ValueError(
            f"evaluation.measures: 'paired' needs data whose samples have a target each, {spec.dataset.name} has none; "
            "allowed: the other measures"
        )
    if spec.remedies.l1 is not None:
        raise ValueError(f"remedies.l1: needs a target for every input, {spec.dataset.name} has none; allowed: null")


def _check_held_out(spec: RunFields, dataset: PairChoice) -> None:
    fields = {"evaluation.num_samples": spec.evaluation.num_samples, "samples.count": spec.samples.count}
    for field, count in fields.items():
        if count > dataset.held_out:
            raise ValueError(
                f"{field}: {count} is more than the {dataset.held_out} inputs that are held out; "
                f"allowed: up to {dataset.held_out}, or a larger dataset.held_out"
            )
