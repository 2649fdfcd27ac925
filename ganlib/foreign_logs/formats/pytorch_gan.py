"""The examples of PyTorch-GAN."""

from ganlib.foreign_logs.column_names import D_ACC, D_LOSS, EPOCH, STEP
from ganlib.foreign_logs.formats.format import UNUSED, Format

FORMAT = Format(
    name="PyTorch-GAN",
    where="what it prints",
    example="[Epoch 0/200] [Batch 37/938] [D loss: 0.483513] [G loss: 0.983146]",
    needs=("Epoch", "Batch", "D loss", "G loss"),
    keys={"Epoch": EPOCH, "Batch": STEP, "D loss": D_LOSS, "G loss": "g_loss", "acc": D_ACC},
    d_loss="mean",
    objectives=("bce", "lsgan", "wgan", "relativistic"),  # its thirty models print the same line
)


TRANSLATION = Format(
    name="PyTorch-GAN, image translation",
    where="what it prints",
    example="[Epoch 0/200] [Batch 3/400] [D loss: 0.251] [G loss: 9.31, pixel: 0.09, adv: 0.27] ETA: 1:02:03",
    needs=("Epoch", "Batch", "D loss", "G loss", "adv"),
    keys={"Epoch": EPOCH, "Batch": STEP, "D loss": D_LOSS, "adv": "g_loss", "G loss": UNUSED},
    d_loss="mean",
    objectives=("lsgan",),
)
