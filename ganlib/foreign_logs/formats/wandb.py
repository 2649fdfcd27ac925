"""Charts and histories that are exported from W&B."""

from ganlib.foreign_logs.formats.format import Format

CHART = Format(
    name="W&B, a chart's export",
    where="wandb_export_….csv",
    example='"Step","RUN - d_loss","RUN - d_loss__MIN","RUN - g_loss"\n"0","0.693","0.693","0.7"',
    needs=(),
    patterns=(r" - .+__M(?:IN|AX)$",),
    unused=r"__M(?:IN|AX)$|^_step$|^_(?:runtime|timestamp)$",
    games=r"^(.+?) - (?=\S)",
)
