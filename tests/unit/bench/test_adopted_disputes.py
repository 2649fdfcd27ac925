"""What people said of verdicts becomes runs and labels of the suite."""

import json
from typing import Any

import pytest

from bench.verdicts import adopt, configuration, labels, suite
from bench.verdicts.adopt import Adopted
from bench.verdicts.record import path_of
from bench.verdicts.recording import load
from ganlib.spec.preset import get_preset
from ganlib.spec.request import RunRequest

SPEC = RunRequest(
    spec={
        "dataset": {"name": "ring8"},
        "generator": {"family": "mlp"},
        "discriminator": {"family": "mlp"},
        "seed": 4,
        "evaluation": {"every_epochs": 2},
    }
).resolve()


def on(name: str, family: str = "", **changes: Any) -> dict[str, Any]:
    """A spec of the data set."""
    generator, discriminator = (family, family) if family else ("deconv", "conv")
    return {
        "dataset": {"name": name, **changes},
        "generator": {"family": generator},
        "discriminator": {"family": discriminator},
    }


def line(**changes: Any) -> str:
    """A line of an export."""
    label = {"finding": "mode collapse", "holds": False, "author": "ann", "note": "all eight are there", "epoch": None}
    run = {"spec": SPEC.model_dump(mode="json"), "spec_hash": "5a" * 32, "seed": SPEC.seed, "warm_start": None}
    return json.dumps({**label, **run, **changes})


def test_a_disputed_run_is_made_again_with_every_evaluation():
    [run], refused = adopt.adopt([line(), ""])
    assert refused == []
    assert run.spec["seed"] == 4
    assert run.spec["evaluation"]["every_epochs"] == 1
    assert run.review == {"present": [], "absent": ["mode collapse"], "reason": "ann: all eight are there"}


def test_labels_of_a_run_come_together_and_contradictions_decide_nothing():
    lines = [line(), line(), line(author="bob", holds=True), line(finding="stalled", holds=True, note="")]
    [run], _ = adopt.adopt(lines)
    assert len(run.labels) == 3
    assert run.review["present"] == ["stalled"]
    assert run.review["absent"] == []
    assert run.review["reason"] == "ann: all eight are there; bob: all eight are there; ann: stalled"


def test_healthy_says_that_nothing_harmful_is_there():
    [run], _ = adopt.adopt([line(finding="healthy", holds=True), line(finding="oscillation", holds=True)])
    assert run.review["present"] == ["oscillation"]
    assert "mode collapse" in run.review["absent"]
    assert not {"oscillation", "slow convergence"} & set(run.review["absent"])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"epoch": 3}, "of one epoch"),
        ({"warm_start": {"run_id": "a"}}, "another run's weights"),
        ({"spec": {"dataset": {"name": "nothing"}}}, "spec is not valid here"),
        ({"spec": on("fashion-mnist")}, "fashion-mnist as it is there"),
        ({"spec": on("fashion-mnist", limit=5001)}, "fashion-mnist as it is there"),
        ({"spec": on("mnist-5k", image_size=32)}, "mnist-5k as it is there"),
        ({"spec": on("mixture1d", family="mlp")}, "mixture1d as it is there"),
        (
            {"spec": get_preset("digit8-stable").spec.model_dump(mode="json") | {"dataset": {"name": "kmnist"}}},
            "oracle",
        ),
    ],
)
def test_what_cannot_be_adopted_is_named_with_its_line(changes, reason):
    runs, [refused] = adopt.adopt([line(**changes)])
    assert runs == []
    assert refused.startswith("line 1: ")
    assert reason in refused


@pytest.mark.parametrize("spec", [on("fashion-mnist", limit=5000), on("mnist-5k"), on("grid25", family="mlp")])
def test_what_the_oracle_knows_is_adopted(spec):
    runs, refused = adopt.adopt([line(spec=spec)])
    assert (len(runs), refused) == (1, [])


def test_a_person_who_says_not_stalled_is_not_overruled(monkeypatch):
    run = next(r for r in suite.planned() if r.id == "ring8-bce-saturating-loss-0")
    recording = load(path_of(run))
    assert "stalled" in labels.truth(run, recording).labels
    monkeypatch.setattr(labels, "_reviewed", lambda: {run.id: {"absent": ["stalled"], "reason": "looks well"}})
    assert "stalled" not in labels.truth(run, recording).labels


def test_broken_lines_are_named():
    runs, refused = adopt.adopt(["{", '{"epoch": null}'])
    assert runs == []
    assert [text[:8] for text in refused] == ["line 1: ", "line 2: "]


def test_an_adopted_run_is_planned_and_its_labels_have_the_last_word(monkeypatch):
    [run], _ = adopt.adopt([line(finding="stalled", holds=True)])
    for module in (suite, configuration):
        monkeypatch.setattr(module, "adopted", lambda: [run])
    monkeypatch.setattr(labels, "reviews", lambda: {run.spec_hash: run.review})
    [planned] = [planned for planned in suite.planned() if planned.configuration.adopted]
    assert planned.request.resolve() == SPEC.model_copy(
        update={"evaluation": SPEC.evaluation.model_copy(update={"every_epochs": 1})}
    )
    assert planned.configuration.part in ("calibration", "reported")


def test_the_file_is_read_as_it_was_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(adopt, "ADOPTED", tmp_path / "adopted.jsonl")
    export = tmp_path / "labels.jsonl"
    export.write_text(line() + "\n" + line(epoch=2) + "\n")
    monkeypatch.setattr("sys.argv", ["adopt", str(export)])
    adopt.main()
    adopt.main()
    [run] = adopt.adopted()
    assert isinstance(run, Adopted)
    assert len(run.labels) == 1
    assert "not adopted, line 2" in capsys.readouterr().out
