"""What a diagnosis may say: the names of findings, verdicts and severities. Specs name them, too."""

from typing import Literal, get_args

Verdict = Literal[
    "healthy",
    "still learning",
    "divergence",
    "convergence failure",
    "exploding gradients",
    "vanishing gradients",
    "mode collapse",
    "memorisation",
    "oscillation",
    "deceptive loss",
    "stalled",
    "undetermined",
]


FindingName = Literal[
    "divergence",
    "convergence failure: both losses vanish",
    "convergence failure: discriminator wins",
    "convergence failure: discriminator inert",
    "exploding gradients",
    "vanishing gradients",
    "convergence failure: no equilibrium",
    "mode collapse",
    "memorisation",
    "oscillation",
    "deceptive loss",
    "stalled",
    "slow convergence",
]
"""In the order of findings: a cause before its symptoms."""


VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


FINDING_NAMES: tuple[FindingName, ...] = get_args(FindingName)


Grade = Literal["poor", "rough", "fair", "close to real"]
"""How good samples are, from worst to best; a healthy run's are at least fair."""


GRADES: tuple[Grade, ...] = get_args(Grade)


Severity = Literal["none", "mild", "moderate", "severe"]
"""`mild` is information: it goes with a healthy verdict."""


SEVERITIES: tuple[Severity, ...] = get_args(Severity)
Labelled = Literal["healthy", FindingName]
"""What a label is about: one failure mode, or that there is none."""
LABELLED: tuple[Labelled, ...] = get_args(Labelled)
