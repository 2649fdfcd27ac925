"""Findings that come and go: each is kept once, however often."""

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from ganlib.diagnosis.rules import _recovered
from ganlib.diagnosis.verdict import Diagnosis, Episode, Finding

NAMES: tuple[Any, ...] = ("mode collapse", "oscillation", "vanishing gradients", "slow convergence")


def finding(name: Any, epoch: int) -> Finding:
    return Finding(name=name, severity="moderate", first_epoch=epoch, summary="s", evidence=())


def after(previous: Diagnosis | None, epoch: int, *names: Any) -> Diagnosis:
    """The next diagnosis, which finds these."""
    found = tuple(finding(name, epoch) for name in names)
    around: Any = SimpleNamespace(previous=previous, epoch=epoch)
    return Diagnosis(
        epoch=epoch,
        verdict="healthy",
        severity="none",
        findings=found,
        reason="r",
        ruleset="test",
        recovered=_recovered(found, around),
    )


def test_a_finding_that_comes_and_goes_is_kept_once() -> None:
    last: Diagnosis | None = None
    for epoch in range(1, 8):
        last = after(last, epoch, *(["oscillation"] if epoch % 2 else ["stalled"] if epoch == 2 else []))
    assert last is not None
    assert last.recovered == (
        Episode(name="stalled", severity="moderate", first_epoch=2, last_epoch=2),
        Episode(name="oscillation", severity="moderate", first_epoch=1, last_epoch=5, times=3),
    )


def test_documents_do_not_grow_with_the_number_of_epochs() -> None:
    last: Diagnosis | None = None
    sizes: list[int] = []
    for epoch in range(1, 201):
        last = after(last, epoch, *NAMES[epoch % 2 :: 2])
        sizes.append(len(json.dumps(replace(last, findings=()).to_json())))
    assert sizes[-1] < sizes[9] + 20  # numbers of three digits instead of one
    assert sum(sizes) < 200 * 700


def test_what_an_earlier_version_kept_is_read_and_then_merged() -> None:
    document = after(None, 9).to_json()
    old = [{"name": "oscillation", "severity": "mild", "first_epoch": n, "last_epoch": n} for n in (2, 4, 6)]
    read = Diagnosis.from_json({**document, "recovered": old})
    assert [episode.last_epoch for episode in read.recovered] == [2, 4, 6]
    assert after(read, 10).recovered == (
        Episode(name="oscillation", severity="mild", first_epoch=2, last_epoch=6, times=3),
    )
