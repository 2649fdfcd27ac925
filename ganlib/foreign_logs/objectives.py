"""The names of objectives. Imports nothing: the command line waits for it."""

OBJECTIVES = (
    "bce",
    "saturating-bce",
    "clamped-bce",
    "lsgan",
    "wgan",
    "wgan-gp",
    "hinge",
    "relativistic",
    "relativistic-hinge",
    "other",
)
"""Adversarial losses that a history may have; of `other` nothing is assumed."""
