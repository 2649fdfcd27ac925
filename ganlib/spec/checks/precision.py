"""What can be trained in bf16. Imports no torch."""

from ganlib.spec.fields import RunFields
from ganlib.spec.layers import SpectralNorm

FLOAT32_REMEDIES = ("unrolling",)
"""They differentiate through whole updates."""


def check_precision(spec: RunFields) -> None:
    """Returns where the spec's precision fits the rest of it.

    Raises:
        ValueError: it wants bf16, and something needs float32; `training.precision` is named first.
    """
    reason = needs_float32(spec)
    if spec.training.precision == "bf16" and reason is not None:
        raise ValueError(f"training.precision: {reason}; allowed: 'float32', or 'auto', which then is float32")


def needs_float32(spec: RunFields) -> str | None:
    """What in the spec loses too much in bf16's 8 bits of precision; None where nothing does."""
    for name in ("r1", "r2", "gradient"):
        if getattr(spec.all_penalties, name) is not None:
            return f"the penalty {name} takes gradients of gradients, which need more digits than bf16 has"
    for name in FLOAT32_REMEDIES:
        if getattr(spec.remedies, name) is not None:
            return f"remedies.{name} takes gradients of whole updates, which need more digits than bf16 has"
    for name, part in (("generator", spec.generator), ("discriminator", spec.discriminator)):
        if isinstance(getattr(part, "norm", None), SpectralNorm):
            return f"{name}.norm: spectral norm estimates a singular value, which needs more digits than bf16 has"
    return None
