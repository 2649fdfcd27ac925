"""chainer-gan-lib and the DCGAN of Chainer's examples."""

from ganlib.foreign_logs.column_names import D_LOSS, STEP
from ganlib.foreign_logs.formats.format import Format

FORMAT = Format(
    name="chainer-gan-lib",
    where="log",
    example='[{"loss_gen": 1.489, "loss_dis": 0.887, "epoch": 0, "iteration": 100, "elapsed_time": 17.4}]',
    needs=("loss_gen", "loss_dis", "iteration"),
    keys={"loss_gen": "g_loss", "loss_dis": D_LOSS, "iteration": STEP},
    d_loss="sum",
    objectives=("bce",),
    row_span="tick",
)


EXAMPLE = Format(
    name="Chainer's DCGAN",
    where="log",
    example='[{"gen/loss": 1.489, "dis/loss": 0.887, "epoch": 0, "iteration": 100, "elapsed_time": 17.4}]',
    needs=("gen/loss", "dis/loss", "iteration"),
    keys={"gen/loss": "g_loss", "dis/loss": D_LOSS, "iteration": STEP},
    d_loss="sum",
    objectives=("bce",),
    row_span="tick",
)
