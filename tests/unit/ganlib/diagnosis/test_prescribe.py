"""Remedies of every finding, for specs of every kind: what they change, in which order, and what they leave alone."""

from typing import Any

import pytest

from ganlib.diagnosis.prescribe import PRESCRIPTIONS, REMEDIES, prescribe
from ganlib.diagnosis.verdict import Remedy
from ganlib.findings import FINDING_NAMES, FindingName
from ganlib.spec.preset import get_preset, preset_names
from ganlib.spec.request import RunRequest
from ganlib.spec.run import RunSpec
from tests.support.store import SPEC

DIGITS: dict[str, Any] = {
    "dataset": {"name": "mnist-5k"},
    "generator": {"family": "deconv", "width": 8},
    "discriminator": {"family": "conv", "width": 4},
    "training": {"epochs": 2, "batch_size": 50},
}
UPLOAD = "0123456789abcdef"
PAIRS: dict[str, Any] = {
    "dataset": {
        "name": "upload-pairs",
        "upload": UPLOAD,
        "shape": [3, 12, 12],
        "class_counts": [150, 150],
        "folders": ["A", "B"],
        "held_out": 100,
    },
    "generator": {"family": "unet", "width": 4},
    "discriminator": {"family": "patch", "width": 4, "layers": 1},
    "training": {"epochs": 2, "batch_size": 10},
    "samples": {"count": 4},
    "evaluation": {"num_samples": 100, "measures": ["paired"]},
}
BATCH_NORM: dict[str, Any] = {"generator.norm.kind": "batch", "discriminator.norm.kind": "batch"}
JOINED: dict[str, Any] = {"training.discriminator_update": "joined_batch"}
CONDITIONAL: dict[str, Any] = {"generator.condition": "concat", "discriminator.condition": "projection"}
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "points": (SPEC, {}),
    "points, joined batches": (SPEC, BATCH_NORM | JOINED),
    "points, groups": (SPEC, {"generator.width": 6, "generator.norm": {"kind": "group", "groups": 3}}),
    "points, momentum": (SPEC, {"optimizer": {"name": "sgd", "momentum": 0.9}}),
    "points, wgan": (SPEC, {"objective.name": "wgan"}),
    "points, a pass an epoch": (SPEC, {"training.steps_per_epoch": None, "dataset.size": 1000}),
    "points of 64 dimensions": (
        SPEC,
        {
            "dataset": {"name": "upload", "upload": UPLOAD, "shape": [64], "class_counts": [500]},
            "generator.latent_dim": 10,
        },
    ),
    "digits": (DIGITS, {}),
    "digits, 60 of them": (DIGITS, {"dataset.limit": 60}),
    "digits, one layer": (DIGITS, {"generator.layers": 1, "discriminator.layers": 1, "generator.kernel_size": 9}),
    "digits, groups": (DIGITS, {"generator.width": 12, "generator.norm": {"kind": "group", "groups": 6}}),
    "digits, clipped loss": (DIGITS, {"objective.name": "clamped-bce"}),
    "digits, wgan": (DIGITS, {"objective.name": "wgan"}),
    "digits, wgan-gp, joined batches": (DIGITS, {"objective.name": "wgan-gp", **JOINED}),
    "digits, hinge": (DIGITS, {"objective.name": "hinge"}),
    "digits, relativistic, joined batches": (DIGITS, {"objective.name": "relativistic", **JOINED}),
    "digits, conditional": (DIGITS, CONDITIONAL),
    "digits, a generator each": (DIGITS, {**CONDITIONAL, "remedies.generators.kind": "per_class"}),
    "digits, a mixture": (DIGITS, {"remedies.generators": {"kind": "mixture", "count": 3}}),
    "digits, unrolled": (DIGITS, {"remedies.unrolling.steps": 2}),
    "digits, augmented": (DIGITS, {"remedies.adaptive_augment.target": 0.6}),
    "digits, two GPUs": (DIGITS, {"resources.gpus": 2}),
    "digits, features": (DIGITS, {"evaluation.space": "discriminator"}),
    "digits, two rates": (DIGITS, {"discriminator_optimizer": {"learning_rate": 1e-5}}),
    "digits, plugins": (
        DIGITS,
        {"generator": {"family": "plugin", "name": "theirs"}, "discriminator": {"family": "plugin", "name": "theirs"}},
    ),
    "stacked digits": (DIGITS, {"dataset": {"name": "stacked-mnist", "of": "mnist-5k"}}),
    "uploaded images": (
        DIGITS,
        {"dataset": {"name": "upload", "upload": UPLOAD, "shape": [3, 32, 32], "class_counts": [500] * 2}},
    ),
    "pairs": (PAIRS, {}),
    "pairs, joined batches": (PAIRS, JOINED),
}
"""By name: a spec, and what is changed in it."""
NAMES = [*KINDS, *preset_names()]


def spec_of(name: str, **settings: Any) -> RunSpec:
    if name not in KINDS:
        return RunRequest(preset=name, set=settings).resolve()
    spec, changes = KINDS[name]
    return RunRequest(spec=spec, set={**changes, **settings}).resolve()


