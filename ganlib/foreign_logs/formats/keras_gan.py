"""Loops in Keras that print a line a step, as Keras-GAN and its many copies."""

from ganlib.foreign_logs.column_names import D_ACC, D_LOSS, G_ACC
from ganlib.foreign_logs.formats.format import Format

FORMAT = Format(
    name="Keras-GAN",
    where="what it prints",
    example="1200 [D loss: 0.693147, acc.: 50.00%] [G loss: 0.701234]",
    needs=("D loss", "acc.", "G loss"),
    keys={"D loss": D_LOSS, "acc.": D_ACC, "G loss": "g_loss"},
    d_loss="mean",
    objectives=("bce",),
)


WITH_ADVERSARIAL_ACCURACY = Format(
    name="ML-From-Scratch",
    where="what it prints",
    example="48 [D loss: 0.693147, acc: 50.00%] [G loss: 0.701234, acc: 43.75%]",
    needs=("D loss", "acc", "G loss", "acc (2)"),
    keys={"D loss": D_LOSS, "acc": D_ACC, "G loss": "g_loss", "acc (2)": G_ACC},
    d_loss="mean",
    objectives=("bce",),
)


ADVERSARIAL_MODEL = Format(
    name="Advanced Deep Learning with Keras",
    where="what it prints",
    example="48: [discriminator loss: 0.69, acc: 0.50]  [adversarial loss: 0.71, acc: 0.42]",
    needs=("acc", "acc (2)"),
    patterns=(r"^(?:A|adversarial) loss$", r"^(?:D|discriminator) loss$"),
    keys={
        "D loss": D_LOSS,
        "discriminator loss": D_LOSS,
        "acc": D_ACC,
        "A loss": "g_loss",
        "adversarial loss": "g_loss",
        "acc (2)": G_ACC,
    },
    d_loss="mean",
    objectives=("bce",),
)
