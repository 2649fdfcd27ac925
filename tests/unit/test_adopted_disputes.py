"""What people said of verdicts becomes runs and labels of the suite."""

import json
from typing import Any

import pytest

from bench.verdicts import adopt, labels, suite
from bench.verdicts.adopt import Adopted
from ganlib.preset import get_preset
from ganlib.request import RunRequest

SPEC = RunRequest(
    spec={
        "dataset": {"name": "ring8"},
        "generator": {"family": "mlp"},
        "discriminator": {"family": "mlp"},
        "seed": 4,
        "evaluation": {"every_epochs": 2},
    }
).resolve()


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


def test_broken_lines_are_named():
    runs, refused = adopt.adopt(["{", '{"epoch": null}'])
    assert runs == []
    assert [text[:8] for text in refused] == ["line 1: ", "line 2: "]


def test_an_adopted_run_is_planned_and_its_labels_have_the_last_word(monkeypatch):
    [run], _ = adopt.adopt([line(finding="stalled", holds=True)])
    monkeypatch.setattr(suite, "adopted", lambda: [run])
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
