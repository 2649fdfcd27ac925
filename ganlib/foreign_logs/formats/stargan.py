"""StarGAN and StarGAN v2, and loops that print as they do."""

from ganlib.foreign_logs.formats.format import Format

FORMAT = Format(
    name="StarGAN",
    where="what it prints",
    example=(
        "Elapsed [0:01:02], Iteration [10/200000], D/loss_real: -5.3120, D/loss_fake: 1.2043, D/loss_cls: 2.1, "
        "D/loss_gp: 0.12, G/loss_fake: -1.2000, G/loss_rec: 0.4, G/loss_cls: 2.0"
    ),
    needs=("D/loss_real", "D/loss_fake", "G/loss_fake"),
    keys={"D/loss_real": "d_loss_real", "D/loss_fake": "d_loss_fake", "G/loss_fake": "g_loss"},
    objectives=("wgan-gp",),
)


V2 = Format(
    name="StarGAN v2",
    where="what it prints",
    example=(
        "Elapsed time [0:01:02], Iteration [10/100000], D/latent_real: [0.5021] D/latent_fake: [0.6043] "
        "D/latent_reg: [0.0012] G/latent_adv: [0.9127] G/latent_sty: [0.1]"
    ),
    needs=("D/latent_real", "D/latent_fake", "G/latent_adv"),
    keys={"D/latent_real": "d_loss_real", "D/latent_fake": "d_loss_fake", "G/latent_adv": "g_loss"},
    objectives=("bce",),
)
