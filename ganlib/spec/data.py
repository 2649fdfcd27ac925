"""The data of a run spec: which set, and what of it. Imports no torch.

Every kind of data set has the same properties: `info` (shape and source), `size` (training samples) and
`kept_classes` (labels that a conditional network may be given).
"""

import math
from abc import abstractmethod
from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ganlib.spec.catalog import DATASETS, DatasetInfo
from ganlib.spec.part import Part

MAX_CLASSES = 1000
SMALLEST_SIDE, LARGEST_SIDE = 8, 256
MAX_BYTES = 8 * 1024**3  # of all pixels: CelebA at 128 a side fits; evaluation needs four times as much, as float32
FEWEST_PAIRS = 50  # to train on, and as many held out: fewer samples are not evaluated
ImageSide = Annotated[int, Field(ge=SMALLEST_SIDE, le=LARGEST_SIDE)]
"""Pixels along each side of a square image."""


class ImageChoice(Part):
    """Which images of a set are kept, and how they are cut to size. Pixel values are scaled to [-1, 1]."""

    classes: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(default=None, min_length=1)
    """Keep only these classes, e.g. `[8]`; null keeps all of them."""
    limit: int | None = Field(default=None, ge=2)
    """Keep only the first this many images (after the choice of classes); null keeps all of them."""
    image_size: ImageSide | None = None
    """Resize to this many pixels a side (bicubic, antialiased where it shrinks); null: as they are."""
    crop: bool = False
    """Keep only the centre square, which images that are not square need; done before they are resized."""

    @property
    @abstractmethod
    def original(self) -> DatasetInfo:
        """The whole set, before any choice."""

    @property
    def info(self) -> DatasetInfo:
        """The set with images of the size that is trained on."""
        return replace(self.original, shape=_cut(self.original.shape, self.crop, self.image_size))

    @property
    def size(self) -> int:
        """Number of training images that this choice keeps."""
        counts = self.original.class_counts
        chosen = sum(counts[c] for c in self.classes) if self.classes is not None else sum(counts)
        return chosen if self.limit is None else min(chosen, self.limit)

    @property
    def kept_classes(self) -> tuple[int, ...]:
        """Their labels, rising; empty where nothing tells classes apart."""
        known = len(self.original.class_counts)
        if known < 2:
            return ()
        return tuple(range(known)) if self.classes is None else tuple(sorted(self.classes))

    @property
    def _values_of_one(self) -> int:
        """Numbers that are kept in memory for each image."""
        return math.prod(self.info.shape)

    @model_validator(mode="after")
    def _classes_exist(self) -> Self:
        known = len(self.original.class_counts)
        if self.classes is not None:
            if known < 2:
                raise ValueError("classes: this data set has none; set it to null")
            unknown = [c for c in self.classes if c >= known]
            if unknown:
                raise ValueError(f"classes: there is no class {unknown[0]}; allowed: 0 to {known - 1}")
            if len(set(self.classes)) != len(self.classes):
                raise ValueError("classes: each class may be named once")
        return self

    @model_validator(mode="after")
    def _images_are_square(self) -> Self:
        shape = self.original.shape
        if len(shape) == 1 and (self.crop or self.image_size is not None):
            raise ValueError(f"{'crop' if self.crop else 'image_size'}: points have no pixels; leave it out")
        if len(shape) == 3 and shape[1] != shape[2] and not self.crop:
            raise ValueError(
                f"crop: images of {shape[2]} x {shape[1]} pixels are not square; set it to true to keep their centre"
            )
        return self

    @model_validator(mode="after")
    def _fits_into_memory(self) -> Self:
        shape = self.info.shape
        size = self.size * self._values_of_one
        if len(shape) == 3 and size > MAX_BYTES:
            raise ValueError(
                f"limit: {self.size:,} images of {shape[2]} x {shape[1]} pixels take {size / 1024**3:.1f} GiB of "
                f"memory; allowed: {MAX_BYTES // 1024**3} GiB, with a smaller limit or image_size"
            )
        return self


def _cut(shape: tuple[int, ...], crop: bool, image_size: int | None) -> tuple[int, ...]:
    if len(shape) != 3 or not (crop or image_size):
        return shape
    side = image_size or min(shape[1:])
    return shape[0], side, side


