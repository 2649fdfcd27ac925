"""pytorch-CycleGAN-and-pix2pix, and what builds on its visualizer: pix2pixHD, SPADE, CUT."""

from ganlib.foreign_logs.column_names import D_LOSS
from ganlib.foreign_logs.formats.format import Format

IMAGES = "'iters' counts images: with a batch size above 1 there are fewer updates"

FORMAT = Format(
    name="pix2pix",
    where="loss_log.txt",
    example="(epoch: 1, iters: 100, time: 0.069, data: 0.001) G_GAN: 1.027 G_L1: 20.373 D_real: 0.513 D_fake: 0.641",
    needs=("G_GAN", "D_real", "D_fake"),
    keys={"G_GAN": "g_loss", "D_real": "d_loss_real", "D_fake": "d_loss_fake"},
    objectives=("bce", "lsgan"),
    notes=(IMAGES,),
)


CYCLEGAN = Format(
    name="CycleGAN",
    where="loss_log.txt",
    example=(
        "(epoch: 1, iters: 100, time: 0.262, data: 0.198) D_A: 0.256 G_A: 0.374 cycle_A: 1.912 idt_A: 0.871 "
        "D_B: 0.233 G_B: 0.412 cycle_B: 2.101 idt_B: 0.903"
    ),
    needs=("D_A", "G_A", "D_B", "G_B"),
    keys={"D": D_LOSS, "G": "g_loss"},
    games=r"(?<=^[DG])_([AB])$",
    d_loss="mean",
    objectives=("lsgan",),
    notes=(IMAGES,),
)


SPADE = Format(
    name="SPADE",
    where="loss_log.txt",
    example="(epoch: 1, iters: 100, time: 0.262) GAN: 0.512 GAN_Feat: 9.1 VGG: 8.2 D_Fake: 0.931 D_real: 0.874",
    needs=("GAN", "D_Fake", "D_real"),
    keys={"GAN": "g_loss", "D_real": "d_loss_real", "D_Fake": "d_loss_fake"},
    objectives=("hinge",),
    notes=(IMAGES,),
)
