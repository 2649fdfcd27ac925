import json
from pathlib import Path

import pytest

from ganclinic.cli.demo import train
from ganclinic.cli.output import Output
from ganclinic.demo import collect
from tests.support.fake_service import PNG, FakeService, problem


@pytest.fixture
def service() -> FakeService:
    return FakeService()


def test_the_demo_writes_its_table_as_json_and_its_pictures_as_files(service: FakeService, tmp_path: Path) -> None:
    with service.client() as client:
        batch = train(client, Output.standard())
        outcomes = collect(client, batch.runs, tmp_path)
    written = json.loads((tmp_path / "demo.json").read_text())
    assert written == [outcome.to_json() for outcome in outcomes]
    assert [row["preset"] for row in written] == ["digit8-stable", "digit8-latent-1", "digit8-combined-batch"]
    row = written[1]
    assert (row["status"], row["verdict"], row["severity"]) == ("succeeded", "mode collapse", "severe")
    assert (row["ndb_over_k"], row["ndb_over_k_null"], row["first_epoch_seen"]) == (0.98, 0.08, 3)
    assert row["findings"][0]["name"] == "mode collapse"
    assert row["remedy"] == {"reason": "Give the generator more to vary:", "set": {"generator.latent_dim": 50}}
    assert Path(row["loss_figure"]).read_bytes() == PNG + b"figures/losses.png"
    assert Path(row["sample_grid"]).read_bytes() == PNG + b"samples/10"


def test_a_run_that_failed_before_its_first_epoch_has_no_pictures(service: FakeService, tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "digit8-stable-losses.png").write_text("of an earlier demo")
    service.add("a", {"status": "failed", "error": "no data"})
    with service.client() as client:
        run = client.get_run("a")
        service.next_answers.append(problem(404, "Not recorded"))
        [outcome] = collect(client, [run], tmp_path)
    assert outcome.to_json() | {"run": ""} == {
        "preset": "digit8-stable",
        "run": "",
        "status": "failed",
        "error": "no data",
        "verdict": None,
        "severity": None,
        "first_epoch_seen": None,
        "ndb_over_k": None,
        "ndb_over_k_null": None,
        "evidence": "no data",
        "remedy": None,
        "findings": [],
        "loss_figure": None,
        "sample_grid": None,
    }
    assert list((tmp_path / "demo").iterdir()) == []


def test_ctrl_c_cancels_what_the_demo_queued(service: FakeService) -> None:
    def press_ctrl_c(seconds: float) -> None:
        raise KeyboardInterrupt

    service.sleep = press_ctrl_c
    with service.client() as client, pytest.raises(KeyboardInterrupt):
        train(client, Output.standard())
    assert sum(request.url.path.endswith("/cancel") for request in service.requests) == 3
