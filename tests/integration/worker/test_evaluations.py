"""How an attempt evaluates: on images, in the spaces of extractors and of its own discriminator."""

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ganlib.evaluation.extractors import ExtractorUnavailable
from store.core.db import reading
from store.files.artifacts import LocalArtifacts
from store.runs import records
from tests.support.memory import LittleMemory
from tests.support.scene import Scene
from worker.attempt.out_of_memory import OutOfMemory

IMAGES: dict[str, Any] = {
    "dataset": {"name": "polygons", "size": 120},
    "generator": {"family": "mlp", "width": 8, "latent_dim": 4},
    "discriminator": {"family": "mlp", "width": 8},
}


def test_a_run_on_images_keeps_what_its_bins_hold(scene: Scene) -> None:
    run_id = scene.create_run(**IMAGES)
    scene.train(scene.claim())
    with reading(scene.engine) as session:
        kept = records.artifacts(session, run_id, "bins")
    assert [artifact.epoch for artifact in kept] == [2, 4, 5]
    assert len({artifact.sha256 for artifact in kept}) == 1  # the bins are the data set's: stored once
    strip = Image.open(io.BytesIO(LocalArtifacts(scene.settings.artifacts).get(kept[0].sha256)))
    assert strip.size == (28 * 2, 28)


def test_a_run_keeps_real_samples_drawn_as_its_own_are(scene: Scene) -> None:
    run_id = scene.create_run(**IMAGES, **{"samples.count": 9})
    scene.train(scene.claim())
    with reading(scene.engine) as session:
        (reals,) = records.artifacts(session, run_id, "reals")
        samples = records.artifact(session, run_id, "samples", 1)
    assert samples is not None
    assert reals.epoch == 1
    files = LocalArtifacts(scene.settings.artifacts)
    of_reals, of_fakes = (Image.open(io.BytesIO(files.get(a.sha256))) for a in (reals, samples))
    assert of_reals.size == of_fakes.size
    assert reals.sha256 != samples.sha256


def test_a_run_is_evaluated_in_the_space_of_its_own_discriminator_at_each_epoch(scene: Scene) -> None:
    run_id = scene.create_run(**IMAGES, **{"evaluation.space": "discriminator"})
    scene.train(scene.claim())
    with reading(scene.engine) as session:
        found = records.evaluations(session, run_id)
        kept = records.artifacts(session, run_id, "bins")
    assert {e.space for e in found} == {"discriminator"}
    assert found[-1].values.keys() >= {"ndb_over_k", "precision", "exact_recall", "memorisation"}
    assert found[1].nulls["fake_distance"].mean != found[2].nulls["fake_distance"].mean  # features move with training
    assert [artifact.epoch for artifact in kept] == [2, 4, 5]


def test_a_resume_in_the_space_of_the_discriminator_gives_the_same_bits(scene: Scene) -> None:
    settings = {**IMAGES, "evaluation.space": "discriminator"}
    whole, broken = scene.create_run(**settings), scene.create_run(**settings)
    scene.train(scene.claim())
    scene.interrupt(scene.claim(), step=14)
    scene.train(scene.claim())
    assert scene.clinic.numbers(whole) == scene.clinic.numbers(broken)


def test_every_measure_can_be_asked_for_in_an_extractors_space(scene: Scene) -> None:
    names = ["ndb", "chi_square", "prdc", "repetition", "vendi", "memorisation", "modes", "frechet", "kernel"]
    chosen = {"evaluation.measures": names, "evaluation.space": "efficientnet-lite0"}
    run_id = scene.create_run(**IMAGES, **chosen, **{"training.epochs": 1})
    scene.train(scene.claim())
    with reading(scene.engine) as session:
        last = records.evaluations(session, run_id)[-1]
    assert last.space == "efficientnet-lite0"
    assert {"frechet", "kernel", "vendi"} <= last.values.keys()
    assert {"frechet", "kernel", "vendi"} <= last.nulls.keys()


def written(cache: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in cache.glob("*.npz")}


def test_runs_on_the_same_data_share_what_was_computed_of_it(scene: Scene) -> None:
    for _ in range(2):
        scene.create_run(**IMAGES)
    scene.train(scene.claim())
    made = written(scene.settings.cache)
    scene.train(scene.claim())
    assert written(scene.settings.cache) == made
    assert {name.partition("-")[0] for name in made} >= {"bins", "draws", "unseen"}


def test_an_extractor_without_weights_fails_the_run_before_it_trains(scene: Scene, monkeypatch) -> None:
    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    scene.create_run(**IMAGES, **{"evaluation.space": "inception-v3"})
    with pytest.raises(ExtractorUnavailable, match="inception"):
        scene.train(scene.claim())


def refuse(*_: object, **__: object) -> None:
    raise OSError("no network")


def test_a_translation_of_images_records_how_like_their_targets_its_samples_are(scene: Scene) -> None:
    run_id = scene.create_run(
        dataset={"name": "edges", "limit": 500, "held_out": 50},
        generator={"family": "unet", "width": 4},
        discriminator={"family": "patch", "width": 4, "layers": 1},
        evaluation={"num_samples": 50, "measures": ["paired"]},
        **{"remedies.l1": {}, "training.epochs": 2},
    )
    scene.train(scene.claim())
    numbers = scene.clinic.numbers(run_id)
    assert [set(document["values"]) for document in numbers["evaluations"]] == [{"ssim", "l1"}] * 3
    with reading(scene.engine) as session:
        [_, last] = records.artifacts(session, run_id, "samples")
    picture = Image.open(io.BytesIO(LocalArtifacts(scene.settings.artifacts).get(last.sha256)))
    assert picture.size == (2 * (3 * 56 + 2) + 2, 2 * (56 + 2) + 2)


@pytest.mark.parametrize("at_step", [None, 6])
def test_an_evaluation_that_is_out_of_memory_is_not_blamed_on_the_batch_size(scene: Scene, at_step: int | None) -> None:
    scene.create_run(
        dataset={"name": "ring8", "size": 2000},
        **{"discriminator.width": 64, "evaluation.space": "discriminator", "evaluation.num_samples": 500},
    )
    ticket, memory = scene.claim(), LittleMemory(10**9)

    def shrink() -> None:
        memory.limit_bytes = 64 * 1024  # half of the discriminator's features, and enough for all its steps

    if at_step is None:
        shrink()
    advice = r"evaluation does not fit, whatever the batch size: set a smaller evaluation\.num_samples"
    with memory, pytest.raises(OutOfMemory, match=advice):
        scene.train(ticket, at_step=at_step, interrupt=shrink)
