"""Watched runs over HTTP: what a trainer sends is stored once, judged by a worker, and seen as any run."""

from datetime import timedelta

import httpx2
import numpy as np
import pytest
from sqlalchemy import func, select, update

from api.watched_runs import NPY
from ganlib.records import STEP_COLUMNS
from ganlib.step_blocks import ABSENT, MAX_NAMES, MEDIA_TYPE, encode
from store import watched
from store.core.db import reading, transaction
from store.core.models import Artifact, Run, WatchedBlock, WatchRow
from store.files.backends import open_artifacts
from store.runs import claims, endings, events, rediagnosis
from store.runs.series import read_steps
from store.watched import SILENT, EpochEnd, lose_silent
from tests.support.api import Service
from tests.support.store import LEASE
from tests.support.watched import NAMES, PATH, Trainer, look, npy, rows


def points(seed: int, count: int = 300) -> np.ndarray:
    return np.clip(0.3 * np.random.default_rng(seed).standard_normal((count, 2)), -1, 1).astype(np.float32)


def upload(service: Service, array: np.ndarray) -> str:
    answer = service.client.post("/v1/uploads", files={"file": ("real.npy", npy(array))})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def problems(answer: httpx2.Response) -> dict[str, str]:
    assert answer.status_code == 422, answer.text
    return {error["field"]: error["message"] for error in answer.json()["errors"]}


def stored_steps(service: Service, run_id: str) -> np.ndarray:
    with reading(service.engine) as session:
        return read_steps(session, run_id)


def test_a_watched_run_is_seen_as_any_run_from_the_first_moment(service: Service) -> None:
    trainer = Trainer(service, name="my-stylegan", objective="bce", epochs=4)
    run = trainer.get()
    assert (run["name"], run["status"], run["watched"], run["epochs_total"]) == ("my-stylegan", "running", True, 4)
    assert (run["attempt"], run["attempts"], run["verdict"]) == (0, [], None)
    assert run["spec"]["objective"] == {"name": "bce"}
    (listed,) = service.client.get("/v1/runs", params={"status": "running"}).json()["items"]
    assert listed["id"] == trainer.id
    assert trainer.get("/waiting")["reasons"] == []
    assert trainer.get("/diagnosis/history")["items"] == []


def test_an_epoch_is_judged_by_a_worker_with_its_samples_beside_the_reals(service: Service) -> None:
    trainer = Trainer(service, objective="bce", real=upload(service, points(0)))
    values = rows(300)
    trainer.steps(values[:200])
    trainer.steps(values[200:])
    answer = trainer.epoch(points(1))
    assert answer.status_code == 200, answer.text
    assert (answer.json()["epochs_sent"], answer.json()["epochs_done"]) == (1, 0)
    assert service.rung, "the bell calls a worker"
    look(service)
    state = service.client.get(trainer.path).json()
    assert (state["epochs_done"], state["steps"], state["status"]) == (1, 300, "running")
    run = trainer.get()
    assert (run["verdict"], run["severity"], run["step"], run["steps_per_epoch"]) == ("healthy", "none", 300, 300)
    (evaluation,) = trainer.get("/evaluations")["items"]
    assert (evaluation["epoch"], evaluation["n_fake"]) == (1, 300)
    assert trainer.get(
        "/series",
    )["columns"]["g_loss"]["mean"][0] == pytest.approx(0.75, abs=0.3)
    np.testing.assert_array_equal(stored_steps(service, trainer.id)[:, :5], values.astype(np.float32))
    for picture in ("samples/1", "reals", "figures/losses.png", "figures/ndb.png"):
        answer = service.client.get(f"/v1/runs/{trainer.id}/{picture}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png"), picture
    with reading(service.engine) as session:
        kinds = set(session.scalars(select(Artifact.kind).where(Artifact.run_id == trainer.id)))
    assert kinds == {"samples", "reals"}, (
        "the sent array is kept no longer than it is needed; points have no bins' pictures"
    )


def test_what_a_trainer_does_not_send_is_named_as_lacking(service: Service) -> None:
    trainer = Trainer(service)
    trainer.steps(rows(150)[:, [2]], ("errG",))
    trainer.epoch()
    look(service)
    diagnosis = trainer.get("/diagnosis")
    assert {"d_loss_real", "d_acc_real", "d_grad_norm", "fakes and reals"} <= set(diagnosis["missing"])
    assert "g_loss" not in diagnosis["missing"]
    assert diagnosis["verdict"] == "undetermined"


