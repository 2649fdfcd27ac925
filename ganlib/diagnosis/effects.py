"""What remedies were measured to do in the suite: (finding, remedy) to a sentence, from `bench/results/cures.json`."""

EFFECTS: dict[tuple[str, str], str] = {
    (
        "convergence failure: both losses vanish",
        "separate batches",
    ): "healed 2 of 2 such runs of the suite, at 1.0 times the training time",
    (
        "convergence failure: discriminator inert",
        "usual settings",
    ): "healed 2 of 2 such runs of the suite, at 0.9 times the training time",
    (
        "convergence failure: discriminator wins",
        "usual Adam",
    ): "healed 1 of 1 such runs of the suite, at 0.9 times the training time",
    (
        "convergence failure: discriminator wins",
        "usual settings",
    ): "healed 7 of 7 such runs of the suite, at 1.0 times the training time",
    (
        "convergence failure: no equilibrium",
        "usual settings",
    ): "healed 1 of 1 such runs of the suite, at 2.3 times the training time",
    ("deceptive loss", "usual capacity"): "healed 1 of 1 such runs of the suite, at 12.7 times the training time",
    ("deceptive loss", "usual settings"): "healed 12 of 14 such runs of the suite, at 1.1 times the training time",
    ("divergence", "usual settings"): "healed 1 of 1 such runs of the suite, at 1.8 times the training time",
    ("exploding gradients", "usual settings"): "healed 2 of 2 such runs of the suite, at 1.5 times the training time",
    ("memorisation", "all of the data"): "healed 1 of 1 such runs of the suite, at 1.1 times the training time",
    ("mode collapse", "larger latent"): "healed 5 of 5 such runs of the suite, at 1.0 times the training time",
    ("mode collapse", "usual settings"): "healed 15 of 16 such runs of the suite, at 1.0 times the training time",
    ("oscillation", "usual settings"): "healed 3 of 3 such runs of the suite, at 1.0 times the training time",
    ("stalled", "usual settings"): "healed 6 of 7 such runs of the suite, at 1.7 times the training time",
}
