"""PyTorch-StudioGAN."""

from ganlib.foreign_logs.column_names import D_LOSS, LOGIT_FAKE, LOGIT_REAL, STEP
from ganlib.foreign_logs.formats.format import ACC_FAKE_SIGN, ACC_REAL_SIGN, Format

FORMAT = Format(
    name="StudioGAN",
    where="logs/RUN.log",
    example=(
        "[INFO] 2022-11-02 23:50:13 > Step:    900 Progress: 0.9% Elapsed: 0:07:59 Gen_loss: 0.913 Dis_loss: 1.204 "
        "Cls_loss: N/A"
    ),
    needs=("Step", "Gen_loss", "Dis_loss"),
    keys={"Step": STEP, "Gen_loss": "g_loss", "Dis_loss": D_LOSS},
    d_loss="sum",
)


SIGNS = Format(
    name="StudioGAN on W&B",
    where="history of W&B",
    example='{"_step": 100, "gen_loss": 0.91, "dis_loss": 1.2, "dis_sign_real": 0.31, "dis_sign_fake": -0.28}',
    needs=("dis_sign_real", "dis_sign_fake"),
    keys={
        "gen_loss": "g_loss",
        "dis_loss": D_LOSS,
        "dis_sign_real": ACC_REAL_SIGN,
        "dis_sign_fake": ACC_FAKE_SIGN,
        "dis_logit_real": LOGIT_REAL,
        "dis_logit_fake": LOGIT_FAKE,
    },
    d_loss="sum",
)
