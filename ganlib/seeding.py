"""Random streams that are functions of (seed, stream, index), so that a resume needs no generator state.

Every draw names its stream. Switching one on or off leaves all the others as they were.
"""

from enum import IntEnum

import numpy as np
import torch


class Stream(IntEnum):
    """What a draw is for. Numbers are part of the published results: append, never renumber."""

    GENERATOR_WEIGHTS = 1
    DISCRIMINATOR_WEIGHTS = 2
    DATA_ORDER = 3
    DISCRIMINATOR_LATENTS = 4
    GENERATOR_LATENTS = 5
    SAMPLE_LATENTS = 6
    EVALUATION_LATENTS = 7
    DATASET = 8
    EVALUATION = 9
    GENERATOR_POWER = 10
    DISCRIMINATOR_POWER = 11
    GENERATOR_DROPOUT = 12
    DISCRIMINATOR_DROPOUT = 13
    GENERATORS_REALS = 20
    INTERPOLATION = 21
    INSTANCE_NOISE = 22
    REPLAY = 23
    DIFF_AUGMENT = 24
    ADAPTIVE_AUGMENT = 25
    MORE_GENERATORS = 26
    IDENTITY_WEIGHTS = 27
    HELD_OUT = 28


def numpy_generator(seed: int, stream: Stream, index: int = 0) -> np.random.Generator:
    """A NumPy generator for one draw of a stream."""
    return np.random.default_rng([seed, stream, index])


def torch_generator(seed: int, stream: Stream, index: int = 0) -> torch.Generator:
    """A CPU torch generator for one draw of a stream; draws are the same on every device."""
    words = np.random.SeedSequence([seed, stream, index]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(words[0]) >> 1)  # manual_seed takes 63 bits


def latents(seed: int, stream: Stream, index: int, shape: tuple[int, int]) -> torch.Tensor:
    """[n, latent_dim] float32 from N(0, 1), on the CPU."""
    return torch.randn(shape, generator=torch_generator(seed, stream, index))


def member_seed(seed: int, number: int) -> int:
    """The seed of generator `number` among several: the first one's is the run's own."""
    if number == 0:
        return seed
    return int(numpy_generator(seed, Stream.MORE_GENERATORS, number).integers(2**63))
