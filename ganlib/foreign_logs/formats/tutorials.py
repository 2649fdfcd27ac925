"""Loops of tutorials that print the sum of the discriminator's losses under a name that does not say so."""

from ganlib.foreign_logs.column_names import D_G_Z, D_LOSS, D_X
from ganlib.foreign_logs.formats.format import Format

YUNJEY = Format(
    name="pytorch-tutorial",
    where="what it prints",
    example="Epoch [0/200], Step [200/600], d_loss: 0.0577, g_loss: 5.3210, D(x): 0.98, D(G(z)): 0.02",
    needs=("Epoch", "Step", "d_loss", "g_loss", "D(x)", "D(G(z))"),
    keys={"d_loss": D_LOSS, "g_loss": "g_loss", "D(x)": D_X, "D(G(z))": D_G_Z},
    d_loss="sum",
    objectives=("bce",),
)
