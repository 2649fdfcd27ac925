"""NVIDIA's StyleGAN2-ADA and StyleGAN3, and what builds on their loop: StyleGAN-XL, R3GAN."""

from ganlib.foreign_logs.column_names import D_LOSS, KIMG, LOGIT_FAKE, LOGIT_REAL
from ganlib.foreign_logs.formats.format import ACC_FAKE_SIGN, ACC_REAL_SIGN, Format

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