class ImageDataset(ImageChoice):
    """Published images, most with labels."""

    name: Literal["mnist", "fashion-mnist", "kmnist", "mnist-5k", "cifar10", "celeba"]
    """`mnist-5k` needs no network; `celeba` has to lie in GANCLINIC_DATA_DIR, has no classes and needs `crop`; the
    others are found there or downloaded."""

    @property
    def original(self) -> DatasetInfo:
        """The whole set, before any choice."""
        return DATASETS[self.name]


class UploadChoice(ImageChoice):
    """What of an upload is kept."""

    upload: str = Field(pattern=r"^[0-9a-f]{16}$")
    """Id of the upload, 16 hex digits."""
    shape: tuple[Annotated[int, Field(ge=1, le=1_000_000)], ...] = Field(min_length=1, max_length=3)
    """Of one sample as uploaded; filled in when the run is created."""
    class_counts: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1, max_length=MAX_CLASSES)
    """Samples in each class, one number where there are no classes; filled in when the run is created."""

    @property
    def original(self) -> DatasetInfo:
        """The whole set, before any choice."""
        return DatasetInfo(
            title=f"upload {self.upload}", shape=self.shape, class_counts=self.class_counts, source="uploaded"
        )


class UploadDataset(UploadChoice):
    """Your own images or points, uploaded before."""

    name: Literal["upload"] = "upload"
    """`upload`: the set that `upload` names."""


class PairChoice(ImageChoice):
    """Which pairs are kept, and which of them are not trained on. Input and target are cut alike."""

    held_out: int = Field(default=1000, ge=FEWEST_PAIRS, le=50_000)
    """Pairs, of those kept, that are never trained on: pictures and evaluation show what is made of their inputs. Drawn
    at random, the same ones under every seed."""

    @property
    def size(self) -> int:
        """Number of pairs that are trained on."""
        return super().size - self.held_out

    @property
    def input_channels(self) -> int:
        """Channels of an input, which is as high and wide as its target."""
        return 1

    @property
    def _values_of_one(self) -> int:
        return super()._values_of_one + self.input_channels * math.prod(self.info.shape[1:])

    @model_validator(mode="after")
    def _some_are_trained_on(self) -> Self:
        kept = super().size
        if self.size < FEWEST_PAIRS:
            raise ValueError(
                f"held_out: {self.held_out} of {kept} pairs leave too few to train on, which takes {FEWEST_PAIRS}; "
                f"allowed: {_allowed_of(kept)}"
            )
        return self


def _allowed_of(pairs: int) -> str:
    """How many of so many pairs may be held out."""
    if pairs < 2 * FEWEST_PAIRS:
        return f"{FEWEST_PAIRS} or more, of {2 * FEWEST_PAIRS} pairs or more"
    return f"{FEWEST_PAIRS} to {pairs - FEWEST_PAIRS}"


class EdgesDataset(PairChoice):
    """Pairs for image translation: the edges of an image are the input, the image is the target.

    Edges are dark lines on white, one channel: 255 − min(255, 4·|∇Y|), with Sobel's filter on the luminance Y, after
    the image was cut to size. Source: the task edges → photo of Isola et al. 2017, whose edges a network draws.
    """

    name: Literal["edges"] = "edges"
    """`edges`: edges and the images that they were drawn from."""
    of: Literal["mnist", "fashion-mnist", "kmnist", "mnist-5k", "cifar10", "celeba"] = "mnist-5k"
    """Where the images come from; `mnist-5k` needs no network."""

    @property
    def images(self) -> ImageDataset:
        """The images that are kept."""
        chosen = {field: getattr(self, field) for field in ImageChoice.model_fields}
        return ImageDataset(name=self.of, **chosen)

    @property
    def original(self) -> DatasetInfo:
        """The whole set, before any choice."""
        return DATASETS[self.of]


class UploadEdgesDataset(PairChoice, UploadChoice):
    """Pairs for image translation, of your own images: the edges of an image are the input, as those of `edges`."""

    name: Literal["upload-edges"] = "upload-edges"
    """`upload-edges`: edges and the uploaded images that they were drawn from."""

    @model_validator(mode="after")
    def _are_images(self) -> Self:
        if len(self.shape) != 3:
            raise ValueError("upload: points have no edges; name an upload of images")
        return self


