"""Networks in a spec: which fit the data and each other, and how a refusal is said."""

import pytest

from ganlib.spec.request import InvalidRequest, RunRequest

POINTS = {"dataset": {"name": "ring8"}, "generator": {"family": "mlp"}, "discriminator": {"family": "mlp"}}
DIGITS = {"dataset.name": "mnist-5k", "dataset.classes": None}


def problems(preset: str, changes: dict[str, object]) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as refused:
        RunRequest(preset=preset, set=changes).resolve()
    return refused.value.problems


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"generator": {"family": "unet"}}, "generator.family", "needs paired data"),
        ({**POINTS, "discriminator": {"family": "resnet"}}, "discriminator.family", "allowed: 'mlp', 'plugin'"),
        ({"generator.norm": {"kind": "layer"}}, "generator.norm.kind", "'instance'"),
        ({**POINTS, "generator.norm": {"kind": "instance"}}, "generator.norm.kind", "'batch', 'group'"),
        ({"generator.norm": {"kind": "group", "groups": 3}}, "generator.norm.groups", "does not divide the width 128"),
        (
            {**POINTS, "generator.norm": {"kind": "group", "groups": 128}},
            "generator.norm.groups",
            "one unit a group; allowed: 1, 2, 4, 8, 16, 32, 64",
        ),
        (
            {**POINTS, "discriminator.norm": {"kind": "batch"}, "training.discriminator_batch_size": 1},
            "discriminator.norm",
            "needs two samples in every batch",
        ),
        (
            {**POINTS, "discriminator.norm": {"kind": "batch"}, "dataset.size": 129, "training.batch_size": 64}
            | {"training.sampling": "without_replacement", "training.discriminator_batch_size": None},
            "discriminator.norm",
            "the smallest has one",
        ),
        ({"generator": {"family": "resnet", "kernel_size": 4}}, "generator.kernel_size", "allowed: odd sizes"),
        ({"generator": {"family": "resnet", "kernel_size": 29}}, "generator.kernel_size", "allowed: up to 28"),
        ({"generator.layers": 0}, "generator.layers", "greater than or equal to 1"),
        ({"generator.dropout": 1}, "generator.dropout", "less than or equal to 0.95"),
        ({"generator.init": {"kind": "zeros"}}, "generator.init.kind", "'orthogonal'"),
        ({"discriminator": {"family": "patch", "layers": 4}}, "discriminator.layers", "allowed: 1 to 3"),
        (
            {"discriminator.minibatch": {}, "training.discriminator_batch_size": 1024},
            "discriminator.minibatch",
            "100 kernels of 5 take 2.0 GiB to compare 1024 samples",
        ),
        ({"generator.condition": "projection"}, "generator.condition", "'none' or 'concat'"),
        ({"generator.condition": "concat"}, "generator.condition", "at least two classes, mnist has one class"),
        ({**POINTS, "discriminator.condition": "projection"}, "discriminator.condition", "ring8 has no labels"),
        ({**DIGITS, "generator.condition": "concat"}, "discriminator.condition", "allowed: 'concat', 'projection'"),
        ({**DIGITS, "discriminator.condition": "concat"}, "generator.condition", "allowed: 'concat'"),
        (
            {
                **DIGITS,
                "generator.condition": "concat",
                "discriminator.condition": "concat",
                "evaluation.space": "discriminator",
            },
            "evaluation.space",
            "needs the class of every sample",
        ),
        ({"generator": {"family": "plugin"}}, "generator.name", "required"),
        ({"generator": {"family": "plugin", "name": "os:system"}}, "generator.name", "pattern"),
        (
            {"generator": {"family": "plugin", "name": "x", "options": {"depth": {"a": 1}}}},
            "generator.options.depth",
            "a finite number",
        ),
        (
            {"generator": {"family": "plugin", "name": "x", "options": {"depth": float("inf")}}},
            "generator.options.depth",
            "a finite number",
        ),
    ],
)
def test_networks_that_do_not_fit_are_refused_by_field(changes, field, words):
    found = problems("digit8-stable", changes)
    assert field in found, found
    assert words in found[field]


def test_num_classes_counts_the_chosen_labels():
    chosen = RunRequest(preset="digit8-stable", set={"dataset.classes": [3, 1]}).resolve()
    every = RunRequest(preset="digit8-stable", set={"dataset.classes": None}).resolve()
    points = RunRequest(spec=dict(POINTS)).resolve()
    assert (chosen.num_classes, every.num_classes, points.num_classes) == (2, 10, 0)
