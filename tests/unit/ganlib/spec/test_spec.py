"""Specs: what is refused and how it is said, hashing, presets."""

from typing import Any

import pytest
from pydantic import ValidationError

from ganlib.spec.hashing import canonical_json, spec_hash
from ganlib.spec.preset import UnknownPreset, get_preset, preset_names
from ganlib.spec.request import InvalidRequest, RunRequest
from ganlib.spec.run import RunSpec

PUBLISHED = {
    # preset: (latent, learning rate, beta1, epochs, batch, generator width, last kernel, discriminator width)
    "mnist-stable": (128, 2e-4, 0.5, 100, 1024, 128, 3, 64),
    "mnist-latent-2": (2, 2e-4, 0.5, 100, 1024, 128, 3, 64),
    "mnist-latent-1": (1, 2e-4, 0.5, 200, 1024, 128, 3, 64),
    "mnist-lr-0.2": (128, 0.2, 0.5, 100, 1024, 128, 3, 64),
    "mnist-beta1-0.9": (128, 2e-4, 0.9, 100, 1024, 128, 3, 64),
    "digit8-stable": (50, 2e-4, 0.5, 10, 128, 128, 7, 64),
    "digit8-latent-1": (1, 2e-4, 0.5, 10, 128, 128, 7, 64),
    "digit8-combined-batch": (50, 2e-4, 0.5, 10, 128, 128, 7, 64),
    "digit8-adam-default": (50, 1e-3, 0.9, 10, 128, 128, 7, 64),
}

POINTS = ("ring8-slow-discriminator", "ring8-stable")

TRANSLATIONS = {
    # preset: (learning rate, the discriminator's, weight of L1)
    "pix2pix-edges": (2e-4, 2e-4, 100),
    "pix2pix-slow": (2e-5, 2e-5, 100),
    "pix2pix-deceptive": (2e-4, 1e-6, 0),
}


def test_there_is_a_preset_for_every_published_experiment_and_two_for_points():
    assert preset_names() == tuple(sorted([*POINTS, *PUBLISHED, *TRANSLATIONS]))


def test_the_two_presets_for_points_differ_in_the_discriminators_rate_alone():
    sick, healthy = (get_preset(name).spec.model_dump() for name in POINTS)
    assert sick["discriminator_optimizer"].pop("learning_rate") == 1e-5
    assert healthy["discriminator_optimizer"].pop("learning_rate") == 2e-3
    assert sick == healthy


@pytest.mark.parametrize("name", sorted(TRANSLATIONS))
def test_translations_differ_only_in_what_their_names_say(name):
    preset, usual = get_preset(name), get_preset("pix2pix-edges").spec
    spec: Any = preset.spec
    discriminator = spec.discriminator_optimizer or spec.optimizer
    weight = 0 if spec.remedies.l1 is None else spec.remedies.l1.weight
    assert TRANSLATIONS[name] == (spec.optimizer.learning_rate, discriminator.learning_rate, weight)
    assert spec.optimizer.beta1 == discriminator.beta1 == 0.5
    for part in ("dataset", "generator", "discriminator", "objective", "training", "evaluation", "samples"):
        assert getattr(spec, part) == getattr(usual, part)
    assert "paired" in spec.evaluation.measures
    assert spec.steps_per_epoch == 250
    assert "SSIM" in preset.reports
    assert preset.deviations


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_presets_have_exactly_the_published_numbers(name):
    preset = get_preset(name)
    spec: Any = preset.spec
    assert PUBLISHED[name] == (
        spec.generator.latent_dim,
        spec.optimizer.learning_rate,
        spec.optimizer.beta1,
        spec.training.epochs,
        spec.training.batch_size,
        spec.generator.width,
        spec.generator.last_kernel_size,
        spec.discriminator.width,
    )
    assert spec.optimizer.beta2 == 0.999
    assert preset.deviations
    assert preset.reports
    if name.startswith("mnist"):
        assert (spec.objective.name, spec.dataset.size, spec.steps_per_epoch) == ("clamped-bce", 60_000, 59)
        assert (spec.generator.norm.kind, spec.generator.init.kind, spec.samples.count) == ("none", "fan_in", 64)
    else:
        assert (spec.objective.name, spec.dataset.size, spec.steps_per_epoch) == ("bce", 5851, 45)
        assert spec.discriminator_batch_size == 64
        assert spec.generator.norm == spec.discriminator.norm
        assert (spec.generator.norm.eps, spec.generator.norm.momentum) == (1e-3, 0.01)
        assert spec.generator.init.std == 0.02
        assert spec.training.sampling == "with_replacement"


