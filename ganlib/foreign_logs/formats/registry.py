"""All formats that are known. One more is one more file and a row here."""

from collections.abc import Iterable

from ganlib.foreign_logs.formats import (
    biggan,
    chainer,
    dcgan,
    esrgan,
    event_tags,
    keras_gan,
    lucidrains,
    mmagic,
    pix2pix,
    pytorch_gan,
    rosinality,
    stargan,
    studiogan,
    stylegan,
    tutorials,
    wandb,
)
from ganlib.foreign_logs.formats.format import Format

FORMATS: tuple[Format, ...] = (
    dcgan.FORMAT,
    tutorials.YUNJEY,
    pytorch_gan.FORMAT,
    pytorch_gan.TRANSLATION,
    keras_gan.FORMAT,
    keras_gan.WITH_ADVERSARIAL_ACCURACY,
    keras_gan.ADVERSARIAL_MODEL,
    pix2pix.FORMAT,
    pix2pix.CYCLEGAN,
    pix2pix.SPADE,
    stylegan.FORMAT,
    stylegan.R3GAN,
    rosinality.FORMAT,
    lucidrains.FORMAT,
    studiogan.FORMAT,
    studiogan.SIGNS,
    biggan.FORMAT,
    stargan.FORMAT,
    stargan.V2,
    mmagic.FORMAT,
    esrgan.FORMAT,
    esrgan.BASICSR,
    chainer.FORMAT,
    chainer.EXAMPLE,
    event_tags.MIMICRY,
    event_tags.TORCHGAN,
    event_tags.IMAGINAIRE,
    event_tags.TF_GAN,
    wandb.CHART,
)

KNOWN_KEYS = frozenset(name for form in FORMATS for name in form.keys if len(name) > 1)
"""Names that hold a signal in some format."""


def recognised(names: Iterable[str], form: str) -> Format | None:
    """The format whose log has such names: of several the one that needs most of them."""
    found = set(names)
    fits = [candidate for candidate in FORMATS if candidate.recognises(found, form)]
    return max(fits, key=lambda fit: len(fit.needs), default=None)
