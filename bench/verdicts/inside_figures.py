"""What is seen of a training from inside, by name. Imports no torch."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

DISCRIMINATOR = ("separation", "slope", "answers", "motion")
"""`separation`: chance that a real has a higher logit than a fake. `slope`: mean size of the derivative of the
generator's loss by a fake's logit. `answers`: standard deviation of the logits over reals, fakes and noise, over the
mean size of a logit. `motion`: how far its weights went in the last tenth of the budget, as a share of their norm."""

ELSEWHERE = ("precision", "recall", "density", "coverage", "fake_distance", "spread", "missing_mass", "ndb_over_k")
"""The figures kept of other spaces, each with the mean of its null."""

UNCHANGED = "unchanged"
"""The name of the change that is none (`interventions`)."""


@dataclass(frozen=True, kw_only=True)
class Inside:
    """What the suite sees of a training beside its curves and evaluations."""

    shares: NDArray[np.float32]
    """[looks, modes] shares of fakes of each mode over the last updates."""
    discriminator: dict[str, float]
    """The figures of DISCRIMINATOR at the end."""
    bins: NDArray[np.int32]
    """[evaluations, K] fakes in each bin, the untrained generator's first; bins by falling share of the reals."""
    movement: NDArray[np.float32]
    """[evaluations - 1] mean distance between the fakes of the same latents in two evaluations running."""
    elsewhere: dict[str, NDArray[np.float32]]
    """By the space, [looks, len(ELSEWHERE), 2] figures and means of their nulls; empty for points."""
    changes: dict[str, NDArray[np.float32]] = field(default_factory=dict[str, NDArray[np.float32]])
    """By the name of a change at the end, [looks, figures] what the oracle saw after it; empty where none was made."""
