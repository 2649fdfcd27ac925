# pyright: standard
"""The reference that a run's fakes are measured against, as its spec asks for it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ganlib.data.load import DataArrays, load_test_split, scaled
from ganlib.evaluation.cache import Cache
from ganlib.evaluation.measures.modes import mode_counter
from ganlib.evaluation.measures.table import Context
from ganlib.evaluation.reference import BLOWN_UP, NULL_SPLITS, Embed, Reference, Samples, embedding, prepare_reference
from ganlib.spec.run import RunSpec

NULL_SPLITS_OF_AN_EPOCH = 5  # of a discriminator, whose null is made anew at every evaluation


def run_reference(
    spec: RunSpec, data: DataArrays, data_dir: Path, *, device: torch.device, cache: Cache, embed: Embed | None = None
) -> Reference:
    """The reference of a run on `data`; in the space `discriminator`, `embed` is what its discriminator sees.

    Raises:
        ExtractorUnavailable: the weights of the spec's extractor are not there.
        DatasetUnavailable: the test split is neither in `data_dir` nor can it be downloaded.
    """
    options = spec.evaluation.comparison
    counter = mode_counter(spec.dataset, data, cache, device) if "modes" in options.measures else None
    changes = options.space == "discriminator"
    test = None if changes else load_test_split(spec.dataset, data_dir)
    if not changes:
        embed = embedding(options.space, device, data_dir)
    assert embed is not None, "the space discriminator comes with its embed"
    if changes:
        embed = bounded(embed)
    reference = prepare_reference(
        scaled(data),
        Context(options=options, device=device, modes=counter),
        embed,
        num_samples=spec.evaluation.num_samples,
        cache=Cache(None) if changes else cache,
        test=None if test is None else scaled(test),
        null_splits=NULL_SPLITS_OF_AN_EPOCH if changes else NULL_SPLITS,
    )
    return reference if data.held_out is None else replace(reference, targets=scaled(data.held_out))


def bounded(embed: Embed) -> Embed:
    """As it is, but for features that are not finite or beyond BLOWN_UP: a discriminator's whose weights blew up."""

    def features(samples: Samples) -> NDArray[np.float32]:
        found = np.nan_to_num(embed(samples), nan=BLOWN_UP, posinf=BLOWN_UP, neginf=-BLOWN_UP)
        return np.clip(found, np.float32(-BLOWN_UP), np.float32(BLOWN_UP))

    return features
