"""NVIDIA's StyleGAN2-ADA and StyleGAN3, and what builds on their loop: StyleGAN-XL; and R3GAN, with losses of pairs."""

from ganlib.foreign_logs.column_names import D_LOSS, KIMG, LOGIT_FAKE, LOGIT_REAL
from ganlib.foreign_logs.formats.format import ACC_FAKE_SIGN, ACC_REAL_SIGN, UNUSED, Format

FORMAT = Format(
    name="StyleGAN2-ADA / StyleGAN3",
    where="stats.jsonl",
    example=(
        '{"Loss/signs/real": {"num": 4000, "mean": 0.31, "std": 0.9}, '
        '"Loss/signs/fake": {"num": 8000, "mean": -0.28, "std": 0.9}, '
        '"Loss/G/loss": {"num": 4000, "mean": 1.1, "std": 0.6}, "Loss/D/loss": {"num": 4000, "mean": 1.2, "std": 0.5}, '
        '"Progress/kimg": {"num": 1, "mean": 4.0, "std": 0.0}}'
    ),
    needs=("Loss/D/loss", "Loss/G/loss", "Progress/kimg"),
    keys={
        "Loss/D/loss": D_LOSS,
        "Loss/G/loss": "g_loss",
        "Loss/signs/real": ACC_REAL_SIGN,
        "Loss/signs/fake": ACC_FAKE_SIGN,
        "Loss/scores/real": LOGIT_REAL,
        "Loss/scores/fake": LOGIT_FAKE,
        "Progress/kimg": KIMG,
    },
    d_loss="sum",
    objectives=("bce",),
    row_span="tick",
)

R3GAN = Format(
    name="R3GAN",
    where="stats.jsonl",
    example=(
        '{"Loss/signs/real": {"num": 4000, "mean": 0.62, "std": 0.8}, '
        '"Loss/signs/fake": {"num": 4000, "mean": -0.60, "std": 0.8}, '
        '"Loss/G/loss": {"num": 4000, "mean": 1.3, "std": 0.9}, "Loss/D/loss": {"num": 4000, "mean": 0.4, "std": 0.5}, '
        '"Loss/r1_penalty": {"num": 4000, "mean": 2.1, "std": 1.0}, "Loss/r2_penalty": {"num": 4000, "mean": 2.3, '
        '"std": 1.1}, "Progress/kimg": {"num": 1, "mean": 4.0, "std": 0.0}}'
    ),
    needs=("Loss/D/loss", "Loss/G/loss", "Loss/r1_penalty", "Loss/r2_penalty", "Progress/kimg"),
    keys={
        "Loss/D/loss": D_LOSS,
        "Loss/G/loss": "g_loss",
        "Loss/signs/real": ACC_REAL_SIGN,
        "Loss/signs/fake": ACC_FAKE_SIGN,
        "Loss/scores/real": UNUSED,
        "Loss/scores/fake": UNUSED,
        "Loss/r1_penalty": UNUSED,
        "Loss/r2_penalty": UNUSED,
        "Progress/kimg": KIMG,
    },
    d_loss="mean",
    objectives=("relativistic",),
    row_span="tick",
    notes=("losses, signs and scores are of pairs of a real and a fake: accuracies are shares of pairs",),
)
"""It has one loss over pairs, which is as large as the mean of two sides."""
