"""stylegan2-pytorch and lightweight-gan, which print losses behind a bar."""

from ganlib.foreign_logs.column_names import D_LOSS
from ganlib.foreign_logs.formats.format import Format

FORMAT = Format(
    name="lightweight-gan / stylegan2-pytorch",
    where="what it prints",
    example="data:   1%|1    | 1000/150000 [10:20<25:00:10,  1.65it/s]G: 0.20 | D: 1.80 | GP: 0.50 | SS: 0.30",
    needs=("G", "D", "GP"),
    keys={"G": "g_loss", "D": D_LOSS},
    d_loss="sum",
    objectives=("hinge",),
)
