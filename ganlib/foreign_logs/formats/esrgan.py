"""ESRGAN, and BasicSR from which Real-ESRGAN is trained."""

from ganlib.foreign_logs.column_names import LOGIT_FAKE, LOGIT_REAL
from ganlib.foreign_logs.formats.format import UNUSED, Format

WEIGHTED = (
    "'l_g_gan' is the generator's loss times a weight of the configuration, so its level says nothing: left out; "
    "with a weight of 1, say --column g_loss=l_g_gan"
)

LOSSES = {"l_g_gan": UNUSED, "l_d_real": "d_loss_real", "l_d_fake": "d_loss_fake"}

FORMAT = Format(
    name="ESRGAN",
    where="train.log",
    example=(
        "19-04-25 10:23:11.234 - INFO: <epoch: 86, iter: 107,200, lr:1.000e-04> l_g_pix: 1.2e-02 l_g_fea: 1.3e+00 "
        "l_g_gan: 7.2e-02 l_d_real: 1.4e-05 l_d_fake: 4.1e-06 D_real: -2.6e+01 D_fake: -4.0e+01"
    ),
    needs=(*LOSSES, "D_real", "D_fake"),
    keys={**LOSSES, "D_real": LOGIT_REAL, "D_fake": LOGIT_FAKE},
    objectives=("relativistic",),
    notes=(WEIGHTED,),
)


BASICSR = Format(
    name="BasicSR / Real-ESRGAN",
    where="train_NAME.log",
    example=(
        "INFO: [Real-..][epoch:  3, iter:  10,700, lr:(1.000e-04,)] [eta: 1 day, 3:00:00] l_g_pix: 5.1e-02 "
        "l_g_gan: 1.2e-01 l_d_real: 5.9e-01 out_d_real: 2.4e-01 l_d_fake: 5.8e-01 out_d_fake: -2.5e-01"
    ),
    needs=(*LOSSES, "out_d_real", "out_d_fake"),
    keys={**LOSSES, "out_d_real": LOGIT_REAL, "out_d_fake": LOGIT_FAKE},
    objectives=("bce", "relativistic"),
    notes=(WEIGHTED,),
)