def test_names_and_scales_of_a_known_trainer_are_understood(service: Service) -> None:
    """DCGAN's tutorial prints the sum of the discriminator's parts, and probabilities."""
    trainer = Trainer(service)
    count, rng = 200, np.random.default_rng(0)
    loss = 1.3 + 0.01 * rng.standard_normal(count)
    chance = 0.5 + 0.01 * rng.standard_normal((count, 2))
    sent = np.column_stack([loss, 0.7 + 0 * loss, chance])
    trainer.steps(sent, ("Loss_D", "Loss_G", "D(x)", "D(G(z))"))
    trainer.epoch()
    look(service)
    steps = dict(zip(STEP_COLUMNS, stored_steps(service, trainer.id).T, strict=True))
    np.testing.assert_allclose(steps["d_loss_real"], loss / 2, rtol=1e-6)
    np.testing.assert_allclose(steps["g_loss"], 0.7, rtol=1e-6)


def test_a_message_that_comes_again_is_stored_once(service: Service) -> None:
    trainer = Trainer(service)
    values = rows(10)
    first = trainer.steps(values).json()
    again = trainer.steps(values + 1, sequence=1)
    assert (again.status_code, again.json()) == (200, first)
    assert trainer.epoch(sequence=2).json()["epochs_sent"] == 1
    assert trainer.epoch(sequence=2).json()["epochs_sent"] == 1
    with reading(service.engine) as session:
        assert session.scalars(select(func.count()).select_from(WatchedBlock)).one() == 1
        assert session.get_one(WatchRow, trainer.id).steps == 10


def test_a_message_before_which_others_are_missing_is_refused(service: Service) -> None:
    trainer = Trainer(service)
    answer = trainer.steps(rows(3), sequence=2)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:ganclinic:problem:watch-out-of-order")
    assert "send 1 first" in answer.json()["detail"]
    assert service.client.get(trainer.path).json()["sequence"] == 0


def test_epochs_that_differ_in_length_are_each_judged_with_their_own_steps(service: Service) -> None:
    trainer = Trainer(service, objective="bce")
    values, ends = rows(330), (110, 250, 330)
    for first, last in zip((0, *ends), ends, strict=False):
        trainer.steps(values[first:last])
        trainer.epoch()
    look(service)
    assert [d["epoch"] for d in trainer.get("/diagnosis/history")["items"]] == [1, 2, 3]
    np.testing.assert_array_equal(stored_steps(service, trainer.id)[:, :5], values.astype(np.float32))
    assert trainer.get()["epochs_done"] == 3
    epochs = [1] * 110 + [2] * 140 + [3] * 80
    assert trainer.get("/series?resolution=step&max_points=1000")["epochs"] == epochs
    assert trainer.get("/series?resolution=epoch")["epochs"] == [1, 2, 3]
    lines = service.client.get(f"/v1/runs/{trainer.id}/losses.csv").text.splitlines()[1:]
    assert [int(line.split(",")[1]) for line in lines] == epochs


def test_the_run_ends_once_all_that_was_sent_is_judged(service: Service) -> None:
    trainer = Trainer(service)
    trainer.steps(rows(120))
    trainer.epoch()
    assert trainer.end().json()["status"] == "running"
    look(service)
    run = trainer.get()
    assert (run["status"], run["epochs_total"]) == ("succeeded", 1)
    assert run["finished_at"] is not None
    refused = trainer.steps(rows(3))
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:ganclinic:problem:watched-run-over")
    assert trainer.end(sequence=3).status_code == 200, "the end itself may be sent again"
    assert events_of(service, trainer.id) == ["status", "epoch", "status"]


def events_of(service: Service, run_id: str) -> list[str]:
    with reading(service.engine) as session:
        return [event.kind for event in events.read(session, after=0, limit=100, run_id=run_id)]


def test_a_run_without_epochs_ends_at_once(service: Service) -> None:
    trainer = Trainer(service)
    trainer.steps(rows(3))
    assert trainer.end("failed").json()["status"] == "failed"


