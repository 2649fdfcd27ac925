"""The DCGAN of pytorch/examples and of PyTorch's tutorial, and the many loops that began as copies of it."""

from ganlib.foreign_logs.column_names import D_G_Z, D_G_Z_AFTER, D_LOSS, D_X
from ganlib.foreign_logs.formats.format import Format

FORMAT = Format(
    name="pytorch/examples DCGAN",
    where="what it prints",
    example="[0/25][50/782]\tLoss_D: 0.3821\tLoss_G: 4.6212\tD(x): 0.8512\tD(G(z)): 0.1483 / 0.0152",
    needs=("Loss_D", "Loss_G", "D(x)"),
    keys={"Loss_D": D_LOSS, "Loss_G": "g_loss", "D(x)": D_X, "D(G(z))": D_G_Z, "D(G(z)) / 2": D_G_Z_AFTER},
    d_loss="sum",
    objectives=("bce",),
)
