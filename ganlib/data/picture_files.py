"""Pictures from outside, as a viewer shows them: turned, opaque, 8 bits a channel. Imports no torch."""

import io
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ganlib.data.samples import InvalidUpload, Limits

FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
MODES = ("1", "L", "LA", "RGB", "RGBA", "P", "PA", "CMYK", "I", "I;16", "I;16L", "I;16B", "I;16N")
"""What a picture's pixels may be."""
GREY_MODES = ("1", "L", "LA")
BACKGROUND = (255, 255, 255, 255)  # white, which shows through what is transparent: most viewers and pages are so
Convert = Literal["grey", "rgb"]
CONVERTED: dict[Convert, str] = {"grey": "L", "rgb": "RGB"}
LEVELS_OF_16_BITS = 257  # 65,535 / 255


class NoPicture(InvalidUpload):
    """The file cannot be decoded."""


def decode(content: bytes, limits: Limits, convert: Convert | None = None) -> NDArray[np.uint8]:
    """A picture's pixels [channels, height, width], with 1 or 3 channels, or with those that `convert` asks for.

    Raises:
        NoPicture: it is none, or a damaged one.
        InvalidUpload: it is one that is not taken.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            problem = _problem(image, limits)
            if problem is None:
                shown = _flat(_upright(image))
                shown = shown if convert is None else shown.convert(CONVERTED[convert])
                return np.asarray(shown).reshape(shown.height, shown.width, -1).transpose(2, 0, 1)
    except Image.UnidentifiedImageError:
        raise NoPicture(f"is no picture ({', '.join(FORMATS)}); leave it out") from None
    except Exception as error:  # noqa: BLE001  decoders stumble over damaged pictures in every way there is
        raise NoPicture(f"is a damaged picture ({str(error)[:100] or type(error).__name__}); leave it out") from None
    raise InvalidUpload(problem)


def _upright(image: Image.Image) -> Image.Image:
    image.load()  # what is damaged in the pixels is no matter of EXIF
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001  viewers ignore EXIF that is damaged
        return image


def _flat(image: Image.Image) -> Image.Image:
    """Grey or RGB, 8 bits a channel, without transparency."""
    if image.mode.startswith("I"):
        levels = np.asarray(image).clip(0, 65_535).astype(np.float32)
        return Image.fromarray(np.rint(levels / LEVELS_OF_16_BITS).astype(np.uint8))
    kept = "L" if image.mode in GREY_MODES else "RGB"
    if not image.has_transparency_data:
        return image.convert(kept)
    shown = Image.new("RGBA", image.size, BACKGROUND)
    shown.alpha_composite(image.convert("RGBA"))
    return shown.convert(kept)


def _problem(image: Image.Image, limits: Limits) -> str | None:
    if image.width * image.height > limits.pixels:
        return f"has {image.width} x {image.height} pixels; allowed: {limits.pixels:,} in all"
    if image.mode not in MODES:
        return f"has pixels of the kind {image.mode}; save it with 8 or 16 bits a channel, grey or RGB"
    if getattr(image, "is_animated", False) and image.format != "MPO":  # in which cameras add a preview
        return "is animated; save single pictures"
    return None