@pytest.mark.parametrize(
    ("preset", "changes", "field", "words"),
    [
        ("digit8-stable", {"generator.latent_dim": 0}, "generator.latent_dim", "greater than or equal to 1, not 0"),
        (
            "digit8-stable",
            {"training.discriminator_batch_size": 9000},
            "training.discriminator_batch_size",
            "1 to 5851",
        ),
        ("mnist-stable", {"dataset.limit": 500}, "training.batch_size", "1 to 500"),
        ("digit8-stable", {"generator.kernel_size": 29}, "generator.kernel_size", "up to 28"),
        ("digit8-stable", {"discriminator.kernel_size": 40}, "discriminator.kernel_size", "up to 28"),
        ("digit8-stable", {"generator.last_kernel_size": 4}, "generator.last_kernel_size", "odd"),
        ("digit8-stable", {"evaluation.measures": ["ndb", "fid"]}, "evaluation.measures[1]", "'frechet'"),
        ("digit8-stable", {"evaluation.measures": ["ndb", "ndb"]}, "evaluation.measures", "once"),
        ("digit8-stable", {"evaluation.measures": []}, "evaluation.measures", "at least 1"),
        ("digit8-stable", {"evaluation.space": "vgg"}, "evaluation.space", "'efficientnet-lite0'"),
        (
            "digit8-stable",
            {
                "dataset": {"name": "ring8"},
                "generator": {"family": "mlp"},
                "discriminator": {"family": "mlp"},
                "evaluation.space": "efficientnet-lite0",
            },
            "evaluation.space",
            "'pixels', 'discriminator'",
        ),
        (
            "mnist-stable",
            {"dataset.limit": 60, "training.batch_size": 20, "evaluation.neighbours": 30},
            "evaluation.neighbours",
            "1 to 29",
        ),
        ("digit8-stable", {"generator.widht": 3}, "generator.widht", "allowed: family, latent_dim, width"),
        ("digit8-stable", {"colour": "red"}, "colour", "allowed: spec_version, seed"),
        ("digit8-stable", {"generator.family": "transformer"}, "generator.family", "'deconv', 'resnet'"),
        ("digit8-stable", {"dataset.name": "imagenet"}, "dataset.name", "'mnist-5k'"),
        ("digit8-stable", {"dataset.classes": [8, 11]}, "dataset.classes", "0 to 9"),
        ("digit8-stable", {"dataset.classes": [8, 8]}, "dataset.classes", "once"),
        ("digit8-stable", {"evaluation.num_bins": 100}, "evaluation.num_bins", "at least 2500 fakes"),
        ("digit8-stable", {"optimizer.learning_rate": "fast"}, "optimizer.learning_rate", "'fast'"),
        ("digit8-stable", {"optimizer.learning_rate": float("nan")}, "optimizer.learning_rate", "finite"),
        ("digit8-stable", {"training.epochs.x": 3}, "training.epochs.x", "not an object"),
        ("digit8-stable", {"spec_version": 2}, "spec_version", "1"),
        ("digit8-stable", {"diagnosis.halt_on": ["boredom"]}, "diagnosis.halt_on[0]", "'mode collapse'"),
        ("digit8-stable", {"diagnosis.halt_on": ["stalled", "stalled"]}, "diagnosis.halt_on", "once"),
        ("digit8-stable", {"diagnosis.halt_after_epochs": 0}, "diagnosis.halt_after_epochs", "equal to 1, not 0"),
        ("digit8-stable", {"dataset": {"name": "ring8"}}, "generator.family", "allowed: 'mlp'"),
        ("digit8-stable", {"dataset": {"name": "polygons", "size": 49}}, "dataset.size", "50"),
        ("digit8-stable", {"dataset": {"name": "polygons", "limit": 100}}, "dataset.limit", "allowed: name, size"),
    ],
)
def test_a_bad_field_is_named_with_what_is_allowed(preset, changes, field, words):
    with pytest.raises(InvalidRequest) as refused:
        RunRequest(preset=preset, set=changes).resolve()
    assert field in refused.value.problems
    assert words in refused.value.problems[field]


def test_all_wrong_fields_are_named_at_once():
    with pytest.raises(InvalidRequest) as refused:
        RunRequest(preset="digit8-stable", set={"training.epochs": 0, "generator.width": -1}).resolve()
    assert set(refused.value.problems) == {"training.epochs", "generator.width"}


def test_setting_a_field_of_a_given_part_leaves_what_was_given_as_it_was():
    given: dict[str, Any] = {"dataset": {"name": "polygons"}, "dataset.size": 99}
    assert RunRequest(preset="digit8-stable", set=given).resolve().dataset.size == 99
    assert given["dataset"] == {"name": "polygons"}


def test_an_unknown_preset_is_refused_with_those_that_exist():
    with pytest.raises(UnknownPreset, match="digit8-stable"):
        get_preset("digit9")
    with pytest.raises(InvalidRequest, match="preset: 'digit9' is not known"):
        RunRequest(preset="digit9").resolve()


def test_a_request_needs_exactly_one_source():
    two: dict[str, Any] = {"preset": "digit8-stable", "spec": {}}
    for sources in ({}, two):
        with pytest.raises(ValidationError, match="either"):
            RunRequest(**sources)