class UploadPairsDataset(PairChoice, UploadChoice):
    """Pairs for image translation, uploaded as such: a picture of one folder is the input, its partner the target.

    Partners have the same name in both folders. *Source*: the layout of Isola et al. 2017 (pix2pix), folders A and B.
    """

    name: Literal["upload-pairs"] = "upload-pairs"
    """`upload-pairs`: the pairs that `upload` names."""
    input: str = "A"
    """Folder of the inputs."""
    target: str = "B"
    """Folder of the targets."""
    folders: tuple[str, str]
    """Both folders of the upload; filled in when the run is created."""

    @property
    def original(self) -> DatasetInfo:
        """The whole set, before any choice: its pairs, in one class."""
        return replace(super().original, class_counts=self.class_counts[:1])

    @property
    def input_channels(self) -> int:
        """Channels of an input, which is as high and wide as its target."""
        return self.shape[0]

    @model_validator(mode="after")
    def _folders_exist(self) -> Self:
        there = " and ".join(f"'{folder}'" for folder in self.folders)
        for field in ("input", "target"):
            if getattr(self, field) not in self.folders:
                raise ValueError(f"{field}: there is no folder '{getattr(self, field)}'; the upload has {there}")
        if self.input == self.target:
            raise ValueError(f"target: '{self.target}' has the inputs; the upload has {there}")
        if len(self.shape) != 3 or len(self.class_counts) != 2 or self.class_counts[0] != self.class_counts[1]:
            raise ValueError("class_counts: pairs are as many images in either folder; leave it out")
        return self


class StackedDataset(Part):
    """Images of three random digits, one in each colour channel: 1,000 modes.

    Digits are drawn with replacement, each channel by itself. Label of an image: 100·red + 10·green + blue.

    *Source*: Metz et al. 2017 and Srivastava et al. 2017; PacGAN (Lin et al. 2018) trains on 128,000 images.
    """

    name: Literal["stacked-mnist"] = "stacked-mnist"
    """`stacked-mnist`: drawn from the spec's seed."""
    of: Literal["mnist", "mnist-5k"] = "mnist"
    """Where the digits come from; `mnist-5k` needs no network."""
    size: int = Field(default=25_000, ge=50, le=200_000)
    """Number of training images drawn."""

    @property
    def info(self) -> DatasetInfo:
        """Shape and source."""
        return DATASETS[self.name]

    @property
    def kept_classes(self) -> tuple[int, ...]:
        """Every label, rising."""
        return tuple(range(1000))


class MixtureDataset(Part):
    """Points from a Gaussian mixture with known modes, scaled into [-1, 1]."""

    name: Literal["ring8", "grid25", "mixture1d"]
    """`ring8`: 8 modes on a circle; `grid25`: 25 modes on a 5 x 5 grid; `mixture1d`: 5 modes on a line."""
    size: int = Field(default=10_000, ge=50, le=1_000_000)
    """Number of training points drawn."""

    @property
    def info(self) -> DatasetInfo:
        """Shape and source."""
        return DATASETS[self.name]

    @property
    def kept_classes(self) -> tuple[int, ...]:
        """Empty: modes are what is to be found, not labels."""
        return ()


class PolygonDataset(Part):
    """Images of convex polygons, drawn with replacement from the 4,017 whose corners lie on 12 points of a circle."""

    name: Literal["polygons"] = "polygons"
    """`polygons`: a finite set, so that precision and recall of fakes are exact."""
    size: int = Field(default=10_000, ge=50, le=100_000)
    """Number of training images drawn."""

    @property
    def info(self) -> DatasetInfo:
        """Shape and source."""
        return DATASETS[self.name]

    @property
    def kept_classes(self) -> tuple[int, ...]:
        """Empty: polygons have no classes."""
        return ()


Dataset = Annotated[
    ImageDataset
    | UploadDataset
    | EdgesDataset
    | UploadEdgesDataset
    | UploadPairsDataset
    | StackedDataset
    | MixtureDataset
    | PolygonDataset,
    Field(discriminator="name"),
]