def patched(spec: RunSpec, patch: dict[str, Any]) -> RunSpec:
    return RunRequest(spec=spec.model_dump(mode="json"), set=patch).resolve()


def remedy(name: str, finding: FindingName, spec: RunSpec) -> Remedy | None:
    return next((r for r in prescribe(finding, spec) if r.name == name), None)


def usual(spec: RunSpec, finding: FindingName = "oscillation") -> RunSpec:
    """The spec with the usual settings."""
    found = remedy("usual settings", finding, spec)
    return spec if found is None else patched(spec, found.patch)


# --- every remedy -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("finding", FINDING_NAMES)
def test_every_remedy_is_an_allowed_spec_that_differs_in_each_of_its_settings(finding: FindingName, name: str) -> None:
    spec = spec_of(name)
    remedies = prescribe(finding, spec)
    assert remedies
    for found in remedies:
        before = spec
        for path, value in found.patch.items():
            after = patched(before, {path: value})
            assert after != before, (found.name, path)
            before = after
        assert patched(spec, found.patch) == before


def test_every_remedy_is_prescribed_for_a_finding_and_known() -> None:
    assert {name for names in PRESCRIPTIONS.values() for name in names} == set(REMEDIES)
    assert set(PRESCRIPTIONS) == set(FINDING_NAMES)
    assert all(len(set(names)) == len(names) for names in PRESCRIPTIONS.values())


def test_a_remedy_that_the_spec_has_taken_or_does_not_allow_is_left_out() -> None:
    taken = spec_of("points", **{"penalties.r1": 1.0, "remedies.packing.samples": 2})
    left = {r.name for r in prescribe("mode collapse", taken)}
    assert not {"R1 penalty", "packing"} & left
    assert remedy("packing", "mode collapse", spec_of("digits, conditional")) is None
    assert remedy("augmentation", "memorisation", spec_of("digits, augmented")) is None


@pytest.mark.parametrize(
    ("name", "colours"), [("digits", False), ("stacked digits", True), ("uploaded images", True), ("pairs", False)]
)
def test_colours_are_augmented_where_there_are_some_and_no_input_has_them_too(name: str, colours: bool) -> None:
    found = remedy("augmentation", "memorisation", spec_of(name))
    assert found is not None
    assert found.patch == {"remedies.diff_augment.ops": [*(["colour"] if colours else []), "translation", "cutout"]}


@pytest.mark.parametrize(
    ("name", "update"),
    [
        ("points, joined batches", "half_batches"),
        ("pairs, joined batches", "half_batches"),
        ("digits, wgan-gp, joined batches", "together"),
        ("digits, relativistic, joined batches", "together"),
    ],
)
def test_batches_are_separated_as_the_objective_allows(name: str, update: str) -> None:
    first = prescribe("convergence failure: discriminator wins", spec_of(name))[0]
    assert (first.name, first.patch) == ("separate batches", {"training.discriminator_update": update})


@pytest.mark.parametrize(
    ("dims", "latent", "wider"), [(2, 2, 16), (2, 3, None), (12, 12, 24), (40, 10, 50), (64, 10, 50), (64, 50, None)]
)
def test_a_latent_of_points_is_wider_than_they_are_or_wide_enough_for_images(
    dims: int, latent: int, wider: int | None
) -> None:
    dataset = {"name": "upload", "upload": UPLOAD, "shape": [dims], "class_counts": [500]}
    spec = spec_of("points", dataset=dataset, **{"generator.latent_dim": latent})
    found = remedy("latent wider than the data", "mode collapse", spec)
    assert (found.patch if found else None) == ({"generator.latent_dim": wider} if wider else None)


# --- all of the data --------------------------------------------------------------------------------------------


def test_what_a_few_samples_are_learnt_by_heart_for_is_answered_with_all_of_them() -> None:
    first = prescribe("memorisation", spec_of("digits, 60 of them"))[0]
    assert (first.name, first.patch) == ("all of the data", {"dataset.limit": None})


@pytest.mark.parametrize(
    ("name", "limit", "more"),
    [
        ("digits", None, False),
        ("digits", 5000, False),
        ("digits", 6000, False),
        ("digits", 4999, True),
        ("uploaded images", 1000, False),
        ("uploaded images", 900, True),
        ("pix2pix-edges", 2000, True),
        ("points", None, False),
    ],
)
def test_a_limit_that_leaves_nothing_out_is_no_cause(name: str, limit: int | None, more: bool) -> None:
    spec = spec_of(name) if limit is None else spec_of(name, **{"dataset.limit": limit})
    assert (remedy("all of the data", "memorisation", spec) is not None) is more


# --- the usual settings -----------------------------------------------------------------------------------------


BEFORE_THE_USUAL = {"separate batches", "larger latent", "usual Adam", "distance to the target"}
"""Each answers a cause that a spec shows by itself."""


