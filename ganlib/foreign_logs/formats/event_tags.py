"""Trainers whose log is TensorBoard's event files, known by their tags."""

from ganlib.foreign_logs.column_names import D_G_Z, D_LOSS, D_X
from ganlib.foreign_logs.formats.format import UNUSED, Format, Key

MIMICRY = Format(
    name="torch-mimicry",
    where="event files",
    example="errD, errG, D(x), D(G(z))",
    needs=("errD", "errG", "D(x)", "D(G(z))"),
    keys={"errD": D_LOSS, "errG": "g_loss", "D(x)": D_X, "D(G(z))": D_G_Z},
    d_loss="sum",
    objectives=("hinge", "bce"),
)


TORCHGAN = Format(
    name="TorchGAN",
    where="event files",
    example="Running Discriminator Loss, Running Generator Loss",
    needs=("Running Discriminator Loss", "Running Generator Loss"),
    keys={"Running Discriminator Loss": D_LOSS, "Running Generator Loss": "g_loss"},
    row_span="tick",
)


IMAGINAIRE = Format(
    name="imaginaire",
    where="event files",
    example="gen_update/GAN, gen_update/total, dis_update/GAN, dis_update/total",
    needs=(),
    patterns=(r"^gen_update/(?:GAN|gan)$", r"^dis_update/(?:GAN|gan)$"),
    keys={
        "gen_update/GAN": "g_loss",
        "gen_update/gan": "g_loss",
        "dis_update/GAN": D_LOSS,
        "dis_update/gan": D_LOSS,
        "gen_update/total": UNUSED,
        "dis_update/total": UNUSED,
    },
    d_loss="sum",
    objectives=("hinge",),
)


TF_GAN = Format(
    name="TF-GAN",
    where="event files",
    example="generator_wass_loss, discriminator_gen_wass_loss, discriminator_real_wass_loss, discriminator_wass_loss",
    needs=("generator_wass_loss", "discriminator_gen_wass_loss", "discriminator_real_wass_loss"),
    keys={
        "generator_wass_loss": "g_loss",
        "discriminator_gen_wass_loss": "d_loss_fake",
        "discriminator_real_wass_loss": Key(
            signal="d_loss_real", scale=-1.0, said="the mean output on reals; its negative is the loss on them"
        ),
        "discriminator_wass_loss": UNUSED,
    },
    objectives=("wgan",),
)
