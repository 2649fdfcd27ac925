"""stylegan2-pytorch of rosinality, and the many face editors that train as it does."""

from ganlib.foreign_logs.column_names import D_LOSS
from ganlib.foreign_logs.formats.format import Format

FORMAT = Format(
    name="rosinality's stylegan2-pytorch",
    where="what it prints",
    example="d: 1.2043; g: 0.9127; r1: 0.0312; path: 0.0021; mean path: 0.1203; augment: 0.0000",
    needs=("d", "g", "r1"),
    keys={"d": D_LOSS, "g": "g_loss"},
    d_loss="sum",
    objectives=("bce",),
)
