"""The demo: three published experiments on real digits, what became of them, and their pictures as files."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from ganclinic.client import Client
from ganclinic.errors import NotFound
from ganclinic.request import batch_from_toml
from ganclinic.views import RunView
from ganlib.diagnosis.verdict import Diagnosis, Remedy
from ganlib.records import EpochEvaluation, finite_json
from ganlib.spec.request import RunRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """What became of one run of the demo."""

    run: RunView
    diagnosis: Diagnosis | None
    evaluation: EpochEvaluation | None
    """Of the last evaluated epoch."""
    loss_figure: Path | None
    """PNG; None where the run failed before its first epoch."""
    sample_grid: Path | None
    """PNG of the last epoch."""

    @property
    def evidence(self) -> str | None:
        """One line: why this verdict, or why the run failed."""
        return self.diagnosis.reason if self.diagnosis is not None else self.run.error

    @property
    def remedy(self) -> Remedy | None:
        """The first one of the worst finding that has one."""
        findings = self.diagnosis.findings if self.diagnosis is not None else ()
        return next((remedy for finding in findings for remedy in finding.remedies), None)

    @property
    def ndb_over_k(self) -> float | None:
        """NDB/K of the last evaluated epoch."""
        return self.evaluation.values.get("ndb_over_k") if self.evaluation is not None else None

    @property
    def ndb_over_k_null(self) -> float | None:
        """What a perfect generator would score."""
        null = self.evaluation.nulls.get("ndb_over_k") if self.evaluation is not None else None
        return null.mean if null is not None else None

    def to_json(self) -> dict[str, Any]:
        """One object of demo.json."""
        return {
            "preset": self.run.preset,
            "run": self.run.id,
            "status": self.run.status,
            "error": self.run.error,
            "verdict": self.run.verdict,
            "severity": self.run.severity,
            "first_epoch_seen": self.run.first_epoch_seen,
            "ndb_over_k": finite_json(self.ndb_over_k),
            "ndb_over_k_null": finite_json(self.ndb_over_k_null),
            "evidence": self.evidence,
            "remedy": {"reason": self.remedy.reason, "set": self.remedy.patch} if self.remedy is not None else None,
            "findings": self.diagnosis.to_json()["findings"] if self.diagnosis is not None else [],
            "loss_figure": str(self.loss_figure) if self.loss_figure is not None else None,
            "sample_grid": str(self.sample_grid) if self.sample_grid is not None else None,
        }


def demo_requests() -> tuple[str | None, list[RunRequest]]:
    """Name and requests of the demo's batch."""
    return batch_from_toml(resources.files("ganclinic").joinpath("demo.toml").read_text("utf-8"))


def collect(client: Client, runs: Sequence[RunView], home: Path) -> list[DemoResult]:
    """Fetches what became of finished runs; writes pictures to `demo/` and everything to `demo.json` in `home`."""
    folder = home / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    outcomes = [_outcome(client, run, folder) for run in runs]
    document = json.dumps([outcome.to_json() for outcome in outcomes], indent=2, ensure_ascii=False, allow_nan=False)
    (home / "demo.json").write_text(document + "\n", "utf-8")
    return outcomes


def _outcome(client: Client, run: RunView, folder: Path) -> DemoResult:
    losses, samples = folder / f"{run.label}-losses.png", folder / f"{run.label}-samples.png"
    for picture in (losses, samples):
        picture.unlink(missing_ok=True)  # of an earlier demo
    try:
        losses.write_bytes(client.figure(run.id, "losses"))
        samples.write_bytes(client.samples(run.id))
        diagnosis, evaluations = client.diagnosis(run.id), client.evaluations(run.id)
    except NotFound:  # it failed or was cancelled before its first epoch was recorded
        return DemoResult(run=run, diagnosis=None, evaluation=None, loss_figure=None, sample_grid=None)
    evaluation = next(reversed(evaluations), None)
    return DemoResult(run=run, diagnosis=diagnosis, evaluation=evaluation, loss_figure=losses, sample_grid=samples)
