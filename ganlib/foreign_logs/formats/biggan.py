"""BigGAN-PyTorch, which writes a file for each metric."""

from ganlib.foreign_logs.formats.format import Format

FORMAT = Format(
    name="BigGAN-PyTorch",
    where="logs/RUN/, a file a metric",
    example="2000: 0.713  (in G_loss.log, D_loss_real.log and D_loss_fake.log)",
    needs=("G_loss", "D_loss_real", "D_loss_fake"),
    forms=("a metric a file",),
    objectives=("hinge",),
)