def test_equal_specs_have_equal_hashes_however_they_were_written():
    short = RunSpec.model_validate(
        {"dataset": {"name": "ring8"}, "generator": {"family": "mlp"}, "discriminator": {"family": "mlp"}}
    )
    assert spec_hash(RunSpec.model_validate(short.model_dump(mode="json"))) == spec_hash(short)
    assert spec_hash(RunSpec.model_validate_json(short.model_dump_json())) == spec_hash(short)
    assert spec_hash(short.model_copy(update={"seed": 1})) != spec_hash(short)


def test_what_may_halt_a_run_does_not_change_its_hash():
    plain = get_preset("digit8-stable").spec
    halting = RunRequest(preset="digit8-stable", set={"diagnosis.halt_on": ["mode collapse"]}).resolve()
    assert halting != plain
    assert spec_hash(halting) == spec_hash(plain)
    assert "halt_on" in canonical_json(halting)


def test_how_long_a_run_may_take_does_not_change_its_hash_and_where_it_is_trained_does():
    plain = get_preset("digit8-stable").spec
    limited = RunRequest(preset="digit8-stable", set={"resources.max_hours": 0.5}).resolve()
    assert limited.resources.max_hours == 0.5
    assert spec_hash(limited) == spec_hash(plain)
    assert '"max_hours":0.5' in canonical_json(limited)
    shared = RunRequest(preset="digit8-stable", set={"resources.gpu_memory_gb": 2}).resolve()
    assert spec_hash(shared) == spec_hash(plain)
    there = RunRequest(preset="digit8-stable", set={"resources.device": "cpu"}).resolve()
    assert spec_hash(there) != spec_hash(plain)


@pytest.mark.parametrize("hours", [0, -1, float("inf"), "a day"])
def test_a_time_that_is_none_is_refused_with_its_field(hours: float | str):
    with pytest.raises(InvalidRequest) as refused:
        RunRequest(preset="digit8-stable", set={"resources.max_hours": hours}).resolve()
    assert list(refused.value.problems) == ["resources.max_hours"]


@pytest.mark.parametrize("gb", [0, 0.5, float("inf"), "all"])
def test_memory_that_is_none_is_refused_with_its_field(gb: float | str):
    with pytest.raises(InvalidRequest) as refused:
        RunRequest(preset="digit8-stable", set={"resources.gpu_memory_gb": gb}).resolve()
    assert list(refused.value.problems) == ["resources.gpu_memory_gb"]


def test_one_label_alone_is_told_to_be_written_as_a_list():
    with pytest.raises(InvalidRequest) as refused:
        RunRequest(preset="digit8-stable", set={"resources.labels": "h100"}).resolve()
    assert refused.value.problems == {"resources.labels": 'is no list; write one, as in ["h100"]'}


def test_labels_are_sorted_and_change_no_hash():
    plain = get_preset("digit8-stable").spec
    labelled = RunRequest(preset="digit8-stable", set={"resources.labels": ["h100", "Big_1-x", "h100"]}).resolve()
    assert labelled.resources.labels == ("Big_1-x", "h100")
    assert spec_hash(labelled) == spec_hash(plain)
    assert '"labels":["Big_1-x","h100"]' in canonical_json(labelled)


@pytest.mark.parametrize(
    ("labels", "field"),
    [
        (["fast", "h 100"], "resources.labels[1]"),
        ([""], "resources.labels[0]"),
        (["a\n"], "resources.labels[0]"),
        (["schnäll"], "resources.labels[0]"),
        (["x" * 33], "resources.labels[0]"),
        ([f"l{n}" for n in range(9)], "resources.labels"),
        ("h100", "resources.labels"),
    ],
)
def test_labels_that_are_none_are_refused_with_their_field(labels: object, field: str):
    with pytest.raises(InvalidRequest) as refused:
        RunRequest(preset="digit8-stable", set={"resources.labels": labels}).resolve()
    assert list(refused.value.problems) == [field]
    if field != "resources.labels":
        assert "allowed: 1 to 32 letters, digits, dashes and underscores" in refused.value.problems[field]


def test_polygons_train_the_networks_for_images():
    spec = RunRequest(preset="digit8-stable", set={"dataset": {"name": "polygons"}}).resolve()
    assert (spec.dataset.size, spec.data.shape, spec.generator.family) == (10_000, (1, 28, 28), "deconv")


def test_a_spec_is_frozen():
    spec = get_preset("digit8-stable").spec
    with pytest.raises(ValidationError):
        spec.seed = 4


def test_the_json_schema_describes_every_field():
    schema = RunSpec.model_json_schema()
    parts = [schema, *schema["$defs"].values()]
    assert {"seed", "dataset", "generator", "training"} <= set(schema["properties"])
    assert all(part["additionalProperties"] is False for part in parts)
    for part in parts:
        for name, field in part["properties"].items():
            assert field.keys() & {"description", "const", "$ref"}, f"{part['title']}.{name}"
