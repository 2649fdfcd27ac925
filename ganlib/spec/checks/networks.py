"""Which networks fit which data, and each other. Imports no torch."""

from collections.abc import Iterator
from dataclasses import dataclass

from ganlib.spec.layers import GroupNorm
from ganlib.spec.networks import (
    Discriminator,
    Generator,
    MlpDiscriminator,
    MlpGenerator,
    PatchDiscriminator,
    PluginDiscriminator,
    PluginGenerator,
    UnetGenerator,
)

ANY_SHAPE = ("mlp", "plugin")
MIN_PATCH_SIDE = 3  # after the halvings: two convolutions of 4 x 4 that take a pixel each leave one
MAX_MINIBATCH_BYTES = 2**30  # of one tensor; a few are alive at once


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkContext:
    """What the networks must fit."""

    data: str
    """Name of the data set."""
    shape: tuple[int, ...]
    """Of one sample."""
    num_classes: int
    """Classes that are trained on; 0 where there are no labels."""
    generator_batch: int
    """Samples in a generator update."""
    discriminator_batch: int
    """Samples that pass the discriminator at once."""
    smallest_batch: int
    """Samples in the smallest discriminator batch."""
    paired: bool = False
    """Whether samples are made from images, not from latents."""


def check_networks(generator: Generator, discriminator: Discriminator, around: NetworkContext) -> None:
    """Returns where both networks can be built and trained.

    Raises:
        ValueError: they cannot; it names the field first, and what is allowed.
    """
    _check_families(generator, discriminator, around)
    _check_halvings(generator, around)
    _check_kernels(generator, discriminator, around)
    _check_norms(generator, discriminator, around)
    _check_condition(generator, discriminator, around)
    _check_patches(discriminator, around)
    _check_minibatch(discriminator, around)


