# pyright: standard
"""From a spec's remedies to what acts in its training, in the order in which they act."""

from collections.abc import Callable
from typing import Any

from ganlib.remedies.adaptive_augment import AdaptiveAugmentRemedy
from ganlib.remedies.augment import DiffAugmentRemedy
from ganlib.remedies.ema import MovingAverageRemedy
from ganlib.remedies.feature_matching import FeatureMatchingRemedy
from ganlib.remedies.generators import build_several
from ganlib.remedies.historical_averaging import HistoricalAveragingRemedy
from ganlib.remedies.instance_noise import InstanceNoiseRemedy
from ganlib.remedies.packing import PackingRemedy
from ganlib.remedies.remedy import ActingRemedy, Setting
from ganlib.remedies.replay import ReplayRemedy
from ganlib.remedies.target_distance import TargetDistanceRemedy
from ganlib.remedies.unrolling import UnrollingRemedy

REMEDIES: dict[str, Callable[[Any, Setting], ActingRemedy]] = {
    "replay": ReplayRemedy,
    "generators": build_several,
    "unrolling": UnrollingRemedy,
    "feature_matching": FeatureMatchingRemedy,
    "l1": TargetDistanceRemedy,
    "historical_averaging": HistoricalAveragingRemedy,
    "ema": MovingAverageRemedy,
    "diff_augment": DiffAugmentRemedy,
    "adaptive_augment": AdaptiveAugmentRemedy,
    "instance_noise": InstanceNoiseRemedy,
    "packing": PackingRemedy,
}
"""By the name of the field of `remedies`; `label_smoothing` is part of the loss. Views are made in this order: noise
comes on top of augmentation, and packs are made last."""


def build_remedies(setting: Setting) -> dict[str, ActingRemedy]:
    """The remedies that the spec asks for, by name."""
    parts = {name: getattr(setting.spec.remedies, name) for name in REMEDIES}
    return {name: REMEDIES[name](part, setting) for name, part in parts.items() if part is not None}