@pytest.mark.parametrize("finding", [f for f in FINDING_NAMES if f not in ("memorisation", "slow convergence")])
def test_the_usual_settings_come_first_but_for_causes_that_a_spec_shows(finding: FindingName) -> None:
    names = PRESCRIPTIONS[finding]
    assert set(names[: names.index("usual settings")]) <= BEFORE_THE_USUAL


@pytest.mark.parametrize("finding", ["memorisation", "slow convergence"])
def test_the_usual_settings_answer_neither_too_few_data_nor_too_few_epochs(finding: FindingName) -> None:
    assert "usual settings" not in PRESCRIPTIONS[finding]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_usual_is_left_as_it_is(name: str) -> None:
    spec = spec_of(name)
    assert usual(spec) != spec
    assert usual(usual(spec)) == usual(spec)


@pytest.mark.parametrize("name", NAMES)
def test_the_usual_settings_leave_data_objective_and_budget(name: str) -> None:
    before, after = spec_of(name), usual(spec_of(name))
    for field in ("seed", "dataset", "evaluation", "samples", "diagnosis", "resources"):
        assert getattr(after, field) == getattr(before, field), field
    for field in ("epochs", "steps_per_epoch", "batch_size", "discriminator_batch_size", "sampling"):
        assert getattr(after.training, field) == getattr(before.training, field), field
    has_no_time = before.objective.name in ("wgan", "wgan-gp") and len(before.data.shape) == 1
    saturates = before.objective.name in ("saturating-bce", "clamped-bce")
    assert after.objective.name == ("bce" if saturates or has_no_time else before.objective.name)
    assert after.generator.family == before.generator.family
    assert after.discriminator.family == before.discriminator.family


def test_the_usual_settings_change_what_differs_and_nothing_else() -> None:
    found = remedy("usual settings", "oscillation", get_preset("mnist-stable").spec)
    assert found is not None
    assert found.patch == {"objective": {"name": "bce"}, "remedies.ema.decay": 0.99}


def test_the_usual_settings_of_points() -> None:
    tiny = {"generator.width": 2, "generator.layers": 1, "generator.latent_dim": 1}
    after = usual(spec_of("points, joined batches", **tiny))
    assert after.training.discriminator_update == "half_batches"
    generator, discriminator = after.generator.model_dump(), after.discriminator.model_dump()
    assert generator["norm"] == discriminator["norm"] == {"kind": "none"}
    assert (generator["width"], generator["layers"]) == (128, 2)
    assert (after.generator.latent_dim, after.penalties.r1, after.training.discriminator_steps) == (2, 0.01, 2)
    assert after.remedies.ema is not None
    assert after.discriminator_optimizer is not None
    assert after.discriminator_optimizer.learning_rate == 2 * after.optimizer.learning_rate == 2e-3
    assert after.optimizer.schedule.kind == "linear"


def test_a_setting_that_does_not_fit_does_not_keep_the_others_back() -> None:
    """Patches of three halvings do not fit into 12 pixels, nor 6 groups into 16 channels."""
    pairs, digits = usual(spec_of("pairs")), usual(spec_of("digits, groups"))
    assert pairs.discriminator.model_dump().items() >= {"layers": 1, "width": 8}.items()
    assert digits.generator.model_dump()["width"] == 12
    assert pairs.remedies.ema is not None
    assert digits.remedies.ema is not None


def test_one_rate_for_both_networks_of_images_is_written_once() -> None:
    found = remedy("usual settings", "oscillation", spec_of("digits, two rates"))
    assert found is not None
    assert found.patch["discriminator_optimizer"] is None
    alike = spec_of("digits", discriminator_optimizer=usual(spec_of("digits")).optimizer.model_dump(mode="json"))
    assert usual(alike).discriminator_optimizer == usual(alike).optimizer


@pytest.mark.parametrize(("epochs", "rate"), [(1, 1e-3), (10, 0.8 / 1000), (1000, 2e-4)])
@pytest.mark.parametrize("discriminator_steps", [1, 5])
def test_short_runs_on_images_take_larger_steps(epochs: int, rate: float, discriminator_steps: int) -> None:
    """An epoch is 100 updates, once each has one update of the discriminator."""
    changes = {"training.epochs": epochs, "training.discriminator_steps": discriminator_steps}
    unusual = spec_of("digits", **changes, **{"optimizer.learning_rate": 0.02})
    assert usual(unusual).optimizer.learning_rate == pytest.approx(rate)


@pytest.mark.parametrize("rate", [2e-4, 5e-4, 1e-3])
def test_a_usual_rate_on_images_stays(rate: float) -> None:
    assert (
        usual(spec_of("digits", **{"training.epochs": 1, "optimizer.learning_rate": rate})).optimizer.learning_rate
        == rate
    )


def test_critics_keep_their_steps_on_images_and_take_no_momentum() -> None:
    for name in ("digits, wgan", "digits, wgan-gp, joined batches"):
        after = usual(spec_of(name))
        assert after.training.discriminator_steps == 5
        assert after.optimizer.model_dump().items() >= {"name": "adam", "beta1": 0.0}.items()