def halvings(side: int) -> int:
    """How often a side can be halved: while it is even and above 4 pixels."""
    return 1 + halvings(side // 2) if side > 4 and side % 2 == 0 else 0


def even_halvings(side: int) -> int:
    """How often a side can be halved until it is odd."""
    return 1 + even_halvings(side // 2) if side > 1 and side % 2 == 0 else 0


def sees_without_class(discriminator: Discriminator) -> bool:
    """Whether its features can be computed of samples whose class is not known."""
    if isinstance(discriminator, PluginDiscriminator):
        return discriminator.condition == "none"
    return discriminator.condition in ("none", "projection")


def minibatch_bytes(samples: int, kernels: int, size: int) -> int:
    """Bytes of the float32 differences that minibatch discrimination of so many samples takes."""
    return samples * samples * kernels * size * 4


def _parts(generator: Generator, discriminator: Discriminator) -> Iterator[tuple[str, Generator | Discriminator]]:
    yield "generator", generator
    yield "discriminator", discriminator


def _check_families(generator: Generator, discriminator: Discriminator, around: NetworkContext) -> None:
    for field, part in _parts(generator, discriminator):
        if part.family in ANY_SHAPE:
            continue
        if len(around.shape) != 3:
            raise ValueError(
                f"{field}.family: '{part.family}' needs images, {around.data} has points; allowed: 'mlp', 'plugin'"
            )
        _, height, width = around.shape
        if height != width or width < 4:
            raise ValueError(
                f"{field}.family: '{part.family}' needs square images of at least 4 pixels a side, {around.data} has "
                f"{height} x {width}; allowed: 'mlp', 'plugin', or another `crop` or `image_size` of the data"
            )
    if isinstance(generator, UnetGenerator) and not around.paired:
        raise ValueError(
            f"generator.family: 'unet' makes images from images and needs paired data, {around.data} has no pairs; "
            "allowed: 'deconv', 'resnet', 'mlp', 'plugin'"
        )
    if not isinstance(generator, UnetGenerator) and around.paired:
        raise ValueError(
            f"generator.family: '{generator.family}' makes images from latents, {around.data} gives it images; "
            "allowed: 'unet'"
        )


def _check_halvings(generator: Generator, around: NetworkContext) -> None:
    if not isinstance(generator, UnetGenerator):
        return
    side = around.shape[-1]
    most = even_halvings(side)
    if not most:
        raise ValueError(f"dataset.image_size: 'unet' halves the side, and {side} is odd; allowed: even sizes")
    if generator.layers is not None and generator.layers > most:
        raise ValueError(
            f"generator.layers: {side} pixels halve evenly {most} times, not {generator.layers}; allowed: 1 to {most}"
        )


def _check_kernels(generator: Generator, discriminator: Discriminator, around: NetworkContext) -> None:
    side = around.shape[-1]
    kernels = {
        "generator.kernel_size": getattr(generator, "kernel_size", 0),
        "generator.last_kernel_size": getattr(generator, "last_kernel_size", 0),
        "discriminator.kernel_size": getattr(discriminator, "kernel_size", 0),
    }
    for field, kernel in kernels.items():
        if kernel > side:
            raise ValueError(
                f"{field}: {kernel} is larger than the image ({side} x {side} pixels); allowed: up to {side}"
            )


def _check_norms(generator: Generator, discriminator: Discriminator, around: NetworkContext) -> None:
    smallest = {"generator": around.generator_batch, "discriminator": around.smallest_batch}
    for field, part in _parts(generator, discriminator):
        if isinstance(part, PluginGenerator | PluginDiscriminator):
            continue
        flat = isinstance(part, MlpGenerator | MlpDiscriminator)
        if isinstance(part.norm, GroupNorm):
            _check_groups(field, part.width, part.norm.groups, flat=flat)
        if flat and part.norm.kind == "batch" and smallest[field] < 2:
            raise ValueError(
                f"{field}.norm: 'batch' needs two samples in every batch, and the smallest has one; allowed: 'group', "
                "'spectral', 'none', or another batch size"
            )


def _check_groups(field: str, width: int, groups: int, *, flat: bool) -> None:
    fits = [g for g in range(1, width + 1) if width % g == 0 and not (flat and g == width)]
    if groups not in fits:
        reason = "would leave one unit a group" if groups == width else f"does not divide the width {width}"
        allowed = ", ".join(map(str, fits)) or "another norm"
        raise ValueError(f"{field}.norm.groups: {groups} {reason}; allowed: {allowed}")


def _check_condition(generator: Generator, discriminator: Discriminator, around: NetworkContext) -> None:
    if generator.condition == discriminator.condition == "none":
        return
    if around.num_classes < 2:
        which = next(field for field, part in _parts(generator, discriminator) if part.condition != "none")
        has = "one class" if around.num_classes == 1 else "no labels"
        raise ValueError(f"{which}.condition: needs at least two classes, {around.data} has {has}; allowed: 'none'")
    if generator.condition == "none":
        raise ValueError(
            f"generator.condition: 'none' does not fit discriminator.condition '{discriminator.condition}'; "
            "allowed: 'concat'"
        )
    if discriminator.condition == "none":
        others = "" if isinstance(discriminator, PatchDiscriminator) else ", 'projection'"
        raise ValueError(
            f"discriminator.condition: 'none' does not fit generator.condition '{generator.condition}'; "
            f"allowed: 'concat'{others}"
        )


def _check_patches(discriminator: Discriminator, around: NetworkContext) -> None:
    if not isinstance(discriminator, PatchDiscriminator):
        return
    side = around.shape[-1]
    most = max((n for n in range(1, 7) if side >> n >= MIN_PATCH_SIDE), default=0)
    if discriminator.layers > most:
        allowed = f"1 to {most}" if most else "another family"
        raise ValueError(
            f"discriminator.layers: {discriminator.layers} halvings leave no patch of {side} x {side} pixels; "
            f"allowed: {allowed}"
        )


def _check_minibatch(discriminator: Discriminator, around: NetworkContext) -> None:
    option = getattr(discriminator, "minibatch", None)
    if option is None:
        return
    needed = minibatch_bytes(around.discriminator_batch, option.kernels, option.size)
    if needed > MAX_MINIBATCH_BYTES:
        raise ValueError(
            f"discriminator.minibatch: {option.kernels} kernels of {option.size} take {needed / 2**30:.1f} GiB to "
            f"compare {around.discriminator_batch} samples; allowed: up to 1 GiB, with smaller batches or fewer kernels"
        )