def test_a_later_epoch_queues_the_same_look_again(service: Service) -> None:
    trainer = Trainer(service)
    for _ in range(3):
        trainer.steps(rows(20))
        trainer.epoch()
        look(service)
    with reading(service.engine) as session:
        looks = list(session.scalars(select(Run).where(Run.kind == "look")))
    assert [(run.status, run.attempt) for run in looks] == [("succeeded", 3)]
    assert trainer.get()["epochs_done"] == 3


def test_an_epoch_that_comes_while_a_worker_looks_is_not_forgotten(service: Service) -> None:
    trainer = Trainer(service)
    trainer.steps(rows(20))
    trainer.epoch()
    with transaction(service.engine) as session:
        claimed = claims.claim(session, "worker-1", LEASE)
        assert claimed is not None
    with transaction(service.engine) as session:
        taken = watched.take(session, claimed.run_id, claimed.token)
        assert taken is not None
    trainer.steps(rows(20))
    trainer.epoch()
    with transaction(service.engine) as session:
        assert not watched.finish_look(session, claimed.run_id, claimed.token, trainer.id)
        endings.hand_over(session, claimed.run_id, claimed.token)
    look(service)
    assert trainer.get()["epochs_done"] == 2


def test_a_cancelled_run_tells_its_trainer_and_takes_no_more(service: Service) -> None:
    trainer = Trainer(service)
    trainer.steps(rows(20))
    trainer.epoch()
    cancelled = service.client.post(f"/v1/runs/{trainer.id}/cancel").json()
    assert (cancelled["status"], cancelled["cancel_requested"]) == ("cancelled", True)
    state = service.client.get(trainer.path).json()
    assert (state["status"], state["cancel_requested"]) == ("cancelled", True)
    assert trainer.steps(rows(3)).status_code == 409
    look(service)
    assert trainer.get()["epochs_done"] == 0, "nothing is judged of a run that is over"


def test_a_silent_trainer_has_failed_until_it_is_heard_again(service: Service) -> None:
    trainer = Trainer(service)
    trainer.steps(rows(3))
    with transaction(service.engine) as session:
        assert lose_silent(session, timedelta(minutes=10)) == []
        session.execute(update(WatchRow).values(heard_at=WatchRow.heard_at - 601))
        assert lose_silent(session, timedelta(minutes=10)) == [trainer.id]
    run = trainer.get()
    assert (run["status"], run["error_kind"]) == ("failed", SILENT)
    assert "10 minutes" in run["error"]
    assert trainer.steps(rows(3)).json()["status"] == "running"
    assert trainer.get()["error"] is None


def test_a_silent_trainer_whose_epochs_nobody_can_judge_has_failed(service: Service) -> None:
    trainer = Trainer(service)
    trainer.steps(rows(20))
    trainer.epoch()
    patience = timedelta(minutes=10)
    with transaction(service.engine) as session:
        session.execute(update(WatchRow).values(heard_at=WatchRow.heard_at - 601))
        assert lose_silent(session, patience) == [], "a worker has yet to look"
        claimed = claims.claim(session, "worker-1", LEASE)
        assert claimed is not None
        endings.finish(session, claimed.run_id, claimed.token, "failed", error="out of luck", error_kind="X")
        assert lose_silent(session, patience) == [trainer.id]
    assert (trainer.get()["status"], trainer.get()["error_kind"]) == ("failed", SILENT)
    trainer.steps(rows(20))
    assert trainer.epoch().json()["status"] == "running"
    look(service)
    assert trainer.get()["epochs_done"] == 2


def test_a_run_whose_epochs_nobody_can_judge_ends_all_the_same(service: Service) -> None:
    trainer = Trainer(service)
    trainer.steps(rows(20))
    trainer.epoch()
    trainer.end()
    with transaction(service.engine) as session:
        claimed = claims.claim(session, "worker-1", LEASE)
        assert claimed is not None
        endings.finish(session, claimed.run_id, claimed.token, "failed", error="out of luck", error_kind="X")
        assert watched.end_unjudged(session) == [trainer.id]
    run = trainer.get()
    assert (run["status"], run["error_kind"]) == ("succeeded", "NotJudged")
    assert "out of luck" in run["error"]


