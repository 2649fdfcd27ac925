"""How sure a finding is: how often such a finding was right in the suite's reported part, which set no threshold."""

import math
from dataclasses import dataclass

from ganlib.findings import FindingName

Z_95 = 1.959963984540054
"""97.5 % quantile of N(0, 1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """A share with the 95 % interval of Wilson 1927, of which `value` is the centre.

    With z = 1.96, x right of n: (x + z²/2) / (n + z²) ± z/(n + z²) · √(x (n - x)/n + z²/4), as if four more cases had
    been seen, half of them right (Agresti & Coull 1998). Few cases say little: 2 right of 2 are .67 (.34 to 1), 1 of 3
    is .43 (.06 to .79), and none at all .5 (0 to 1). Runs of one configuration resemble each other, so that the true
    interval is wider.
    """

    value: float
    low: float
    high: float
    cases: int
    """n."""


def wilson(right: int, cases: int) -> Confidence:
    """Of `right` findings among `cases`.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    weight = cases + Z_95**2
    centre = (right + Z_95**2 / 2) / weight
    spread = right * (cases - right) / cases if cases else 0.0
    reach = Z_95 / weight * math.sqrt(spread + Z_95**2 / 4)
    return Confidence(value=centre, low=max(0.0, centre - reach), high=min(1.0, centre + reach), cases=cases)


SEEN: dict[FindingName, tuple[int, int]] = {
    "divergence": (4, 4),
    "convergence failure: both losses vanish": (6, 6),
    "convergence failure: discriminator wins": (17, 18),
    "convergence failure: discriminator inert": (12, 13),
    "exploding gradients": (1, 3),
    "vanishing gradients": (6, 7),
    "convergence failure: no equilibrium": (2, 4),
    "mode collapse": (55, 66),
    "memorisation": (2, 2),
    "oscillation": (7, 10),
    "deceptive loss": (57, 65),
    "stalled": (30, 36),
    "slow convergence": (334, 359),
}
"""By finding: how many were right, and how many there were at the end of a run (`bench/results/verdicts.json`)."""
CONFIDENCE: dict[FindingName, Confidence] = {name: wilson(*seen) for name, seen in SEEN.items()}
