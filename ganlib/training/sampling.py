# pyright: standard
"""Samples from a generator: for a step, for pictures, for an evaluation."""

import math
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ganlib.data.held_out import HeldOut, held_out_of
from ganlib.data.load import DataArrays
from ganlib.networks.build import build_generator
from ganlib.seeding import Stream, latents
from ganlib.spec.run import RunSpec

SAMPLE_BATCH = 500  # the most fakes at a time when sampling for pictures and evaluation: bounds memory


def scale(samples: Tensor) -> Tensor:
    """uint8 pixels to float32 in [-1, 1]; points as they are."""
    return samples.float() / 127.5 - 1 if samples.dtype == torch.uint8 else samples


@torch.no_grad()
def make_fakes(generator: nn.Module, latent: Tensor, statistics: str, labels: Tensor | None = None) -> Tensor:
    """[n, *shape] without a graph, with the batch's own or the moving batch-norm statistics."""
    if statistics == "moving":
        generator.eval()
        fakes = generate(generator, latent, labels)
        generator.train()
        return fakes
    return generate(generator, latent, labels)


def generate(generator: nn.Module, latent: Tensor, labels: Tensor | None) -> Tensor:
    """[n, *shape] float32 from latents [n, latent_dim], and from labels [n] where the generator is conditional."""
    samples: Tensor = generator(latent) if labels is None else generator(latent, labels)
    return samples.float()  # whatever it multiplies in


def sample(
    generator: nn.Module, spec: RunSpec, stream: Stream, count: int, held_out: HeldOut | None = None
) -> NDArray[np.float32]:
    """[count, *shape] from the stream's latents, or from the first held-out inputs where there are any.

    Leaves the generator and its moving statistics untouched. A conditional generator makes the classes in turn,
    0, 1, … and again, as many of each; of inputs, those that they belong to.
    """
    if held_out is None:
        given = latents(spec.seed, stream, 0, (count, spec.generator.latent_dim))
    else:
        given = torch.from_numpy(held_out.inputs[:count])
    classes = _classes_shown(spec, count, held_out)
    device = next(generator.parameters()).device
    buffers = {name: b.clone() for name, b in generator.named_buffers()}
    parts: list[Tensor] = []
    for part in even_parts(count):
        labels = None if classes is None else classes[part].to(device)
        parts.append(make_fakes(generator, given[part].to(device), spec.evaluation.fake_statistics, labels))
    for name, buffer in generator.named_buffers():
        buffer.copy_(buffers[name])
    return torch.cat(parts).float().cpu().numpy()


def untrained_fakes(spec: RunSpec, device: torch.device, data: DataArrays | None = None) -> NDArray[np.float32]:
    """[num_samples, *shape] from the spec's generator before its first update: the noise floor of evaluation.

    Where samples are made from images, `data` has them.
    """
    generator, count = build_generator(spec, device), spec.evaluation.num_samples
    return sample(generator, spec, Stream.EVALUATION_LATENTS, count, None if data is None else held_out_of(data))


def even_parts(count: int) -> list[slice]:
    """The fewest parts of at most SAMPLE_BATCH samples; their sizes differ by one at most.

    Batch norm takes its statistics from a part: a last one of a single sample has none, and one of a few poor ones.
    """
    number = math.ceil(count / SAMPLE_BATCH)
    ends = [count * part // number for part in range(number + 1)]
    return [slice(first, end) for first, end in pairwise(ends)]


def _classes_shown(spec: RunSpec, count: int, held_out: HeldOut | None) -> Tensor | None:
    """[count] class of each sample that is made; None where the generator is told none."""
    if spec.generator.condition == "none":
        return None
    return torch.arange(count) % spec.num_classes if held_out is None else torch.from_numpy(held_out.classes[:count])
