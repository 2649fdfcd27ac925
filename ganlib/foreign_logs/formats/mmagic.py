"""mmgeneration and mmagic."""

from ganlib.foreign_logs.formats.format import UNUSED, Format

FORMAT = Format(
    name="mmgeneration / mmagic",
    where="TIME.log.json, vis_data/scalars.json, or what it prints",
    example=(
        '{"mode": "train", "epoch": 1, "iter": 100, "loss_disc_fake": 0.61, "loss_disc_real": 0.58, "loss_disc": 1.19, '
        '"loss_disc_fake_g": 0.92, "loss_gen": 0.92}'
    ),
    needs=("loss_disc_fake", "loss_disc_real", "loss_disc_fake_g"),
    keys={
        "loss_disc_real": "d_loss_real",
        "loss_disc_fake": "d_loss_fake",
        "loss_disc_fake_g": "g_loss",
        "loss_disc": UNUSED,
        "loss_gen": UNUSED,
    },
    row_span="tick",
)