def test_what_cannot_be_done_with_a_training_elsewhere_is_refused_with_the_reason(service: Service) -> None:
    trainer = Trainer(service)
    trainer.steps(rows(20))
    trainer.epoch()
    for what, body in (("pause", None), ("resume", None), ("extend", {"epochs": 2})):
        answer = service.client.post(f"/v1/runs/{trainer.id}/{what}", json=body)
        assert answer.status_code == 409, what
        assert "trained elsewhere" in answer.json()["detail"], what


def test_a_watched_run_is_deleted_with_its_looks(service: Service) -> None:
    trainer = Trainer(service)
    trainer.steps(rows(20))
    trainer.epoch(points(1))
    assert service.client.delete(f"/v1/runs/{trainer.id}").status_code == 409
    trainer.end()
    look(service)
    assert service.client.delete(f"/v1/runs/{trainer.id}").status_code == 204
    assert service.count_runs() == 0


def test_a_watched_run_can_be_diagnosed_again_by_a_newer_ruleset(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(service, objective="bce")
    for part in np.split(rows(300), 3):
        trainer.steps(part)
        trainer.epoch()
    trainer.end()
    look(service)
    before = trainer.get("/diagnosis/history")["items"]
    monkeypatch.setattr(rediagnosis, "RULESET", "9999-12")
    answer = service.client.post(f"/v1/runs/{trainer.id}/diagnosis")
    assert answer.status_code == 200, answer.text
    assert trainer.get("/diagnosis/history")["items"] == before


@pytest.mark.parametrize(("value", "verdict"), [(0.1, "mode collapse"), (np.nan, "mode collapse")])
def test_samples_of_a_sick_generator_are_taken_as_they_are(service: Service, value: float, verdict: str) -> None:
    trainer = Trainer(service, objective="bce", real=upload(service, points(0)))
    trainer.steps(rows(300))
    assert trainer.epoch(np.full((300, 2), value, np.float32)).status_code == 200
    look(service)
    assert trainer.get()["verdict"] == verdict


def test_a_step_may_lack_what_another_has(service: Service) -> None:
    trainer = Trainer(service)
    values = rows(100)[:, [0, 2]]
    values[1::5, 1] = ABSENT
    values[50, 0] = np.nan
    trainer.steps(values, ("d_loss_real", "g_loss"))
    trainer.epoch()
    look(service)
    stored = stored_steps(service, trainer.id)
    assert np.isnan(stored[50, 0]), "what was no number is data"
    assert np.isfinite(stored[:, 2]).all(), "what was not sent is what it was before"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "GCS1"),
        (b"GCS2" + encode(["g_loss"], [[1.0]])[4:], "GCS1"),
        (encode(["g_loss"], [[1.0]])[:-1], "7 bytes"),
        (encode(["g_loss", "g_loss"], [[1.0, 2.0]]), "different"),
        (encode(["\x1b[2J"], [[1.0]]), "printable"),
        (encode([""], [[1.0]]), "printable"),
        (b"GCS1\xff\xff\xff\xff{}", "names"),
        (b"GCS1\x02\x00\x00\x00[]", "header"),
    ],
)
def test_a_block_that_is_none_is_refused_with_the_reason(sqlite_service: Service, body: bytes, why: str) -> None:
    trainer = Trainer(sqlite_service)
    answer = trainer.put("steps", content=body, headers={"Content-Type": MEDIA_TYPE})
    assert why in problems(answer)["body"]


@pytest.mark.parametrize("are_kept", [True, False])
def test_a_run_has_at_most_200_names_over_all_of_its_blocks(service: Service, are_kept: bool) -> None:
    trainer = Trainer(service)
    names = tuple(f"loss {number}" for number in range(MAX_NAMES))
    trainer.steps(np.ones((2, 150)), names[:150])
    if not are_kept:  # as of a run that began before names were kept
        with transaction(service.engine) as session:
            session.execute(update(WatchRow).values(names=None))
    assert trainer.steps(np.ones((2, 100)), names[100:]).status_code == 200
    refused = trainer.steps(np.ones((2, 1)), ("another",))
    assert problems(refused)["body"] == "a watched run may have 200 names; with these it has 201"
    assert trainer.steps(np.ones((2, 1)), names[:1], sequence=3).json()["steps"] == 6


def test_uploads_of_a_trainer_have_limits(sqlite_service: Service) -> None:
    trainer = Trainer(sqlite_service, real=upload(sqlite_service, points(0)))
    large = trainer.put("steps", content=b"x" * (1024**2 + 1), headers={"Content-Type": MEDIA_TYPE})
    assert large.status_code == 413
    assert trainer.put("steps", sequence=1, json={}).status_code == 415
    assert "no step" in problems(trainer.epoch(sequence=1))["sequence"]
    trainer.steps(rows(3), sequence=1)
    assert "[3]" in problems(trainer.epoch(np.ones((60, 3), np.float32)))["fakes"]
    pickled = np.array([{"a": 1}], dtype=object)
    files = {"fakes": ("fakes.npy", npy(pickled))}
    assert "fakes" in problems(trainer.put("epochs", sequence=2, files=files))
    assert trainer.put("epochs", sequence=2, params={"seconds": "nan"}).status_code == 422


@pytest.mark.parametrize("shape", [(64, 64, 64, 3), (2, 5, 8, 8), (2, 1, 1025, 8), (2, 3, 8, 1025)])
def test_images_that_no_picture_can_show_are_refused(sqlite_service: Service, shape: tuple[int, ...]) -> None:
    trainer = Trainer(sqlite_service)
    trainer.steps(rows(3))
    assert "1 or 3 channels" in problems(trainer.epoch(np.zeros(shape, np.float32)))["fakes"]
    assert trainer.epoch(sequence=2).json()["epochs_sent"] == 1, "the epoch is still to come"


def test_an_epoch_whose_samples_cannot_be_looked_at_is_judged_without_them(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = Trainer(service, objective="bce")
    values = rows(200)
    trainer.steps(values[:100])
    fakes = open_artifacts(service.settings).put(npy(np.zeros((2, 5, 8, 8), np.float32)), NPY)
    with transaction(service.engine) as session:
        watched.receive(session, trainer.id, 2, EpochEnd(seconds=1, fakes=fakes))
    trainer.steps(values[100:], sequence=3)
    trainer.epoch(points(1), sequence=4)
    look(service)
    assert trainer.get()["epochs_done"] == 2, "later epochs are judged, too"
    answers = [service.client.get(f"/v1/runs/{trainer.id}/samples/{epoch}").status_code for epoch in (1, 2)]
    assert answers == [404, 200]
    assert "epoch 1 is judged without its samples" in caplog.text


def test_samples_without_a_form_are_refused_and_not_dropped(sqlite_service: Service) -> None:
    trainer = Trainer(sqlite_service)
    trainer.steps(rows(3))
    answer = trainer.put("epochs", content=npy(points(1)))  # as `curl -T fakes.npy` does
    assert (answer.status_code, answer.json()["type"]) == (415, "urn:ganclinic:problem:unsupported-media-type")
    assert "multipart/form-data" in answer.json()["detail"]
    assert trainer.epoch(sequence=2).status_code == 200


def test_reals_have_to_be_there_and_enough(sqlite_service: Service) -> None:
    for real, why in (("0" * 16, "there is no upload"), (upload(sqlite_service, points(0, 60)), "at least 100")):
        answer = sqlite_service.client.post(PATH, json={"real": real})
        assert why in problems(answer)["real"]
    in_use = upload(sqlite_service, points(0))
    Trainer(sqlite_service, real=in_use)
    assert sqlite_service.client.delete(f"/v1/uploads/{in_use}").status_code == 409


def test_the_same_request_with_the_same_key_is_one_run(service: Service) -> None:
    made = [
        service.client.post(PATH, json={"name": "x"}, headers={"Idempotency-Key": "k"}).json()["id"] for _ in range(2)
    ]
    assert made[0] == made[1]
    other = service.client.post(PATH, json={"name": "y"}, headers={"Idempotency-Key": "k"})
    assert other.status_code == 409


def test_a_run_that_is_trained_here_takes_no_steps(sqlite_service: Service) -> None:
    from tests.support.api import record

    run_id = record(sqlite_service, 1).id
    assert sqlite_service.client.get(f"{PATH}/{run_id}").status_code == 404
    answer = sqlite_service.client.put(
        f"{PATH}/{run_id}/steps/1", content=encode(NAMES, rows(2)), headers={"Content-Type": MEDIA_TYPE}
    )
    assert answer.status_code == 404
